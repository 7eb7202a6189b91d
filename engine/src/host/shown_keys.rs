//! The keys that a host shows, before anybody trusts them: what `anneal hosts trust` compares and records.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use russh::AlgorithmKind;
use russh::client;
use russh::keys::{Algorithm, HashAlg, PublicKey, PublicKeyOrCertificate};
use tokio::time::timeout;

use super::error::{self, Error, ErrorKind};
use super::host_certificate::now_s;
use super::host_key::{Judge, unreadable};
use super::known_hosts::{Shown, fingerprint, is_same};
use super::known_hosts_line::Names;
use super::ssh_connection::{HOST_KEYS, config_for, no_handshake, way};
use super::{Host, HostKeyPolicy, KeyStanding, Reach, SshSpec, limits};

/// A key that a host shows. Whoever shows it has the private half; whether that is the right machine, it does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownKey {
    /// Its algorithm: `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ssh-rsa`.
    pub algorithm: String,
    /// Its fingerprint, `SHA256:…`, as `ssh-keygen -l` writes it.
    pub fingerprint: String,
    /// What is known of it.
    pub standing: KeyStanding,
    /// The certificate that came with it: its name, and the fingerprint of the key that signed it.
    pub certificate: Option<(String, String)>,
    key: PublicKey,
}

impl Host {
    /// The keys that the host shows, one for each algorithm that it has, and what is known of them. Jump hosts on the way are logged in to
    /// and must be known; the host itself is not logged in to, and nothing is recorded of it. Its certificates are asked for
    /// too.
    ///
    /// # Errors
    /// It cannot be reached, or a file of known hosts cannot be read.
    pub async fn shown_keys(&self) -> Result<Vec<ShownKey>, Error> {
        let spec = self.over_ssh()?;
        let failed = |kind| self.error(kind, "looking at its host keys");
        let mut left: VecDeque<Vec<Algorithm>> = VecDeque::new();
        for algorithm in HOST_KEYS {
            match left.iter_mut().find(|group| is_same(&group[0], &algorithm)) {
                Some(group) => group.push(algorithm),
                None => left.push_back(vec![algorithm]),
            }
        }
        let mut keys = Vec::new();
        while let Some(group) = left.pop_front() {
            match self.handshake_up_to_its_key(spec, &group).await.map_err(failed)? {
                Look::Shown(shown) => keys.push(self.shown_key(spec, shown).map_err(failed)?),
                Look::Has(theirs) => left.retain(|group| group.iter().any(|ours| is_among(ours, &theirs))),
            }
        }
        // A host that shows none of the keys that are known has changed, whatever their algorithms are.
        if !keys.iter().any(|key| matches!(key.standing, KeyStanding::Known(_) | KeyStanding::Vouched(_))) {
            let judge = self.judge(spec);
            for key in keys.iter_mut().filter(|key| key.standing == KeyStanding::Unknown) {
                let shown = Shown { key: key.key.clone(), certificate: None };
                key.standing = judge.known.judge(judge.asker(), &shown, now_s()).map_err(unreadable).map_err(failed)?;
            }
        }
        Ok(keys)
    }

