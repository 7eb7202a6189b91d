//! Asking a host what it says of itself.

use std::time::Duration;

use super::error::Error;
use super::{Host, Job, JobEnd, JobId, Program, Supervise};

/// Constant text.
const SCRIPT: &str = include_str!("shell/facts.sh");

impl Host {
    /// The host's facts, lines `name=value`; exit code 0 where it could be asked. One round trip.
    ///
    /// # Errors
    /// The host cannot be asked. Asking again is harmless.
    pub async fn facts(&self, id: &JobId, timeout: Duration) -> Result<JobEnd, Error> {
        let job = Job {
            id: id.clone(),
            program: Program::Shell(SCRIPT.to_owned()),
            env: Vec::new(),
            stdin: None,
            as_user: None,
            cwd: None,
            timeout,
            idle: None,
            supervise: Supervise::Never,
        };
        self.run(&job, &()).await
    }
}
