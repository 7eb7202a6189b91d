//! `host.facts`: what a host says of itself.
//!
//! A workflow names a fact and nothing more: the step that asks for it, `facts/ROLE`, appears in the plan by itself, once for
//! each role whose facts are read. `host.facts.os` is a field of that step's one output, so the journal holds what was found.
//! Ids of people have no `/`, so the step is nobody else's.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::code::Code;
use crate::declared::{
    ActionDecl, ActionKind, Declared, Named, Need, OutDecl, OutFrom, PerHost, RetryDecl, Scalar, StepDecl, UntilDecl,
};
use crate::diagnostic::{Diagnostic, Sink};
use crate::expression::{Syntax, TemplateSyntax};
use crate::graph::{Edge, per_host, visit_expressions};
use crate::json;
use crate::lets::LetDecl;
use crate::plan::{EdgeOrigin, Interrupted, OnFailure, RetryOn};
use crate::roles::is_several;
use crate::source::{Spanned, quote};
use crate::types::{Field, Type};
use crate::value::Value;

/// The output of the step.
pub const OUT: &str = "facts";
/// How long asking may take, and how often a host that cannot be reached is asked.
const TIMEOUT_MS: u64 = 60_000;
const TRIES: u32 = 3;
const WAIT_MS: u64 = 2_000;

/// Whose facts an expression reads: those of a role that it names, or of the host that it is evaluated for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Whose {
    Own,
    Role(String),
}

/// The type of `host.facts`.
pub fn fields() -> BTreeMap<String, Field> {
    let choice = |of: &[&str]| Type::Choice(of.iter().map(|text| (*text).to_owned()).collect());
    let required = [
        ("os", Type::Text),
        ("os_like", Type::List(Box::new(Type::Text))),
        ("kernel", Type::Text),
        ("machine", Type::Text),
        ("arch", Type::Text),
        ("init", choice(&["systemd", "openrc", "other"])),
        ("hostname", Type::Text),
        ("fqdn", Type::Text),
        ("boot_id", Type::Text),
        ("uptime", Type::Duration),
        ("cpus", Type::Int),
        ("memory", Type::Bytes),
        ("root_size", Type::Bytes),
        ("root_free", Type::Bytes),
        ("var_free", Type::Bytes),
        ("addresses", Type::List(Box::new(Type::Address))),
    ];
    let optional = [
        ("version", Type::Text),
        ("codename", Type::Text),
        ("default_address", Type::Address),
        ("docker", Type::Text),
        ("containerd", Type::Text),
        ("podman", Type::Text),
        ("runc", Type::Text),
        ("kubelet", Type::Text),
        ("python", Type::Text),
        ("selinux", choice(&["enforcing", "permissive"])),
        ("virtual", Type::Text),
    ];
    let field =
        |optional: bool| move |(name, ty): (&str, Type)| (name.to_owned(), Field { ty, optional, secret: false });
    required.into_iter().map(field(false)).chain(optional.into_iter().map(field(true))).collect()
}

