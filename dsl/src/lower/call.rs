//! Calls: whether what is given to a workflow fits what it takes. It is written out afterwards ([`crate::inline`]).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use super::{Lower, Lowered};
use crate::code::Code;
use crate::declared::{BatchDecl, CallDecl, InputDecl, Need, RoleDecl, RoleKind, StepDecl, WithDecl};
use crate::diagnostic::Diagnostic;
use crate::expr::{Expr, Function, Part, Template};
use crate::expression::{Syntax, TemplateSyntax};
use crate::fixed::Fixed;
use crate::graph::Graph;
use crate::kind::Kind;
use crate::plan::exprs::change;
use crate::plan::{Action, Edge, EdgeKind, RoleSource, Step};
use crate::source::{Files, Spanned, count, quote, sentence, there_are};
use crate::types::Type;
use crate::typing::{Class, Place, Shape, Typed, class, facts};
use crate::value::{FileRef, Value};
use crate::workflow::Workflow;

/// A call, ready to be written out.
#[derive(Debug, Clone)]
pub(crate) struct Called {
    pub(crate) callee: Arc<Workflow>,
    /// What its files are called by in the plan: the name by which it is called.
    pub(crate) label: String,
    pub(crate) when: Option<Expr>,
    /// What its inputs are.
    pub(crate) with: BTreeMap<String, Expr>,
    /// Those of its inputs that are drawn, and so are inputs of the caller.
    pub(crate) drawn: Vec<InputDecl>,
    /// The caller's role for each of its own.
    pub(crate) roles: BTreeMap<String, String>,
    /// Those of its roles that records fill, as roles of the caller.
    pub(crate) own_roles: Vec<RoleDecl>,
    pub(crate) batch: Option<BatchDecl>,
    /// Values that are checked against their inputs when the plan is made, if they can be told then.
    pub(crate) passed: Vec<Passed>,
}

/// A value that is handed on to an input with constraints.
#[derive(Debug, Clone)]
pub(crate) struct Passed {
    pub(crate) input: String,
    pub(crate) kind: Kind,
    pub(crate) expr: Expr,
    pub(crate) at: Range<usize>,
}

/// A value for an input, and whether it reads steps.
struct Given {
    typed: Typed,
    at: Range<usize>,
}

