//! The commands, one file each.

mod check;
mod logs;
mod ops;
mod resume;
mod run;
mod show;

use crate::args::{Args, Command, Global};
use crate::data_dir::data_dir;
use crate::report::{Problem, say};

/// Runs one command; its exit code.
pub async fn run(args: Args) -> Result<u8, Problem> {
    let global = &args.global;
    match &args.command {
        Command::Check(check) => check::run(check, global),
        Command::Run(run) => run::run(run, global).await,
        Command::Ops => ops::run(global).await,
        Command::Show(show) => show::run(show, global).await,
        Command::Logs(logs) => logs::run(logs, global).await,
        Command::Resume(resume) => resume::run(resume, global).await,
    }
}

/// Access to the store, by whoever holds it; what opening it mended is said.
pub async fn attach(global: &Global) -> Result<server::Access, Problem> {
    let access = server::attach(engine::Options::new(data_dir(global)?)).await?;
    if access.owner.is_some() {
        for note in access.client.about().await?.notes {
            say(&format!("note: {note}"));
        }
    }
    Ok(access)
}

/// Who asks: `user@machine`.
fn by() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let user = user.unwrap_or_else(|_| format!("uid {}", rustix::process::getuid().as_raw()));
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{user}@{machine}")
}
