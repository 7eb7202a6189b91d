//! Rendering what runs from here: assertions, requests, notices, and whom they trust.

use dsl::eval::eval;
use dsl::plan::{Action, Body, Ca, Interrupted, MailTls, Notice, Recipient, Request};
use dsl::value::Value;
use store::Secret;

use super::call::{Renderer, Work, other};
use crate::action::here::{self, add};
use crate::action::http::HttpCall;
use crate::action::notify::{MailCall, Told, WebhookCall};
use crate::host::{Job, Program, Supervise};
use crate::operation::Failure;
use crate::web::address::Address;

impl Renderer<'_> {
    pub(super) fn assert(&self, action: &Action) -> Result<Work, Failure> {
        let Action::Assert { condition, text } = action else { return Err(other("this asserts nothing".to_owned())) };
        match eval(condition, self.scope) {
            Ok(Value::Bool(true)) => Ok(Work::Assert(None)),
            Ok(Value::Bool(false)) => Ok(Work::Assert(Some(self.text("the text of `Assert`", text)?))),
            Ok(value) => Err(other(format!("the condition of `Assert` is {}, not a Bool", value.kind()))),
            Err(error) => Err(other(format!("the condition of `Assert` cannot be evaluated: {error}"))),
        }
    }

    pub(super) fn address(&self, url: &dsl::expr::Template) -> Result<Address, Failure> {
        Address::parse(&self.text("`url`", url)?, url.secret).map_err(other)
    }

    pub(super) fn ca(&self, ca: &Option<Ca>) -> Result<here::Ca, Failure> {
        let value = match ca {
            None => return Ok(here::Ca::System),
            Some(Ca::Asset(path)) => {
                return self.assets.asset(path).map(here::Ca::Pem).map_err(|error| other(error.to_string()));
            }
            Some(Ca::File(expr) | Ca::Text(expr)) => eval(expr, self.scope),
        };
        match value {
            Ok(Value::File(file)) => Ok(here::Ca::File(file)),
            Ok(Value::Text(text)) => Ok(here::Ca::Pem(text.into_bytes())),
            Ok(value) => Err(other(format!("`ca` is {}, neither a file nor a text", value.kind()))),
            Err(error) => Err(other(format!("`ca` cannot be evaluated: {error}"))),
        }
    }

    fn headers(&self, headers: &[(String, dsl::expr::Template)]) -> Result<Vec<(String, Secret)>, Failure> {
        let header = |(name, value): &(String, dsl::expr::Template)| {
            Ok((name.clone(), Secret::from(self.text(&format!("the header `{name}`"), value)?)))
        };
        headers.iter().map(header).collect()
    }

    pub(super) fn request(&self, request: &Request) -> Result<HttpCall, Failure> {
        let mut headers = self.headers(&request.headers)?;
        let (body, kind) = match &request.body {
            None => (String::new(), None),
            Some(Body::Text(text)) => (self.text("`body`", text)?, Some("text/plain; charset=utf-8")),
            Some(Body::Json(datum)) => {
                let data = dsl::data::evaluate(datum, self.scope);
                let data = data.map_err(|error| other(format!("`json` cannot be evaluated: {error}")))?;
                (crate::action::patch::plain(&data).to_string(), Some("application/json"))
            }
        };
        if let Some(kind) = kind {
            add(&mut headers, "content-type", kind.to_owned());
        }
        add(&mut headers, "idempotency-key", here::delivery(self.operation, self.node));
        Ok(HttpCall {
            method: request.method,
            address: self.address(&request.url)?,
            headers,
            body: Secret::from(body),
            status: request.status.clone(),
            follow: request.follow,
            ca: self.ca(&request.ca)?,
            harmless: self.step.interrupted == Interrupted::Rerun,
        })
    }

    pub(super) fn notice(&self, notice: &Notice) -> Result<Work, Failure> {
        let told = self.told(notice)?;
        Ok(match &notice.to {
            Recipient::Webhook { url, key, headers, ca } => Work::Webhook(WebhookCall {
                told,
                address: self.address(url)?,
                key: key.as_ref().map(|key| self.text("`key`", key)).transpose()?.map(Secret::from),
                headers: self.headers(headers)?,
                ca: self.ca(ca)?,
            }),
            Recipient::Mail(mail) => {
                let server = self.text("`server`", &mail.server)?;
                let (server, port) = server_and_port(&server, mail.tls)?;
                let login = match (&mail.user, &mail.password) {
                    (Some(user), Some(password)) => {
                        let (user, password) = (self.text("`user`", user)?, self.text("`password`", password)?);
                        Some((Secret::from(user), Secret::from(password)))
                    }
                    _ => None,
                };
                Work::Mail(MailCall {
                    told,
                    server,
                    port,
                    tls: mail.tls,
                    from: self.text("`from`", &mail.from)?,
                    to: self.texts("`to`", &mail.to)?,
                    login,
                    ca: self.ca(&mail.ca)?,
                })
            }
            Recipient::Command { argv } => Work::Job(self.told_program(told, argv)?),
        })
    }

    /// A program that is told: the text on its standard input, what belongs to it in its environment.
    fn told_program(&self, told: Told, argv: &[dsl::expr::Template]) -> Result<Job, Failure> {
        let mut job = self.job_of(Program::Argv(self.texts("an argument", argv)?), Supervise::Always)?;
        let Told { operation, workflow, state, failure, node, subject, text, delivery } = told;
        let fields = [
            ("ANNEAL_OPERATION", Some(operation)),
            ("ANNEAL_WORKFLOW", Some(workflow)),
            ("ANNEAL_STATE", Some(state)),
            ("ANNEAL_FAILURE", failure),
            ("ANNEAL_NODE", Some(node)),
            ("ANNEAL_SUBJECT", subject),
            ("ANNEAL_DELIVERY", Some(delivery)),
        ];
        let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Secret::from(value?))));
        job.env.extend(given);
        job.stdin = Some(Secret::from(text));
        Ok(job)
    }

    fn told(&self, notice: &Notice) -> Result<Told, Failure> {
        let text = |value: Value| value.to_text().filter(|text| !text.is_empty());
        Ok(Told {
            operation: self.operation.id.to_string(),
            workflow: self.plan.workflow.clone(),
            state: text(self.scope.operation_state()).unwrap_or_else(|| "running".to_owned()),
            failure: text(self.scope.operation_failure()),
            node: self.node.id.to_string(),
            subject: notice.subject.as_ref().map(|subject| self.text("`subject`", subject)).transpose()?,
            text: self.text("`text`", &notice.text)?,
            delivery: here::delivery(self.operation, self.node),
        })
    }
}

/// `host`, `host:port`, `[::1]:25`.
fn server_and_port(server: &str, tls: MailTls) -> Result<(String, u16), Failure> {
    let usual = match tls {
        MailTls::StartTls => 587,
        MailTls::Tls => 465,
        MailTls::None => 25,
    };
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse().map_err(|_| other(format!("`{port}` in `server` is no TCP port")))?)
        }
        _ => (server, usual),
    };
    match host.trim_start_matches('[').trim_end_matches(']') {
        "" => Err(other("`server` is empty here".to_owned())),
        host => Ok((host.to_owned(), port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_have_a_port() {
        for (server, host, port) in [
            ("mail.example", "mail.example", 587),
            ("mail.example:25", "mail.example", 25),
            ("[::1]:2525", "::1", 2525),
            ("::1", "::1", 587),
        ] {
            assert_eq!(server_and_port(server, MailTls::StartTls).unwrap(), (host.to_owned(), port), "{server}");
        }
        assert_eq!(server_and_port("h", MailTls::Tls).unwrap().1, 465);
        for wrong in ["h:x", ":25", "h:70000"] {
            assert!(server_and_port(wrong, MailTls::None).is_err(), "{wrong}");
        }
    }
}
