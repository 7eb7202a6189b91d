//! An operation comes to be: what it needs is made durable, its locks are taken, it begins.

use std::collections::BTreeMap;

use dsl::plan::Plan;
use dsl::value::SecretRef;
use serde::{Deserialize, Serialize};
use store::Secret;
use uuid::Uuid;

use super::clock::now_ms;
use super::engine::{Engine, Found, blocking};
use super::hosts::{HostSpec, check_labels, check_ways, first_generation};
use super::inputs::InputScope;
use super::task::Begin;
use crate::error::{Error, Kind};
use crate::journal;
use crate::limits::{HOSTS, LOCK_BYTES, NODES};
use crate::operation::{Entry, Event, JOURNAL_FORMAT, Operation};
use crate::records;
use crate::vault::Vault;

/// What an operation is created from.
#[derive(Debug)]
pub struct Create {
    /// The operation's id, a new UUID of version 7.
    pub id: Uuid,
    /// The plan.
    pub plan: Plan,
    /// The bytes of its scripts and files.
    pub assets: BTreeMap<String, Vec<u8>>,
    /// The hosts that fill its roles' slots.
    pub hosts: BTreeMap<String, HostSpec>,
    /// The secrets that the plan and the hosts name.
    pub secrets: BTreeMap<SecretRef, Secret>,
    /// Who asks.
    pub by: String,
    /// What to do where another operation holds one of its locks.
    pub if_locked: IfLocked,
}

/// What to do where another operation holds a lock that a new one needs (D8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IfLocked {
    /// It is not created.
    #[default]
    Refuse,
    /// It is created, and begins when all its locks are free.
    Queue,
}

impl Engine {
    /// Creates an operation and begins it. What it needs is durable before it exists (D3, D9).
    ///
    /// Whoever creates it chooses its id, so that asking again, when the answer was lost, creates nothing twice.
    pub async fn create(&self, create: Create) -> Result<Uuid, Error> {
        self.released()?;
        let id = create.id;
        if self.shared.store.get(&journal::summary_key(id))?.is_some() {
            return Ok(id);
        }
        let locks = declared_locks(&create.plan)?;
        // Compared again in the commit.
        records::check(&self.shared.store, &create.plan)?;
        let digest = self.keep(id, &create).await?;
        let plan = self.shared.plans.get(&digest, || Ok::<Plan, Error>(create.plan))?;
        let entry = Entry {
            seq: 1,
            at_ms: now_ms(),
            event: Event::Created {
                format: JOURNAL_FORMAT,
                operation: id,
                plan: digest,
                workflow: plan.workflow.clone(),
                by: create.by,
                hosts: first_generation(create.hosts),
                locks: locks.clone(),
            },
        };
        let operation = Operation::create(plan, &entry)
            .map_err(|illegal| Error::new(Kind::Invalid, format!("the plan cannot be run: {}", illegal.why)))?;
        if let Some(why) = operation.cannot_begin() {
            return Err(
                Error::new(Kind::Invalid, why).hint("give other inputs: each element is the name of a node of its own")
            );
        }
        if operation.nodes.len() > NODES {
            let message = format!("the plan has {} nodes; the limit is {NODES}", operation.nodes.len());
            return Err(Error::new(Kind::Invalid, message).hint("run it on fewer hosts at a time"));
        }
        let taken = self.shared.locks().take(id, &locks);
        let locked = match (taken, create.if_locked) {
            (Ok(()), _) => !locks.is_empty(),
            (Err(_), IfLocked::Queue) => false,
            (Err(held), IfLocked::Refuse) => {
                let message = format!("operation {} holds {}", held.operation, lock_words(&held.lock));
                return Err(Error::new(Kind::Refused, message).hint(format!(
                    "wait for its end or queue behind it (`--queue`); where it has stopped, `anneal resume {0}` goes on with it and \
                     `anneal fail {0}` gives it up; `anneal show {0}` shows it",
                    held.operation
                )));
            }
        };
        let begin = Begin { before: vec![entry], locked, found: Vec::new() };
        let begun = self.take(Found { operation, vault: Vault::new(create.secrets), summary: None }, begin, None).await;
        if begun.is_err() {
            self.shared.locks().give_back(id);
        }
        begun.map(|()| id)
    }

    /// Makes durable what an operation needs: plan, scripts, secrets. Gives the plan's digest.
    async fn keep(&self, id: Uuid, create: &Create) -> Result<String, Error> {
        if create.hosts.len() > HOSTS {
            return Err(Error::new(Kind::Invalid, format!("{} hosts; the limit is {HOSTS}", create.hosts.len())));
        }
        check_labels(&create.hosts)?;
        check_ways(&create.hosts)?;
        create
            .plan
            .validate()
            .map_err(|error| Error::new(Kind::Invalid, format!("the plan cannot be run: {error}")))?;
        let plan = create
            .plan
            .to_json()
            .map_err(|error| Error::new(Kind::Internal, "the plan cannot be written").source(error))?;
        for (path, asset) in &create.plan.assets {
            let Some(bytes) = create.assets.get(path) else {
                return Err(Error::new(
                    Kind::Invalid,
                    format!("the file `{path}` of the workflow did not come with it"),
                ));
            };
            if store::Digest::of(bytes).hex() != asset.sha256 {
                return Err(Error::new(Kind::Invalid, format!("the file `{path}` is not the one that the plan names")));
            }
        }
        let assets: Vec<Vec<u8>> = create.assets.values().cloned().collect();
        let secrets: store::Secrets =
            create.secrets.iter().map(|(name, secret)| (name.0.clone(), secret.clone())).collect();
        let store = self.shared.store.clone();
        blocking(move || {
            let digest = store.blobs().put(&plan)?;
            for asset in &assets {
                store.blobs().put(asset)?;
            }
            if !secrets.is_empty() {
                store.sealed().write(&id, &secrets)?;
            }
            Ok(digest.to_string())
        })
        .await
    }
}

/// The locks that a plan declares, sorted (D8).
fn declared_locks(plan: &Plan) -> Result<Vec<String>, Error> {
    let scope = InputScope(plan);
    let mut locks = std::collections::BTreeSet::new();
    for (kind, templates) in [("instance", &plan.instances), ("lock", &plan.locks)] {
        for template in templates {
            let name = dsl::eval::render(template, &scope).map_err(|error| {
                Error::new(Kind::Invalid, format!("a name of `{kind}` cannot be evaluated: {error}"))
            })?;
            if name.text.trim().is_empty() || name.text.len() > LOCK_BYTES {
                let message = format!("a name of `{kind}` is empty or longer than {LOCK_BYTES} bytes");
                return Err(Error::new(Kind::Invalid, message));
            }
            if name.text.chars().any(char::is_control) {
                let message = format!("a name of `{kind}` has a control character in it: {:?}", name.text.to_string());
                return Err(Error::new(Kind::Invalid, message).hint("names are printable and on one line"));
            }
            locks.insert(format!("{kind}/{}", name.text));
        }
    }
    Ok(locks.into_iter().collect())
}

/// A lock in words.
pub fn lock_words(lock: &str) -> String {
    match lock.split_once('/') {
        Some(("instance", name)) => format!("the instance `{name}`"),
        Some((_, name)) => format!("the lock `{name}`"),
        None => format!("the lock `{lock}`"),
    }
}
