//! What `ansible-vault` has encrypted: format 1.1 and 1.2, AES256.
//!
//! ```text
//! $ANSIBLE_VAULT;1.1;AES256          a header; from 1.2 on a name of the password follows
//! 6136…                              hexadecimal of: hex(salt) \n hex(HMAC) \n hex(ciphertext)
//! ```
//!
//! PBKDF2-HMAC-SHA256 with 10,000 rounds makes three things of password and salt: a key for AES-256-CTR, one for the HMAC-SHA256 of
//! the ciphertext, and the first counter. The text is padded to whole blocks (PKCS#7).
//! <https://docs.ansible.com/ansible/latest/vault_guide/vault_using_encrypted_content.html#ansible-vault-payload-format-1-1-1-2>

use std::cell::OnceCell;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::rc::Rc;

use aes::Aes256;
use aes::cipher::{KeyIvInit, StreamCipher};
use data_encoding::HEXLOWER_PERMISSIVE;
use ring::{hmac, pbkdf2};
use store::Secret;
use zeroize::Zeroizing;

use crate::secret_source::SecretSource;

/// With which every such text begins.
pub const HEADER: &str = "$ANSIBLE_VAULT;";
const ROUNDS: u32 = 10_000;
const BLOCK: usize = 16;

/// The password of what is encrypted: fetched when it is needed first, and then once.
#[derive(Clone, Default)]
pub struct Password {
    file: Option<PathBuf>,
    found: Rc<OnceCell<Result<Secret, String>>>,
}

impl Password {
    /// From a file, or from what it writes where it is a program; without one from the terminal.
    pub fn new(file: Option<PathBuf>) -> Password {
        Password { file, found: Rc::default() }
    }

    fn get(&self) -> Result<&Secret, String> {
        let found = self.found.get_or_init(|| {
            let what = "the password of ansible-vault";
            let source = match &self.file {
                Some(file) if is_program(file) => SecretSource::Command(vec![program(file)?]),
                Some(file) => SecretSource::File(file.clone()),
                None => SecretSource::Prompt,
            };
            let text = source.resolve(what)?;
            match text.trim() {
                "" => Err(format!("{what} is empty")),
                text => Ok(Secret::from(text)),
            }
        });
        found.as_ref().map_err(Clone::clone)
    }

    /// The text that was encrypted.
    pub fn open(&self, vault: &str) -> Result<Secret, String> {
        let sealed = Sealed::read(vault)?;
        let plain = sealed.open(self.get()?.expose().as_bytes())?;
        let text = std::str::from_utf8(&plain).map_err(|_| "what ansible-vault has encrypted is not UTF-8 text")?;
        Ok(Secret::from(text))
    }
}

fn is_program(path: &PathBuf) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// A path that no shell and no `PATH` is asked for.
fn program(path: &PathBuf) -> Result<String, String> {
    let path = std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))?;
    path.to_str().map(str::to_owned).ok_or_else(|| format!("{} is not UTF-8", path.display()))
}

/// An encrypted text, taken apart.
struct Sealed {
    salt: Vec<u8>,
    tag: Vec<u8>,
    hidden: Zeroizing<Vec<u8>>,
}

impl Sealed {
    fn read(text: &str) -> Result<Sealed, String> {
        let mut lines = text.lines().map(str::trim);
        let mut header = lines.next().unwrap_or_default().split(';').map(str::trim);
        if header.next() != Some("$ANSIBLE_VAULT") {
            return Err("it does not begin as a text of ansible-vault".to_owned());
        }
        let (version, cipher) = (header.next().unwrap_or_default(), header.next().unwrap_or_default());
        if !matches!(version, "1.1" | "1.2") || cipher != "AES256" {
            return Err("it is of a format of ansible-vault that is not 1.1 or 1.2 with AES256".to_owned());
        }
        let damaged = || "it is damaged: a text of ansible-vault is hexadecimal".to_owned();
        let hex = |text: &[u8]| HEXLOWER_PERMISSIVE.decode(text).map_err(|_| damaged());
        let body = hex(lines.collect::<String>().as_bytes())?;
        let mut parts = body.splitn(3, |byte| *byte == b'\n');
        let (Some(salt), Some(tag), Some(hidden)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(damaged());
        };
        Ok(Sealed { salt: hex(salt)?, tag: hex(tag)?, hidden: Zeroizing::new(hex(hidden)?) })
    }

    fn open(mut self, password: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
        let mut keys = Zeroizing::new([0_u8; 80]);
        let rounds = NonZeroU32::new(ROUNDS).unwrap_or(NonZeroU32::MIN);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &self.salt, password, keys.as_mut_slice());
        let (cipher, rest) = keys.split_at(32);
        let (signer, counter) = rest.split_at(32);
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, signer), &self.hidden, &self.tag)
            .map_err(|_| "the password of ansible-vault does not fit, or what it encrypted was changed")?;
        let damaged = "what ansible-vault encrypted has no proper end";
        let mut stream = ctr::Ctr128BE::<Aes256>::new_from_slices(cipher, counter).map_err(|_| damaged)?;
        stream.apply_keystream(&mut self.hidden);
        let padding = self.hidden.last().copied().map(usize::from).filter(|padding| (1..=BLOCK).contains(padding));
        let end = padding.and_then(|padding| self.hidden.len().checked_sub(padding)).ok_or(damaged)?;
        self.hidden.truncate(end);
        Ok(self.hidden)
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Password) -> bool {
        self.file == other.file
    }
}

impl Eq for Password {}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Password").field("file", &self.file).finish_non_exhaustive()
    }
}