    /// Records keys that a person has compared with what the machine says of itself. Keys that are known already are left as they are.
    ///
    /// Where the host is known by another key of the same algorithm, or shows none of those that are known, `replace` must say so: our own
    /// file forgets all other keys of it then. The files of the user are never written; what they say goes on counting.
    ///
    /// # Errors
    /// A key is revoked, or is another than the known one and is not to replace it: then nothing is recorded. Our own file cannot be
    /// written.
    pub fn trust(&self, keys: &[ShownKey], replace: bool) -> Result<(), Error> {
        let spec = self.over_ssh()?;
        let failed = |kind| self.error(kind, "recording its host keys");
        let judge = self.judge(spec);
        let mut new = Vec::new();
        for shown in keys {
            let now = standing(&judge, &Shown { key: shown.key.clone(), certificate: None }).map_err(failed)?;
            // Of a key alone it cannot be told that the host has none of the known ones any more.
            let now = match (now, &shown.standing) {
                (KeyStanding::Unknown, changed @ KeyStanding::Changed(_)) => changed.clone(),
                (now, _) => now,
            };
            match now {
                KeyStanding::Revoked(by) => {
                    let fingerprint = shown.fingerprint.clone();
                    return Err(failed(ErrorKind::HostKeyRevoked { fingerprint, by }));
                }
                KeyStanding::Changed(known) if !replace => {
                    return Err(failed(ErrorKind::HostKeyChanged { known, got: shown.fingerprint.clone() }));
                }
                KeyStanding::Known(_) if !replace => {}
                KeyStanding::Known(_)
                | KeyStanding::Vouched(_)
                | KeyStanding::Unknown
                | KeyStanding::Changed(_)
                | KeyStanding::BadCertificate(_) => new.push(shown.key.clone()),
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        self.0.known.trust(judge.asker(), &new, replace).map_err(unreadable).map_err(failed)
    }

    /// Forgets the keys that our own file has for the host. What others say, and patterns for several hosts, stays.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn forget_keys(&self) -> Result<(), Error> {
        let spec = self.over_ssh()?;
        let forgotten = self.0.known.forget(&spec.server);
        forgotten.map_err(|error| self.error(unreadable(error), "forgetting its host keys"))
    }

    /// The name under which its keys are known: `host`, `[host]:port`, or the one that was given; none where it is this machine.
    pub fn known_name(&self) -> Option<String> {
        match &self.0.reach {
            Reach::Local => None,
            Reach::Ssh(spec) => Some(Names::of(&spec.server).name),
        }
    }

    fn over_ssh(&self) -> Result<&SshSpec, Error> {
        match &self.0.reach {
            Reach::Ssh(spec) => Ok(spec),
            Reach::Local => {
                let why = "it is reached without SSH and has no host key".into();
                Err(self.error(ErrorKind::Invalid { why }, "looking at host keys"))
            }
        }
    }

    /// One handshake, up to the key that the host shows for one of these algorithms.
    async fn handshake_up_to_its_key(&self, spec: &SshSpec, algorithms: &[Algorithm]) -> Result<Look, ErrorKind> {
        let (stream, program) = way(&spec.via, &self.judge(spec), &self.0.hops).await?;
        let seen = Looking::default();
        let config = config_for(algorithms.to_vec(), algorithms.to_vec());
        let connecting = client::connect_stream(Arc::new(config), stream, seen.clone());
        let error = match timeout(limits::HANDSHAKE, connecting).await {
            Ok(Ok(_)) => return Err(ErrorKind::Protocol { said: "a key that was refused was taken".into() }),
            Ok(Err(error)) => error,
            Err(_) => {
                if let Some(program) = program {
                    let after = limits::HANDSHAKE.as_secs();
                    let said = format!("{}; nothing came for {after} s by it", program.said().await);
                    return Err(ErrorKind::Unreachable { said });
                }
                return Err(ErrorKind::Timeout { stage: "exchanging keys", after: limits::HANDSHAKE });
            }
        };
        if let Some(shown) = seen.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Ok(Look::Shown(shown));
        }
        match (error, program) {
            (russh::Error::NoCommonAlgo { kind: AlgorithmKind::Key, theirs, .. }, _) => Ok(Look::Has(theirs)),
            (error, None) => Err(no_handshake(error)),
            (error, Some(program)) => {
                Err(ErrorKind::Unreachable { said: format!("{}; {error}", program.said().await) })
            }
        }
    }

    fn shown_key(&self, spec: &SshSpec, shown: Shown) -> Result<ShownKey, ErrorKind> {
        let certificate = shown.certificate.as_ref().map(|certificate| {
            let signer = certificate.signature_key().fingerprint(HashAlg::Sha256).to_string();
            (error::shown(certificate.key_id().as_bytes()), signer)
        });
        Ok(ShownKey {
            algorithm: match shown.key.algorithm() {
                Algorithm::Rsa { .. } => "ssh-rsa".into(),
                other => other.to_string(),
            },
            fingerprint: fingerprint(&shown.key),
            standing: standing(&self.judge(spec), &shown)?,
            certificate,
            key: shown.key,
        })
    }
}

/// What came of a look.
enum Look {
    Shown(Shown),
    /// It has keys of these algorithms only.
    Has(Vec<String>),
}

fn standing(judge: &Judge, shown: &Shown) -> Result<KeyStanding, ErrorKind> {
    let standing = judge.known.standing(judge.asker(), shown, now_s()).map_err(unreadable)?;
    Ok(match (standing, &judge.server.host_key) {
        (revoked @ KeyStanding::Revoked(_), _) => revoked,
        (_, HostKeyPolicy::Pinned(pinned)) if *pinned == fingerprint(&shown.key) => KeyStanding::Known("pinned".into()),
        (standing, _) => standing,
    })
}

fn is_among(ours: &Algorithm, theirs: &[String]) -> bool {
    theirs.iter().any(|name| *name == ours.to_string() || *name == ours.to_certificate_type())
}

/// Keeps what is shown and goes no further.
#[derive(Clone, Default)]
struct Looking(Arc<Mutex<Option<Shown>>>);

impl client::Handler for Looking {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Shown::from(shown));
        Ok(false)
    }
}
