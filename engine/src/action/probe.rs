//! Probe: the one question a step can ask its host (D13): 0 = the effect is there, 1 = it is not, anything else = unknown,
//! which is a failure and never a reason to run.

use super::{failure, output};
use crate::host::{ErrorKind, Host, Job, Live, Stream};
use crate::operation::{Failure, FailureClass, NodeOutcome};
use crate::redact::Redactor;
use crate::runner::{Call, Context};

/// What a probe says.
pub(crate) enum Answer {
    /// It is so.
    There,
    /// It is not.
    NotThere,
    /// It gave no answer.
    Unknown(Failure),
}

/// Asked before `do`: an outcome where that already decides, nothing where `do` follows.
pub async fn before(context: &Context, host: &Host, call: &Call) -> Option<NodeOutcome> {
    match ask(&context.redactor, host, call.silent, call.probe.as_ref().filter(|_| !call.always)?).await {
        Answer::There => Some(NodeOutcome::AlreadySo),
        Answer::NotThere => None,
        Answer::Unknown(failure) => Some(NodeOutcome::Failed { failure, output: None }),
    }
}

/// Asked after an unknown outcome.
pub async fn after(context: &Context, host: &Host, call: &Call) -> NodeOutcome {
    let Some(probe) = &call.probe else {
        return NodeOutcome::ProbedUnknown(failure::other("the step has no probe to ask"));
    };
    match ask(&context.redactor, host, call.silent, probe).await {
        Answer::There => NodeOutcome::ProbedThere,
        Answer::NotThere => NodeOutcome::ProbedNotThere,
        Answer::Unknown(failure) => NodeOutcome::ProbedUnknown(failure),
    }
}

struct Silent;

impl Live for Silent {
    fn output(&self, _: Stream, _: &[u8]) {}
}

/// How often a probe is asked whose connection breaks under it: it only reads, so asking again is harmless.
const TRIES: usize = 3;

/// Asks. What a probe of a `silent` step wrote is not told.
pub(crate) async fn ask(redactor: &Redactor, host: &Host, silent: bool, probe: &Job) -> Answer {
    let mut answer = host.run(probe, &Silent).await;
    for _ in 1..TRIES {
        match &answer {
            Err(error) if matches!(error.kind, ErrorKind::Lost { .. }) => answer = host.run(probe, &Silent).await,
            Ok(_) | Err(_) => break,
        }
    }
    match answer {
        Ok(end) if end.exit == 0 => Answer::There,
        Ok(end) if end.exit == 1 => Answer::NotThere,
        Ok(end) => {
            let said = match silent {
                // It may have looked at the secret that the step is there for.
                true => "what it wrote is not shown, for the step puts out a secret".to_owned(),
                false => {
                    output::last_line(&redactor.output(&end.stderr)).unwrap_or_else(|| "it wrote nothing".to_owned())
                }
            };
            Answer::Unknown(Failure {
                class: FailureClass::ProbeUnknown,
                message: format!("the probe gave no answer: exit code {} ({said})", end.exit),
                hint: Some("a probe answers 0 (it is so) or 1 (it is not); anything else stops the step".to_owned()),
            })
        }
        Err(error) => Answer::Unknown(failure::of(&error)),
    }
}
