//! The edge: hosts are asked what reads only.
//!
//! Invariant: nothing here writes on a host. Probes run without a job folder, files are looked at and read, ports and URLs are looked
//! at once. (`host.run` is called with jobs that are not supervised, and by nobody else but the probe and the readers.)

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dsl::value::Value;
use tokio::sync::{OnceCell, Semaphore};

use super::difference::{Will, change};
use super::mask::{Shade, Shades};
use super::question::{Learnt, Look, Question};
use super::report::FileChange;
use crate::action::output::clean;
use crate::action::{facts, failure, patch, probe, upload, wait, write};
use crate::host::{Content, Host, Upload, Written};
use crate::limits::{EXECUTORS, PREVIEW_TEXT_BYTES};
use crate::operation::Failure;
use crate::redact::Redactor;
use crate::runner::{Call, FileToWrite, Ready, UploadSource, Work};

/// A host, and whether it can be used: that is asked once, so that one that is down costs one timeout.
pub(super) struct Asked {
    pub host: Host,
    pub reached: OnceCell<Result<(), Failure>>,
    /// The places at its machine.
    pub places: Arc<Semaphore>,
}

/// What all questions share.
pub(super) struct Asking {
    pub hosts: HashMap<String, Asked>,
    pub redactor: Redactor,
    pub permits: Semaphore,
    /// Nothing more is asked.
    ended: AtomicBool,
}

impl Asking {
    pub fn new(hosts: HashMap<String, Asked>, redactor: Redactor) -> Asking {
        Asking { hosts, redactor, permits: Semaphore::new(EXECUTORS), ended: AtomicBool::new(false) }
    }