/// The facts of a model host.
pub fn model() -> Value {
    let text = |text: &str| Value::Text(text.to_owned());
    let gib = |n: i64| Value::Int(n << 30);
    let facts = [
        ("os", text("debian")),
        ("os_like", Value::List(Vec::new())),
        ("version", text("12")),
        ("codename", text("bookworm")),
        ("kernel", text("6.1.0-model")),
        ("machine", text("x86_64")),
        ("arch", text("amd64")),
        ("init", text("systemd")),
        ("hostname", text("model")),
        ("fqdn", text("model.example")),
        ("boot_id", text("00000000-0000-4000-8000-000000000000")),
        ("uptime", Value::DurationMs(86_400_000)),
        ("cpus", Value::Int(4)),
        ("memory", gib(8)),
        ("root_size", gib(100)),
        ("root_free", gib(50)),
        ("var_free", gib(50)),
        ("addresses", Value::List(vec![text("192.0.2.1")])),
        ("default_address", text("192.0.2.1")),
    ];
    Value::Record(facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// The facts of a model host of which some are given otherwise, as JSON: `{"os": "alpine", "docker": "24.0.7"}`.
pub fn model_but(text: &str) -> Result<Value, String> {
    let (Value::Record(mut facts), fields) = (model(), fields()) else { return Err("they are no record".to_owned()) };
    let serde_json::Value::Object(given) = json::select(text, ".")? else {
        return Err("facts are given such as `{\"os\": \"alpine\"}`".to_owned());
    };
    for (name, json) in &given {
        let field = fields.get(name).ok_or_else(|| format!("there is no fact `{name}`"))?;
        match json {
            serde_json::Value::Null if field.optional => drop(facts.remove(name)),
            json => {
                drop(facts.insert(name.clone(), json::read(&field.ty, json).map_err(|why| format!(".{name}: {why}"))?))
            }
        }
    }
    Ok(Value::Record(facts))
}

/// Whose facts an expression reads, also by named values.
pub(crate) fn read_in(syntax: &Syntax, lets: &Named<LetDecl>) -> BTreeSet<Whose> {
    let mut whose = BTreeSet::new();
    syntax.walk(&mut |syntax| match syntax.path().as_deref() {
        Some([root, what, ..]) if root.value == "host" && what.value == OUT => drop(whose.insert(Whose::Own)),
        Some([root, role, what, ..]) if root.value == "roles" && what.value == OUT => {
            whose.insert(Whose::Role(role.value.to_owned()));
        }
        Some([root, name, ..]) if root.value == "let" => {
            whose.extend(lets.get(name.value).into_iter().flat_map(|decl| decl.facts.iter().cloned()));
        }
        _ => {}
    });
    whose
}

/// Puts the steps that ask for facts in front of all others.
pub(crate) fn insert(declared: &mut Declared, sink: &mut Sink) {
    let needed = needed(declared);
    let known = declared.roles.iter().map(|role| &role.name);
    // Several roles together are known where a step runs on them.
    let mut together: Vec<&Spanned<String>> = Vec::new();
    for on in declared.steps.iter().filter_map(|step| step.on.as_ref()).filter(|on| is_several(&on.value)) {
        if !together.iter().any(|known| known.value == on.value) {
            together.push(on);
        }
    }
    let roles: Vec<&Spanned<String>> = known.chain(together).filter(|role| needed.contains_key(&role.value)).collect();
    let steps: Vec<StepDecl> = roles.iter().map(|role| step(role, needed[&role.value])).collect();
    let shift = steps.len();
    if shift == 0 {
        return;
    }
    declared.step_ids.values_mut().for_each(|index| *index += shift);
    for group in &mut declared.groups {
        group.steps.iter_mut().chain(&mut group.gate).for_each(|index| *index += shift);
    }
    for (index, step) in steps.iter().enumerate() {
        let Some(id) = &step.id else { continue };
        if let Some(other) = declared.steps.iter().filter_map(|step| step.id.as_ref()).find(|id_| id_.value == id.value)
        {
            let message = format!("a step is called {}, which is the one that asks for facts", quote(&id.value));
            let diagnostic = Diagnostic::error(Code::DuplicateStep, message).at(&other.span, "called so too");
            sink.push(diagnostic.at(&id.span, "the facts of this role are read"));
        }
        declared.facts.extend(step.role().map(|role| (role.to_owned(), index)));
    }
    declared.steps.splice(0..0, steps);
}

/// The roles whose facts are read anywhere, with what it means that a host cannot be asked: the worst of what it would mean that
/// one of those fails who read them.
fn needed(declared: &Declared) -> BTreeMap<String, OnFailure> {
    let mut roles = BTreeMap::new();
    let mut read = |syntax: &Syntax, own: Option<&str>, means: OnFailure| {
        for whose in read_in(syntax, &declared.lets) {
            let role = match (whose, own) {
                (Whose::Own, Some(own)) => own.to_owned(),
                // It belongs to no host, which is told where it is checked.
                (Whose::Own, None) => continue,
                (Whose::Role(role), _) => role,
            };
            let worst = roles.entry(role).or_insert(means);
            *worst = worse(*worst, means);
        }
    };
    for step in &declared.steps {
        visit_expressions(step, &mut |syntax| read(syntax, step.role(), step.on_failure));
        per_host(step, declared).for_each(|syntax| read(syntax, step.role(), step.on_failure));
    }
    let outputs = declared.outputs.iter().filter_map(|(_, template)| template.as_ref());
    outputs.flat_map(TemplateSyntax::expressions).for_each(|syntax| read(syntax, None, OnFailure::Stop));
    roles
}

fn worse(a: OnFailure, b: OnFailure) -> OnFailure {
    match (a, b) {
        (OnFailure::Rollback, _) | (_, OnFailure::Rollback) => OnFailure::Rollback,
        (OnFailure::Stop, _) | (_, OnFailure::Stop) => OnFailure::Stop,
        (OnFailure::Continue, OnFailure::Continue) => OnFailure::Continue,
    }
}

fn step(role: &Spanned<String>, on_failure: OnFailure) -> StepDecl {
    let (role, at) = (role.value.as_str(), &role.span);
    fn literal<T>(value: T, at: &Range<usize>) -> Option<Scalar<T>> {
        Some(Scalar::Literal(Spanned::new(value, at.clone())))
    }
    let here = |text: String| Spanned::new(text, at.clone());
    let out = OutDecl { from: OutFrom::Json(".".to_owned()), ty: Type::Record(fields()), secret: false };
    StepDecl {
        about: Some(format!("What the hosts of `{role}` say of themselves.")),
        on: Some(here(role.to_owned())),
        action: Some(ActionDecl { kind: ActionKind::Facts }),
        interrupted: Some(Spanned::new(Interrupted::Rerun, at.clone())),
        retry: Some(RetryDecl {
            times: literal(TRIES, at),
            wait: literal(WAIT_MS, at),
            factor: None,
            cap: None,
            on: Some(vec![RetryOn::Connection]),
            jitter: None,
        }),
        timeout: literal(TIMEOUT_MS, at),
        on_failure,
        out: vec![(here(OUT.to_owned()), Some(out))],
        ..StepDecl::new(Some(here(format!("{OUT}/{}", role.replace(' ', "")))))
    }
}

/// A step that waits for nothing but until the hosts of a role accept a login is there for those that are still starting: their
/// facts are asked for behind it.
pub(crate) fn wait_for_logins(declared: &Declared, edges: &mut [BTreeMap<usize, Edge>]) {
    for (role, &facts) in &declared.facts {
        let comes_first = |step: &usize| {
            let this = &declared.steps[*step];
            this.role() == Some(role) && is_login(this) && edges[*step].is_empty()
        };
        let logins: Vec<usize> = (0..declared.steps.len()).filter(comes_first).collect();
        for login in logins {
            let span = declared.steps[login].id.as_ref().map_or(0..0, |id| id.span.clone());
            edges[facts].insert(login, Edge { origin: EdgeOrigin::Needs, how: Need::Success, span });
        }
    }
}

/// Whether a step waits for logins, and for nothing else.
fn is_login(step: &StepDecl) -> bool {
    let action = step.action.as_ref().map(|action| &action.kind);
    let waits = matches!(action, Some(ActionKind::Wait { until: Some(UntilDecl::Ssh), .. }));
    let alone = step.needs.is_empty() && step.when.is_none() && step.locks.is_empty() && !step.has_each;
    waits && alone && step.group.is_none() && step.finally.is_none()
}

/// The `where` that counts for a step. What comes before the facts that it reads is done on all hosts of the role.
pub(crate) fn filter_of<'a>(step: &StepDecl, declared: &'a Declared) -> Option<&'a PerHost> {
    let filter = declared.roles.get(step.role()?)?.filter.as_ref()?;
    let reads_facts = || read_in(&filter.syntax, &declared.lets).contains(&Whose::Own);
    let comes_before = step.is_facts() || (is_login(step) && reads_facts());
    (!comes_before).then_some(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_facts_of_a_model_host_are_given() {
        let Value::Record(facts) = model_but(r#"{"os": "alpine", "version": null, "memory": "1 GiB"}"#).unwrap() else {
            panic!("a record")
        };
        assert_eq!((&facts["os"], &facts["memory"]), (&Value::Text("alpine".to_owned()), &Value::Int(1 << 30)));
        assert!(!facts.contains_key("version") && facts.contains_key("arch"));
        for (wrong, why) in [
            ("alpine", "it is no JSON"),
            ("[]", "facts are given such as"),
            (r#"{"oss": "x"}"#, "there is no fact `oss`"),
            (r#"{"os": null}"#, ".os: null is there"),
            (r#"{"cpus": "x"}"#, ".cpus: a text is there"),
        ] {
            let said = model_but(wrong).unwrap_err();
            assert!(said.starts_with(why), "{said}");
        }
    }
}
