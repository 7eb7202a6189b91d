//! What must be so, whatever the compiler is handed.

use std::cell::Cell;
use std::collections::BTreeMap;

use dsl::plan::Plan;
use dsl::{Compiled, Diagnostic, Given, GivenValue, Origin, RoleKind, Source, Workflow, check, limits};

use crate::corpus::AnyFile;
use crate::scene;

/// How far cases came.
#[derive(Default)]
pub struct Seen {
    /// Checked without an error.
    pub right: Cell<u64>,
    /// Compiled to a plan.
    pub compiled: Cell<u64>,
}

/// What a message may have at most, however long the file is.
const SHOWN_BYTES: usize = 40_000;
/// A workflow without errors may still not fit the values that a model gives it: of these kinds is what is said then.
const GIVEN: &str = "A03";
const OF_VALUES: [&str; 2] = ["A0115", "A0116"];

pub fn workflow(text: &str, seen: &Seen) -> Result<(), String> {
    let source = Source { name: "fuzz.ron".to_owned(), text: text.to_owned() };
    let checked = check(&source, &AnyFile);
    diagnostics(&source, &checked.diagnostics)?;
    if checked.diagnostics != check(&source, &AnyFile).diagnostics {
        return Err("a second check says something else".to_owned());
    }
    if checked.workflow.is_some() == checked.diagnostics.iter().any(Diagnostic::is_error) {
        return Err("there is a workflow with errors, or none without".to_owned());
    }
    let Some(workflow) = checked.workflow else { return Ok(()) };
    seen.right.set(seen.right.get() + 1);
    let given = model(&workflow);
    match workflow.compile(&given, &AnyFile) {
        Ok(compiled) => {
            seen.compiled.set(seen.compiled.get() + 1);
            diagnostics(&source, &compiled.warnings)?;
            plan(&compiled)?;
            scene::every_expression_has_a_value(&compiled.plan)
        }
        Err(found) => {
            diagnostics(&source, &found)?;
            let codes: Vec<&str> = found.iter().filter(|found| found.is_error()).map(|found| found.code.id()).collect();
            let of_values = |code: &&str| code.starts_with(GIVEN) || OF_VALUES.contains(code);
            if codes.is_empty() || !codes.iter().all(of_values) {
                return Err(format!("checked without an error, and does not compile: {codes:?}"));
            }
            Ok(())
        }
    }
}

/// What a workflow needs, given.
fn model(workflow: &Workflow) -> Given {
    let mut given = Given::default();
    for role in workflow.roles() {
        let hosts = match role.kind {
            RoleKind::One => 1,
            RoleKind::Optional => 0,
            RoleKind::Many { min, max } => min.max(2).min(max),
        };
        given.roles.insert(role.name.to_owned(), (0..hosts).map(|host| format!("{}-{host}", role.name)).collect());
    }
    let value = |text: String| GivenValue { text, origin: Origin::Elsewhere };
    given.inputs = workflow.model_inputs(&given).into_iter().map(|(name, text)| (name, value(text))).collect();
    given
}

fn plan(compiled: &Compiled) -> Result<(), String> {
    compiled.plan.validate().map_err(|why| format!("an invalid plan: {why}"))?;
    let stored = compiled.plan.to_json().map_err(|why| format!("it cannot be stored: {why}"))?;
    let read = Plan::from_json(&stored).map_err(|why| format!("it cannot be read: {why}"))?;
    if read != compiled.plan {
        return Err("what is stored is another plan".to_owned());
    }
    match compiled.plan.steps.len() {
        0..=limits::STEPS => Ok(()),
        // Each group has one gate more.
        steps if steps <= limits::STEPS + limits::GROUPS => Ok(()),
        steps => Err(format!("{steps} steps")),
    }
}

