//! What the executors of one operation share: its hosts, secrets, scripts and the filter for its output.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use dsl::plan::Plan;
use dsl::value::Value;
use store::{Digest, Store};
use tokio::sync::{OnceCell, Semaphore};
use uuid::Uuid;

use super::hosts::reach;
use super::live::Board;
use crate::error::{Error, Kind};
use crate::host::{Hops, Host, KnownHosts, Reach};
use crate::limits::AT_HOST;
use crate::operation::{Operation, ReachRecord, ViaRecord};
use crate::redact::Redactor;
use crate::vault::Vault;

/// The slot of this machine, on which programs run that run from here. No host's name has a space.
pub const THIS_MACHINE: &str = "this machine";

/// What the executors of one operation share.
#[derive(Clone)]
pub struct Context {
    /// The operation.
    pub id: Uuid,
    /// Its plan.
    pub plan: Arc<Plan>,
    /// Its secrets.
    pub vault: Vault,
    /// The filter for its output.
    pub redactor: Redactor,
    /// Its live output.
    pub(crate) board: Board,
    /// What hosts have said of themselves.
    pub(crate) facts: Facts,
    /// Where outputs too large for the journal go, and scripts come from.
    pub store: Store,
    hosts: Arc<HashMap<String, Host>>,
    /// The places at each host, shared with all operations that work on it.
    places: Arc<HashMap<String, Arc<Semaphore>>>,
}

impl Context {
    /// The context of an operation: its secrets unsealed, its hosts ready to be connected to.
    pub(super) fn new(
        store: &Store,
        operation: &Operation,
        vault: Vault,
        known: &Arc<KnownHosts>,
        hops: &Hops,
        host_places: &HostPlaces,
    ) -> Result<Context, Error> {
        let (mut hosts, mut places) = (HashMap::new(), HashMap::new());
        for (slot, record) in &operation.hosts {
            let reach = reach(&record.reach, &vault)?;
            places.insert(slot.clone(), host_places.at(&record.reach));
            hosts.insert(slot.clone(), Host::new(slot, record.generation, reach, Arc::clone(known)).through(hops));
        }
        // Nothing is done there before something runs from here.
        places.insert(THIS_MACHINE.to_owned(), host_places.at(&ReachRecord::Local));
        hosts.insert(THIS_MACHINE.to_owned(), Host::new(THIS_MACHINE, 1, Reach::Local, Arc::clone(known)));
        Ok(Context {
            id: operation.id,
            plan: Arc::clone(&operation.plan),
            redactor: Redactor::new(&vault, &public_values(&operation.plan)),
            vault,
            board: Board::default(),
            facts: Facts::default(),
            store: store.clone(),
            hosts: Arc::new(hosts),
            places: Arc::new(places),
        })
    }

    /// The places at the hosts of a node: its own, and the one that it copies from. In an order that is the same for everybody,
    /// so that nobody waits for whoever waits for him; and one machine counts once.
    pub(super) fn places_at(&self, slots: [Option<&String>; 2]) -> Vec<Arc<Semaphore>> {
        let mut places: Vec<_> =
            slots.into_iter().flatten().filter_map(|slot| self.places.get(slot)).cloned().collect();
        places.sort_by_key(Arc::as_ptr);
        places.dedup_by(|a, b| Arc::ptr_eq(a, b));
        places
    }

    /// The host that fills a slot.
    pub fn host(&self, slot: &str) -> Option<&Host> {
        self.hosts.get(slot)
    }

    /// All hosts.
    pub(super) fn hosts(&self) -> impl Iterator<Item = (&String, &Host)> {
        self.hosts.iter()
    }

    /// The bytes of a script or file of the workflow, as they were when the operation was created (D3).
    pub fn asset(&self, path: &str) -> Result<Vec<u8>, Error> {
        let asset = self
            .plan
            .assets
            .get(path)
            .ok_or_else(|| Error::new(Kind::Internal, format!("the plan has no file `{path}`")))?;
        let digest: Digest = format!("sha256:{}", asset.sha256)
            .parse()
            .map_err(|_| Error::new(Kind::Quarantined, format!("the plan's digest of `{path}` is no digest")))?;
        Ok(self.store.blobs().get(&digest)?)
    }
}

/// What hosts have said of themselves, so that each is asked once for all of its roles: by its slot, and how often a person has set
/// the operation going again.
#[derive(Clone, Default)]
pub(crate) struct Facts(Arc<Mutex<HashMap<(String, u32), Said>>>);

type Said = Arc<OnceCell<String>>;

