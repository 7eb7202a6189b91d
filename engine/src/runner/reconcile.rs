//! What was begun on hosts after the backup that a store was restored from: the journals beside the job folders.
//!
//! Nothing is changed here, neither in the store nor on a host. A job folder tells which attempts were begun, by the names of
//! their files; it is gone when its operation has ended for good. What the engine itself does
//! (uploads, files, waits) leaves nothing there: it is harmless to repeat.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use dsl::plan::Action;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::call::{plain_name, read_file_name, slot_of};
use super::context::Context;
use super::engine::{Engine, Found};
use crate::date;
use crate::error::{Error, Kind};
use crate::host::Begun;
use crate::journal::Summary;
use crate::limits::{AT_HOST, RECONCILED_AT_ONCE};
use crate::operation::{CoreScope, FailureClass, Life, Node, NodeEvent, NodeId, NodeState, Operation};

/// An attempt that is on a host and not in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoundAttempt {
    /// Of which node.
    pub node: NodeId,
    /// Which: the newest of this node.
    pub attempt: u32,
    /// Incarnation of the store that began it.
    pub incarnation: u32,
}

/// An open operation beside the hosts it works on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reconciled {
    /// The operation.
    pub operation: Uuid,
    /// Name of its workflow.
    pub workflow: String,
    /// Begun after the backup: its result is there to be taken.
    pub found: Vec<FoundAttempt>,
    /// Nodes whose newest attempt is an undo that the journal does not know: it was being rolled back after the backup.
    pub undone: Vec<NodeId>,
    /// Slots that could not be asked, and why.
    pub unreachable: BTreeMap<String, String>,
    /// Slots on which it has no folder: it has ended since the backup, or nothing was ever begun there.
    pub no_trace: Vec<String>,
    /// Whether its journal knows of jobs on one of `no_trace`: then it has most likely ended since.
    pub ended: bool,
    /// Attempts on hosts that its journal has no place for: of nodes that it does not know yet, or that cannot run as it stands.
    pub strange: Vec<String>,
}

impl Engine {
    /// Refuses what would set operations going where the store was restored and nobody has released it since.
    pub(super) fn released(&self) -> Result<(), Error> {
        match self.shared.store.held() {
            None => Ok(()),
            Some(held) => {
                let of = date(held.backed_up_at_ms);
                let message = format!("the store was restored from a backup of {of} UTC and is held");
                let hint = "`anneal store release` looks for what was begun on hosts since, and lets operations go on";
                Err(Error::new(Kind::Refused, message).hint(hint))
            }
        }
    }

