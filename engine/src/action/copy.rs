//! `Copy`: a file of another host brought to this one, through the engine. It lives in the engine and is harmless to repeat:
//! an interrupted one is gone on with.

use super::failure::{self, other};
use crate::host::{Copy, Host, Progress, Rules};
use crate::operation::NodeOutcome;
use crate::runner::{Call, Context};

/// A file to be copied, rendered.
#[derive(Debug)]
pub struct FileToCopy {
    /// The slot of the host that has it.
    pub source: String,
    /// Absolute path there.
    pub from: String,
    /// Absolute path on the node's host.
    pub to: String,
    /// Permission bits.
    pub mode: Option<u32>,
    /// Its owner.
    pub owner: Option<String>,
    /// Its group.
    pub group: Option<String>,
    /// Under which name what was there is kept.
    pub keep: Option<String>,
}

/// Brings the file there.
pub async fn copy(
    context: &Context,
    host: &Host,
    call: &Call,
    file: &FileToCopy,
    progress: &dyn Progress,
) -> NodeOutcome {
    // The host that fills the slot now: another generation has its own files (D7).
    let Some(source) = context.host(&file.source) else {
        return NodeOutcome::Failed { failure: other(format!("`{}` is no host here", file.source)), output: None };
    };
    let copy = Copy {
        id: call.job.clone(),
        from: file.from.clone(),
        to: file.to.clone(),
        mode: file.mode,
        as_user: call.as_user.clone(),
        timeout: call.timeout,
        rules: Rules {
            owner: file.owner.clone(),
            group: file.group.clone(),
            keep: file.keep.clone(),
            strict: true,
            ..Rules::default()
        },
    };
    super::write::outcome(host.copy(source, &copy, progress).await.map_err(|error| failure::of(&error)))
}
