//! All expressions of a step, to be changed in place: where a workflow is written out in another one.
//!
//! Invariant: none is left out. What is matched here has no rest, so a field or an action that is added must say which
//! expressions it has.

use super::{
    Action, Body, Ca, CopySpec, Datum, DownloadSpec, FileContent, FileSpec, Mail, Notice, Out, Patch, Probe, Recipient,
    RecordSpec, Request, Step, Until, UploadFrom,
};
use crate::expr::{Expr, Part, Template};

/// What is done to each expression; those inside of it come first.
pub(crate) type Change<'a> = dyn FnMut(&mut Expr) + 'a;

/// Changes an expression and all inside of it, the innermost first, so that what a change puts there is not changed again.
pub(crate) fn change(expr: &mut Expr, by: &mut Change<'_>) {
    match expr {
        Expr::Literal(_)
        | Expr::Input(_)
        | Expr::Out { .. }
        | Expr::StepState(_)
        | Expr::StepChanged(_)
        | Expr::Host(_)
        | Expr::Role { .. }
        | Expr::OperationId
        | Expr::OperationStartedAt
        | Expr::OperationState
        | Expr::OperationFailure
        | Expr::Instance { .. }
        | Expr::Each => {}
        Expr::Everywhere(a) | Expr::Field(a, _) | Expr::Unary(_, a) => change(a, by),
        Expr::Index(a, b) | Expr::Binary(_, a, b) | Expr::Coalesce(a, b) => {
            [a, b].into_iter().for_each(|x| change(x, by))
        }
        Expr::If(a, b, c) => [a, b, c].into_iter().for_each(|x| change(x, by)),
        Expr::Call(_, list) | Expr::List(list) => list.iter_mut().for_each(|x| change(x, by)),
    }
    by(expr);
}

/// Changes the expressions of a text.
pub(crate) fn change_template(template: &mut Template, by: &mut Change<'_>) {
    for part in &mut template.parts {
        match part {
            Part::Text(_) => {}
            Part::Expr(expr) => change(expr, by),
        }
    }
}

impl Step {
    /// Changes all of its expressions.
    pub(crate) fn change(&mut self, by: &mut Change<'_>) {
        let Step {
            id: _,
            about: _,
            role: _,
            run_at: _,
            needs: _,
            when,
            probe,
            action,
            undo,
            reads: _,
            interrupted: _,
            retry: _,
            timeout_ms: _,
            on_failure: _,
            out,
            env,
            stdin,
            as_user,
            cwd,
            ok_exit: _,
            idle_timeout_ms: _,
            each,
            parallel: _,
            locks,
            group: _,
            finally: _,
            allow_secret_args: _,
        } = self;
        when.iter_mut().chain(each).for_each(|expr| change(expr, by));
        let texts = env.values_mut().chain(stdin).chain(as_user).chain(cwd).chain(locks);
        texts.for_each(|text| change_template(text, by));
        out.values_mut().for_each(|out| change_out(out, by));
        let probe = probe.iter_mut().map(|Probe { action, always: _ }| action);
        probe.chain([action]).chain(undo).for_each(|action| change_action(action, by));
    }

    /// The names of its files, to be changed.
    pub(crate) fn assets_mut(&mut self) -> Vec<&mut String> {
        let probe = self.probe.iter_mut().map(|probe| &mut probe.action);
        let mut assets = Vec::new();
        for action in probe.chain([&mut self.action]).chain(&mut self.undo) {
            match action {
                Action::Http(Request { ca: Some(Ca::Asset(asset)), .. })
                | Action::Wait { until: Until::Http { ca: Some(Ca::Asset(asset)), .. }, .. }
                | Action::Wait { until: Until::Tls { ca: Some(Ca::Asset(asset)), .. }, .. }
                | Action::Notify(Notice { to: Recipient::Webhook { ca: Some(Ca::Asset(asset)), .. }, .. }) => {
                    assets.push(asset);
                }
                Action::Notify(Notice { to: Recipient::Mail(mail), .. }) => {
                    if let Some(Ca::Asset(asset)) = &mut mail.ca {
                        assets.push(asset);
                    }
                }
                Action::Script { asset, .. } | Action::Upload { from: UploadFrom::Asset(asset), .. } => {
                    assets.push(asset)
                }
                Action::WriteFiles { files } => {
                    assets.extend(files.iter_mut().filter_map(|file| match &mut file.content {
                        FileContent::Jinja { asset, .. } => Some(asset),
                        FileContent::Text(_) => None,
                    }));
                }
                Action::Run { .. }
                | Action::Shell { .. }
                | Action::Upload { from: UploadFrom::File(_), .. }
                | Action::PatchFile { .. }
                | Action::Download(_)
                | Action::Copy(_)
                | Action::Reboot { .. }
                | Action::Facts
                | Action::Restore
                | Action::Assert { .. }
                | Action::Local { .. }
                | Action::Http(_)
                | Action::Notify(_)
                | Action::Record(_)
                | Action::Forget(_)
                | Action::Wait { .. }
                | Action::Gate { .. } => {}
            }
        }
        assets
    }

    /// The names of roles in it, to be changed.
    pub(crate) fn roles_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let named: Vec<&mut String> = match &mut self.action {
            Action::Copy(copy) => vec![&mut copy.from_role],
            Action::Record(record) => record.members.iter_mut().map(|recorded| &mut recorded.role).collect(),
            _ => Vec::new(),
        };
        self.role.iter_mut().chain(&mut self.run_at).chain(named)
    }
}