    /// Compares every open operation with its job folders. One whose journal is damaged is left out: it cannot go on either.
    pub async fn reconcile(&self) -> Result<Vec<Reconciled>, Error> {
        let open = self.list().await?.into_iter().filter(|one| one.open);
        let look = |one: Summary| async move { (self.look(one.id).await, one) };
        let mut looked = futures::stream::iter(open).map(look).buffered(RECONCILED_AT_ONCE);
        let mut all = Vec::new();
        while let Some((reconciled, one)) = looked.next().await {
            match reconciled {
                Ok(reconciled) => all.push(reconciled),
                // Another version of Anneal could go on with it.
                Err(error) if error.kind == Kind::NeedsEngine => all.push(Reconciled::unread(one, &error)),
                Err(error) if error.kind == Kind::Quarantined => {
                    tracing::error!(operation = %one.id, %error, "it cannot be compared with its hosts");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    async fn look(&self, id: Uuid) -> Result<Reconciled, Error> {
        let Found { operation, vault, .. } = self.read(id).await?;
        let mut places = Places::of(&operation);
        let shared = &self.shared;
        let mut folders = Folders::default();
        match Context::new(&shared.store, &operation, vault, &shared.known, &shared.hops, &shared.host_places) {
            Ok(context) => {
                folders = ask(&Arc::new(context), std::mem::take(&mut places.users)).await;
                folders.unreachable.append(&mut places.unknown);
            }
            Err(error) => {
                folders.unreachable = operation.hosts.keys().map(|slot| (slot.clone(), error.to_string())).collect();
            }
        }
        Ok(compare(&operation, folders))
    }
}

impl Reconciled {
    /// One whose journal this build cannot read: no host was asked.
    fn unread(one: Summary, error: &Error) -> Reconciled {
        Reconciled {
            operation: one.id,
            workflow: one.workflow,
            found: Vec::new(),
            undone: Vec::new(),
            unreachable: BTreeMap::from([("every host".to_owned(), error.to_string())]),
            no_trace: Vec::new(),
            ended: false,
            strange: Vec::new(),
        }
    }
}

/// Where to look: slots, and the users whose folders are meant.
#[derive(Default)]
struct Places {
    users: BTreeSet<(String, Option<String>)>,
    /// Slots of which a user cannot be told yet.
    unknown: BTreeMap<String, String>,
}

impl Places {
    /// As each node would be done now, and as the login users: of a step whose nodes are not known yet nothing else is.
    fn of(operation: &Operation) -> Places {
        let mut places = Places::default();
        places.users.extend(operation.hosts.keys().map(|slot| (slot.clone(), None)));
        for node in &operation.nodes {
            let step = operation.step_of(node);
            let user = step.as_user.as_ref();
            let user = user.map(|user| dsl::eval::render(user, &CoreScope { operation, node: Some(node) }));
            for slot in job_slots(operation, node) {
                match &user {
                    // Whoever an operation has as hosts is asked anyway; this machine is not among them.
                    None => drop(places.users.insert((slot, None))),
                    Some(Ok(user)) => drop(places.users.insert((slot, Some(user.text.to_string())))),
                    Some(Err(error)) => {
                        let why = format!("whom `{}` is done as cannot be told yet: {error}", node.id);
                        places.unknown.insert(slot, why);
                    }
                }
            }
        }
        places
    }
}

/// The slots of the hosts on which a node leaves jobs.
fn job_slots(operation: &Operation, node: &Node) -> BTreeSet<String> {
    let step = operation.step_of(node);
    let is_job = |action: &&Action| match action {
        Action::Run { .. }
        | Action::Shell { .. }
        | Action::Script { .. }
        | Action::Local { .. }
        | Action::Notify(_)
        | Action::Reboot { .. }
        | Action::Restore => true,
        Action::Upload { .. }
        | Action::WriteFiles { .. }
        | Action::PatchFile { .. }
        | Action::Download(_)
        | Action::Copy(_)
        | Action::Facts
        | Action::Wait { .. }
        | Action::Assert { .. }
        | Action::Http(_)
        | Action::Gate { .. } => false,
    };
    let jobs = [&step.action].into_iter().chain(&step.undo).filter(is_job);
    jobs.filter_map(|action| slot_of(action, operation.runs_at(node))).collect()
}

/// What the hosts answered.
#[derive(Default)]
struct Folders {
    begun: Vec<Begun>,
    unreachable: BTreeMap<String, String>,
    /// Slots that have a folder.
    there: BTreeSet<String>,
}

async fn ask(context: &Arc<Context>, users: BTreeSet<(String, Option<String>)>) -> Folders {
    let asked = users.into_iter().map(|(slot, user)| async move {
        let found = match context.host(&slot) {
            Some(host) => host.jobs(context.id, user.as_deref()).await.map_err(|error| error.to_string()),
            None => Err("it has no host".to_owned()),
        };
        (slot, found)
    });
    let mut folders = Folders::default();
    let mut answers = futures::stream::iter(asked).buffer_unordered(AT_HOST);
    while let Some((slot, found)) = answers.next().await {
        match found {
            Ok(Some(begun)) => {
                folders.begun.extend(begun);
                folders.there.insert(slot);
            }
            Ok(None) => {}
            Err(why) => drop(folders.unreachable.insert(slot, why)),
        }
    }
    for (_, host) in context.hosts() {
        host.close().await;
    }
    folders
}

/// The newest attempts of one node on its host: number and incarnation.
#[derive(Default, Clone, Copy)]
struct Newest {
    work: (u32, u32),
    undo: (u32, u32),
}

fn compare(operation: &Operation, folders: Folders) -> Reconciled {
    let mut newest: HashMap<&str, Newest> = HashMap::new();
    for begun in &folders.begun {
        let (incarnation, undo, name) = read_file_name(&begun.node);
        let of = newest.entry(name).or_default();
        let of = if undo { &mut of.undo } else { &mut of.work };
        *of = (*of).max((begun.attempt, incarnation));
    }
    // Where it was already going back, or ending, an attempt forward has no place.
    let goes_on = matches!(operation.life, Life::Processing(_) | Life::FailedTemp { .. });
    let (mut found, mut undone, mut strange) = (Vec::new(), Vec::new(), Vec::new());
    for node in &operation.nodes {
        let Some(newest) = newest.remove(plain_name(&node.id).as_str()) else { continue };
        // An undo after which the node went forward again (`interrupted: UndoThenRerun`) is no rollback.
        if newest.undo.0 > newest.work.0.max(node.attempts) {
            undone.push(node.id.clone());
        }
        let (attempt, incarnation) = newest.work;
        if attempt <= node.attempts {
            continue;
        }
        match node.state.next(NodeEvent::Found(attempt)) {
            Some(_) if goes_on => found.push(FoundAttempt { node: node.id.clone(), attempt, incarnation }),
            _ => strange.push(format!("{} attempt {attempt} ({} in its journal)", node.id, node.state.word())),
        }
    }
    strange.extend(newest.into_keys().map(str::to_owned));
    strange.sort_unstable();
    let slots = |node: &Node| job_slots(operation, node);
    let gone = |slot: &String| !folders.there.contains(slot) && !folders.unreachable.contains_key(slot);
    let no_trace: BTreeSet<String> = operation.nodes.iter().flat_map(slots).filter(gone).collect();
    let ended = operation.nodes.iter().any(|node| !slots(node).is_disjoint(&no_trace) && was_begun(operation, node));
    let no_trace = no_trace.into_iter().collect();
    Reconciled {
        operation: operation.id,
        workflow: operation.plan.workflow.clone(),
        found,
        undone,
        unreachable: folders.unreachable,
        no_trace,
        ended,
        strange,
    }
}

/// Whether a job of a node was begun on the machine that its slot has now, as far as the journal knows.
fn was_begun(operation: &Operation, node: &Node) -> bool {
    let host = operation.runs_at(node).and_then(|slot| operation.hosts.get(slot));
    let ran = match &node.state {
        NodeState::Running { .. } | NodeState::Indeterminate { .. } | NodeState::Succeeded(_) => true,
        NodeState::Failed { failure, .. } | NodeState::Backoff { failure, .. } => {
            matches!(failure.class, FailureClass::Exit(_) | FailureClass::Timeout)
        }
        _ => false,
    };
    // What runs from here has one machine only.
    let same = node.slot.is_none() || host.is_some_and(|host| host.generation == node.generation);
    ran && node.attempts > 0 && same
}
