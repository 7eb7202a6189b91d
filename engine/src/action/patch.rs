//! `PatchFile`: some of what is in a file, the rest of it left as it is.
//!
//! The file is read, merged here by a function that knows nothing of hosts ([`json`], [`toml`], [`yaml`], [`lines`]), and written only
//! if that changed it, if nobody else has changed it meanwhile, and with its mode and owner as they are. What was there is
//! kept, so that `undo: Restore` puts it back.
//!
//! Invariant: a merge is idempotent – of a patched file it makes the same file –, so an attempt that was cut off is simply done
//! again.

pub mod json;
pub mod lines;
pub mod toml;
pub mod yaml;

use dsl::data::Data;

use super::failure::{self, other};
use crate::host::{Content, Host, Job, JobEnd, JobId, Program, Progress, Rules, Supervise, Upload, Was, Written};
use crate::limits::PATCHED_BYTES;
use crate::operation::{Failure, FailureClass};
use crate::runner::Call;
pub(crate) use json::plain;
use lines::Lines;

/// A file to be patched, rendered.
pub struct FileToPatch {
    /// Absolute path.
    pub path: String,
    /// With what.
    pub patch: Patch,
    /// Whether a file that is not there is taken for an empty one.
    pub create: bool,
    /// Under which name what was there is kept.
    pub keep: String,
    /// Whether a secret is in the patch.
    pub secret: bool,
}

/// What a file is patched with. It may hold secrets.
pub enum Patch {
    /// JSON, merged.
    Json(Vec<(String, Data)>),
    /// TOML, merged.
    Toml(Vec<(String, Data)>),
    /// YAML, merged.
    Yaml(Vec<(String, Data)>),
    /// Lines of text.
    Lines(Lines),
}

impl std::fmt::Debug for FileToPatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileToPatch").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Why a file cannot be patched. It holds nothing of the file but names of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Line and column in the file, from 1; nothing where the patch itself is at fault.
    pub at: Option<(usize, usize)>,
    /// What is wrong.
    pub what: String,
}

impl Wrong {
    fn of_patch(what: impl Into<String>) -> Wrong {
        Wrong { at: None, what: what.into() }
    }

    fn at(text: &str, at: usize, what: impl Into<String>) -> Wrong {
        let before = &text[..text.floor_char_boundary(at)];
        let line = before.rfind('\n').map_or(0, |at| at + 1);
        let place = (1 + before.matches('\n').count(), 1 + before[line..].chars().count());
        Wrong { at: Some(place), what: what.into() }
    }
}

impl Patch {
    /// The text after the patch; the same text where there is nothing to do.
    pub fn apply(&self, text: &str) -> Result<String, Wrong> {
        match self {
            Patch::Json(patch) => json::merge(text, patch),
            Patch::Toml(patch) => toml::merge(text, patch),
            Patch::Yaml(patch) => yaml::merge(text, patch),
            Patch::Lines(lines) => lines::apply(text, lines),
        }
    }

    fn language(&self) -> &'static str {
        match self {
            Patch::Json(_) => "JSON",
            Patch::Toml(_) => "TOML",
            Patch::Yaml(_) => "YAML",
            Patch::Lines(_) => "text",
        }
    }
}

/// Reads a file on the host: exit 0 and its content, 3 and why not, 4 where there is none. `$2`: how large it may be.
const READ: &str = r#"#!/bin/sh
if [ -h "$1" ]; then echo "$1 is a symbolic link, which is neither followed nor replaced" >&2; exit 3; fi
[ -e "$1" ] || exit 4
if [ ! -f "$1" ]; then echo "$1 is no file" >&2; exit 3; fi
if [ "$(wc -c <"$1")" -gt "$2" ]; then echo "$1 has more than $2 bytes" >&2; exit 3; fi
cat "$1" || exit 3
"#;

