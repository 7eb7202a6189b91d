//! A call: one attempt of a node with every template rendered, secrets in place. It lives in memory only.

mod files;
mod scope;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dsl::eval::{Scope, eval, render};
use dsl::expr::{HostProperty, Template};
use dsl::plan::{Action, Out, Plan, Site, Step, Until};
use dsl::value::FileRef;
use store::Secret;

use super::context::{Context, THIS_MACHINE};
use crate::action;
use crate::action::copy::FileToCopy;
use crate::action::download::FileToFetch;
use crate::action::here::Ca;
use crate::action::http::HttpCall;
use crate::action::notify::{MailCall, WebhookCall};
use crate::action::patch::FileToPatch;
use crate::error::Error;
use crate::host::{Job, JobId, Program, Supervise};
use crate::operation::{CoreScope, Effect, Failure, FailureClass, MayRun, Node, NodeId, Operation};
use crate::web::address::Address;

pub(crate) use scope::EdgeScope;

/// What an executor is given.
#[derive(Debug)]
pub struct Task {
    /// What to do.
    pub effect: Effect,
    /// With what; or why it cannot be rendered, which fails the attempt.
    pub call: Result<Call, Failure>,
}

/// One attempt of a node, rendered.
#[derive(Debug)]
pub struct Call {
    /// Which node.
    pub node: NodeId,
    /// The slot of the host that it runs on; this machine's for what runs from here. None where it runs in the engine only.
    pub slot: Option<String>,
    /// The slot of the host that the question is asked on.
    pub probe_slot: Option<String>,
    /// Which attempt.
    pub attempt: u32,
    /// Its name on the host.
    pub job: JobId,
    /// The question asked before `do` and after an unknown outcome.
    pub probe: Option<Job>,
    /// It is not asked before `do`.
    pub always: bool,
    /// What is done, or undone; nothing where the effect only looks after a job that was begun before.
    pub work: Option<Work>,
    /// Jobs of earlier attempts that may still be at work, and on the hosts of which slots.
    pub may_run: Vec<(JobId, String)>,
    /// The user it is done as.
    pub as_user: Option<String>,
    /// How long it may take.
    pub timeout: Duration,
    /// How long its program may write nothing.
    pub idle: Option<Duration>,
    /// Exit codes that are success.
    pub ok_exit: Vec<i32>,
    /// When that is over, for an attempt that began earlier too (D6).
    pub deadline: Instant,
    /// What later steps read of it.
    pub out: BTreeMap<String, Out>,
    /// The paths of the files that values are taken from, by the name of the output.
    pub files: BTreeMap<String, Result<String, Failure>>,
    /// It puts out a secret, so nothing of what it writes is shown or kept.
    pub silent: bool,
    /// It starts its host anew, within so long.
    pub reboots: Option<Duration>,
}

/// What is done.
#[derive(Debug)]
pub enum Work {
    /// A program on the host.
    Job(Job),
    /// A file brought to the host.
    Upload {
        /// The file here, checked against what it was when the operation was created; or its bytes.
        from: UploadSource,
        /// Absolute path there.
        to: String,
        /// Permission bits.
        mode: Option<u32>,
    },
    /// Files with a given content.
    Write(Vec<FileToWrite>),
    /// Some of what is in a file.
    Patch(FileToPatch),
    /// A file brought from the host.
    Download(FileToFetch),
    /// A file brought from another host.
    Copy(FileToCopy),
    /// Starting the host anew.
    Reboot,
    /// Asking a host for its facts.
    Facts {
        /// How often a person has set the operation going again.
        epoch: u32,
    },
    /// Waiting.
    Wait {
        /// For what.
        until: Ready,
        /// How long.
        within: Duration,
        /// How long between two looks.
        every: Duration,
    },
    /// What was to hold; the text says what is wrong where it does not.
    Assert(Option<String>),
    /// A request.
    Http(HttpCall),
    /// A notice to a webhook.
    Webhook(WebhookCall),
    /// A notice by mail.
    Mail(MailCall),
}