/// Each can be shown, and says where it is.
pub fn diagnostics(source: &Source, found: &[Diagnostic]) -> Result<(), String> {
    if found.len() > limits::DIAGNOSTICS {
        return Err(format!("{} diagnostics", found.len()));
    }
    for diagnostic in found {
        let inside = diagnostic.inside.as_ref().map(|inside| (&inside.file.text, &inside.label));
        let labels = diagnostic.labels.iter().map(|label| (&source.text, label));
        for (text, label) in labels.chain(inside) {
            if text.get(label.range.clone()).is_none() {
                return Err(format!("{} is no place in the file: {diagnostic:?}", format_args!("{:?}", label.range)));
            }
        }
        let (plain, colored) = (diagnostic.render(source, false), diagnostic.render(source, true));
        if plain.len() > SHOWN_BYTES
            || plain.chars().any(|c| c.is_control() && c != '\n')
            || colored.len() < plain.len()
        {
            return Err(format!("it is shown in {} bytes:\n{plain}", plain.len()));
        }
        let place = diagnostic.to_json(source);
        let column = place["span"]["column"].as_u64();
        if let (Some(column), None) = (column, &diagnostic.inside)
            && !plain.contains(&format!(":{}:{column}\n", place["span"]["line"]))
        {
            // A label that comes first in its line gives the line's place to the renderer.
            let others = place["labels"].as_array().is_some_and(|labels| labels.len() > 1);
            if !others && !source.text[diagnostic.labels[0].range.clone()].contains('\n') {
                return Err(format!("column {column} is shown as another one:\n{plain}"));
            }
        }
    }
    Ok(())
}

pub fn inputs_file(text: &str) -> Result<(), String> {
    let source = Source { name: "inputs.ron".to_owned(), text: text.to_owned() };
    match dsl::read_inputs(&source) {
        Ok(values) if values.keys().any(String::is_empty) => Err("a value without a name".to_owned()),
        Ok(_) => Ok(()),
        Err(found) if found.iter().any(Diagnostic::is_error) => diagnostics(&source, &found),
        Err(_) => Err("refused without a reason".to_owned()),
    }
}

/// Values for a workflow with an input of every type.
pub fn given(values: &[(String, String)]) -> Result<(), String> {
    let text = r#"Workflow(name: "a", roles: { "vm": One }, inputs: {
        "text": Text(min: 1, max: 9, default: "a"), "int": Int(max: 7, default: 1), "float": Float(default: 1), "bool": Bool(default: true),
        "port": Port(default: 1), "duration": Duration(default: "1s"), "bytes": Bytes(default: "1 KiB"), "url": Url(default: "http://a/"),
        "address": Address(default: "a"), "image": Image(default: "a"), "file": File(optional: true), "secret_file": SecretFile(optional: true),
        "choice": Choice(of: ["fast", "slow"], default: "fast"), "list": List(of: Int, default: []), "map": Map(of: Text, default: {}),
        "record": Record(optional: true, fields: { "a": Text(secret: true), "b": Port(optional: true) }), "login": Login(optional: true),
    }, steps: [Step(id: "a", on: "vm", do: Run(["true"]), env: {
        "A": "${{ json([inputs.text]) }}${{ inputs.int }}${{ inputs.float }}${{ inputs.bool }}${{ inputs.port }}${{ inputs.duration }}",
        "B": "${{ inputs.bytes }}${{ inputs.url }}${{ inputs.address }}${{ inputs.image }}${{ inputs.secret_file ?? '' }}${{ inputs.choice }}",
        "C": "${{ json(inputs.list) }}${{ json(inputs.map) }}${{ inputs.record.a ?? '' }}${{ inputs.file != none ? sha256(inputs.file) : '' }}${{ inputs.login.password ?? '' }}",
    })])"#;
    let source = Source { name: "given.ron".to_owned(), text: text.to_owned() };
    let checked = check(&source, &AnyFile);
    let workflow = checked.workflow.ok_or_else(|| format!("{:?}", checked.diagnostics))?;
    let value = |text: &String| GivenValue { text: text.clone(), origin: Origin::Elsewhere };
    let inputs: BTreeMap<_, _> = values.iter().map(|(name, text)| (name.clone(), value(text))).collect();
    let given = Given { inputs, roles: [("vm".to_owned(), vec!["a".to_owned()])].into() };
    match workflow.compile(&given, &AnyFile) {
        Ok(compiled) => {
            plan(&compiled)?;
            scene::every_expression_has_a_value(&compiled.plan)
        }
        Err(found) => diagnostics(&source, &found),
    }
}
