//! The commands, one file each.

mod check;
mod exec;
mod explain;
mod export;
mod graph;
mod hosts;
mod logs;
mod ops;
mod plan;
mod prepared;
mod replay;
mod resume;
mod run;
mod secret;
mod serve;
mod show;
mod store;
mod test;
mod verbs;
mod workflow;

use crate::args::{Args, Command};
use crate::report::Problem;
use crate::session::Session;

/// Runs one command; its exit code.
pub async fn run(args: Args) -> Result<u8, Problem> {
    let global = &args.global;
    let mut session = Session::new(global);
    let code = match &args.command {
        Command::Check(check) => check::run(check, global),
        Command::Explain(explain) => explain::run(explain, global),
        Command::Workflow(command) => workflow::run(command, global),
        Command::Exec(exec) => exec::run(exec, global, &mut session).await,
        Command::Graph(graph) => graph::run(graph, global),
        Command::Test(test) => test::run(test, global),
        Command::Plan(plan) => plan::run(plan, global, &mut session).await,
        Command::Run(run) => run::run(run, global, &mut session).await,
        Command::Hosts(command) => hosts::run(command, global, &mut session).await,
        Command::Ops(ops) => ops::run(ops, global, &mut session).await,
        Command::Show(show) => show::run(show, global, &mut session).await,
        Command::Logs(logs) => logs::run(logs, global, &mut session).await,
        Command::Resume(resume) => resume::run(resume, global, &mut session).await,
        Command::Retry(retry) => verbs::retry(retry, global, &mut session).await,
        Command::Pause(pause) => verbs::pause(pause, global, &mut session).await,
        Command::Skip(skip) => verbs::skip(skip, global, &mut session).await,
        Command::Mark(mark) => verbs::mark(mark, global, &mut session).await,
        Command::Approve(approve) => verbs::approve(approve, global, &mut session).await,
        Command::Reject(reject) => verbs::reject(reject, global, &mut session).await,
        Command::Cancel(cancel) => verbs::cancel(cancel, global, &mut session).await,
        Command::Rollback(rollback) => verbs::rollback(rollback, global, &mut session).await,
        Command::Fail(fail) => verbs::fail(fail, global, &mut session).await,
        Command::Kill(kill) => verbs::kill(kill, global, &mut session).await,
        Command::Serve(_) => serve::run(global, &mut session).await,
        Command::Replay(replay) => replay::run(replay, global, &mut session).await,
        Command::Export(export) => export::run(export, global, &mut session).await,
        Command::Secret(command) => secret::run(command, global, &mut session).await,
        Command::Store(command) => store::run(command, global, &mut session).await,
    };
    // However it went: whoever else is served by us is not left in the middle.
    let ended = session.end().await;
    let code = code?;
    ended?;
    Ok(code)
}

/// Who asks: `user@machine`.
fn by() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let user = user.unwrap_or_else(|_| format!("uid {}", rustix::process::getuid().as_raw()));
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{user}@{machine}")
}