/// A file to be written, rendered.
#[derive(Debug)]
pub struct FileToWrite {
    /// Absolute path.
    pub to: String,
    /// What is in it; it may be a secret.
    pub content: Secret,
    /// Permission bits.
    pub mode: u32,
    /// Its owner.
    pub owner: Option<String>,
    /// Its group.
    pub group: Option<String>,
    /// Under which name what was there is kept.
    pub keep: Option<String>,
}

/// What an upload brings.
#[derive(Debug)]
pub enum UploadSource {
    /// A file input.
    File(FileRef),
    /// A file of the workflow.
    Asset {
        /// Its bytes.
        bytes: Vec<u8>,
        /// Their SHA-256.
        sha256: String,
    },
}

/// What a wait waits for.
#[derive(Debug)]
pub enum Ready {
    /// The host accepts our login and runs a command.
    Ssh,
    /// A TCP port accepts.
    Tcp {
        /// Where.
        address: String,
        /// Which.
        port: u16,
    },
    /// An HTTP answer.
    Http {
        /// From where.
        address: Address,
        /// Statuses that count.
        status: Vec<u16>,
        /// Whom we trust.
        ca: Ca,
    },
    /// A TLS handshake.
    Tls {
        /// Where.
        address: String,
        /// Which port.
        port: u16,
        /// The name that the certificate must be for.
        name: String,
        /// Whom we trust.
        ca: Ca,
        /// How long it must stay valid.
        valid_for: Duration,
    },
    /// A program on the host ends with 0.
    Command(Job),
}

/// The task of an effect.
pub(super) fn task(operation: &Operation, context: &Context, effect: Effect, now_ms: u64) -> Task {
    let core = CoreScope { operation, node: operation.node(effect.node()) };
    let scope = EdgeScope { core, vault: &context.vault };
    let call = call(operation, &scope, context, &effect, now_ms);
    Task { effect, call }
}

/// The call of an effect, with the scope of its node.
pub(crate) fn call(
    operation: &Operation,
    scope: &dyn Scope,
    assets: &dyn Assets,
    effect: &Effect,
    now_ms: u64,
) -> Result<Call, Failure> {
    // Which of the two is rendered: what is not needed cannot keep an effect from being carried out.
    let (node, attempt, undo, asks, works) = match effect {
        Effect::Do { node, attempt } => (node, *attempt, false, true, true),
        Effect::Undo { node, attempt } => (node, *attempt, true, false, true),
        Effect::Probe { node, attempt } => (node, *attempt, false, true, false),
        Effect::Kill { node, attempt } => (node, *attempt, false, false, false),
        Effect::Reattach { node, attempt, undo } => (node, *attempt, *undo, false, false),
    };
    let known = operation.node(node).ok_or_else(|| other(format!("the plan has no node `{node}`")))?;
    let step = operation.step_of(known);
    let gone = Duration::from_millis(now_ms.saturating_sub(known.started_ms));
    let timeout = Duration::from_millis(step.timeout_ms);
    let job = JobId { operation: operation.id, node: file_name(node, known.incarnation, undo), attempt };
    let renderer = Renderer { scope, operation, plan: &operation.plan, node: known, step, assets, job };
    for lock in step.locks.iter().filter(|_| works) {
        renderer.text("a lock", lock)?;
    }
    let by = step.group.and_then(|group| operation.plan.groups[group].by.as_ref());
    if let (Some(by), true) = (by, works) {
        eval(by, scope).map_err(|error| other(format!("`by` of the batch cannot be evaluated: {error}")))?;
    }
    if let (Some(when), true) = (&step.when, works) {
        eval(when, scope).map_err(|error| other(format!("`when` cannot be evaluated: {error}")))?;
    }
    let action = match (undo, &step.undo) {
        (false, _) => &step.action,
        (true, Some(undo)) => undo,
        (true, None) => return Err(other(format!("step `{}` has no undo", step.id))),
    };
    let undone = step.undo.as_ref().unwrap_or(&step.action);
    let earlier = |earlier: &MayRun| {
        let job = JobId {
            operation: operation.id,
            node: file_name(node, known.incarnation, earlier.undo),
            attempt: earlier.attempt,
        };
        Some((job, slot_of(if earlier.undo { undone } else { &step.action }, operation.runs_at(known))?))
    };
    Ok(Call {
        node: node.clone(),
        slot: slot_of(action, operation.runs_at(known)),
        probe_slot: step.probe.as_ref().and_then(|probe| slot_of(&probe.action, operation.runs_at(known))),
        attempt,
        always: step.probe.as_ref().is_some_and(|probe| probe.always),
        probe: match &step.probe {
            Some(probe) if asks => Some(renderer.job(&probe.action, Supervise::Never)?),
            _ => None,
        },
        work: if works { Some(renderer.work(action)?) } else { None },
        may_run: known.may_run.iter().filter_map(earlier).collect(),
        as_user: renderer.as_user()?,
        timeout,
        idle: step.idle_timeout_ms.map(Duration::from_millis),
        ok_exit: if undo { vec![0] } else { step.success() },
        deadline: Instant::now() + timeout.saturating_sub(gone),
        out: if undo { BTreeMap::new() } else { step.out.clone() },
        files: if undo { BTreeMap::new() } else { renderer.files() },
        silent: step.is_silent(),
        reboots: match action {
            Action::Reboot { within_ms } => Some(Duration::from_millis(*within_ms)),
            _ => None,
        },
        job: renderer.job,
    })
}