impl Facts {
    /// Where it stands, or will: whoever comes while it is asked for waits for the same answer.
    pub fn of(&self, slot: &str, epoch: u32) -> Said {
        // The map is whole after every statement that changes it.
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(said.entry((slot.to_owned(), epoch)).or_default())
    }
}

/// How many nodes are at work on each machine at once, over all operations.
#[derive(Debug, Default)]
pub(crate) struct HostPlaces(Mutex<HashMap<String, Weak<Semaphore>>>);

impl HostPlaces {
    pub(crate) fn at(&self, reach: &ReachRecord) -> Arc<Semaphore> {
        let name = machine(reach);
        // The map is whole after every statement that changes it.
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = hosts.get(&name).and_then(Weak::upgrade) {
            return places;
        }
        hosts.retain(|_, places| places.strong_count() > 0);
        let places = Arc::new(Semaphore::new(AT_HOST));
        hosts.insert(name, Arc::downgrade(&places));
        places
    }
}

/// One text for one machine: an address behind another jump host is another machine.
fn machine(reach: &ReachRecord) -> String {
    let ReachRecord::Ssh(ssh) = reach else { return String::new() };
    let mut way: Vec<String> = ssh
        .via
        .iter()
        .map(|via| match via {
            ViaRecord::Command(text) => format!("{text:?}"),
            ViaRecord::Hop(hop) => format!("{} {}", hop.address, hop.port),
        })
        .collect();
    way.push(format!("{} {}", ssh.address, ssh.port));
    way.join("\n")
}

/// The texts that the plan shows anyway: a secret that equals one of them is no secret to a filter (D9).
pub(crate) fn public_values(plan: &Plan) -> Vec<String> {
    fn collect(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Text(text) => into.push(text.clone()),
            Value::List(list) => list.iter().for_each(|value| collect(value, into)),
            Value::Record(fields) => fields.values().for_each(|value| collect(value, into)),
            Value::None
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::DurationMs(_)
            | Value::File(_)
            | Value::Secret(_) => {}
        }
    }
    let mut values = Vec::new();
    plan.inputs.values().for_each(|input| collect(&input.value, &mut values));
    values
}

/// The file of host keys that we recorded ourselves, the user's own, and the machine's (ssh_config(5): `UserKnownHostsFile`,
/// `GlobalKnownHostsFile`).
pub(crate) fn known_hosts(data_dir: &Path, home: Option<&Path>) -> KnownHosts {
    let of_user = |home: &Path| [".ssh/known_hosts", ".ssh/known_hosts2"].map(|name| home.join(name)).to_vec();
    let also = home.map(of_user).unwrap_or_default();
    let system = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"].map(Into::into).into();
    KnownHosts::new(data_dir.join("known_hosts"), also).with_system(system)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::{HopRecord, HostKeyRecord, SshRecord};

    #[test]
    fn the_same_address_behind_another_jump_host_is_another_machine() {
        let hop = |address: &str| {
            ViaRecord::Hop(HopRecord {
                address: address.into(),
                port: 22,
                user: "ops".into(),
                auth: Vec::new(),
                host_key: HostKeyRecord::Strict,
                known_as: None,
                known_hosts: Vec::new(),
            })
        };
        let ssh = |user: &str, via: Vec<ViaRecord>| {
            ReachRecord::Ssh(SshRecord {
                address: "10.0.0.5".into(),
                port: 22,
                user: user.into(),
                auth: Vec::new(),
                host_key: HostKeyRecord::Strict,
                sudo_password: None,
                known_as: None,
                known_hosts: Vec::new(),
                via,
            })
        };
        let places = HostPlaces::default();
        let kept: Vec<_> = [
            ssh("a", vec![]),
            ssh("a", vec![hop("b1")]),
            ssh("a", vec![hop("b2")]),
            ssh("a", vec![hop("b1"), hop("b2")]),
            ssh("a", vec![ViaRecord::Command("nc b1 22".into())]),
            ReachRecord::Local,
        ]
        .iter()
        .map(|reach| places.at(reach))
        .collect();
        let same = |reach: &ReachRecord| kept.iter().position(|one| Arc::ptr_eq(one, &places.at(reach)));
        assert_eq!(same(&ssh("another", vec![])), Some(0));
        assert_eq!(same(&ssh("another", vec![hop("b2")])), Some(2));
        assert!(kept.iter().enumerate().all(|(at, one)| !kept[..at].iter().any(|other| Arc::ptr_eq(one, other))));
    }
}
