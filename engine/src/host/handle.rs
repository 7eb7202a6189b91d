//! [`Host`]: one machine, and the one connection to it that everything shares.
//!
//! The connection is opened when first needed and again after it was lost.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::error::{Error, ErrorKind};
use super::exec::Exec;
use super::host_key::Judge;
use super::job_script::{Place, Script, is_user_name, quote_line};
use super::link::Link;
use super::session::Leave;
use super::ssh_connection::{self, Connection, Want};
use super::{Hops, KnownHosts, Reach, SshSpec, limits, local};

/// One slot in one generation: a machine, reached over SSH or this one. Clones share the connection.
#[derive(Clone)]
pub struct Host(pub(super) Arc<Inner>);

pub(super) struct Inner {
    slot: String,
    generation: u32,
    pub(super) reach: Reach,
    pub(super) known: Arc<KnownHosts>,
    pub(super) hops: Hops,
    login: String,
    pub(super) settings: Settings,
    link: Link,
    /// Users for whom sudo is known to ask for a password here.
    pub(super) asking: Mutex<HashSet<String>>,
    /// What is known of each user's sessions here.
    pub(super) sessions: Mutex<HashMap<String, Leave>>,
    /// Whether programs that live and die with their channel are to end.
    ending: watch::Sender<bool>,
}

/// What tests may want otherwise.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) shell: String,
    pub(super) watchdog_over: Duration,
}

