//! `Upload`: a file brought to the host, whole or not at all.
//!
//! A `File` input is checked again here: what arrives is what the operation was created with, or nothing (D3). An upload
//! lives in the engine and is harmless to repeat: an interrupted one is gone on with.

use std::path::Path;

use super::failure::{self, other};
use crate::host::{Content, Host, Progress, Rules, Upload};
use crate::operation::{Failure, NodeOutcome};
use crate::runner::{Call, UploadSource};

/// Brings the file there.
pub async fn upload(
    host: &Host,
    call: &Call,
    from: &UploadSource,
    to: &str,
    mode: Option<u32>,
    progress: &dyn Progress,
) -> NodeOutcome {
    let written = match prepared(call, from, to, mode).await {
        Ok(upload) => host.upload(&upload, progress).await.map_err(|error| failure::of(&error)),
        Err(failure) => Err(failure),
    };
    super::write::outcome(written)
}

/// What is brought to the host; the file here is still what it was.
pub(crate) async fn prepared(call: &Call, from: &UploadSource, to: &str, mode: Option<u32>) -> Result<Upload, Failure> {
    let (content, sha256) = match from {
        UploadSource::Asset { bytes, sha256 } => (Content::Bytes(bytes.clone()), sha256.clone()),
        UploadSource::File(file) => {
            check_size(&file.path, file.size_bytes).await?;
            (Content::Path(file.path.clone().into()), file.sha256.clone())
        }
    };
    Ok(Upload {
        id: call.job.clone(),
        from: content,
        to: to.to_owned(),
        mode,
        as_user: call.as_user.clone(),
        sha256,
        timeout: call.timeout,
        rules: Rules { resume: true, ..Rules::default() },
    })
}

/// A quick look before the long way; the content itself is checked by its digest on the host.
async fn check_size(path: &str, size_bytes: u64) -> Result<(), Failure> {
    let meta = tokio::fs::metadata(Path::new(path)).await.map_err(|error| Failure {
        hint: Some("put the file back, then resume the operation".to_owned()),
        ..other(format!("the file `{path}` cannot be read here: {error}"))
    })?;
    if meta.len() == size_bytes {
        return Ok(());
    }
    Err(Failure {
        hint: Some("put the old file back and resume, or start a new operation with the new one".to_owned()),
        ..other(format!(
            "the file `{path}` has changed since the operation was created: {} bytes, it was {size_bytes}",
            meta.len()
        ))
    })
}