impl Lower<'_> {
    /// A call; its step is a place holder that knows its edges.
    pub(super) fn call(&mut self, step: &StepDecl, call: &CallDecl, index: usize, graph: &Graph) -> Option<Lowered> {
        self.typing.place = Place::Call { index };
        let each = self.each(step, index);
        self.typing.place = Place::Call { index };
        let when = step.when.as_ref().map(|when| {
            let condition = self.typing.condition(when);
            self.typing.facts = facts(when, true, self.typing.declared);
            condition
        });
        let given: Vec<(&Spanned<String>, Option<Given>)> =
            call.with.iter().map(|(name, value)| (name, self.given(name, value, call))).collect();
        let callee = Arc::clone(call.callee.as_ref()?);
        let (id, workflow) = (step.id.as_ref()?, call.workflow.as_ref()?);
        let (roles, own_roles) = self.fill_roles(call, &callee, id);
        let fixed = fixed_inputs(&callee);
        let last = inputs_of_finally(&callee);
        let (mut with, mut drawn, mut passed) = (BTreeMap::new(), Vec::new(), Vec::new());
        for input in callee.inputs.iter() {
            let name = input.name.value.as_str();
            let expr = match given.iter().find(|(given, _)| given.value == *name) {
                Some((_, given)) => {
                    let Some(given) = given else { continue };
                    self.check_when_known(given, name, &callee, fixed.contains(name), last.contains(name));
                    if let Some(kind) = &input.kind {
                        let (kind, expr) = (kind.clone(), given.typed.expr.clone());
                        passed.push(Passed { input: name.to_owned(), kind, expr, at: given.at.clone() });
                    }
                    given.typed.expr.clone()
                }
                None => match (&input.default, input.generate) {
                    (Some(default), _) => Expr::Literal(default.clone()),
                    (None, Some(_)) => {
                        let name = Spanned::new(format!("{}/{name}", id.value), id.span.clone());
                        let expr = Expr::Input(name.value.clone());
                        drawn.push(InputDecl { name, ..input.clone() });
                        expr
                    }
                    (None, None) if input.optional => Expr::Literal(Value::None),
                    (None, None) => {
                        let message = format!("{} takes {}, which is not given", quote(callee.name()), quote(name));
                        let diagnostic =
                            Diagnostic::error(Code::CallMismatch, message).at(&workflow.span, "called here");
                        self.typing.sink.push(diagnostic.help(format!("give it: `with: {{ \"{name}\": \"…\" }}`")));
                        continue;
                    }
                },
            };
            with.insert(name.to_owned(), expr);
        }
        self.check_shape(step, call, &callee, when.as_ref().and_then(Option::as_ref), &roles);
        let mut reads = BTreeSet::new();
        let exprs = with.values().chain(when.iter().flatten()).chain(each.iter().flatten());
        exprs.for_each(|expr| reads.extend(steps_read(expr)));
        let edge = |(other, edge): (&usize, &crate::graph::Edge)| {
            let step = graph.position[*other];
            // Host by host where the steps that wait and are waited for allow it; that is known when they are written out.
            let all = edge.how == Need::All || reads.contains(&step);
            let kind = if all { EdgeKind::Barrier } else { EdgeKind::Keyed };
            Edge { step, kind, origin: edge.origin, settled: edge.how == Need::Settled }
        };
        let place_holder = Step {
            about: step.about.clone(),
            needs: graph.edges[index].iter().map(edge).collect(),
            each: match each {
                Some(each) => Some(each?),
                None => None,
            },
            ..Step::new(id.value.clone(), None, Action::Shell { text: String::new() })
        };
        let called = Called {
            callee,
            label: workflow.value.clone(),
            when: match when {
                Some(when) => Some(when?),
                None => None,
            },
            with,
            drawn,
            roles,
            own_roles,
            batch: call.batch.clone(),
            passed,
        };
        Some(Lowered { call: Some(Box::new(called)), ..Lowered::new(place_holder, id.span.clone()) })
    }

    /// The value for an input, checked against its type.
    fn given(&mut self, name: &Spanned<String>, value: &WithDecl, call: &CallDecl) -> Option<Given> {
        let input = match &call.callee {
            Some(callee) => match callee.inputs.get(&name.value) {
                Some(input) => Some(input.clone()),
                None => {
                    let known: Vec<&str> = callee.inputs.iter().map(|input| input.name.value.as_str()).collect();
                    let nearest = self.typing.sink.nearest(&name.value, known.iter().copied()).map(str::to_owned);
                    let message = format!("{} has no input {}", quote(callee.name()), quote(&name.value));
                    let diagnostic =
                        Diagnostic::error(Code::CallMismatch, message).at(&name.span, "not an input of it");
                    self.typing.sink.push(match nearest {
                        Some(nearest) => diagnostic.help(format!("did you mean `{nearest}`?")),
                        None if known.is_empty() => diagnostic.help("it takes none"),
                        None => diagnostic.help(there_are(&known)),
                    });
                    None
                }
            },
            None => None,
        };
        let what = format!("be the value of {}", quote(&name.value));
        let (typed, at) = match value {
            WithDecl::Word(word) => (self.literal(&word.value, &word.span, name, input.as_ref()?)?, word.span.clone()),
            WithDecl::Text(template) => {
                let typed = match (template.only_expression(), template.literal()) {
                    (Some(syntax), _) => self.passed_on(syntax, input.as_ref())?,
                    (None, Some(text)) => self.literal(&text, &template.span, name, input.as_ref()?)?,
                    (None, None) => self.put_together(template),
                };
                (typed, template.span.clone())
            }
        };
        let input = input?;
        let kind = input.kind.as_ref()?;
        let typed = if input.secret { typed } else { self.typing.public(typed, &at, &what) };
        let Shape::Of(found) = &typed.shape else {
            return matches!(typed.shape, Shape::None).then_some(Given { typed, at });
        };
        // Whatever has a text form can be handed on as a text.
        if kind.ty() == Type::Text
            && matches!(class(found), Class::Whole | Class::Float | Class::Bool | Class::Duration)
            && !typed.optional
        {
            let template = Template { parts: vec![Part::Expr(typed.expr)], secret: false };
            return Some(Given { typed: Typed { expr: text_of(&template), ..typed }, at });
        }
        if !fits(&kind.ty(), found) {
            let message = format!("{} is {}, but {} is needed", quote(&name.value), typed.show(), kind.ty());
            let diagnostic = Diagnostic::error(Code::TypeMismatch, message).at(&at, format!("not {}", kind.ty()));
            self.typing.sink.push(diagnostic);
            return None;
        }
        Some(Given { typed, at })
    }

    /// A value that is written in the call, read as one that is given for the input would be.
    fn literal(&mut self, text: &str, at: &Range<usize>, name: &Spanned<String>, input: &InputDecl) -> Option<Typed> {
        let kind = input.kind.as_ref()?;
        let wrong = match kind {
            _ if input.secret => Err("a secret is not written in a workflow".to_owned()),
            Kind::Record(_) => Err("a record is handed on as a whole: `${{ inputs.… }}`".to_owned()),
            kind => kind.read(text, false, &NoFiles),
        };
        match wrong {
            Ok(value) => Some(Typed::new(Expr::Literal(value), kind.ty())),
            Err(reason) => {
                let message =
                    format!("{} given for {} does not fit: {}", quote(text), quote(&name.value), sentence(&reason));
                let diagnostic =
                    Diagnostic::error(Code::CallMismatch, message).at(at, format!("{} is needed", kind.ty()));
                self.typing.sink.push(match input.secret || matches!(kind, Kind::File | Kind::SecretFile) {
                    true => diagnostic.help("declare an input for it, and write `${{ inputs.name }}`"),
                    false => diagnostic,
                });
                None
            }
        }
    }

    /// `${{ … }}` alone: a value of its own type, which may be absent where the input may.
    fn passed_on(&mut self, syntax: &Syntax, input: Option<&InputDecl>) -> Option<Typed> {
        let typed = match input {
            Some(input) if input.optional => self.typing.expr(syntax),
            _ => self.typing.present(syntax),
        };
        (typed.shape != Shape::Unknown).then_some(typed)
    }

    /// A text with expressions in it: a text.
    fn put_together(&mut self, template: &TemplateSyntax) -> Typed {
        let mut secret = None;
        for syntax in template.expressions() {
            let typed = self.typing.expr(syntax);
            secret = secret.or(typed.secret);
        }
        let template = self.typing.template(template, None);
        Typed { secret, ..Typed::new(text_of(&template), Type::Text) }
    }

    /// Refuses a value that is not known yet when it is needed.
    fn check_when_known(&mut self, given: &Given, name: &str, callee: &Workflow, fixed: bool, last: bool) {
        let (mut reads, mut only_inputs) = (false, true);
        change(&mut given.typed.expr.clone(), &mut |expr| {
            reads |= matches!(expr, Expr::Out { .. } | Expr::StepState(_) | Expr::StepChanged(_));
            only_inputs &= !matches!(
                expr,
                Expr::Out { .. }
                    | Expr::StepState(_)
                    | Expr::StepChanged(_)
                    | Expr::Host(_)
                    | Expr::Role { .. }
                    | Expr::OperationId
                    | Expr::OperationStartedAt
                    | Expr::OperationState
                    | Expr::OperationFailure
                    | Expr::Instance { .. }
                    | Expr::Each
            );
        });
        let (name, callee) = (quote(name), quote(callee.name()));
        let (why, help) = if fixed && !only_inputs {
            (
                format!("{name} decides something of {callee} that is fixed before the operation begins"),
                "it can follow from inputs only",
            )
        } else if last && reads {
            (
                format!(
                    "{name} is read in `finally` of {callee}, when the step that it comes from may not have succeeded"
                ),
                "let it follow from inputs",
            )
        } else {
            return;
        };
        let diagnostic = Diagnostic::error(Code::NotHere, why).at(&given.at, "not known then");
        self.typing.sink.push(diagnostic.help(help));
    }

    /// Which role of the caller fills each of the callee's.
    fn fill_roles(
        &mut self,
        call: &CallDecl,
        callee: &Workflow,
        id: &Spanned<String>,
    ) -> (BTreeMap<String, String>, Vec<RoleDecl>) {
        let declared = self.typing.declared;
        for (theirs, _) in &call.roles {
            if callee.roles.get(&theirs.value).is_none() {
                let known: Vec<&str> = callee.roles.iter().map(|role| role.name.value.as_str()).collect();
                let message = format!("{} has no role {}", quote(callee.name()), quote(&theirs.value));
                let diagnostic = Diagnostic::error(Code::CallMismatch, message).at(&theirs.span, "not a role of it");
                self.typing.sink.push(diagnostic.help(there_are(known)));
            }
        }
        let (mut filled, mut own) = (BTreeMap::new(), Vec::new());
        for theirs in callee.roles.iter() {
            let RoleDecl { name, kind, .. } = theirs;
            let given = call.roles.iter().find(|(theirs, _)| theirs.value == name.value).map(|(_, ours)| ours);
            if theirs.from.is_some() && given.is_none() && declared.roles.get(&name.value).is_none() {
                let name = Spanned::new(format!("{}/{}", id.value, name.value), id.span.clone());
                filled.insert(theirs.name.value.clone(), name.value.clone());
                own.push(RoleDecl { name, ..theirs.clone() });
                continue;
            }
            let (ours, at) = match given {
                Some(ours) => (ours.value.as_str(), &ours.span),
                None => (name.value.as_str(), &id.span),
            };
            let theirs = quote(&name.value);
            let Some(role) = declared.roles.get(ours) else {
                let known: Vec<&str> = declared.roles.iter().map(|role| role.name.value.as_str()).collect();
                let message = format!("no role fills {theirs} of {}", quote(callee.name()));
                let diagnostic = Diagnostic::error(Code::CallMismatch, message).at(at, "not a role of this workflow");
                let help = format!("say which: `roles: {{ \"{}\": \"…\" }}`; {}", name.value, there_are(known));
                self.typing.sink.push(diagnostic.help(help));
                continue;
            };
            self.typing.used.roles.insert(ours.to_owned());
            if role.has_filter {
                let message =
                    format!("{} has a `where`, which would not count in {}", quote(ours), quote(callee.name()));
                let diagnostic = Diagnostic::error(Code::CallMismatch, message).at(at, "which of its hosts?");
                self.typing.sink.push(diagnostic.help("put the `where` into the workflow that is called"));
            }
            if let (Some(takes), Some(has)) = (kind, role.kind) {
                let ((least, most), (min, max)) = (takes.range(), has.range());
                // One host is read by itself, however many a role of several may have.
                let one = |kind: RoleKind| matches!(kind, RoleKind::One);
                if min < least || max > most || one(*takes) && !one(has) {
                    let message = format!("{} does not fit the role {theirs} of {}", quote(ours), quote(callee.name()));
                    let diagnostic = Diagnostic::error(Code::CallMismatch, message)
                        .at(at, format!("filled by {}", hosts(has)))
                        .at(&role.name.span, "declared here")
                        .help(format!("it takes {}", hosts(*takes)));
                    let diagnostic = match one(*takes) && (min, max) == (1, 1) {
                        true => diagnostic.help("declare yours as `One`"),
                        false => diagnostic,
                    };
                    self.typing.sink.push(diagnostic);
                }
            }
            filled.insert(name.value.clone(), ours.to_owned());
        }
        (filled, own)
    }

    /// What `each`, `batch` and `when` of a call ask of the workflow.
    fn check_shape(
        &mut self,
        step: &StepDecl,
        call: &CallDecl,
        callee: &Workflow,
        when: Option<&Expr>,
        roles: &BTreeMap<String, String>,
    ) {
        let Some(at) = call.workflow.as_ref().map(|workflow| &workflow.span) else { return };
        let mut refuse = |why: String, label: &str| {
            self.typing.sink.push(Diagnostic::error(Code::CallMismatch, why).at(at, label));
        };
        let name = quote(callee.name());
        let steps = || callee.steps.iter().map(|lowered| &lowered.step);
        let last = steps().any(|step| step.finally.is_some());
        let on: BTreeSet<Option<&String>> =
            steps().map(|step| step.role.as_ref().map(|role| roles.get(role).unwrap_or(role))).collect();
        let simple = on.len() == 1 && !on.contains(&None) && callee.whole.groups.is_empty() && !last;
        let one_by_one = steps().all(|step| {
            step.each.is_none() && step.run_at.is_none() && step.needs.iter().all(|edge| edge.kind == EdgeKind::Keyed)
        });
        if call.batch.is_some() && callee.roles.iter().any(|role| role.has_filter) {
            refuse(
                format!("`batch` needs a workflow whose roles have no `where`, as {name} has"),
                "which hosts take a place?",
            );
        }
        if step.has_each || call.batch.is_some() {
            let word = if step.has_each { "each" } else { "batch" };
            if !simple || !one_by_one {
                let why = format!(
                    "`{word}` needs a workflow whose steps all run on one role, host by host, without groups, gates, `each` and `finally`"
                );
                refuse(why, "has more than that");
            }
        }
        if step.has_each
            && let Some(Some(role)) = on.first()
            && (!matches!(self.typing.declared.role_kind(role), Some(RoleKind::One) | None) || role.contains('/'))
        {
            let message = format!("`each` of a call runs on one host, but {} is not one", quote(role));
            self.typing.sink.push(Diagnostic::error(Code::NotOneHost, message).at(at, "its steps run there"));
        }
        if step.has_each && call.batch.is_some() {
            let diagnostic =
                Diagnostic::error(Code::Misplaced, format!("{} has both `each` and `batch`", step.title()));
            self.typing.sink.push(diagnostic.at(at, "hosts pass in batches, and `each` runs on one host"));
        }
        let reads = when.is_some_and(|when| !steps_read(when).is_empty());
        if last && reads {
            let message =
                format!("{name} has a `finally`, so whether it is called must be known when the operation begins");
            let diagnostic = Diagnostic::error(Code::NotHere, message).at(at, "its `when` reads a step");
            self.typing
                .sink
                .push(diagnostic.help("let `when` follow from inputs, or put it into the steps of the workflow"));
        }
        if callee.whole.deadline.is_some() {
            let message = format!("the deadline of {name} has no effect where it is called");
            let diagnostic = Diagnostic::warning(Code::NoEffect, message).at(at, "called here");
            self.typing.sink.push(diagnostic.help("a deadline is one of the whole operation: give this workflow one"));
        }
    }
}

