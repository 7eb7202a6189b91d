//! The invariants of a plan, for one that comes from outside: a store, another version.

use std::collections::HashSet;

use crate::expr::{Expr, Part, Template};
use crate::json;
use crate::plan::{
    Action, Body, Ca, CopySpec, Datum, DownloadSpec, Edge, EdgeKind, FileContent, FileSpec, OnFailure, Out, Patch,
    Plan, Recipient, RecordOf, RecordSpec, Step, Until, UploadFrom,
};
use crate::types::Type;

/// Where an expression stands, which decides what it can read.
#[derive(Clone, Copy)]
enum Reader<'p> {
    Step(usize, &'p Step),
    /// The `each` of a step, which is computed once for all of its nodes.
    Each(&'p Step),
    /// What is asked of each host of a role.
    Role(&'p str),
    Output,
    /// What is known before the operation begins.
    Fixed,
}

impl Plan {
    /// Whether the plan's invariants hold; if not, which one does not.
    pub fn validate(&self) -> Result<(), String> {
        let mut ids = HashSet::new();
        let mut finally = false;
        for (index, step) in self.steps.iter().enumerate() {
            let wrong = |what: String| format!("step {index} (`{}`) {what}", step.id);
            if !ids.insert(step.id.as_str()) {
                return Err(wrong("has the id of another".to_owned()));
            }
            if finally && step.finally.is_none() {
                return Err(wrong("stands behind a step of `finally`, but not in it".to_owned()));
            }
            finally = step.finally.is_some();
            self.validate_step(index, step).map_err(wrong)?;
        }
        self.validate_groups()?;
        for (name, template) in &self.outputs {
            self.public(template, Reader::Output).map_err(|what| format!("the output `{name}` {what}"))?;
        }
        for (what, names) in [("a lock", &self.locks), ("an instance", &self.instances)] {
            for name in names {
                self.public(name, Reader::Fixed).map_err(|wrong| format!("the name of {what} {wrong}"))?;
            }
        }
        for (name, hosts) in &self.left_out {
            let Some(role) = self.roles.get(name) else {
                return Err(format!("hosts of an unknown role, `{name}`, are left out"));
            };
            if let Some(host) = hosts.iter().find(|host| role.slots.contains(host)) {
                return Err(format!("`{host}` both fills the role `{name}` and is left out of it"));
            }
        }
        if self.deadline_ms == Some(0) {
            return Err("the deadline is over before the operation begins".to_owned());
        }
        Ok(())
    }

    fn validate_step(&self, index: usize, step: &Step) -> Result<(), String> {
        let wrong = |what: &str| Err(what.to_owned());
        if step.role.as_ref().is_some_and(|role| !self.roles.contains_key(role)) {
            return wrong("runs on an unknown role");
        }
        let is_gate = matches!(step.action, Action::Gate { .. });
        self.validate_record(step)?;
        if is_gate && (step.role.is_some() || step.probe.is_some() || step.undo.is_some() || step.each.is_some()) {
            return wrong("is a gate with a role, a probe, an undo or an `each`");
        }
        let from_here =
            |action: &Action| action.is_from_here() || *action == Action::Restore && step.action.is_record();
        if step.role.is_none() && !is_gate && !step.actions().all(from_here) {
            return wrong("does something on a host, and has none");
        }
        if step.role.is_none() && step.group.is_some() {
            return wrong("is in a group, but on no host");
        }
        let programs = step.probe.iter().map(|probe| &probe.action).chain(&step.undo);
        if programs.into_iter().any(|action| !action.is_program()) {
            return wrong("has a probe or an undo that is no program");
        }
        if step.needs.iter().any(|edge| edge.step >= index) {
            return wrong("waits for a step that does not stand before it");
        }
        if step.needs.iter().any(|edge| !self.is_possible(edge, step)) {
            return wrong("waits host by host for a step on another role, or with another `each`");
        }
        if step.finally.is_some() && step.needs.iter().any(|edge| self.steps[edge.step].finally.is_none()) {
            return wrong("stands in `finally` and waits for a step outside of it");
        }
        if step.finally.is_some() && (step.undo.is_some() || step.group.is_some()) {
            return wrong("stands in `finally` with an undo or a group");
        }
        if step.finally.is_some() && step.on_failure != OnFailure::Continue {
            return wrong("stands in `finally` and stops it by its failure");
        }
        if step.probe.iter().map(|probe| &probe.action).chain([&step.action]).any(|action| *action == Action::Restore) {
            return wrong("restores otherwise than as an undo");
        }
        if step.undo == Some(Action::Restore) && !step.action.keeps_backup() {
            return wrong("restores what it does not keep");
        }
        let plain = step.probe.is_none() && step.undo.is_none() && step.each.is_none() && step.group.is_none();
        if step.action == Action::Facts && (!plain || step.finally.is_some()) {
            return wrong("asks for facts and does something else");
        }
        if let Action::WriteFiles { files } = &step.action
            && (files.is_empty() || files.iter().any(|file| file.mode.is_some_and(|mode| mode > 0o7777)))
        {
            return wrong("writes no file, or one with impossible permissions");
        }
        let one = |role: &String| self.roles.get(role).is_some_and(|role| role.one && !role.slots.is_empty());
        if step.run_at.as_ref().is_some_and(|role| step.role.is_none() || !one(role)) {
            return wrong("runs at a role that is not one host, or runs on none itself");
        }
        if !(0.0..=1.0).contains(&step.retry.jitter) {
            return wrong("has an impossible retry");
        }
        if let Action::Copy(copy) = &step.action
            && !self.roles.get(&copy.from_role).is_some_and(|role| role.one)
        {
            return wrong("copies from a role that is not one host");
        }
        if let Action::Copy(CopySpec { mode, .. }) | Action::Download(DownloadSpec { mode, .. }) = &step.action
            && mode.is_some_and(|mode| mode > 0o7777)
        {
            return wrong("writes a file with impossible permissions");
        }
        if step.retry.times == 0 || !step.retry.factor.is_finite() || step.retry.factor < 1.0 {
            return wrong("has an impossible retry");
        }
        if step.ok_exit.iter().any(|code| !(0..=255).contains(code)) {
            return wrong("counts as success what is no exit code");
        }
        for (name, out) in &step.out {
            validate_out(out).map_err(|what| format!("has an output `{name}` that {what}"))?;
        }
        if step.idle_timeout_ms == Some(0) {
            return wrong("may not even begin before it is idle for too long");
        }
        if step.parallel == Some(0) {
            return wrong("may run nowhere");
        }
        if let Some(each) = &step.each {
            if step.role.as_ref().is_some_and(|role| !self.roles.get(role).is_some_and(|role| role.one)) {
                return wrong("has an `each`, but its role is not one host");
            }
            walk(each, &mut |expr| self.validate_expr(expr, Reader::Each(step)))?;
        }
        step.exprs(&mut |expr| self.validate_expr(expr, Reader::Step(index, step)))?;
        match step.assets().find(|asset| !self.assets.contains_key(*asset)) {
            Some(_) => wrong("names an unknown file"),
            None => Ok(()),
        }
    }

    fn validate_record(&self, step: &Step) -> Result<(), String> {
        let wrong = |what: &str| Err(what.to_owned());
        let of = match &step.action {
            Action::Record(spec) => {
                let instance = matches!(spec.of, RecordOf::Instance(_));
                if spec.kind.is_some() != instance || !instance && !spec.members.is_empty() {
                    return wrong("records what its kind of record does not have");
                }
                if spec.members.iter().any(|recorded| !self.roles.contains_key(&recorded.role)) {
                    return wrong("records members of an unknown role");
                }
                &spec.of
            }
            Action::Forget(of) => of,
            _ => return Ok(()),
        };
        if step.role.is_some() != matches!(of, RecordOf::Wiring(_)) {
            return wrong("records an instance for each of several hosts, or a wiring of no host");
        }
        if step.probe.is_some() || step.each.is_some() && step.role.is_some() {
            return wrong("records something and has a probe, or several nodes on one host");
        }
        Ok(())
    }

    fn is_possible(&self, edge: &Edge, step: &Step) -> bool {
        let other = &self.steps[edge.step];
        match edge.kind {
            EdgeKind::Keyed => {
                (step.role.is_some() || step.each.is_some()) && other.role == step.role && other.each == step.each
            }
            EdgeKind::Barrier => true,
        }
    }

    fn validate_groups(&self) -> Result<(), String> {
        let mut ids = HashSet::new();
        for (index, step) in self.steps.iter().enumerate() {
            let wrong = |what: &str| Err(format!("step {index} (`{}`) {what}", step.id));
            let Some(group) = step.group else { continue };
            let Some(group) = self.groups.get(group) else { return wrong("is in an unknown group") };
            if step.role.as_ref() != Some(&group.role) {
                return wrong("runs on another role than its group");
            }
            if step.each.is_some() {
                return wrong("is in a group and has an `each`");
            }
            if group.gate.is_some_and(|gate| gate >= index) {
                return wrong("stands before the gate of its group");
            }
        }
        for group in &self.groups {
            let wrong = |what: &str| Err(format!("the group `{}` {what}", group.id));
            if !ids.insert(group.id.as_str()) {
                return wrong("has the id of another");
            }
            if !self.roles.contains_key(&group.role) {
                return wrong("is over an unknown role");
            }
            if group.sizes.contains(&0) || group.stop_after == Some(0) {
                return wrong("lets nobody in");
            }
            for expr in group.filter.iter().chain(&group.by) {
                let walked = walk(expr, &mut |expr| self.validate_expr(expr, Reader::Role(&group.role)));
                walked.map_err(|what| format!("the group `{}` {what}", group.id))?;
            }
            let Some(gate) = group.gate else { continue };
            let waits_for_nothing =
                |step: &Step| step.needs.is_empty() && step.when.is_none() && step.finally.is_none();
            match self.steps.get(gate) {
                Some(step) if matches!(step.action, Action::Gate { .. }) && waits_for_nothing(step) => {}
                _ => return wrong("has a gate that is none"),
            }
            if self.steps.iter().any(|step| step.needs.iter().any(|edge| edge.step == gate)) {
                return wrong("has a gate that a step waits for");
            }
        }
        Ok(())
    }

    fn public(&self, template: &Template, reader: Reader<'_>) -> Result<(), String> {
        if template.secret {
            return Err("is secret".to_owned());
        }
        template_exprs(template, &mut |expr| self.validate_expr(expr, reader))
    }

    fn validate_expr(&self, expr: &Expr, reader: Reader<'_>) -> Result<(), String> {
        let refuse = |what: &str| Err(what.to_owned());
        match (expr, reader) {
            (Expr::Input(name), _) if !self.inputs.contains_key(name) => {
                Err(format!("reads the unknown input `{name}`"))
            }
            (Expr::Role { role, .. }, _) if !self.roles.get(role).is_some_and(|role| role.one) => {
                Err(format!("reads the role `{role}`, which is not one host"))
            }
            (Expr::Out { step: read, .. } | Expr::StepState(read) | Expr::StepChanged(read), reader) => {
                match (self.steps.get(*read), reader) {
                    (None, _) => refuse("reads an unknown step"),
                    // Its own values are there when it is undone.
                    (_, Reader::Step(index, _)) if *read == index => Ok(()),
                    (Some(other), Reader::Step(_, step) | Reader::Each(step)) => {
                        let over = step.finally.is_some() && other.finally.is_none();
                        if over || step.needs.iter().any(|edge| edge.step == *read) {
                            Ok(())
                        } else {
                            refuse("reads a step that it does not wait for")
                        }
                    }
                    (Some(other), Reader::Role(role))
                        if other.action == Action::Facts && other.role.as_deref() == Some(role) =>
                    {
                        Ok(())
                    }
                    (Some(_), Reader::Role(_)) => refuse("reads a step for a host that is not in it yet"),
                    (Some(other), Reader::Output) if other.finally.is_none() => Ok(()),
                    (Some(_), Reader::Output) => refuse("reads a step of `finally`"),
                    (Some(_), Reader::Fixed) => refuse("reads a step, but is known before"),
                }
            }
            (Expr::Everywhere(of), _)
                if !matches!(**of, Expr::Out { .. } | Expr::StepState(_) | Expr::StepChanged(_)) =>
            {
                refuse("reads everywhere what is of no step")
            }
            (Expr::Host(_), Reader::Step(_, step)) if step.role.is_some() => Ok(()),
            (Expr::Host(_), Reader::Role(_)) => Ok(()),
            (Expr::Host(_), _) => refuse("reads a host, but is on none"),
            (Expr::Instance { .. }, Reader::Fixed | Reader::Role(_)) => refuse("reads what is not an input"),
            (Expr::Instance { of, .. }, _) if *of >= self.instances.len() || !self.seen.contains_key(of) => {
                refuse("reads an unknown instance")
            }
            (Expr::Each, Reader::Step(_, step)) if step.each.is_some() => Ok(()),
            (Expr::Each, _) => refuse("reads an element, but is for none"),
            (Expr::OperationState | Expr::OperationFailure, Reader::Step(_, step) | Reader::Each(step))
                if step.finally.is_some() =>
            {
                Ok(())
            }
            (Expr::OperationState | Expr::OperationFailure, _) => refuse("reads how the operation ended"),
            (Expr::OperationId | Expr::OperationStartedAt | Expr::Role { .. }, Reader::Fixed | Reader::Role(_)) => {
                refuse("reads what is not an input")
            }
            _ => Ok(()),
        }
    }
}

fn validate_out(out: &Out) -> Result<(), String> {
    let refuse = |what: &str| Err(what.to_owned());
    match out {
        Out::Stdout { .. } | Out::Regex { .. } | Out::File { .. } | Out::Status | Out::Header { .. } => Ok(()),
        Out::Json { path, .. } => json::check_path(path).map_err(|why| format!("has a wrong path: {why}")),
        Out::ExitIs { true_on, false_on } if true_on.iter().any(|code| false_on.contains(code)) => {
            refuse("is true and false by the same exit code")
        }
        Out::ExitIs { true_on, false_on } => {
            match true_on.iter().chain(false_on).all(|code| (0..=255).contains(code)) {
                true => Ok(()),
                false => refuse("depends on what is no exit code"),
            }
        }
        Out::Secret(way)
            if matches!(**way, Out::Secret(_) | Out::ExitIs { .. } | Out::Status) || way.ty() != Type::Text =>
        {
            refuse("is a secret, but no text")
        }
        Out::Secret(way) => validate_out(way),
    }
}

pub(crate) type Visit<'v> = dyn FnMut(&Expr) -> Result<(), String> + 'v;

impl Step {
    fn actions(&self) -> impl Iterator<Item = &Action> {
        self.probe.iter().map(|probe| &probe.action).chain([&self.action]).chain(&self.undo)
    }

    /// The files of the workflow that the step uses.
    pub fn assets(&self) -> impl Iterator<Item = &str> {
        let written = self.actions().flat_map(Action::files).filter_map(|file| match &file.content {
            FileContent::Jinja { asset, .. } => Some(asset.as_str()),
            FileContent::Text(_) => None,
        });
        let named = self.actions().filter_map(|action| match action {
            Action::Script { asset, .. } | Action::Upload { from: UploadFrom::Asset(asset), .. } => {
                Some(asset.as_str())
            }
            Action::Run { .. }
            | Action::Shell { .. }
            | Action::Upload { .. }
            | Action::WriteFiles { .. }
            | Action::PatchFile { .. }
            | Action::Download(_)
            | Action::Copy(_)
            | Action::Reboot { .. }
            | Action::Assert { .. }
            | Action::Local { .. }
            | Action::Http(_)
            | Action::Notify(_)
            | Action::Record(_)
            | Action::Forget(_)
            | Action::Facts
            | Action::Restore
            | Action::Wait { .. }
            | Action::Gate { .. } => None,
        });
        let trusted = self.actions().filter_map(|action| match action.ca() {
            Some(Ca::Asset(asset)) => Some(asset.as_str()),
            Some(Ca::File(_) | Ca::Text(_)) | None => None,
        });
        named.chain(written).chain(trusted)
    }

    fn exprs(&self, visit: &mut Visit<'_>) -> Result<(), String> {
        self.when.iter().try_for_each(|when| walk(when, visit))?;
        for template in self.env.values().chain(&self.stdin).chain(&self.as_user) {
            template_exprs(template, visit)?;
        }
        let files = self.out.values().filter_map(|out| match out.way() {
            Out::File { path, .. } => Some(path),
            _ => None,
        });
        for name in self.locks.iter().chain(&self.cwd).chain(files) {
            if name.secret {
                return Err("has a secret in the name of a lock, a folder or a file".to_owned());
            }
            template_exprs(name, visit)?;
        }
        for action in self.actions() {
            let seen = action.exprs(visit)?;
            let arguments = seen.arguments.iter().filter(|_| self.allow_secret_args.is_none());
            if arguments.chain(&seen.others).any(|template| template.secret) {
                return Err("puts a secret where it would be seen".to_owned());
            }
            seen.arguments.into_iter().chain(seen.others).try_for_each(|template| template_exprs(template, visit))?;
        }
        Ok(())
    }
}

/// Texts that others can see: arguments and URLs, where a step may allow secrets, and others, where it may not.
#[derive(Default)]
struct Seen<'a> {
    arguments: Vec<&'a Template>,
    others: Vec<&'a Template>,
}

impl Action {
    /// Visits what may hold secrets; gives what may be seen.
    fn exprs(&self, visit: &mut Visit<'_>) -> Result<Seen<'_>, String> {
        let mut seen = Seen::default();
        match self {
            Action::Run { argv: list } | Action::Local { argv: list } | Action::Script { args: list, .. } => {
                seen.arguments.extend(list);
            }
            Action::Shell { .. } | Action::Reboot { .. } | Action::Facts | Action::Restore => {}
            Action::Download(DownloadSpec { from, to, .. }) => seen.others.extend([from, to]),
            Action::Copy(CopySpec { from, to, owner, group, .. }) => {
                seen.others.extend([from, to].into_iter().chain(owner).chain(group));
            }
            Action::Upload { from, to, .. } => {
                if let UploadFrom::File(expr) = from {
                    walk(expr, visit)?;
                }
                seen.others.push(to);
            }
            Action::Wait { until, .. } => match until {
                Until::Ssh => {}
                Until::Tcp { port } => seen.others.push(port),
                Until::Http { url, .. } => seen.arguments.push(url),
                Until::Command { argv } => seen.arguments.extend(argv),
                Until::Tls { port, name, .. } => seen.others.extend([port].into_iter().chain(name)),
            },
            Action::Gate { text, .. } => seen.others.push(text),
            Action::Record(RecordSpec { of, kind, values, .. }) => {
                seen.others.extend([of.name()].into_iter().chain(kind).chain(values.iter().map(|(_, value)| value)));
            }
            Action::Forget(of) => seen.others.push(of.name()),
            Action::WriteFiles { files } => {
                files.iter().try_for_each(|file| content_exprs(&file.content, visit))?;
                for FileSpec { to, owner, group, .. } in files {
                    seen.others.extend([to].into_iter().chain(owner).chain(group));
                }
            }
            Action::PatchFile { path, patch, .. } => {
                if let Patch::Json { merge } | Patch::Toml { merge } | Patch::Yaml { merge } = patch {
                    merge.iter().try_for_each(|(_, datum)| datum_exprs(datum, visit))?;
                }
                patch.lines().try_for_each(|line| template_exprs(line, visit))?;
                seen.others.push(path);
            }
            Action::Assert { condition, text } => {
                walk(condition, visit)?;
                seen.others.push(text);
            }
            Action::Http(request) => {
                request.headers.iter().try_for_each(|(_, value)| template_exprs(value, visit))?;
                match &request.body {
                    Some(Body::Text(text)) => template_exprs(text, visit)?,
                    Some(Body::Json(datum)) => datum_exprs(datum, visit)?,
                    None => {}
                }
                seen.arguments.push(&request.url);
            }
            Action::Notify(notice) => {
                seen.others.extend([&notice.text].into_iter().chain(&notice.subject));
                match &notice.to {
                    Recipient::Webhook { url, key, headers, .. } => {
                        key.iter().try_for_each(|key| template_exprs(key, visit))?;
                        headers.iter().try_for_each(|(_, value)| template_exprs(value, visit))?;
                        seen.arguments.push(url);
                    }
                    Recipient::Command { argv } => seen.arguments.extend(argv),
                    Recipient::Mail(mail) => {
                        mail.user.iter().chain(&mail.password).try_for_each(|text| template_exprs(text, visit))?;
                        seen.others.extend([&mail.server, &mail.from].into_iter().chain(&mail.to));
                    }
                }
            }
        }
        match self.ca() {
            Some(Ca::File(expr) | Ca::Text(expr)) => walk(expr, visit)?,
            Some(Ca::Asset(_)) | None => {}
        }
        Ok(seen)
    }
}

fn content_exprs(content: &FileContent, visit: &mut Visit<'_>) -> Result<(), String> {
    match content {
        FileContent::Text(text) => template_exprs(text, visit),
        FileContent::Jinja { vars, .. } => vars.iter().try_for_each(|(_, datum)| datum_exprs(datum, visit)),
    }
}

/// Its depth is limited by the reader of JSON.
fn datum_exprs(datum: &Datum, visit: &mut Visit<'_>) -> Result<(), String> {
    match datum {
        Datum::Null | Datum::Bool(_) | Datum::Int(_) | Datum::Float(_) => Ok(()),
        Datum::Text(text) => template_exprs(text, visit),
        Datum::Value { expr, .. } => walk(expr, visit),
        Datum::List(list) => list.iter().try_for_each(|datum| datum_exprs(datum, visit)),
        Datum::Map(map) => map.iter().try_for_each(|(_, datum)| datum_exprs(datum, visit)),
    }
}

fn template_exprs(template: &Template, visit: &mut Visit<'_>) -> Result<(), String> {
    template.parts.iter().try_for_each(|part| match part {
        Part::Text(_) => Ok(()),
        Part::Expr(expr) => walk(expr, visit),
    })
}

/// Visits an expression and all in it. Its depth is limited by the reader of JSON.
pub(crate) fn walk(expr: &Expr, visit: &mut Visit<'_>) -> Result<(), String> {
    visit(expr)?;
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
        | Expr::Each => Ok(()),
        Expr::Everywhere(a) | Expr::Field(a, _) | Expr::Unary(_, a) => walk(a, visit),
        Expr::Index(a, b) | Expr::Binary(_, a, b) | Expr::Coalesce(a, b) => {
            [a, b].into_iter().try_for_each(|x| walk(x, visit))
        }
        Expr::If(a, b, c) => [a, b, c].into_iter().try_for_each(|x| walk(x, visit)),
        Expr::Call(_, list) | Expr::List(list) => list.iter().try_for_each(|x| walk(x, visit)),
    }
}