/// The slot of the host that an action is at work on, where it is at work on one.
pub(crate) fn slot_of(action: &Action, slot: Option<&String>) -> Option<String> {
    match action.site()? {
        Site::Here => Some(THIS_MACHINE.to_owned()),
        Site::Host => slot.cloned(),
    }
}

/// Where the bytes of a workflow's scripts and files are.
pub(crate) trait Assets {
    /// Those of one, as they were when the plan was compiled (D3).
    fn asset(&self, path: &str) -> Result<Vec<u8>, Error>;
}

impl Assets for Context {
    fn asset(&self, path: &str) -> Result<Vec<u8>, Error> {
        Context::asset(self, path)
    }
}

/// Renders what one node asks for.
pub(crate) struct Renderer<'a> {
    /// What its expressions see.
    pub scope: &'a dyn Scope,
    /// The operation.
    pub operation: &'a Operation,
    /// Its plan.
    pub plan: &'a Plan,
    /// The node.
    pub node: &'a Node,
    /// Its step.
    pub step: &'a Step,
    /// Where scripts and files are.
    pub assets: &'a dyn Assets,
    /// Its name on the host.
    pub job: JobId,
}

impl Renderer<'_> {
    pub(super) fn text(&self, what: &str, template: &Template) -> Result<String, Failure> {
        match render(template, self.scope) {
            Ok(rendered) => Ok(rendered.text.to_string()),
            Err(error) => Err(other(format!("{what} cannot be evaluated: {error}"))),
        }
    }

    pub(super) fn texts(&self, what: &str, templates: &[Template]) -> Result<Vec<String>, Failure> {
        templates.iter().map(|template| self.text(what, template)).collect()
    }

    fn as_user(&self) -> Result<Option<String>, Failure> {
        match self.step.as_user.as_ref().map(|user| self.text("`as_user`", user)).transpose()? {
            Some(user) if user.is_empty() => Err(other("`as_user` is empty here".to_owned())),
            user => Ok(user),
        }
    }

    fn files(&self) -> BTreeMap<String, Result<String, Failure>> {
        let files = self.step.out.iter().filter_map(|(name, out)| match out.way() {
            Out::File { path, .. } => Some((name.clone(), self.absolute(&format!("`path` of `out` {name}"), path))),
            _ => None,
        });
        files.collect()
    }

    fn cwd(&self) -> Result<Option<String>, Failure> {
        self.step.cwd.as_ref().map(|cwd| self.absolute("`cwd`", cwd)).transpose()
    }

    fn absolute(&self, what: &str, path: &Template) -> Result<String, Failure> {
        let path = self.text(what, path)?;
        if path.starts_with('/') { Ok(path) } else { Err(other(format!("{what} is not an absolute path: `{path}`"))) }
    }

    fn program(&self, action: &Action) -> Result<Program, Failure> {
        Ok(match action {
            Action::Run { argv } | Action::Local { argv } => Program::Argv(self.texts("an argument", argv)?),
            Action::Shell { text } => Program::Shell(text.clone()),
            Action::Script { asset, args } => {
                let bytes = self.assets.asset(asset).map_err(|error| other(error.to_string()))?;
                let text = String::from_utf8(bytes).map_err(|_| other(format!("`{asset}` is not UTF-8")))?;
                Program::Script { text, args: self.texts("an argument", args)? }
            }
            Action::Restore => Program::Script {
                text: action::restore::SCRIPT.to_owned(),
                args: vec![self.job.operation.to_string(), self.keep()],
            },
            Action::Upload { .. }
            | Action::WriteFiles { .. }
            | Action::PatchFile { .. }
            | Action::Download(_)
            | Action::Copy(_)
            | Action::Reboot { .. }
            | Action::Facts
            | Action::Wait { .. }
            | Action::Assert { .. }
            | Action::Http(_)
            | Action::Notify(_)
            | Action::Record(_)
            | Action::Forget(_)
            | Action::Gate { .. } => {
                return Err(other("this action runs no program".to_owned()));
            }
        })
    }

    fn job(&self, action: &Action, supervise: Supervise) -> Result<Job, Failure> {
        self.job_of(self.program(action)?, supervise)
    }

    pub(super) fn job_of(&self, program: Program, supervise: Supervise) -> Result<Job, Failure> {
        let mut env = Vec::new();
        for (name, value) in &self.step.env {
            env.push((name.clone(), Secret::from(self.text(&format!("`env` {name}"), value)?)));
        }
        let stdin = match &self.step.stdin {
            Some(text) => Some(Secret::from(self.text("`stdin`", text)?)),
            None => None,
        };
        Ok(Job {
            id: self.job.clone(),
            program,
            env,
            stdin,
            as_user: self.as_user()?,
            cwd: self.cwd()?,
            timeout: Duration::from_millis(self.step.timeout_ms),
            idle: self.step.idle_timeout_ms.map(Duration::from_millis),
            supervise,
        })
    }

    fn work(&self, action: &Action) -> Result<Work, Failure> {
        Ok(match action {
            Action::WriteFiles { files } => {
                Work::Write(files.iter().map(|file| self.file(file)).collect::<Result<_, _>>()?)
            }
            Action::PatchFile { path, patch, create } => Work::Patch(FileToPatch {
                path: self.absolute("`path`", path)?,
                patch: self.patch(patch)?,
                create: *create,
                keep: self.keep(),
                secret: patch.is_secret(),
            }),
            Action::Assert { .. } => self.assert(action)?,
            Action::Http(request) => Work::Http(self.request(request)?),
            Action::Notify(notice) => self.notice(notice)?,
            Action::Run { .. }
            | Action::Shell { .. }
            | Action::Script { .. }
            | Action::Local { .. }
            | Action::Restore => {
                Work::Job(self.job(action, if self.step.reads { Supervise::Never } else { Supervise::Always })?)
            }
            Action::Upload { from, to, mode } => {
                Work::Upload { from: self.upload(from)?, to: self.absolute("`to`", to)?, mode: *mode }
            }
            Action::Download(download) => Work::Download(FileToFetch {
                from: self.absolute("`from`", &download.from)?,
                to: self.absolute("`to`", &download.to)?,
                mode: download.mode,
            }),
            Action::Copy(copy) => Work::Copy(self.copy(copy)?),
            Action::Reboot { .. } => Work::Reboot,
            Action::Wait { until, within_ms, every_ms } => Work::Wait {
                until: self.until(until)?,
                within: Duration::from_millis(*within_ms),
                every: Duration::from_millis(*every_ms),
            },
            Action::Facts => Work::Facts { epoch: self.operation.epoch() },
            Action::Gate { .. } => return Err(other("a gate is answered, not carried out".to_owned())),
            Action::Record(_) | Action::Forget(_) => {
                return Err(other("a record changes with the commit that says so".to_owned()));
            }
        })
    }

    fn until(&self, until: &Until) -> Result<Ready, Failure> {
        let address = || self.scope.host(HostProperty::Address).to_text().unwrap_or_default();
        let port = |port: &Template| {
            let text = self.text("`port`", port)?;
            text.parse::<u16>().map_err(|_| other(format!("`{text}` is no TCP port")))
        };
        Ok(match until {
            Until::Ssh => Ready::Ssh,
            Until::Tcp { port: number } => Ready::Tcp { address: address(), port: port(number)? },
            Until::Http { url, status, ca } => {
                Ready::Http { address: self.address(url)?, status: status.clone(), ca: self.ca(ca)? }
            }
            Until::Command { argv } => {
                let action = Action::Run { argv: argv.clone() };
                Ready::Command(self.job(&action, Supervise::Never)?)
            }
            Until::Tls { port: number, name, ca, valid_for_ms } => Ready::Tls {
                address: address(),
                port: port(number)?,
                name: match name {
                    Some(name) => self.text("`name`", name)?,
                    None => address(),
                },
                ca: self.ca(ca)?,
                valid_for: Duration::from_millis(*valid_for_ms),
            },
        })
    }
}