fn hosts(kind: RoleKind) -> String {
    match kind {
        RoleKind::One => "exactly one host".to_owned(),
        RoleKind::Optional => "at most one host".to_owned(),
        RoleKind::Many { min, max } => format!("{min} to {}", count(max, "host")),
    }
}

/// A text with expressions in it as one expression.
pub(crate) fn text_of(template: &Template) -> Expr {
    let mut form = String::new();
    let mut arguments = vec![Expr::Literal(Value::None)];
    for part in &template.parts {
        match part {
            Part::Text(text) => form.push_str(&text.replace('{', "{{").replace('}', "}}")),
            Part::Expr(expr) => {
                form.push_str("{}");
                arguments.push(expr.clone());
            }
        }
    }
    arguments[0] = Expr::Literal(Value::Text(form));
    Expr::Call(Function::Format, arguments)
}

/// The steps that an expression reads, by their place in the plan.
pub fn steps_read(expr: &Expr) -> BTreeSet<usize> {
    let mut steps = BTreeSet::new();
    change(&mut expr.clone(), &mut |expr| match expr {
        Expr::Out { step, .. } | Expr::StepState(step) | Expr::StepChanged(step) => drop(steps.insert(*step)),
        _ => {}
    });
    steps
}

/// The inputs of which something depends that is fixed when a plan is made.
fn fixed_inputs(callee: &Workflow) -> BTreeSet<String> {
    let mut inputs = BTreeSet::new();
    let mut note = |expr: &mut Expr| {
        if let Expr::Input(name) = expr {
            inputs.insert(name.clone());
        }
    };
    for Fixed { expr, .. } in callee.steps.iter().flat_map(|lowered| &lowered.fixed) {
        change(&mut expr.clone(), &mut note);
    }
    let sources = callee.whole.sources.values().map(RoleSource::name);
    for template in callee.whole.locks.iter().chain(&callee.whole.instances).chain(sources) {
        crate::plan::exprs::change_template(&mut template.clone(), &mut note);
    }
    inputs
}

