//! Files with keys and certificates of this machine's user: what of them can be used, and why not.
//!
//! Every reason is in words that follow the file's name. They are read beside the runtime: opening an encrypted key takes a tenth of a
//! second of CPU on purpose.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Certificate, PrivateKey, PublicKey, decode_secret_key};
use store::Secret;
use zeroize::Zeroizing;

use super::limits;

/// A public half, or a certificate for one.
pub(super) enum Public {
    Key(KeyData),
    Certificate(Box<Certificate>),
}

impl Public {
    pub(super) fn key(&self) -> &KeyData {
        match self {
            Self::Key(key) => key,
            Self::Certificate(certificate) => certificate.public_key(),
        }
    }
}

/// A private key, in OpenSSH's form or in PEM (PKCS#1, PKCS#8, SEC1).
pub(super) async fn private(path: &Path, passphrase: Option<&Secret>) -> Result<PrivateKey, String> {
    let (path, passphrase) = (path.to_owned(), passphrase.cloned());
    beside(move || {
        let text = read(&path)?;
        let given = passphrase.as_ref().map(Secret::expose);
        decode_secret_key(&text, given).map_err(|error| match error {
            russh::keys::Error::KeyIsEncrypted => "is encrypted, and no passphrase is given".into(),
            _ if public_in(&text).is_some() => "is a public key, not a private one".into(),
            _ if given.is_some() => "cannot be opened: wrong passphrase or unknown format".into(),
            _ if text.contains("ENCRYPTED") => "is encrypted, and no passphrase is given".into(),
            error => format!("is not understood: {error}"),
        })
    })
    .await
}

/// A user certificate for a key: the file that is named, or the one beside the key, where there is one.
pub(super) async fn certificate(
    named: Option<&Path>,
    key_file: &Path,
    key: &PublicKey,
) -> Option<(PathBuf, Result<Certificate, String>)> {
    let beside_key = with_suffix(key_file, "-cert.pub");
    let path = match named {
        Some(path) => path.to_owned(),
        None if beside_key.exists() => beside_key,
        None => return None,
    };
    let read = {
        let path = path.clone();
        beside(move || read(&path)).await
    };
    let found = read.and_then(|text| match public_in(&text) {
        Some(Public::Certificate(certificate)) if certificate.cert_type() != CertType::User => {
            Err("is a certificate for hosts, not for users".into())
        }
        Some(Public::Certificate(certificate)) if certificate.public_key() != key.key_data() => {
            Err("is a certificate for another key".into())
        }
        Some(Public::Certificate(certificate)) => Ok(*certificate),
        Some(Public::Key(_)) | None => Err("is no certificate".into()),
    });
    Some((path, found))
}

/// The public half that a file is about: a public key, a certificate, or a private key with the public one beside it or in it.
pub(super) async fn public(path: &Path) -> Result<Public, String> {
    let path = path.to_owned();
    beside(move || {
        // A private key need not be there at all.
        let here = read(&path);
        if let Some(public) = here.as_ref().ok().and_then(|text| public_in(text)) {
            return Ok(public);
        }
        if let Some(public) = read(&with_suffix(&path, ".pub")).ok().and_then(|text| public_in(&text)) {
            return Ok(public);
        }
        // OpenSSH's form has the public half in the clear, also where the private one is encrypted.
        let private = PrivateKey::from_openssh(here?.as_bytes());
        private.map(|key| Public::Key(key.public_key().key_data().clone())).map_err(|_| {
            let beside = with_suffix(&path, ".pub");
            format!("is no public key and no certificate, and {} is none either", beside.display())
        })
    })
    .await
}

/// The first key or certificate of a text, as in a `.pub` file.
fn public_in(text: &str) -> Option<Public> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    if let Ok(certificate) = Certificate::from_openssh(line) {
        return Some(Public::Certificate(Box::new(certificate)));
    }
    PublicKey::from_openssh(line).ok().map(|key| Public::Key(key.key_data().clone()))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn read(path: &Path) -> Result<Zeroizing<String>, String> {
    let cannot = |error: io::Error| format!("cannot be read: {error}");
    let mut text = Zeroizing::new(String::new());
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(limits::KEY_FILE_BYTES + 1).read_to_string(&mut text).map_err(cannot)?;
    if text.len() as u64 > limits::KEY_FILE_BYTES {
        return Err(format!("has more than {} bytes", limits::KEY_FILE_BYTES));
    }
    Ok(text)
}

async fn beside<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(format!("cannot be looked at: {error}")))
}
