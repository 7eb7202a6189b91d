//! The keys that hosts show, and what becomes of them.

use serde::Serialize;

use super::{ShownKey, Survey, Trouble};
use crate::host::{Host, KeyStanding};

/// A key that a host shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Key {
    /// Its algorithm.
    pub algorithm: String,
    /// Its fingerprint, `SHA256:…`.
    pub fingerprint: String,
    /// What is known of it.
    pub standing: Standing,
    /// Where that stands, or why it is so.
    pub says: Option<String>,
    #[serde(skip)]
    shown: ShownKey,
}

/// What is known of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is the host's.
    Known,
    /// An authority for the host signed its certificate.
    Vouched,
    /// Nothing is known of it.
    Unknown,
    /// The host is known by another key of this algorithm.
    Changed,
    /// It was withdrawn.
    Revoked,
    /// The certificate that comes with it does not hold.
    BadCertificate,
}

impl Survey {
    /// The keys that each host shows. None is logged in to, but those on the way.
    pub async fn keys(&self, stop: impl Future<Output = ()>) -> Option<Vec<(String, Result<Vec<Key>, Trouble>)>> {
        self.each(stop, async |host| {
            let shown = host.shown_keys().await.map_err(|error| self.trouble(&error))?;
            Ok(shown.into_iter().map(Key::from).collect())
        })
        .await
    }

    /// Records keys that a person has compared; in place of those that are known where `replace` says so.
    ///
    /// # Errors
    /// Nothing is recorded: a key was withdrawn, or is another than the known one; the file cannot be written.
    pub fn trust(&self, host: &str, keys: &[Key], replace: bool) -> Result<(), Trouble> {
        let shown: Vec<ShownKey> = keys.iter().map(|key| key.shown.clone()).collect();
        self.host(host)?.trust(&shown, replace).map_err(|error| self.trouble(&error))
    }

    /// Forgets what the data folder knows of a host's keys.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn forget(&self, host: &str) -> Result<(), Trouble> {
        self.host(host)?.forget_keys().map_err(|error| self.trouble(&error))
    }

    fn host(&self, name: &str) -> Result<&Host, Trouble> {
        let host = self.hosts.iter().find(|host| host.slot() == name);
        host.ok_or_else(|| self.other(&format!("no host `{name}` was asked")))
    }
}

impl From<ShownKey> for Key {
    fn from(shown: ShownKey) -> Key {
        let (standing, says) = match &shown.standing {
            KeyStanding::Known(at) => (Standing::Known, Some(at.clone())),
            KeyStanding::Vouched(at) => (Standing::Vouched, Some(at.clone())),
            KeyStanding::Unknown => (Standing::Unknown, None),
            KeyStanding::Changed(known) => (Standing::Changed, Some(known.clone())),
            KeyStanding::Revoked(by) => (Standing::Revoked, Some(by.clone())),
            KeyStanding::BadCertificate(why) => (Standing::BadCertificate, Some(format!("its certificate {why}"))),
        };
        let (algorithm, fingerprint) = (shown.algorithm.clone(), shown.fingerprint.clone());
        Key { algorithm, fingerprint, standing, says, shown }
    }
}