/// The inputs that are read in `finally`.
fn inputs_of_finally(callee: &Workflow) -> BTreeSet<String> {
    let mut inputs = BTreeSet::new();
    for lowered in callee.steps.iter().filter(|lowered| lowered.step.finally.is_some()) {
        lowered.step.clone().change(&mut |expr| {
            if let Expr::Input(name) = expr {
                inputs.insert(name.clone());
            }
        });
    }
    inputs
}

/// Whether a value of one type can be handed on as one of another. Texts are not looked into: what is put together is a
/// text, and whoever takes a URL gets it as it is.
fn fits(wanted: &Type, found: &Type) -> bool {
    match (wanted, found) {
        (Type::Choice(of), Type::Choice(some)) => some.iter().all(|choice| of.contains(choice)),
        (Type::Choice(_), _) => false,
        (Type::Int, Type::Int | Type::Port | Type::Bytes) | (Type::Float, Type::Int | Type::Float) => true,
        (Type::List(wanted), Type::List(found)) | (Type::Map(wanted), Type::Map(found)) => fits(wanted, found),
        (Type::Record(wanted), Type::Record(found)) => wanted.iter().all(|(name, field)| match found.get(name) {
            Some(has) => fits(&field.ty, &has.ty) && (field.optional || !has.optional) && (field.secret || !has.secret),
            None => field.optional,
        }),
        (wanted, found) => wanted == found || class(wanted) == Class::Text && class(found) == Class::Text,
    }
}

/// What is written in a call names no file of this machine.
struct NoFiles;

impl Files for NoFiles {
    fn asset(&self, _: &str) -> Result<Vec<u8>, String> {
        Err("no file is meant here".to_owned())
    }

    fn file(&self, _: &str) -> Result<FileRef, String> {
        Err("a file is given when the workflow is run".to_owned())
    }

    fn secret_file(&self, _: &str) -> Result<String, String> {
        Err("a file is given when the workflow is run".to_owned())
    }
}
