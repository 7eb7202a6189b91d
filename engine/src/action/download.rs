//! `Download`: a file of the host brought to this machine, whole or not at all. It lives in the engine and is harmless to
//! repeat: an interrupted one is gone on with.

use super::failure;
use crate::host::{Download, Host, Progress};
use crate::operation::NodeOutcome;
use crate::runner::Call;

/// A file to be brought here, rendered.
#[derive(Debug)]
pub struct FileToFetch {
    /// Absolute path on the host.
    pub from: String,
    /// Absolute path here.
    pub to: String,
    /// Permission bits.
    pub mode: Option<u32>,
}

/// Brings the file here.
pub async fn download(host: &Host, call: &Call, file: &FileToFetch, progress: &dyn Progress) -> NodeOutcome {
    let download = Download {
        id: call.job.clone(),
        from: file.from.clone(),
        to: file.to.clone().into(),
        mode: file.mode,
        as_user: call.as_user.clone(),
        timeout: call.timeout,
    };
    super::write::outcome(host.download(&download, progress).await.map_err(|error| failure::of(&error)))
}
