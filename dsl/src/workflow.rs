//! Checking a workflow: from a source to a [`Workflow`] or to what is wrong with it.

use crate::assets::{self, Assets};
use crate::calls::Calls;
use crate::code::Code;
use crate::declared::{Declared, InputDecl, Named, RoleDecl, RoleKind};
use crate::diagnostic::{Diagnostic, Sink};
use crate::excerpt::position;
use crate::inline::{Inlined, inline};
use crate::lower::{self, Lowered, Passed, Whole};
use crate::source::{Files, Source, quote};
use crate::types::Field;
use crate::typing::Used;
use crate::{graph, host_facts, lets, read, syntax};

/// What [`check`] finds.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The workflow; there is one exactly if no diagnostic is an error.
    pub workflow: Option<Workflow>,
    /// Errors and warnings, in the order of their places.
    pub diagnostics: Vec<Diagnostic>,
}

/// A workflow without errors. It holds everything it needs, its scripts too.
#[derive(Debug, Clone)]
pub struct Workflow {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) inputs: Named<InputDecl>,
    pub(crate) roles: Named<RoleDecl>,
    pub(crate) steps: Vec<Lowered>,
    pub(crate) whole: Whole,
    pub(crate) assets: Assets,
    /// Values that calls hand on.
    pub(crate) passed: Vec<Passed>,
}

/// An input as the outside sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct InputInfo<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its type, and whether it is optional or secret.
    pub field: Field,
    /// What it is for.
    pub about: Option<&'a str>,
    /// It need not be given, because it has a default.
    pub has_default: bool,
}

/// A role as the outside sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleInfo<'a> {
    /// Its name.
    pub name: &'a str,
    /// How many hosts fill it.
    pub kind: RoleKind,
    /// They are taken from records when an operation is created, and not given.
    pub from_records: bool,
}

/// Checks a workflow. All that can be found is found in one run.
pub fn check(source: &Source, files: &dyn Files) -> Checked {
    let mut sink = Sink::default();
    let workflow = build(source, files, &mut Calls::of(&source.name), &mut sink).filter(|_| !sink.has_errors());
    Checked { workflow, diagnostics: sink.into_sorted() }
}

/// Checks a workflow that stands among others that call it.
pub(crate) fn build(source: &Source, files: &dyn Files, calls: &mut Calls, sink: &mut Sink) -> Option<Workflow> {
    let node = syntax::parse(&source.text, sink)?;
    let mut declared = read::workflow(&source.text, &node, sink);
    calls.load(&mut declared, files, sink);
    lets::settle(&mut declared, sink);
    host_facts::insert(&mut declared, sink);
    let assets = assets::load(&declared, files, sink);
    let graph = graph::build(&declared, sink);
    let mut used = Used::default();
    let filters = lower::filters(&declared, &graph, &mut used, sink);
    let steps = lower::steps(&declared, &graph, &filters, &mut used, sink);
    debug_assert!(sink.has_errors() || steps.len() == declared.steps.len(), "a step was dropped without a word");
    let whole = lower::whole(&declared, &graph, &filters, &mut used, sink);
    lets::check_unread(&declared, &graph, &mut used, sink);
    if !sink.has_errors() {
        syntax::judge(&source.text, sink);
    }
    // Where something could not be read, what it uses is not known.
    if !sink.has_errors() {
        report_unused(&declared, &used, sink);
    }
    if sink.has_errors() {
        return None;
    }
    let Inlined { steps, whole, inputs, roles, assets, passed } = inline(steps, whole, assets, &declared, sink);
    Some(Workflow {
        name: declared.name?.value,
        about: declared.about.unwrap_or_default(),
        inputs,
        roles,
        steps,
        whole,
        assets,
        passed,
    })
}

fn report_unused(declared: &Declared, used: &Used, sink: &mut Sink) {
    for input in declared.inputs.iter().filter(|input| !used.inputs.contains(&input.name.value)) {
        let message = format!("the input {} is not used", quote(&input.name.value));
        sink.push(Diagnostic::warning(Code::UnusedInput, message).at(&input.name.span, "giving it has no effect"));
    }
    for role in declared.roles.iter().filter(|role| !used.roles.contains(&role.name.value)) {
        let message = format!("the role {} is not used", quote(&role.name.value));
        sink.push(Diagnostic::warning(Code::UnusedRole, message).at(&role.name.span, "no step runs on it"));
    }
    for decl in declared.lets.iter().filter(|decl| !used.lets.contains(&decl.name.value)) {
        let message = format!("the named value {} is not read", quote(&decl.name.value));
        sink.push(Diagnostic::warning(Code::UnreadLet, message).at(&decl.name.span, "has no effect"));
    }
}

impl Workflow {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for; empty where it does not say.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// The scripts and files that its steps name: their bytes by their path relative to the workflow, which has no `..`.
    pub fn assets(&self) -> &std::collections::BTreeMap<String, Vec<u8>> {
        &self.assets
    }

    /// Its inputs, in the order of the file.
    pub fn inputs(&self) -> Vec<InputInfo<'_>> {
        let info = |input: &'_ InputDecl| Some((input.field()?, input.default.is_some()));
        self.inputs
            .iter()
            .filter_map(|input| {
                let (field, has_default) = info(input)?;
                Some(InputInfo { name: &input.name.value, field, about: input.about.as_deref(), has_default })
            })
            .collect()
    }

    /// Its roles, in the order of the file.
    pub fn roles(&self) -> Vec<RoleInfo<'_>> {
        self.roles
            .iter()
            .filter_map(|role| {
                Some(RoleInfo { name: &role.name.value, kind: role.kind?, from_records: role.from.is_some() })
            })
            .collect()
    }

    /// Where the id of a step stands: line and column, from 1. `source` is the one that was checked.
    pub fn place_of(&self, step: &str, source: &Source) -> Option<(usize, usize)> {
        let lowered = self.steps.iter().find(|lowered| lowered.step.id == step)?;
        let at = source.text.floor_char_boundary(lowered.at.start);
        Some(position(&source.text, at))
    }
}