/// How a user other than the login user is become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Become<'a> {
    /// Not at all.
    Nobody,
    /// `sudo -n`: it may not ask.
    Quietly(&'a str),
    /// `sudo -S`: it may ask on the channel.
    Asking(&'a str),
}

/// What sudo writes when it asks.
pub(super) const PROMPT: &str = "anneal-sudo-asks:";

impl Host {
    /// A machine. Nothing is done yet.
    pub fn new(slot: &str, generation: u32, reach: Reach, known: Arc<KnownHosts>) -> Self {
        let login = match &reach {
            Reach::Local => local::user_name().unwrap_or_else(|| "user".into()),
            Reach::Ssh(spec) => spec.server.user.clone(),
        };
        Self(Arc::new(Inner {
            slot: slot.to_owned(),
            generation,
            reach,
            known,
            hops: Hops::default(),
            login,
            settings: Settings { shell: "sh".into(), watchdog_over: limits::WATCHDOG_OVER },
            link: Link::default(),
            asking: Mutex::default(),
            sessions: Mutex::default(),
            ending: watch::Sender::default(),
        }))
    }

    /// The same machine, whose jump hosts are reached by connections that others use too.
    #[must_use]
    pub fn through(self, hops: &Hops) -> Self {
        self.with(self.0.settings.clone(), hops.clone())
    }

    /// The same machine with another shell than its `sh` for our scripts: for tests of the scripts.
    #[doc(hidden)]
    pub fn with_shell(self, shell: &str) -> Self {
        self.with(Settings { shell: shell.to_owned(), ..self.0.settings.clone() }, self.0.hops.clone())
    }

    /// The same machine, with another limit than [`limits::WATCHDOG_OVER`]: for tests that cannot wait for a minute.
    #[doc(hidden)]
    pub fn with_watchdog_over(self, deadline: Duration) -> Self {
        self.with(Settings { watchdog_over: deadline, ..self.0.settings.clone() }, self.0.hops.clone())
    }

    fn with(&self, settings: Settings, hops: Hops) -> Self {
        let Inner { slot, generation, reach, known, login, .. } = &*self.0;
        Self(Arc::new(Inner {
            slot: slot.clone(),
            generation: *generation,
            reach: reach.clone(),
            known: Arc::clone(known),
            hops,
            login: login.clone(),
            settings,
            link: Link::default(),
            ending: watch::Sender::default(),
            sessions: Mutex::default(),
            asking: Mutex::default(),
        }))
    }

    /// The slot.
    pub fn slot(&self) -> &str {
        &self.0.slot
    }

    /// The generation.
    pub fn generation(&self) -> u32 {
        self.0.generation
    }

    /// The user that we are there without sudo.
    pub(super) fn login(&self) -> &str {
        &self.0.login
    }

    /// Whether it is this machine, without SSH.
    pub fn is_here(&self) -> bool {
        matches!(self.0.reach, Reach::Local)
    }

    /// Ends the connection. A job that runs goes on; the next call connects again.
    pub async fn close(&self) {
        for connection in self.0.link.clear().await {
            connection.close().await;
        }
    }

    /// Ends what is asked of it now, and what is asked later: programs that live and die with their channel are killed, as if their
    /// time were over. Jobs that are supervised go on.
    pub fn end_questions(&self) {
        self.0.ending.send_replace(true);
    }

    /// Waits until its questions are to end.
    pub(crate) async fn questions_end(&self) {
        // The sender lives as long as we do.
        drop(self.0.ending.subscribe().wait_for(|ending| *ending).await);
    }

    pub(super) fn error(&self, kind: ErrorKind, what: &str) -> Error {
        Error::new(kind, &self.to_string(), what)
    }

    /// Who runs a script, and with which folders. Refuses names that have no place in a command line.
    pub(super) fn place<'a>(&'a self, as_user: Option<&'a str>) -> Result<Place<'a>, ErrorKind> {
        let user = as_user.unwrap_or(&self.0.login);
        if as_user.is_some_and(|user| user != self.0.login && !is_user_name(user)) {
            return Err(ErrorKind::Invalid { why: format!("{user:?} is no user name") });
        }
        // The login user's name goes into a folder's name, where not every byte may stand.
        let user = if is_user_name(user) { user } else { "other" };
        Ok(Place { user, local: matches!(self.0.reach, Reach::Local) })
    }

    /// The user to become, where it is not the one we are.
    pub(super) fn other_user<'a>(&self, as_user: Option<&'a str>) -> Option<&'a str> {
        as_user.filter(|user| *user != self.0.login)
    }

    /// Starts a script. The extra connection, where there is one, must live as long as the command is listened to.
    pub(super) async fn start(
        &self,
        script: Script,
        as_whom: Become<'_>,
        want: Want,
    ) -> Result<(Exec, Option<Arc<Connection>>), ErrorKind> {
        let text = self.leaving(script, as_whom);
        let spec = match &self.0.reach {
            Reach::Local => {
                let mut words = sudo(as_whom);
                words.extend([self.0.settings.shell.as_str(), "-c", &text]);
                let started = local::start(&words);
                return Ok((started.map_err(|error| ErrorKind::Io { said: format!("{}: {error}", words[0]) })?, None));
            }
            Reach::Ssh(spec) => spec,
        };
        let mut line = sudo(as_whom).join(" ");
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&format!("{} -c {}", self.0.settings.shell, quote_line(&text)));
        let mut connection = self.connection(spec).await?;
        let (channel, turn) = match connection.channel(want).await {
            Ok(channel) => channel,
            // It was dead and we had not noticed. Nothing has been sent, so a new one makes no difference.
            Err(ErrorKind::Lost { .. }) => {
                self.0.link.forget(&connection).await;
                connection = self.connection(spec).await?;
                connection.channel(want).await?
            }
            Err(_) if want == Want::AtOnce => {
                // All sessions of the connection are in use by jobs: what cannot wait gets a connection of its own.
                connection = Arc::new(self.open(spec).await?);
                connection.channel(want).await?
            }
            Err(kind) => return Err(kind),
        };
        let exec = Exec::over_ssh(channel, turn);
        exec.run(line).await?;
        Ok((exec, Some(connection)))
    }

    /// By which way we are logged in, `key /home/ann/.ssh/id_ed25519`; connects where we are not. Nothing where nobody logs in.
    ///
    /// # Errors
    /// The host cannot be reached, or refuses the login.
    pub async fn logged_in_by(&self) -> Result<Option<String>, Error> {
        let Reach::Ssh(spec) = &self.0.reach else { return Ok(None) };
        let connection = self.connection(spec).await.map_err(|kind| self.error(kind, "the login"))?;
        Ok(Some(connection.by.clone()))
    }

    pub(super) async fn connection(&self, spec: &SshSpec) -> Result<Arc<Connection>, ErrorKind> {
        self.0.link.take(|open| Some(Arc::clone(open)), async || self.open(spec).await).await
    }

    async fn open(&self, spec: &SshSpec) -> Result<Connection, ErrorKind> {
        let opened = ssh_connection::open(&spec.via, self.judge(spec), &self.0.hops, limits::CHANNELS).await;
        match &opened {
            Ok(_) => tracing::debug!(host = %self, "connected"),
            Err(kind) => tracing::debug!(host = %self, ?kind, "not connected"),
        }
        opened
    }

    pub(super) fn judge(&self, spec: &SshSpec) -> Judge {
        let Inner { slot, generation, known, .. } = &*self.0;
        Judge { known: Arc::clone(known), slot: Some((slot.clone(), *generation)), server: spec.server.clone() }
    }

    pub(super) fn asks(&self, user: &str) -> bool {
        self.0.asking.lock().unwrap_or_else(PoisonError::into_inner).contains(user)
    }

    pub(super) fn remember_asking(&self, user: &str) {
        self.0.asking.lock().unwrap_or_else(PoisonError::into_inner).insert(user.to_owned());
    }
}

/// The words before the shell.
fn sudo(as_whom: Become<'_>) -> Vec<&str> {
    match as_whom {
        Become::Nobody => Vec::new(),
        Become::Quietly(user) => vec!["sudo", "-n", "-H", "-u", user, "--"],
        Become::Asking(user) => vec!["sudo", "-S", "-p", PROMPT, "-H", "-u", user, "--"],
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.reach {
            Reach::Local => write!(f, "{} (this machine)", self.0.slot),
            Reach::Ssh(spec) => write!(f, "{} ({})", self.0.slot, spec.server),
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({self}, generation {})", self.0.generation)
    }
}
