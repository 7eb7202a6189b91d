//! Asking hosts without an operation: whether they can be used, what they say of themselves, which keys they show.
//!
//! Nothing of it is journalled, and nothing on a host is changed by it. Host keys are judged, and recorded where that is asked for, as a
//! run does.
//!
//! Invariant: what a host said passes the filter for secrets before anybody sees it (I8).

mod check;
mod facts;
mod keys;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use dsl::value::SecretRef;
use futures::StreamExt as _;
use serde::Serialize;
use store::Secret;
use uuid::Uuid;

pub use check::{Checked, Sudo};
pub use facts::Facts;
pub use keys::{Key, Standing};

use crate::action::failure;
use crate::action::output::clean;
use crate::error::{Error, Kind};
use crate::host::{self, Host, JobId, ShownKey};
use crate::limits::HOSTS;
use crate::redact::Redactor;
use crate::runner::{HostSpec, first_generation, known_hosts, reach};
use crate::vault::Vault;

/// The hosts that are asked.
#[derive(Debug)]
pub struct Asked {
    /// By name.
    pub hosts: BTreeMap<String, HostSpec>,
    /// The secrets that they name.
    pub secrets: BTreeMap<SecretRef, Secret>,
    /// The data folder: host keys that were accepted are known from there, and nothing else of it is read.
    pub data_dir: PathBuf,
    /// The user's home, whose `.ssh/known_hosts` counts too.
    pub home: Option<PathBuf>,
    /// How many of them are asked at once; from 1.
    pub at_once: usize,
}

/// Why a host has not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// What happened.
    pub error: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Hosts that can be asked.
pub struct Survey {
    hosts: Vec<Host>,
    at_once: usize,
    redactor: Redactor,
}

impl Survey {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// There are too many hosts, or a secret is missing.
    pub fn new(asked: Asked) -> Result<Survey, Error> {
        let Asked { hosts, secrets, data_dir, home, at_once } = asked;
        if hosts.len() > HOSTS {
            return Err(Error::new(Kind::Invalid, format!("{} hosts; the limit is {HOSTS}", hosts.len())));
        }
        let vault = Vault::new(secrets);
        let known = Arc::new(known_hosts(&data_dir, home.as_deref()));
        let hops = host::Hops::default();
        let hosts = first_generation(hosts)
            .iter()
            .map(|(name, record)| {
                let reach = reach(&record.reach, &vault)?;
                Ok(Host::new(name, record.generation, reach, Arc::clone(&known)).through(&hops))
            })
            .collect::<Result<_, Error>>()?;
        Ok(Survey { hosts, at_once: at_once.max(1), redactor: Redactor::new(&vault, &[]) })
    }

    /// Asks all of them the same, so many at once; what each answers, in the order of their names. Nothing where it was stopped before all
    /// had answered.
    async fn each<T>(
        &self,
        stop: impl Future<Output = ()>,
        ask: impl AsyncFn(&Host) -> Result<T, Trouble>,
    ) -> Option<Vec<(String, Result<T, Trouble>)>> {
        let ask = &ask;
        let asking = futures::stream::iter(&self.hosts)
            .map(async |host| {
                let answer = ask(host).await;
                host.close().await;
                (host.slot().to_owned(), answer)
            })
            .buffer_unordered(self.at_once)
            .collect::<Vec<_>>();
        let mut answers = tokio::select! {
            answers = asking => answers,
            () = stop => {
                self.hosts.iter().for_each(Host::end_questions);
                return None;
            }
        };
        answers.sort_by(|(a, _), (b, _)| a.cmp(b));
        Some(answers)
    }

    fn trouble(&self, error: &host::Error) -> Trouble {
        let failure = failure::of(error);
        let shown = |text: &str| clean(&self.redactor.text(text));
        Trouble { error: shown(&failure.message), hint: failure.hint.as_deref().map(shown) }
    }

    fn other(&self, why: &str) -> Trouble {
        Trouble { error: clean(&self.redactor.text(why)), hint: None }
    }
}

/// The name of a question on a host: no file there is called after it.
fn question(name: &str) -> JobId {
    JobId { operation: Uuid::now_v7(), node: name.to_owned(), attempt: 1 }
}
