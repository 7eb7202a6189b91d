//! Being asked to stop: Ctrl-C, `kill`, a closed terminal.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::report::Problem;

/// Hears it.
pub struct Stop {
    signals: [Signal; 3],
}

impl Stop {
    /// Hears it from now on.
    pub fn new() -> Result<Stop, Problem> {
        let listen = |kind| signal(kind).map_err(|error| Problem::failed(format!("signals cannot be heard: {error}")));
        let signals =
            [listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?];
        Ok(Stop { signals })
    }

    /// Waits until somebody asks.
    pub async fn asked(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
