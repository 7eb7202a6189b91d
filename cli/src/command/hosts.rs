//! `anneal hosts …`: hosts of an inventory, without an operation.

mod check;
mod facts;
mod list;
mod trust;

use std::collections::BTreeMap;

use dsl::value::SecretRef;
use engine::HostSpec;
use engine::operation::ReachRecord;
use engine::survey::{Asked, Survey, Trouble};

use crate::args::{Global, HostsCommand, Which};
use crate::data_dir::data_dir;
use crate::inventory::{self, Inventory, Password};
use crate::reach::Reaching;
use crate::report::{FAILED, OK, Problem, put};
use crate::sealed;
use crate::session::Session;

pub async fn run(command: &HostsCommand, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    match command {
        HostsCommand::List(which) => list::run(which, global),
        HostsCommand::Check(check) => check::run(check, global, session).await,
        HostsCommand::Facts(facts) => facts::run(facts, global, session).await,
        HostsCommand::Trust(trust) => trust::run(trust, global, session).await,
    }
}

/// Hosts that were chosen, as far as it is known how to reach them.
struct Chosen {
    inventory: Inventory,
    /// By name.
    hosts: BTreeMap<String, Result<HostSpec, Trouble>>,
    secrets: BTreeMap<SecretRef, store::Secret>,
}

fn open(which: &Which) -> Result<Inventory, Problem> {
    inventory::open(&which.inventory, &Password::new(which.vault_password_file.clone()))
}

/// A host and what it answered, or why it did not.
type Answers<T> = Vec<(String, Result<T, Trouble>)>;

impl Chosen {
    /// The inventory, with the secrets that the store keeps for it.
    async fn inventory(which: &Which, session: &mut Session<'_>) -> Result<Inventory, Problem> {
        let mut inventory = open(which)?;
        sealed::fetch(&mut inventory, &mut BTreeMap::new(), session).await?;
        Ok(inventory)
    }

    /// The hosts that are named, or all; `reaching` says how they are reached.
    fn new(which: &Which, inventory: Inventory, mut reaching: Reaching) -> Result<Chosen, Problem> {
        let names = match which.names.as_slice() {
            [] => inventory.hosts.keys().cloned().collect(),
            names => {
                let slots = names.iter().map(|name| inventory.slots(name)).collect::<Result<Vec<_>, _>>()?;
                slots.concat()
            }
        };
        let mut hosts = BTreeMap::new();
        for name in names {
            let host = inventory.hosts.get(&name).ok_or_else(|| inventory.unknown(&name))?;
            let reached = reaching.host(&name, host, &inventory);
            hosts.insert(name, reached.map_err(|Problem { message, hint, .. }| Trouble { error: message, hint }));
        }
        let secrets =
            reaching.secrets.into_iter().map(|(name, text)| (SecretRef(name), text.to_string().into())).collect();
        Ok(Chosen { inventory, hosts, secrets })
    }

    /// Those that can be asked, and the others with the reason why not.
    fn survey<T>(self, parallel: u32, global: &Global) -> Result<(Survey, Answers<T>, Places), Problem> {
        let (mut hosts, mut answers) = (BTreeMap::new(), Vec::new());
        let mut places = BTreeMap::new();
        for (name, reached) in self.hosts {
            match reached {
                Ok(spec) => {
                    places.insert(name.clone(), place(&spec));
                    hosts.insert(name, spec);
                }
                Err(trouble) => answers.push((name, Err(trouble))),
            }
        }
        let survey = Survey::new(Asked {
            hosts,
            secrets: self.secrets,
            data_dir: data_dir(global)?,
            home: std::env::home_dir(),
            at_once: parallel as usize,
        })?;
        Ok((survey, answers, places))
    }
}

/// How messages call the place of each host.
type Places = BTreeMap<String, String>;

/// `ubuntu@192.0.2.10:22`, or `local`.
fn place(host: &HostSpec) -> String {
    match &host.reach {
        ReachRecord::Local => "local".to_owned(),
        ReachRecord::Ssh(ssh) => format!("{}@{}", ssh.user, with_port(&ssh.address, ssh.port)),
    }
}

fn with_port(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

/// All answers, in the order of the hosts' names.
fn sorted<T>(mut answers: Answers<T>, more: Answers<T>) -> Answers<T> {
    answers.extend(more);
    answers.sort_by(|(a, _), (b, _)| a.cmp(b));
    answers
}

/// The lines about a host that has not answered.
fn put_trouble(name: &str, place: Option<&String>, trouble: &Trouble) -> Result<(), Problem> {
    // The engine's messages name the host; ours need the name here.
    let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
    put(&format!("✗ {name}{place}"))?;
    put(&format!("    {}", trouble.error))?;
    trouble.hint.iter().try_for_each(|hint| put(&format!("    help: {hint}")))
}

/// Whether all have answered.
fn code<T>(answers: &Answers<T>) -> u8 {
    if answers.iter().all(|(_, answer)| answer.is_ok()) { OK } else { FAILED }
}

fn stopped() -> Problem {
    Problem::failed("stopped before all hosts had answered")
}
