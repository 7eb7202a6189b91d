//! Names: inputs, outputs of steps, roles, the host, the operation.

use super::{Place, Shape, Typed, Typing};
use crate::code::Code;
use crate::declared::{CallDecl, InputDecl, OutDecl, RoleKind};
use crate::diagnostic::Diagnostic;
use crate::expr::{Expr, HostProperty, InstanceProperty};
use crate::expression::{Syntax, SyntaxKind};
use crate::host_facts;
use crate::plan::OnState;
use crate::source::{Spanned, list_names, quote, there_are};
use crate::types::Type;

const ROOTS: [&str; 8] = ["inputs", "let", "steps", "roles", "host", "each", "operation", "instance"];
/// What `steps.s.state` can be.
const STATES: [&str; 4] = ["succeeded", "skipped", "failed", "not_reached"];
/// What `operation.state` can be.
const ENDS: [&str; 4] = ["succeeded", "failed", "cancelled", "rolled_back"];

/// What a host has.
const PROPERTIES: [&str; 4] = ["name", "address", "labels", "facts"];

type Name<'a> = Spanned<&'a str>;

impl Typing<'_> {
    /// A name, or a field of something.
    pub(super) fn reference(&mut self, syntax: &Syntax) -> Typed {
        let Some(path) = syntax.path() else {
            return match &syntax.kind {
                SyntaxKind::Field(base, name) => {
                    let base = self.expr(base);
                    self.field(base, &Spanned::new(name.value.as_str(), name.span.clone()))
                }
                _ => Typed::unknown(),
            };
        };
        let (root, rest) = (&path[0], &path[1..]);
        match root.value {
            "inputs" => self.input(root, rest),
            "let" => self.named(root, rest),
            "steps" => self.step(root, rest),
            "roles" => self.role(root, rest),
            "host" => self.host(root, rest),
            "each" => self.each(root, rest),
            "operation" => self.operation(root, rest),
            "instance" => self.instance(root, rest),
            _ => {
                let nearest = self.sink.nearest(root.value, ROOTS);
                let message = format!("there is nothing called {}", quote(root.value));
                let mut diagnostic =
                    Diagnostic::error(Code::UnknownReference, message).at(&root.span, "not known here");
                if self.declared.inputs.get(root.value).is_some() {
                    diagnostic = diagnostic.help(format!("an input is called so: `inputs.{}`", root.value));
                } else if self.declared.lets.get(root.value).is_some() {
                    diagnostic = diagnostic.help(format!("a named value is called so: `let.{}`", root.value));
                } else if let Some(nearest) = nearest {
                    diagnostic = diagnostic.help(format!("did you mean `{nearest}`?"));
                } else {
                    diagnostic = diagnostic
                        .help(format!("names begin with {}; texts stand in single quotes", list_names(ROOTS)));
                }
                self.sink.push(diagnostic);
                Typed::unknown()
            }
        }
    }

    fn unknown_name(&mut self, name: &Name, what: &str, known: &[&str]) -> Typed {
        let nearest = self.sink.nearest(name.value, known.iter().copied()).map(str::to_owned);
        let message = format!("{what} {}", quote(name.value));
        let diagnostic = Diagnostic::error(Code::UnknownReference, message).at(&name.span, "not known");
        self.sink.push(match nearest {
            Some(nearest) => diagnostic.help(format!("did you mean `{nearest}`?")),
            None if known.is_empty() => diagnostic,
            None => diagnostic.help(there_are(known)),
        });
        Typed::unknown()
    }

    /// A root that stands alone, or with too few names behind it.
    fn incomplete(&mut self, root: &Name, example: &str) -> Typed {
        let message = format!("`{}` alone is no value", root.value);
        let diagnostic = Diagnostic::error(Code::UnknownReference, message).at(&root.span, "something must follow");
        self.sink.push(diagnostic.help(format!("it is written such as `{example}`")));
        Typed::unknown()
    }

    /// The fields behind a value, one after the other; `path` is the value's own.
    fn fields(&mut self, mut typed: Typed, mut path: String, rest: &[Name]) -> Typed {
        for name in rest {
            typed = self.field(typed, name);
            path = format!("{path}.{}", name.value);
            typed = self.narrow(typed, &path);
        }
        typed
    }

    /// What is known of the value at a path here.
    fn narrow(&self, typed: Typed, path: &str) -> Typed {
        let narrowed = typed.optional && self.facts.iter().any(|fact| fact == path);
        Typed { optional: typed.optional && !narrowed, narrowed, ..typed }
    }

    /// `base.name`
    fn field(&mut self, base: Typed, name: &Name) -> Typed {
        let fields = match &base.shape {
            Shape::Of(Type::Record(fields)) => fields,
            Shape::Unknown => return Typed::unknown(),
            _ => {
                let message = format!("{} has no fields", base.show());
                let help = matches!(base.shape, Shape::Of(Type::Map(_)))
                    .then(|| format!("an entry of a map is read by its key: `['{}']`", name.value));
                let diagnostic = Diagnostic::error(Code::TypeMismatch, message).at(&name.span, "not a record");
                self.sink.push(diagnostic.helps(help));
                return Typed::unknown();
            }
        };
        let Some(field) = fields.get(name.value) else {
            let known: Vec<&str> = fields.keys().map(String::as_str).collect();
            return self.unknown_name(name, "the record has no field", &known);
        };
        Typed {
            expr: Expr::Field(Box::new(base.expr), name.value.to_owned()),
            shape: Shape::Of(field.ty.clone()),
            optional: base.optional || field.optional,
            narrowed: false,
            presence: base.presence,
            sealed: base.sealed || field.secret,
            secret: base.secret.or_else(|| field.secret.then(|| name.span.clone())),
        }
    }

    fn input(&mut self, root: &Name, rest: &[Name]) -> Typed {
        let Some((name, fields)) = rest.split_first() else { return self.incomplete(root, "inputs.port") };
        let Some(input) = self.declared.inputs.get(name.value) else {
            let known: Vec<&str> = self.declared.inputs.iter().map(|input| input.name.value.as_str()).collect();
            return self.unknown_name(name, "there is no input", &known);
        };
        self.used.inputs.insert(name.value.to_owned());
        let Some(field) = input.field() else { return Typed::unknown() };
        let path = format!("inputs.{}", name.value);
        let typed = Typed {
            expr: Expr::Input(name.value.to_owned()),
            shape: Shape::Of(field.ty),
            optional: field.optional,
            narrowed: false,
            presence: None,
            sealed: field.secret,
            secret: field.secret.then(|| input.name.span.clone()),
        };
        let typed = self.narrow(typed, &path);
        let typed = self.fields(typed, path, fields);
        let secret = declared_secret(input, fields);
        Typed { secret: secret.or(typed.secret.clone()), ..typed }
    }

    /// `let.name`: what its expression would give here.
    fn named(&mut self, root: &Name, rest: &[Name]) -> Typed {
        let Some((name, fields)) = rest.split_first() else { return self.incomplete(root, "let.server") };
        let declared = self.declared;
        let Some(decl) = declared.lets.get(name.value) else {
            let known: Vec<&str> = declared.lets.iter().map(|decl| decl.name.value.as_str()).collect();
            return self.unknown_name(name, "there is no named value", &known);
        };
        self.used.lets.insert(name.value.to_owned());
        let Some(syntax) = &decl.syntax else { return Typed::unknown() };
        let place = root.span.start..name.span.end;
        if !self.has_room_for(decl, fields.len(), &place) {
            return Typed::unknown();
        }
        let outermost = self.sink.enter(&place);
        let typed = self.expr(syntax);
        self.sink.leave(outermost);
        let path = format!("let.{}", name.value);
        let typed = self.narrow(typed, &path);
        self.fields(typed, path, fields)
    }

    fn step(&mut self, root: &Name, rest: &[Name]) -> Typed {
        let example = "steps.build.out.image";
        let [name, what, rest @ ..] = rest else { return self.incomplete(root, example) };
        let Some(index) = self.declared.step_ids.get(name.value).copied() else {
            return self.unknown_step(name);
        };
        if !self.step_is_readable(name, index) || self.declared.steps[index].broken {
            return Typed::unknown();
        }
        let declared = self.declared;
        let (step, position) = (&declared.steps[index], self.position[index]);
        if let Some(call) = &step.call {
            return self.call_output(call, index, name, what, rest);
        }
        let several = self.reads_several(index);
        match (what.value, rest) {
            ("state" | "changed", rest) => {
                let (expr, ty) = match what.value {
                    "changed" => (Expr::StepChanged(position), Type::Bool),
                    _ => (Expr::StepState(position), Type::Choice(STATES.map(str::to_owned).into())),
                };
                let ty = if several { Type::Map(Box::new(ty)) } else { ty };
                self.fields(Typed::new(expr, ty), String::new(), rest)
            }
            ("out", [out, rest @ ..]) => {
                let Some((declared_name, value)) = step.out.iter().find(|(name, _)| name.value == out.value) else {
                    let known: Vec<&str> = step.out.iter().map(|(name, _)| name.value.as_str()).collect();
                    return self.unknown_name(out, &format!("step `{}` puts out no", name.value), &known);
                };
                let Some(OutDecl { ty, secret, .. }) = value else { return Typed::unknown() };
                let secret = secret.then(|| declared_name.span.clone());
                let path = format!("steps.{}.out.{}", name.value, out.value);
                let expr = Expr::Out { step: position, name: out.value.to_owned() };
                let typed = if several {
                    Typed { secret, ..Typed::new(expr, Type::Map(Box::new(ty.clone()))) }
                } else {
                    let optional = self.may_be_absent(index);
                    let typed = Typed { optional, sealed: secret.is_some(), secret, ..Typed::new(expr, ty.clone()) };
                    self.narrow(typed, &path)
                };
                self.fields(typed, path, rest)
            }
            ("out", []) => self.incomplete(root, example),
            _ => self.unknown_name(what, "a step has no", &["out", "state", "changed"]),
        }
    }

    /// `steps.CALL.out.NAME`: an output of the workflow that is called, which is a text.
    fn call_output(&mut self, call: &CallDecl, index: usize, name: &Name, what: &Name, rest: &[Name]) -> Typed {
        let (position, title) = (self.position[index], self.declared.steps[index].title());
        let Some(callee) = &call.callee else { return Typed::unknown() };
        let ("out", [out, rest @ ..]) = (what.value, rest) else {
            let message = format!("{title} has no {}, only outputs", quote(what.value));
            let diagnostic = Diagnostic::error(Code::UnknownReference, message).at(&what.span, "of a call only `out`");
            self.sink.push(diagnostic.help(format!("it is written `steps.{}.out.name`", name.value)));
            return Typed::unknown();
        };
        if !callee.whole.outputs.contains_key(out.value) {
            let known: Vec<&str> = callee.whole.outputs.keys().map(String::as_str).collect();
            return self.unknown_name(out, &format!("workflow `{}` has no output", callee.name()), &known);
        }
        if self.declared.steps[index].has_each {
            let message = format!("the outputs of {title} are not one value");
            self.error(Code::NotOneHost, message, &name.span, "runs for several elements");
            return Typed::unknown();
        }
        let path = format!("steps.{}.out.{}", name.value, out.value);
        let expr = Expr::Out { step: position, name: out.value.to_owned() };
        let typed = Typed { optional: self.may_be_absent(index), ..Typed::new(expr, Type::Text) };
        let typed = self.narrow(typed, &path);
        self.fields(typed, path, rest)
    }

    /// Whether the output of a step may be absent where it is read here.
    fn may_be_absent(&self, index: usize) -> bool {
        let step = &self.declared.steps[index];
        let filtered = self.declared.is_filtered(step.role()) && !step.is_facts();
        let (Place::Step { index: this, .. } | Place::Each { index: this } | Place::Call { index: this }) = self.place
        else {
            return step.may_be_skipped || step.group_may_be_skipped || filtered;
        };
        let reader = &self.declared.steps[this];
        let other_end = match (reader.finally, step.finally) {
            // It may have failed, or never have begun.
            (Some(_), None) => true,
            (Some(reader), Some(read)) => read != OnState::Always && read != reader,
            (None, _) => false,
        };
        // Where the condition of their group is false, the reader is skipped too.
        let with_group = step.group_may_be_skipped && step.group != reader.group;
        // On the same host the `where` of the role is false for the reader too; the list of an `each` is computed before.
        let with_role = filtered && (step.role() != reader.role() || matches!(self.place, Place::Each { .. }));
        let may_fail = self.declared.accepts_failure(this, index);
        this == index || step.may_be_skipped || with_group || with_role || other_end || may_fail
    }

    fn unknown_step(&mut self, name: &Name) -> Typed {
        if self.declared.has_unread_steps {
            return Typed::unknown();
        }
        if let Some(group) = self.declared.group_ids.get(name.value) {
            let first = self.declared.groups[*group].steps.first().map(|step| &self.declared.steps[*step]);
            let message = format!("{} is a group, and only steps have outputs and states", quote(name.value));
            let diagnostic = Diagnostic::error(Code::UnknownReference, message).at(&name.span, "not a step");
            let first = first.and_then(|step| step.id.as_ref());
            self.sink
                .push(diagnostic.helps(first.map(|id| format!("name a step of it, such as `steps.{}`", id.value))));
            return Typed::unknown();
        }
        let mut known: Vec<&str> = self.declared.step_ids.keys().map(String::as_str).collect();
        known.sort_unstable();
        self.unknown_name(name, "there is no step", &known)
    }

    /// Whether a step can be read from here; if not, that is reported.
    fn step_is_readable(&mut self, name: &Name, index: usize) -> bool {
        if self.declared.steps[index].finally.is_some() && !self.is_final() && self.place != Place::Fixed {
            let message = format!("step {} stands in `finally`, which is not over yet", quote(name.value));
            let diagnostic = Diagnostic::error(Code::NotHere, message).at(&name.span, "not known here");
            self.sink.push(diagnostic.help("only other steps of `finally` can read it"));
            return false;
        }
        match self.place {
            Place::Step { index: this, undo: false } | Place::Each { index: this } | Place::Call { index: this }
                if this == index =>
            {
                let message = "a step cannot read itself";
                self.error(Code::NotHere, message, &name.span, "known only when it has ended, in `undo`");
                false
            }
            Place::Fixed => {
                self.fixed_only(name);
                false
            }
            Place::Role { .. } => {
                self.per_host_only(name);
                false
            }
            Place::Step { .. } | Place::Each { .. } | Place::Call { .. } | Place::Output => true,
        }
    }

    fn per_host_only(&mut self, name: &Name) {
        let message = "this is asked of each host by itself, before any step runs on it";
        let diagnostic = Diagnostic::error(Code::NotHere, message).at(&name.span, "not known then");
        self.sink.push(diagnostic.help("inputs and the `host` can be named here: its name, address, labels and facts"));
    }

    fn fixed_only(&mut self, name: &Name) {
        let message = "this value is fixed before the operation begins";
        let diagnostic = Diagnostic::error(Code::NotHere, message).at(&name.span, "not known then");
        self.sink.push(diagnostic.help("only inputs can be named here"));
    }

    /// Whether reading a step from here gives a value for each of its nodes: it has an `each`, or runs on a role of several
    /// hosts, and its nodes are not matched one to one with those of the reader.
    fn reads_several(&self, index: usize) -> bool {
        if let Place::Step { index: this, .. } = self.place
            && self.declared.is_keyed(this, index)
        {
            return false;
        }
        let step = &self.declared.steps[index];
        let kind = step.role().and_then(|role| self.declared.role_kind(role));
        step.has_each || !matches!(kind, Some(RoleKind::One) | None)
    }

    fn each(&mut self, root: &Name, rest: &[Name]) -> Typed {
        if self.place == Place::Fixed {
            self.fixed_only(root);
            return Typed::unknown();
        }
        let Some(element) = self.each.clone() else {
            let message = match self.place {
                Place::Each { .. } => "`each` is the element of this list, which is not known yet",
                _ => "there is no `each` here",
            };
            let diagnostic = Diagnostic::error(Code::NotHere, message).at(&root.span, "which element?");
            let help =
                "a step with `each: \"inputs.names\"` has one node for each element, and `each` is that element in it";
            self.sink.push(diagnostic.help(help));
            return Typed::unknown();
        };
        self.fields(element, "each".to_owned(), rest)
    }

    fn role(&mut self, root: &Name, rest: &[Name]) -> Typed {
        let example = "roles.registry.address";
        let [name, rest @ ..] = rest else { return self.incomplete(root, example) };
        let Some(role) = self.declared.roles.get(name.value) else {
            let known: Vec<&str> = self.declared.roles.iter().map(|role| role.name.value.as_str()).collect();
            return self.unknown_name(name, "there is no role", &known);
        };
        self.used.roles.insert(name.value.to_owned());
        if !self.is_of_an_operation(root) {
            return Typed::unknown();
        }
        match role.kind {
            Some(RoleKind::One) => {}
            None => return Typed::unknown(),
            Some(RoleKind::Optional | RoleKind::Many { .. }) => {
                let diagnostic =
                    Diagnostic::error(Code::NotOneHost, format!("role {} is not one host", quote(name.value)))
                        .at(&name.span, "may have none or several")
                        .at(&role.name.span, "declared here");
                self.sink
                    .push(diagnostic.help("in a step that runs on it, `host.address` is the address of its own host"));
                return Typed::unknown();
            }
        }
        let [property, rest @ ..] = rest else { return self.incomplete(root, example) };
        if property.value == host_facts::OUT {
            return self.facts(name.value, format!("roles.{}.{}", name.value, host_facts::OUT), rest);
        }
        let Some((of, ty)) = host_property(property.value) else {
            return self.unknown_name(property, "a role has no", &PROPERTIES);
        };
        self.fields(Typed::new(Expr::Role { role: name.value.to_owned(), property: of }, ty), String::new(), rest)
    }

    fn host(&mut self, root: &Name, rest: &[Name]) -> Typed {
        let no_host = |message: &str, help: &str| {
            Diagnostic::error(Code::NotHere, message).at(&root.span, "which host?").help(help)
        };
        let name_the_role = "name the role, which must be `One`: `roles.registry.address`";
        match self.place {
            Place::Step { index, .. } if self.declared.steps[index].is_gate() => {
                self.sink.push(no_host("a gate runs on no host", name_the_role));
                return Typed::unknown();
            }
            Place::Step { index, .. } if self.declared.steps[index].is_hostless() => {
                let help = "say which hosts the step is about, `on: \"role\"`, or name a role that is `One`: `roles.registry.address`";
                self.sink.push(no_host("a step without `on` is about no host", help));
                return Typed::unknown();
            }
            Place::Each { .. } => {
                let message = "the list of `each` is known before any of its nodes is on a host";
                self.sink.push(no_host(message, name_the_role));
                return Typed::unknown();
            }
            Place::Call { .. } => {
                self.sink.push(no_host("a call runs on no host itself", name_the_role));
                return Typed::unknown();
            }
            Place::Step { .. } | Place::Role { .. } => {}
            Place::Fixed => {
                self.fixed_only(root);
                return Typed::unknown();
            }
            Place::Output => {
                self.sink.push(no_host("an output belongs to no host", name_the_role));
                return Typed::unknown();
            }
        }
        let [property, rest @ ..] = rest else { return self.incomplete(root, "host.address") };
        if property.value == host_facts::OUT {
            let role = match self.place {
                Place::Step { index, .. } => self.declared.steps[index].role(),
                Place::Role { index } => Some(self.declared.roles.at(index).name.value.as_str()),
                Place::Each { .. } | Place::Call { .. } | Place::Output | Place::Fixed => None,
            };
            return self.facts(role.unwrap_or_default(), format!("host.{}", host_facts::OUT), rest);
        }
        let Some((of, ty)) = host_property(property.value) else {
            return self.unknown_name(property, "a host has no", &PROPERTIES);
        };
        self.fields(Typed::new(Expr::Host(of), ty), String::new(), rest)
    }

    /// `host.facts`, of the hosts of a role: the output of the step that asks for them. There is none where the role is unknown.
    fn facts(&mut self, role: &str, path: String, rest: &[Name]) -> Typed {
        let Some(index) = self.declared.facts.get(role).copied() else { return Typed::unknown() };
        let expr = Expr::Out { step: self.position[index], name: host_facts::OUT.to_owned() };
        let facts = Typed::new(expr, Type::Record(host_facts::fields()));
        let typed = Typed { optional: self.may_be_absent(index), ..facts };
        let typed = self.narrow(typed, &path);
        self.fields(typed, path, rest)
    }

    /// Whether what is known of one operation may be read here; where it may not, that is said.
    fn is_of_an_operation(&mut self, root: &Name) -> bool {
        match self.place {
            Place::Fixed => self.fixed_only(root),
            Place::Role { .. } => self.per_host_only(root),
            Place::Step { .. } | Place::Each { .. } | Place::Call { .. } | Place::Output => return true,
        }
        false
    }

    fn operation(&mut self, root: &Name, rest: &[Name]) -> Typed {
        if !self.is_of_an_operation(root) {
            return Typed::unknown();
        }
        match rest {
            [] => self.incomplete(root, "operation.id"),
            [id, rest @ ..] if id.value == "id" => {
                self.fields(Typed::new(Expr::OperationId, Type::Text), String::new(), rest)
            }
            [name, rest @ ..] if name.value == "started_at" => {
                self.fields(Typed::new(Expr::OperationStartedAt, Type::Text), String::new(), rest)
            }
            [name, rest @ ..] if ["state", "failure"].contains(&name.value) => {
                if !self.is_final() {
                    let message = format!("`operation.{}` is known only when everything else is over", name.value);
                    let diagnostic = Diagnostic::error(Code::NotHere, message).at(&name.span, "not known yet");
                    self.sink.push(diagnostic.help("only a step of `finally` can read it"));
                    return Typed::unknown();
                }
                let ends = || Type::Choice(ENDS.map(str::to_owned).into());
                let typed = match name.value {
                    "state" => Typed::new(Expr::OperationState, ends()),
                    _ => Typed { optional: true, ..Typed::new(Expr::OperationFailure, Type::Text) },
                };
                let path = format!("operation.{}", name.value);
                let typed = self.narrow(typed, &path);
                self.fields(typed, path, rest)
            }
            [other, ..] => self.unknown_name(other, "an operation has no", &["id", "started_at", "state", "failure"]),
        }
    }
}