    /// Asks nothing more, and ends what is being asked: no probe is left at work on a host.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        self.hosts.values().for_each(|asked| asked.host.end_questions());
    }

    /// What is learnt about a node. Its texts hold no secret.
    pub async fn ask(&self, question: &Question) -> Learnt {
        let host = question.slot.as_ref().and_then(|slot| self.hosts.get(slot));
        let Some(asked) = host else { return Learnt::Reached };
        // The semaphores are never closed.
        let _permits = (asked.places.acquire().await.ok(), self.permits.acquire().await.ok());
        if self.ended.load(Ordering::Relaxed) {
            return Learnt::NoAnswer(failure::other("it was ended"));
        }
        let learnt = match self.learn(asked, question).await {
            Ok(learnt) => learnt,
            Err(failure) => Learnt::NoAnswer(failure),
        };
        self.redacted(learnt)
    }

    async fn learn(&self, asked: &Asked, question: &Question) -> Result<Learnt, Failure> {
        let seen_from_here = matches!(
            question.look.as_ref().and_then(|look| look.call.work.as_ref()),
            Some(Work::Wait { until: Ready::Tcp { .. } | Ready::Http { .. } | Ready::Tls { .. }, .. })
        );
        if question.probe.is_some() || !seen_from_here {
            // A host that does not answer keeps nobody who wants to stop.
            let check = async || {
                tokio::select! {
                    checked = asked.host.check() => checked.map_err(|error| failure::of(&error)),
                    () = asked.host.questions_end() => Err(failure::other("it was ended")),
                }
            };
            if let Err(failure) = asked.reached.get_or_init(check).await {
                return Ok(Learnt::NoHost(failure.clone()));
            }
        }
        let host = &asked.host;
        let probed = match &question.probe {
            None => false,
            Some(call) => match &call.probe {
                None => false,
                Some(job) => match probe::ask(&self.redactor, host, call.silent, job).await {
                    probe::Answer::There => return Ok(Learnt::ProbedSo),
                    probe::Answer::NotThere => true,
                    probe::Answer::Unknown(failure) => return Ok(Learnt::NoAnswer(failure)),
                },
            },
        };
        let looked = match &question.look {
            None => return Ok(if probed { Learnt::ProbedNotSo(Vec::new()) } else { Learnt::Reached }),
            Some(look) => self.look(host, look).await?,
        };
        Ok(match looked {
            Looked::Files(files) if probed => Learnt::ProbedNotSo(files),
            Looked::Files(files) if files.is_empty() => Learnt::LooksSo("it is there as it should be".to_owned()),
            Looked::Files(files) => Learnt::Differs(files),
            // Its probe says that it is not so, so a run would wait, however long that takes.
            Looked::So if probed => Learnt::ProbedNotSo(Vec::new()),
            Looked::Facts(facts) => Learnt::Facts(facts),
            Looked::So => Learnt::LooksSo("one look found it so".to_owned()),
            Looked::NotYet(seen) => Learnt::NotYet(seen),
        })
    }

    async fn look(&self, host: &Host, look: &Look) -> Result<Looked, Failure> {
        let Look { call, shades } = look;
        match &call.work {
            Some(Work::Write(files)) => self.written(host, call, files, shades).await.map(Looked::Files),
            Some(Work::Patch(file)) => self.patched(host, call, file, shades).await.map(Looked::Files),
            Some(Work::Upload { from, to, mode }) => {
                let upload = upload::prepared(call, from, to, *mode).await?;
                let size_bytes = match from {
                    UploadSource::File(file) => file.size_bytes,
                    UploadSource::Asset { bytes, .. } => bytes.len() as u64,
                };
                let change = self.difference(host, &upload, size_bytes, &Shade::Public).await?;
                Ok(Looked::Files(change.into_iter().collect()))
            }
            Some(Work::Wait { until, within, .. }) => {
                match wait::look_once(&self.redactor, host, until, (*within).max(Duration::from_millis(1))).await {
                    Ok(()) => Ok(Looked::So),
                    Err(wait::Look::NotYet(seen)) => Ok(Looked::NotYet(seen)),
                    Err(wait::Look::Never(failure)) => Err(failure),
                }
            }
            Some(Work::Facts { .. }) => facts::look(&self.redactor, host, call).await.map(Looked::Facts),
            // These are not looked at.
            Some(
                Work::Job(_)
                | Work::Download(_)
                | Work::Copy(_)
                | Work::Reboot
                | Work::Assert(_)
                | Work::Http(_)
                | Work::Webhook(_)
                | Work::Mail(_),
            )
            | None => Ok(Looked::Files(Vec::new())),
        }
    }

    async fn written(
        &self,
        host: &Host,
        call: &Call,
        files: &[FileToWrite],
        shades: &Shades,
    ) -> Result<Vec<FileChange>, Failure> {
        let mut changes = Vec::new();
        for (at, upload) in write::uploads(call, files)?.iter().enumerate() {
            let size_bytes = files[at].content.expose().len() as u64;
            let shade = shades.written.get(at).unwrap_or(&Shade::Dark);
            changes.extend(self.difference(host, upload, size_bytes, shade).await?);
        }
        Ok(changes)
    }

    async fn patched(
        &self,
        host: &Host,
        call: &Call,
        file: &patch::FileToPatch,
        shades: &Shades,
    ) -> Result<Vec<FileChange>, Failure> {
        let patched = patch::patched(host, call, file).await?;
        if patched.is_so() {
            return Ok(Vec::new());
        }
        let before = patched.before.as_deref().unwrap_or_default();
        let shade = match &shades.patch {
            None => Shade::Public,
            Some(Shade::Twice([one, other])) => match (one.apply(before), other.apply(before)) {
                (Ok(one), Ok(other)) => Shade::Twice([one, other]),
                (Err(_), _) | (_, Err(_)) => Shade::Dark,
            },
            Some(Shade::Public | Shade::Dark) => Shade::Dark,
        };
        let upload = patched.upload(call, file);
        let change = self.difference(host, &upload, patched.after.len() as u64, &shade).await?;
        Ok(change.into_iter().collect())
    }

    /// What would change of a file; nothing where it is as it should be.
    async fn difference(
        &self,
        host: &Host,
        upload: &Upload,
        size_bytes: u64,
        shade: &Shade<String>,
    ) -> Result<Option<FileChange>, Failure> {
        let as_user = upload.as_user.as_deref();
        match host.look(upload).await.map_err(|error| failure::of(&error))? {
            Written::AlreadySo => return Ok(None),
            Written::Changed => {}
        }
        let was = host.inspect(&upload.id, &upload.to, as_user, PREVIEW_TEXT_BYTES).await;
        let was = was.map_err(|error| failure::of(&error))?;
        let small = size_bytes <= PREVIEW_TEXT_BYTES as u64;
        let bytes = match &upload.from {
            Content::Bytes(bytes) if small => Some(bytes.clone()),
            Content::Path(path) if small => Some(tokio::fs::read(path).await.map_err(|error| {
                failure::other(format!("the file `{}` cannot be read here: {error}", path.display()))
            })?),
            Content::Bytes(_) | Content::Path(_) | Content::OnHost(_) => None,
        };
        let will = Will { upload, size_bytes, bytes: bytes.as_deref(), shade };
        Ok(Some(change(&was, &will, &self.redactor)))
    }

    /// What a host said passes the filter, as everything does that is shown (I8). Differences have passed it.
    fn redacted(&self, learnt: Learnt) -> Learnt {
        let cleaned = |failure: Failure| Failure {
            message: clean(&self.redactor.text(&failure.message)),
            hint: failure.hint.map(|hint| clean(&self.redactor.text(&hint))),
            ..failure
        };
        match learnt {
            Learnt::NoAnswer(failure) => Learnt::NoAnswer(cleaned(failure)),
            Learnt::NoHost(failure) => Learnt::NoHost(cleaned(failure)),
            Learnt::NotYet(seen) => Learnt::NotYet(clean(&self.redactor.text(&seen))),
            Learnt::Reached
            | Learnt::ProbedSo
            | Learnt::ProbedNotSo(_)
            | Learnt::LooksSo(_)
            | Learnt::Facts(_)
            | Learnt::Differs(_) => learnt,
        }
    }
}

/// What a look found.
enum Looked {
    /// What would change of files.
    Files(Vec<FileChange>),
    /// What would be waited for is so.
    So,
    /// What the host says of itself.
    Facts(BTreeMap<String, Value>),
    /// It is not.
    NotYet(String),
}
