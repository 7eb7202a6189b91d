//! `Http`: a request from this machine.
//!
//! What was sent and not answered may have been carried out. Where the step says that repeating is harmless
//! (`interrupted: Rerun`) that is a failure like others; else the outcome is unknown, and the step's `interrupted` decides.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use store::Secret;

use super::here::Ca;
use super::{failure, job, out, output};
use crate::host::{Live, Stream};
use crate::operation::{Failure, FailureClass, NodeOutcome, Unknown};
use crate::runner::{Call, Context};
use crate::web::address::Address;
use crate::web::client::{Answer, Ask, NoAnswer, ask};
use crate::web::tls::Trust;

/// A request, rendered.
#[derive(Debug)]
pub struct HttpCall {
    /// What is asked.
    pub method: dsl::plan::Method,
    /// Of whom.
    pub address: Address,
    /// Headers; values may be secret.
    pub headers: Vec<(String, Secret)>,
    /// What is sent; may be secret.
    pub body: Secret,
    /// Statuses that are success; 200 to 299 where empty.
    pub status: Vec<u16>,
    /// How many redirects are followed.
    pub follow: u32,
    /// Whom it trusts.
    pub ca: Ca,
    /// Whether repeating it is harmless.
    pub harmless: bool,
}

/// Sends a request and takes what the answer gives.
pub async fn request(context: &Context, call: &Call, http: &HttpCall, live: &dyn Live) -> NodeOutcome {
    let failed = |failure: Failure| NodeOutcome::Failed { failure, output: None };
    let (line, answer) = match answered(context, call, http, live).await {
        Ok(answered) => answered,
        Err(outcome) => return outcome,
    };
    let said = context.redactor.text(&String::from_utf8_lossy(&answer.body));
    let kept = match call.silent {
        true => Ok(None),
        false => output::keep(context, &said, &format!("{}\n", context.redactor.text(&line))).await,
    };
    let kept = match kept {
        Ok(kept) => kept,
        Err(error) => return failed(failure::other(format!("the answer could not be kept: {error}"))),
    };
    if !is_success(&http.status, answer.status) {
        let mut message = format!("{} {}: the answer is {}", http.method.word(), http.address.shown(), answer.status);
        if let (Some(said), false) = (output::last_line(&said), call.silent) {
            message.push_str(&format!(": {said}"));
        }
        let failure = Failure { class: FailureClass::Status(answer.status), message, hint: None };
        return NodeOutcome::Failed { failure, output: kept };
    }
    let end = crate::host::JobEnd {
        exit: 0,
        stdout: crate::host::Output { head: answer.body.clone(), ..Default::default() },
        stderr: Default::default(),
    };
    let taken = out::Taken { end: &end, files: BTreeMap::new(), answer: Some(&answer) };
    match job::take(context, call, &taken).await {
        Ok(out) => NodeOutcome::Succeeded { out, changed: !http.method.only_reads(), output: kept },
        Err(failure) => NodeOutcome::Failed { failure, output: kept },
    }
}

/// Whether a status is one of those that are wanted.
fn is_success(wanted: &[u16], status: u16) -> bool {
    if wanted.is_empty() { (200..300).contains(&status) } else { wanted.contains(&status) }
}

/// The answer at the end of all redirects, and a line about it.
async fn answered(
    context: &Context,
    call: &Call,
    http: &HttpCall,
    live: &dyn Live,
) -> Result<(String, Answer), NodeOutcome> {
    let trust = http.ca.trust().await.map_err(|failure| NodeOutcome::Failed { failure, output: None })?;
    let deadline = tokio::time::Instant::now() + call.timeout;
    let (mut address, mut headers, mut followed) = (http.address.clone(), http.headers.clone(), 0);
    loop {
        context.redactor.learn(&address.secrets());
        let answer = once(http, &address, &headers, &trust, deadline, live).await?;
        let line = format!("{} {} {}", http.method.word(), address.shown(), answer.status);
        live.output(Stream::Stderr, format!("{line}\n").as_bytes());
        let leads = matches!(answer.status, 301 | 302 | 303 | 307 | 308) && !http.status.contains(&answer.status);
        let Some(location) = answer.header("location").filter(|_| leads && http.follow > 0) else {
            return Ok((line, answer));
        };
        let wrong = |why: String| NodeOutcome::Failed { failure: failure::other(why), output: None };
        if followed == http.follow {
            return Err(wrong(format!("{} leads on after {followed} redirects", http.address.shown())));
        }
        let next = address.join(&location).map_err(|why| wrong(format!("a redirect of {}: {why}", address.shown())))?;
        if address.is_tls() && !next.is_tls() {
            return Err(wrong(format!("{} leads away from TLS, to {}", address.shown(), next.shown())));
        }
        // What is for one server is not for another.
        if !next.is_same_server(&address) {
            headers.clear();
        }
        (address, followed) = (next, followed + 1);
    }
}

async fn once(
    http: &HttpCall,
    address: &Address,
    headers: &[(String, Secret)],
    trust: &Trust,
    deadline: tokio::time::Instant,
    live: &dyn Live,
) -> Result<Answer, NodeOutcome> {
    let sent = AtomicBool::new(false);
    let method = http
        .method
        .word()
        .parse()
        .map_err(|_| NodeOutcome::Failed { failure: failure::other("the method cannot be sent"), output: None })?;
    let asked = Ask { method, address, headers, body: &http.body, trust };
    let no_answer = match tokio::time::timeout_at(deadline, ask(&asked, &sent)).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(no_answer)) => no_answer,
        Err(_) => {
            let shown = address.shown();
            match sent.load(Ordering::SeqCst) {
                true if http.harmless => {
                    let message = format!("{shown}: no answer in time");
                    let failure = Failure { class: FailureClass::Timeout, message, hint: None };
                    return Err(NodeOutcome::Failed { failure, output: None });
                }
                true => NoAnswer::Lost(format!("{shown}: no answer in time")),
                false => NoAnswer::NotSent(format!("{shown}: no connection in time")),
            }
        }
    };
    let failed = |class, message| NodeOutcome::Failed { failure: Failure { class, message, hint: None }, output: None };
    Err(match no_answer {
        NoAnswer::NotSent(why) => failed(FailureClass::Connection, why),
        NoAnswer::Lost(why) if http.harmless => failed(FailureClass::Connection, why),
        NoAnswer::Lost(why) => {
            live.output(Stream::Stderr, format!("{why}\n").as_bytes());
            NodeOutcome::Unknown(Unknown::Unanswered)
        }
        NoAnswer::Never(why) | NoAnswer::Unusable(_, why) => failed(FailureClass::Other, why),
    })
}
