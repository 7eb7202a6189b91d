//! Operations that do nothing, on an engine whose executor answers at once: what is left is the engine and the disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use dsl::expr::Template;
use dsl::plan::{Action, Edge, EdgeKind, Interrupted, Plan, Role, Step};
use engine::operation::{NodeOutcome, ReachRecord};
use engine::runner::{Context, Executor, Options, Reporter, Task};
use engine::{Create, Engine, HostSpec, IfLocked};
use futures::future::BoxFuture;

use crate::Fallible;

struct Nothing;

impl Executor for Nothing {
    fn perform(&self, _: Arc<Context>, _: Task, _: Reporter) -> BoxFuture<'static, Option<NodeOutcome>> {
        Box::pin(async { Some(NodeOutcome::Succeeded { out: BTreeMap::new(), changed: true, output: None }) })
    }
}

/// An engine whose executor answers at once.
pub fn engine(data_dir: &Path) -> Fallible<Engine> {
    engine_with(data_dir, Arc::new(Nothing))
}

/// An engine with this executor.
pub fn engine_with(data_dir: &Path, executor: Arc<dyn Executor>) -> Fallible<Engine> {
    let mut options = Options::new(data_dir);
    options.executor = executor;
    Ok(Engine::open(options)?.0)
}

/// A new operation of `steps` steps, each behind the one in front of it.
pub fn chain(steps: usize) -> Create {
    Create {
        id: uuid::Uuid::now_v7(),
        plan: plan(steps),
        assets: BTreeMap::new(),
        hosts: BTreeMap::from([("host".to_owned(), HostSpec::new(ReachRecord::Local))]),
        secrets: BTreeMap::new(),
        by: "benchmark".to_owned(),
        if_locked: IfLocked::Refuse,
    }
}

fn plan(steps: usize) -> Plan {
    let step = |index: usize| {
        let before = index.checked_sub(1);
        let edge = before.map(|step| Edge::needs(step, EdgeKind::Keyed));
        let action = Action::Run { argv: vec![Template::literal("true")] };
        Step {
            needs: edge.into_iter().collect(),
            interrupted: Interrupted::Rerun,
            ..Step::new(format!("s{index}"), Some("host"), action)
        }
    };
    let roles = BTreeMap::from([("host".to_owned(), Role { one: true, slots: vec!["host".to_owned()], from: None })]);
    Plan::new("chain", roles, (0..steps).map(step).collect())
}