/// What `instance` has.
const OF_INSTANCE: [&str; 5] = ["name", "exists", "kind", "values", "members"];

impl Typing<'_> {
    /// `instance`: the one that the workflow is about, as its record was when the operation was created.
    fn instance(&mut self, root: &Name, rest: &[Name]) -> Typed {
        if !self.is_of_an_operation(root) {
            return Typed::unknown();
        }
        let declared = self.declared;
        if declared.instances.len() != 1 {
            let (message, help) = match declared.instances.len() {
                0 if declared.has_instances => return Typed::unknown(),
                0 => (
                    "the workflow is about no instance",
                    "declare which one: `instance: \"${{ inputs.name }}\"`; its lock is taken, too",
                ),
                _ => ("the workflow is about several instances", "`instance` is known where there is exactly one"),
            };
            let diagnostic = Diagnostic::error(Code::NotHere, message).at(&root.span, "which instance?");
            self.sink.push(diagnostic.help(help));
            return Typed::unknown();
        }
        let Some((name, rest)) = rest.split_first() else { return self.incomplete(root, "instance.values['server']") };
        let text = || Type::Map(Box::new(Type::Text));
        let (property, ty, optional) = match name.value {
            "name" => (InstanceProperty::Name, Type::Text, false),
            "exists" => (InstanceProperty::Exists, Type::Bool, false),
            "kind" => (InstanceProperty::Kind, Type::Text, true),
            "values" => (InstanceProperty::Values, text(), false),
            "members" => {
                let slots = Type::List(Box::new(Type::Text));
                (InstanceProperty::Members, Type::Map(Box::new(slots)), false)
            }
            _ => return self.unknown_name(name, "an instance has no", &OF_INSTANCE),
        };
        let path = format!("instance.{}", name.value);
        let typed = Typed { optional, ..Typed::new(Expr::Instance { of: 0, property }, ty) };
        let typed = self.narrow(typed, &path);
        self.fields(typed, path, rest)
    }
}

fn host_property(name: &str) -> Option<(HostProperty, Type)> {
    match name {
        "name" => Some((HostProperty::Name, Type::Text)),
        "address" => Some((HostProperty::Address, Type::Address)),
        "labels" => Some((HostProperty::Labels, Type::Map(Box::new(Type::Text)))),
        _ => None,
    }
}

/// Where the field that a path leads to is declared secret, if it is.
fn declared_secret(input: &InputDecl, rest: &[Name]) -> Option<std::ops::Range<usize>> {
    let mut at = input;
    for name in rest {
        at = at.fields().iter().find(|field| field.name.value == name.value)?;
    }
    at.secret.then(|| at.name.span.clone())
}