fn change_out(out: &mut Out, by: &mut Change<'_>) {
    match out {
        Out::Stdout { .. }
        | Out::Regex { .. }
        | Out::Json { .. }
        | Out::ExitIs { .. }
        | Out::Status
        | Out::Header { .. } => {}
        Out::File { path, .. } => change_template(path, by),
        Out::Secret(out) => change_out(out, by),
    }
}

fn change_action(action: &mut Action, by: &mut Change<'_>) {
    match action {
        Action::Run { argv: list } | Action::Local { argv: list } | Action::Script { args: list, .. } => {
            list.iter_mut().for_each(|text| change_template(text, by));
        }
        Action::Shell { .. } | Action::Reboot { .. } | Action::Facts | Action::Restore => {}
        Action::Download(DownloadSpec { from, to, mode: _ }) => {
            [from, to].into_iter().for_each(|text| change_template(text, by));
        }
        Action::Copy(CopySpec { from_role: _, from, to, mode: _, owner, group, backup: _ }) => {
            [from, to].into_iter().chain(owner).chain(group).for_each(|text| change_template(text, by));
        }
        Action::Upload { from, to, mode: _ } => {
            match from {
                UploadFrom::File(expr) => change(expr, by),
                UploadFrom::Asset(_) => {}
            }
            change_template(to, by);
        }
        Action::Wait { until, .. } => match until {
            Until::Ssh => {}
            Until::Tcp { port } => change_template(port, by),
            Until::Http { url, status: _, ca } => {
                change_template(url, by);
                change_ca(ca, by);
            }
            Until::Tls { port, name, ca, valid_for_ms: _ } => {
                [port].into_iter().chain(name).for_each(|text| change_template(text, by));
                change_ca(ca, by);
            }
            Until::Command { argv } => argv.iter_mut().for_each(|text| change_template(text, by)),
        },
        Action::Gate { text, .. } => change_template(text, by),
        Action::Assert { condition, text } => {
            change(condition, by);
            change_template(text, by);
        }
        Action::Http(Request { method: _, url, headers, body, status: _, follow: _, ca }) => {
            [url]
                .into_iter()
                .chain(headers.iter_mut().map(|(_, value)| value))
                .for_each(|text| change_template(text, by));
            match body {
                Some(Body::Text(text)) => change_template(text, by),
                Some(Body::Json(datum)) => change_datum(datum, by),
                None => {}
            }
            change_ca(ca, by);
        }
        Action::Notify(Notice { text, subject, to }) => {
            [text].into_iter().chain(subject).for_each(|text| change_template(text, by));
            change_recipient(to, by);
        }
        Action::Record(RecordSpec { of, kind, members: _, values }) => {
            let values = values.iter_mut().map(|(_, value)| value);
            [of.name_mut()].into_iter().chain(kind).chain(values).for_each(|text| change_template(text, by));
        }
        Action::Forget(of) => change_template(of.name_mut(), by),
        Action::WriteFiles { files } => files.iter_mut().for_each(|file| change_file(file, by)),
        Action::PatchFile { path, patch, .. } => {
            change_template(path, by);
            match patch {
                Patch::Json { merge } | Patch::Toml { merge } | Patch::Yaml { merge } => {
                    merge.iter_mut().for_each(|(_, datum)| change_datum(datum, by));
                }
                Patch::Lines { ensure, absent, replace } => {
                    let lines = ensure.iter_mut().chain(absent).chain(replace.iter_mut().map(|line| &mut line.with));
                    lines.for_each(|line| change_template(line, by));
                }
            }
        }
    }
}

fn change_recipient(to: &mut Recipient, by: &mut Change<'_>) {
    match to {
        Recipient::Webhook { url, key, headers, ca } => {
            let headers = headers.iter_mut().map(|(_, value)| value);
            [url].into_iter().chain(key).chain(headers).for_each(|text| change_template(text, by));
            change_ca(ca, by);
        }
        Recipient::Command { argv } => argv.iter_mut().for_each(|text| change_template(text, by)),
        Recipient::Mail(mail) => {
            let Mail { server, from, to, user, password, tls: _, ca } = &mut **mail;
            let texts = [server, from].into_iter().chain(to).chain(user).chain(password);
            texts.for_each(|text| change_template(text, by));
            change_ca(ca, by);
        }
    }
}

fn change_ca(ca: &mut Option<Ca>, by: &mut Change<'_>) {
    match ca {
        Some(Ca::File(expr) | Ca::Text(expr)) => change(expr, by),
        Some(Ca::Asset(_)) | None => {}
    }
}

fn change_file(file: &mut FileSpec, by: &mut Change<'_>) {
    let FileSpec { to, content, mode: _, owner, group, backup: _ } = file;
    [to].into_iter().chain(owner).chain(group).for_each(|text| change_template(text, by));
    match content {
        FileContent::Text(text) => change_template(text, by),
        FileContent::Jinja { vars, .. } => vars.iter_mut().for_each(|(_, datum)| change_datum(datum, by)),
    }
}

fn change_datum(datum: &mut Datum, by: &mut Change<'_>) {
    match datum {
        Datum::Null | Datum::Bool(_) | Datum::Int(_) | Datum::Float(_) => {}
        Datum::Text(text) => change_template(text, by),
        Datum::Value { expr, .. } => change(expr, by),
        Datum::List(list) => list.iter_mut().for_each(|datum| change_datum(datum, by)),
        Datum::Map(map) => map.iter_mut().for_each(|(_, datum)| change_datum(datum, by)),
    }
}
