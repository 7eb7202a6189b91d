//! `Notify` to a webhook or by mail: told at least once. A program that is told is a job like those of `Local`.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use data_encoding::HEXLOWER;
use hyper::Method;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use ring::hmac;
use serde_json::json;
use store::Secret;

use super::failure;
use super::here::{self, Ca};
use crate::host::{Live, Stream};
use crate::operation::{Failure, FailureClass, NodeOutcome};
use crate::runner::{Call, Context, now_ms};
use crate::web::address::Address;
use crate::web::client::{Ask, NoAnswer, ask};

/// What is told, rendered. It holds no secret.
#[derive(Debug)]
pub struct Told {
    /// The operation.
    pub operation: String,
    /// Its workflow.
    pub workflow: String,
    /// How the operation ended, in `finally`; else `running`.
    pub state: String,
    /// Why it did not succeed.
    pub failure: Option<String>,
    /// The node that tells.
    pub node: String,
    /// What it is about.
    pub subject: Option<String>,
    /// What is told.
    pub text: String,
    /// By which name it is known, in each attempt.
    pub delivery: String,
}

/// A webhook, rendered.
#[derive(Debug)]
pub struct WebhookCall {
    /// What.
    pub told: Told,
    /// Whom.
    pub address: Address,
    /// What the body is signed with.
    pub key: Option<Secret>,
    /// Headers; values may be secret.
    pub headers: Vec<(String, Secret)>,
    /// Whom it trusts.
    pub ca: Ca,
}

/// A mail, rendered.
#[derive(Debug)]
pub struct MailCall {
    /// What.
    pub told: Told,
    /// The server.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept from being read.
    pub tls: dsl::plan::MailTls,
    /// From whom.
    pub from: String,
    /// To whom.
    pub to: Vec<String>,
    /// Name and password.
    pub login: Option<(Secret, Secret)>,
    /// Whom it trusts.
    pub ca: Ca,
}

fn failed(class: FailureClass, message: String) -> NodeOutcome {
    NodeOutcome::Failed { failure: Failure { class, message, hint: None }, output: None }
}

fn told_once() -> NodeOutcome {
    NodeOutcome::Succeeded { out: Default::default(), changed: false, output: None }
}

/// Posts a notice.
pub async fn webhook(context: &Context, call: &Call, webhook: &WebhookCall, live: &dyn Live) -> NodeOutcome {
    context.redactor.learn(&webhook.address.secrets());
    let trust = match webhook.ca.trust().await {
        Ok(trust) => trust,
        Err(failure) => return NodeOutcome::Failed { failure, output: None },
    };
    let now_ms = now_ms();
    let body = body(&webhook.told, now_ms);
    let mut headers = webhook.headers.clone();
    here::add(&mut headers, "content-type", "application/json".to_owned());
    headers.retain(|(name, _)| !name.starts_with("anneal-"));
    here::add(&mut headers, "anneal-delivery", webhook.told.delivery.clone());
    if let Some(key) = &webhook.key {
        here::add(&mut headers, "anneal-signature", signature(key, now_ms / 1_000, &body));
    }
    let (address, body) = (&webhook.address, Secret::from(body));
    let asked = Ask { method: Method::POST, address, headers: &headers, body: &body, trust: &trust };
    let shown = address.shown();
    match tokio::time::timeout(call.timeout, ask(&asked, &AtomicBool::new(false))).await {
        Ok(Ok(answer)) if (200..300).contains(&answer.status) => {
            live.output(Stream::Stderr, format!("POST {shown} {}\n", answer.status).as_bytes());
            told_once()
        }
        Ok(Ok(answer)) => {
            failed(FailureClass::Status(answer.status), format!("POST {shown}: the answer is {}", answer.status))
        }
        Ok(Err(NoAnswer::NotSent(why) | NoAnswer::Lost(why))) => failed(FailureClass::Connection, why),
        Ok(Err(NoAnswer::Unusable(200..300, _))) => told_once(),
        Ok(Err(NoAnswer::Never(why) | NoAnswer::Unusable(_, why))) => failed(FailureClass::Other, why),
        Err(_) => failed(FailureClass::Timeout, format!("{shown}: no answer in time")),
    }
}

fn body(told: &Told, now_ms: u64) -> String {
    let at = crate::date::rfc3339(now_ms);
    let Told { operation, workflow, state, failure, node, subject, text, delivery: _ } = told;
    json!({
        "operation": operation, "workflow": workflow, "state": state, "failure": failure, "node": node,
        "subject": subject, "text": text, "at": at,
    })
    .to_string()
}

