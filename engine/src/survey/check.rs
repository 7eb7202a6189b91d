//! Whether a host can be used: the login, the system, and what sudo says.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Survey, Trouble, question};
use crate::action::output::clean;
use crate::host::{ErrorKind, Host, Job, Program, Supervise};

const SCRIPT: &str = include_str!("check.sh");
/// How long the question may take; sudo may have to ask a directory.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A host that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Who we are there.
    pub user: String,
    /// By which way we were logged in; nothing where nobody logs in.
    pub by: Option<String>,
    /// What it runs, as its `/etc/os-release` names it.
    pub os: String,
    /// Whether commands can be run as the other user.
    pub sudo: Sudo,
    /// From the first packet until the login had run a command, milliseconds.
    pub login_ms: u64,
    /// How long the next question took, milliseconds: the way there and back, and a shell.
    pub answer_ms: u64,
}

/// What sudo says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "can")]
pub enum Sudo {
    /// The login user is root: nobody needs it.
    Root,
    /// Yes, and it asks for nothing.
    Free,
    /// Yes, with the password that is given.
    Password,
    /// No.
    No {
        /// Why.
        why: String,
    },
}

impl Survey {
    /// Whether each host can be used, and whether commands can be run there as `as_user`.
    pub async fn check(
        &self,
        as_user: &str,
        stop: impl Future<Output = ()>,
    ) -> Option<Vec<(String, Result<Checked, Trouble>)>> {
        self.each(stop, async |host| self.checked(host, as_user).await).await
    }

    async fn checked(&self, host: &Host, as_user: &str) -> Result<Checked, Trouble> {
        let begun = Instant::now();
        host.check().await.map_err(|error| self.trouble(&error))?;
        let login_ms = millis(begun);
        let by = host.logged_in_by().await.map_err(|error| self.trouble(&error))?;
        let begun = Instant::now();
        let mut job = job("check", SCRIPT);
        job.env.push(("ANNEAL_AS_USER".to_owned(), as_user.to_owned().into()));
        let end = host.run(&job, &()).await.map_err(|error| self.trouble(&error))?;
        let answer_ms = millis(begun);
        let said = self.redactor.output(&end.stdout);
        let value = |name: &str| {
            let found = said.lines().find_map(|line| line.split_once('=').filter(|(key, _)| *key == name));
            found.map(|(_, value)| clean(value))
        };
        let (Some(user), Some(os), Some(sudo)) = (value("user"), value("os"), value("sudo")) else {
            return Err(self.other(&format!("it does not say who and what it is (exit code {})", end.exit)));
        };
        let sudo = match sudo.as_str() {
            "root" => Sudo::Root,
            "free" => Sudo::Free,
            "asks" => self.with_password(host, as_user).await?,
            _ => Sudo::No { why: "it has no sudo".to_owned() },
        };
        Ok(Checked { user, by, os, sudo, login_ms, answer_ms })
    }

    /// Whether the password that is given is what sudo wants.
    async fn with_password(&self, host: &Host, as_user: &str) -> Result<Sudo, Trouble> {
        let mut job = job("sudo", ":");
        job.as_user = Some(as_user.to_owned());
        match host.run(&job, &()).await {
            Ok(_) => Ok(Sudo::Password),
            Err(error) => match &error.kind {
                ErrorKind::Sudo { said, .. } => Ok(Sudo::No { why: self.other(said).error }),
                ErrorKind::NoSuchUser { user } => Ok(Sudo::No { why: format!("it has no user `{user}`") }),
                _ => Err(self.trouble(&error)),
            },
        }
    }
}

fn job(name: &str, script: &str) -> Job {
    Job {
        id: question(name),
        program: Program::Shell(script.to_owned()),
        env: Vec::new(),
        stdin: None,
        as_user: None,
        cwd: None,
        timeout: TIMEOUT,
        idle: None,
        supervise: Supervise::Never,
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