/// A node's name as a file name: the step and the key, or a digest of the key where it has other characters; before it what
/// must not be taken for the same attempt: the incarnation of the store, and whether it is an undo. No step's id has a `-`.
pub(crate) fn file_name(node: &NodeId, incarnation: u32, undo: bool) -> String {
    let mut name = String::new();
    if incarnation > 1 {
        name.push_str(&format!("{incarnation}-"));
    }
    if undo {
        name.push_str("undo-");
    }
    name + &plain_name(node)
}

/// What a file name says: the incarnation, whether it is an undo, and the name of the node without both.
pub(crate) fn read_file_name(name: &str) -> (u32, bool, &str) {
    let step = name.find('.').unwrap_or(name.len());
    let (incarnation, rest) = match name[..step].split_once('-').map(|(number, _)| number.parse()) {
        Some(Ok(incarnation)) => (incarnation, &name[name.find('-').map_or(0, |at| at + 1)..]),
        _ => (1, name),
    };
    match rest.strip_prefix("undo-") {
        Some(rest) => (incarnation, true, rest),
        None => (incarnation, false, rest),
    }
}

/// A node's name in the names of its files: the step and the key, or the last part of the step's id and a digest of both where
/// something else stands in them. A key that could be a digest is taken for none.
pub(crate) fn plain_name(node: &NodeId) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let like_a_digest = node.key.len() == 2 * DIGEST_BYTES && node.key.chars().all(hex);
    let is_plain = node.key.chars().all(plain) && !node.step.contains('/') && !like_a_digest;
    if is_plain && node.step.len() + node.key.len() < 80 {
        return format!("{}.{}", node.step, node.key);
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, node.to_string().as_bytes());
    let hex: String = digest.as_ref().iter().take(DIGEST_BYTES).map(|byte| format!("{byte:02x}")).collect();
    let step: String = node.step.rsplit('/').next().unwrap_or_default().chars().take(60).collect();
    format!("{step}.{hex}")
}