/// `t=<unix seconds>,v1=<hex HMAC-SHA-256 of "t.body">`: the time is signed too, so that an old one cannot be sent again.
fn signature(key: &Secret, seconds: u64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes());
    let tag = hmac::sign(&key, format!("{seconds}.{body}").as_bytes());
    format!("t={seconds},v1={}", HEXLOWER.encode(tag.as_ref()))
}

/// Sends a notice by mail.
pub async fn mail(call: &Call, mail: &MailCall, live: &dyn Live) -> NodeOutcome {
    let sending = async {
        let message = message(mail)?;
        let transport = transport(mail, call.timeout).await?;
        transport.send(message).await.map_err(|error| refused(mail, &error))
    };
    match tokio::time::timeout(call.timeout, sending).await {
        Ok(Ok(response)) => {
            let said = response.first_line().unwrap_or_default().to_owned();
            live.output(Stream::Stderr, format!("{}: {} {said}\n", mail.server, response.code()).as_bytes());
            told_once()
        }
        Ok(Err(failure)) => NodeOutcome::Failed { failure, output: None },
        Err(_) => failed(FailureClass::Timeout, format!("{}: no answer in time", mail.server)),
    }
}

fn message(mail: &MailCall) -> Result<Message, Failure> {
    let mailbox = |text: &str| -> Result<Mailbox, Failure> {
        text.parse().map_err(|_| failure::other(format!("`{text}` is no address of a mail")))
    };
    let told = &mail.told;
    let subject = told.subject.clone().unwrap_or_else(|| format!("{}: {}", told.workflow, told.state));
    // A header is one line.
    let subject: String = subject.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let digest = ring::digest::digest(&ring::digest::SHA256, told.delivery.as_bytes());
    let id = format!("<{}@anneal>", &HEXLOWER.encode(digest.as_ref())[..40]);
    let mut builder = Message::builder().from(mailbox(&mail.from)?).subject(subject).message_id(Some(id));
    for to in &mail.to {
        builder = builder.to(mailbox(to)?);
    }
    let message = builder.header(ContentType::TEXT_PLAIN).body(told.text.clone());
    message.map_err(|error| failure::other(format!("there is no mail in this: {error}")))
}

async fn transport(mail: &MailCall, timeout: Duration) -> Result<AsyncSmtpTransport<Tokio1Executor>, Failure> {
    let tls = match mail.tls {
        dsl::plan::MailTls::None => Tls::None,
        dsl::plan::MailTls::StartTls => Tls::Required(parameters(mail).await?),
        dsl::plan::MailTls::Tls => Tls::Wrapper(parameters(mail).await?),
    };
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(mail.server.as_str())
        .port(mail.port)
        .tls(tls)
        .hello_name(ClientId::Domain(name))
        .timeout(Some(timeout));
    if let Some((user, password)) = &mail.login {
        builder = builder.credentials(Credentials::new(user.expose().to_owned(), password.expose().to_owned()));
    }
    Ok(builder.build())
}

async fn parameters(mail: &MailCall) -> Result<TlsParameters, Failure> {
    let wrong = |why: String| failure::other(format!("{}: {why}", mail.server));
    let mut builder = TlsParameters::builder(mail.server.clone()).certificate_store(CertificateStore::None);
    for certificate in mail.ca.trust().await?.certificates().await.map_err(wrong)? {
        // The authorities of a machine may hold some that nobody can read; the others count.
        if let Ok(certificate) = Certificate::from_der(certificate.to_vec()) {
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build_rustls().map_err(|error| wrong(error.to_string()))
}

fn refused(mail: &MailCall, error: &lettre::transport::smtp::Error) -> Failure {
    let class = match () {
        () if error.is_timeout() => FailureClass::Timeout,
        // What a server refuses for good, and what is wrong on our side.
        () if error.is_permanent() || error.is_client() || error.is_response() => FailureClass::Other,
        () => FailureClass::Connection,
    };
    let mut message = format!("{}:{}: {error}", mail.server, mail.port);
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if !message.contains(&error.to_string()) {
            message.push_str(&format!(": {error}"));
        }
        cause = error.source();
    }
    Failure { class, message, hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_time_and_body() {
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac key
        let signed = signature(&Secret::from("key".to_owned()), 1_700_000_000, "{}");
        assert_eq!(signed, "t=1700000000,v1=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae");
    }
}