/// Patches it; whether that changed anything.
pub async fn patch(host: &Host, call: &Call, file: &FileToPatch, progress: &dyn Progress) -> Result<Written, Failure> {
    let patched = patched(host, call, file).await?;
    if patched.is_so() {
        return Ok(Written::AlreadySo);
    }
    let upload = patched.upload(call, file);
    host.upload(&upload, progress).await.map_err(|error| failure::of(&error))
}

/// A file as it is on the host, and with the patch.
pub(crate) struct Patched {
    /// As it is; nothing where there is no file.
    pub before: Option<String>,
    /// With the patch.
    pub after: String,
}

/// Reads it and patches it here; nothing is written.
pub(crate) async fn patched(host: &Host, call: &Call, file: &FileToPatch) -> Result<Patched, Failure> {
    let not_text = |error: std::string::FromUtf8Error| {
        let at = error.utf8_error().valid_up_to();
        other(format!("`{}` is not UTF-8: byte {at} is wrong", file.path))
    };
    let before = read(host, call, file).await?.map(String::from_utf8).transpose().map_err(not_text)?;
    let after = file.patch.apply(before.as_deref().unwrap_or_default()).map_err(|wrong| refused(file, &wrong))?;
    Ok(Patched { before, after })
}

impl Patched {
    /// Whether there is nothing to do.
    pub fn is_so(&self) -> bool {
        self.before.as_ref() == Some(&self.after)
    }

    /// What is brought to the host.
    pub fn upload(&self, call: &Call, file: &FileToPatch) -> Upload {
        Upload {
            id: call.job.clone(),
            sha256: store::Digest::of(self.after.as_bytes()).hex(),
            from: Content::Bytes(self.after.clone().into_bytes()),
            to: file.path.clone(),
            mode: Some(if file.secret { 0o600 } else { 0o644 }),
            as_user: call.as_user.clone(),
            timeout: call.timeout,
            rules: Rules {
                same: true,
                strict: true,
                keep: Some(file.keep.clone()),
                was: Some(match &self.before {
                    Some(text) => Was::Sha256(store::Digest::of(text.as_bytes()).hex()),
                    None => Was::Absent,
                }),
                ..Rules::default()
            },
        }
    }
}

fn refused(file: &FileToPatch, wrong: &Wrong) -> Failure {
    let (path, language) = (&file.path, file.patch.language());
    match wrong.at {
        Some((line, column)) => Failure {
            class: FailureClass::Other,
            message: format!("`{path}` cannot be read as {language}: line {line}, column {column}: {}", wrong.what),
            hint: Some("the file was not touched; mend it on the host, then resume the operation".to_owned()),
        },
        None => other(format!("`{path}` cannot be patched: {}", wrong.what)),
    }
}

/// What is in it; nothing where there is no file.
async fn read(host: &Host, call: &Call, file: &FileToPatch) -> Result<Option<Vec<u8>>, Failure> {
    let job = Job {
        id: JobId { node: format!("read-{}", call.job.node), ..call.job.clone() },
        program: Program::Script { text: READ.to_owned(), args: vec![file.path.clone(), PATCHED_BYTES.to_string()] },
        env: Vec::new(),
        stdin: None,
        as_user: call.as_user.clone(),
        timeout: call.timeout,
        supervise: Supervise::Never,
        cwd: None,
        idle: None,
    };
    let JobEnd { exit, stdout, stderr } = host.run(&job, &()).await.map_err(|error| failure::of(&error))?;
    match exit {
        0 if stdout.dropped_bytes == 0 => Ok(Some(stdout.head)),
        4 if file.create => Ok(None),
        4 => Err(Failure {
            hint: Some("with `create: true` a file that is missing is taken for an empty one".to_owned()),
            ..other(format!("`{}` is not there", file.path))
        }),
        _ => {
            let said = String::from_utf8_lossy(&stderr.head);
            let said = super::output::last_line(&said).unwrap_or_else(|| format!("exit code {exit}"));
            Err(other(format!("`{}` cannot be read: {said}", file.path)))
        }
    }
}
