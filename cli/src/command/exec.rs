//! `anneal exec ROLE|HOST --inventory FILE -- PROGRAM ARG…`: one command on all hosts of a role at once.
//!
//! It is an operation like any other, of a plan of one step that is made here: journalled, found again, resumed, undone by
//! nobody. The arguments are data: no expression is read in them, and no shell.

use std::collections::BTreeMap;

use dsl::expr::Template;
use dsl::limits;
use dsl::plan::{Action, OnFailure, Plan, Role, Step};
use server::CreateRequest;

use super::by;
use crate::args::{Exec, Global};
use crate::inventory::Password;
use crate::report::Problem;
use crate::session::Session;
use crate::watch::{self, Goal, Watched};
use crate::{given, inventory, sealed};

/// Name of the plan, and of its step.
const NAME: &str = "exec";
/// Shorter secrets may be ordinary words.
const SECRET_BYTES: usize = 8;
/// So much of the command is what the operation is about; the plan has all of it.
const ABOUT_CHARS: usize = 200;

pub async fn run(exec: &Exec, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let mut inventory = inventory::open(&exec.inventory, &Password::new(exec.vault_password_file.clone()))?;
    let slots = inventory.slots(&exec.target)?;
    if let Some(twice) = slots.iter().enumerate().find_map(|(at, slot)| slots[..at].contains(slot).then_some(slot)) {
        return Err(
            Problem::usage(format!("the role `{}` names the host `{twice}` twice", exec.target)).hint("name it once")
        );
    }
    let plan = plan(exec, &slots)?;
    sealed::fetch(&mut inventory, &mut BTreeMap::new(), session).await?;
    let mut everything = given::hosts(&exec.target, &slots, &inventory, exec.accept_new_host_keys)?;
    // Arguments are in every process list, in the journal and in what `show` says (I8).
    let is_in = |secret: &str| secret.len() >= SECRET_BYTES && exec.argv.iter().any(|arg| arg.contains(secret));
    if let Some((name, _)) = everything.secrets.iter().find(|(_, secret)| is_in(secret)) {
        let problem = Problem::usage(format!("an argument has the secret `{name}` in it, for everybody to see"));
        return Err(problem.hint("write a workflow that passes it by `env` or `stdin`"));
    }
    // Nothing asks for them here.
    everything.hosts.values_mut().for_each(|host| host.labels.clear());
    let id = uuid::Uuid::now_v7();
    let request = CreateRequest {
        id,
        plan,
        assets: BTreeMap::new(),
        hosts: everything.hosts,
        secrets: everything.secrets.into_iter().map(|(name, text)| (name, text.to_string())).collect(),
        by: by(),
        if_locked: engine::IfLocked::Refuse,
    };
    session.may_detach(false).await?;
    session.ask(async |client| client.create(&request).await).await?;
    drop(request);
    watch::by_host(Watched { id, after: 0, by: by(), goal: Goal::Completes }, global, session).await
}

/// A plan of one step.
fn plan(exec: &Exec, slots: &[String]) -> Result<Plan, Problem> {
    let over = |what: &str, most: usize| Err(Problem::usage(format!("{what}; {most} are the most")));
    if exec.argv.len() > limits::ARGUMENTS {
        return over(&format!("there are {} arguments", exec.argv.len()), limits::ARGUMENTS);
    }
    if let Some(long) = exec.argv.iter().map(String::len).find(|bytes| *bytes > limits::TEXT_BYTES) {
        return over(&format!("an argument has {long} bytes"), limits::TEXT_BYTES);
    }
    if exec.argv[0].is_empty() {
        return Err(Problem::usage("the program is empty").hint("write -- PROGRAM ARG…"));
    }
    if !(limits::TIMEOUT_MIN_MS..=limits::TIMEOUT_MAX_MS).contains(&exec.timeout) {
        let show = dsl::duration::show;
        let (least, most) = (show(limits::TIMEOUT_MIN_MS), show(limits::TIMEOUT_MAX_MS));
        return Err(Problem::usage(format!(
            "--timeout is {}, but it must be from {least} to {most}",
            show(exec.timeout)
        )));
    }
    let role = Role { one: false, slots: slots.to_vec(), from: None };
    let argv = exec.argv.iter().map(|arg| Template::literal(arg.clone())).collect();
    let mut step = Step::new(NAME, Some(exec.target.as_str()), Action::Run { argv });
    step.timeout_ms = exec.timeout;
    step.parallel = Some(exec.parallel);
    step.as_user = exec.as_user.clone().map(Template::literal);
    // One host that fails says nothing of the others.
    step.on_failure = OnFailure::Continue;
    let mut plan = Plan::new(NAME, [(exec.target.clone(), role)].into(), vec![step]);
    plan.about = exec.argv.join(" ").chars().map(|c| if c.is_control() { ' ' } else { c }).take(ABOUT_CHARS).collect();
    Ok(plan)
}