/// Bytes of a digest that stand in a name.
const DIGEST_BYTES: usize = 12;

pub(crate) fn other(message: String) -> Failure {
    Failure { class: FailureClass::Other, message, hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_nodes_share_a_name() {
        let node = |step: &str, key: &str| NodeId { step: step.to_owned(), key: key.to_owned() };
        let called = node("install/run", "web1");
        let name = plain_name(&called);
        let digest = name.strip_prefix("run.").unwrap();
        for other in [node("run", digest), node("run", "web1"), node("update/run", "web1"), node("install/run", "web2")]
        {
            assert_ne!(plain_name(&other), name, "{other}");
        }
    }

    #[test]
    fn a_file_name_says_what_it_was_made_of() {
        for key in ["host", "10.0.0.1", "a-b", "2-x", "é/é"] {
            for step in ["s", "undo", "17", "a_b", "facts/web", "install/undo", "a/b/c"] {
                let node = NodeId { step: step.to_owned(), key: key.to_owned() };
                for (incarnation, undo) in [(1, false), (1, true), (2, false), (31, true)] {
                    let name = file_name(&node, incarnation, undo);
                    assert_eq!(read_file_name(&name), (incarnation, undo, plain_name(&node).as_str()), "{name}");
                    assert!(!name.contains('/'), "{name}");
                }
            }
        }
    }
}
