//! Model values: for whoever tries a workflow out without hosts and without what it is really run with.
//!
//! A model value is one that the declaration accepts, and says nothing else: the first of a few candidates that the
//! declaration's own reader takes. Where none of them fits – a pattern that nobody can guess – there is none, and the compiler
//! says what is missing.

use std::collections::BTreeMap;

use crate::declared::InputDecl;
use crate::duration;
use crate::given::{Given, is_given};
use crate::kind::{Bounds, Kind, parse_text};
use crate::source::Files;
use crate::types::{Field, Type};
use crate::value::{FileRef, Value};
use crate::workflow::Workflow;

/// Texts that most patterns take one of.
const TEXTS: [&str; 12] = [
    "model-value",
    "model",
    "MODEL",
    "m",
    "1",
    "10000000",
    "1.0.0",
    "v1.0.0",
    "/model",
    "model.example",
    "user@model.example",
    "192.0.2.1",
];

/// Elements of a model list: fewer would not show what several do to each other.
const ELEMENTS: u64 = 2;

/// A value of a type: what a step of a model puts out. The `nth` differs from the others where the type has as many. `None`
/// for types that no program puts out.
pub fn model_value(ty: &Type, nth: usize) -> Option<Value> {
    if let Type::List(of) = ty {
        return (0..ELEMENTS as usize).map(|nth| model_value(of, nth)).collect::<Option<Vec<_>>>().map(Value::List);
    }
    if let Type::Map(of) = ty {
        let entry = |nth: usize| Some((format!("model-{}", nth + 1), model_value(of, nth)?));
        return (0..ELEMENTS as usize).map(entry).collect::<Option<_>>().map(Value::Record);
    }
    if let Type::Record(fields) = ty {
        let field = |(name, field): (&String, &Field)| Some((name.clone(), model_value(&field.ty, nth)?));
        return fields.iter().map(field).collect::<Option<_>>().map(Value::Record);
    }
    let n = nth + 1;
    let text = match ty {
        Type::Text | Type::File => format!("model-{n}"),
        Type::Int | Type::Float | Type::Port => n.to_string(),
        Type::Bool => nth.is_multiple_of(2).to_string(),
        Type::Duration => format!("{n}s"),
        Type::Bytes => format!("{n} KiB"),
        Type::Url => format!("http://model-{n}.example/"),
        Type::Address => format!("model-{n}.example"),
        Type::Image => format!("model.example/image-{n}:1"),
        Type::Choice(of) => of.get(nth % of.len().max(1))?.clone(),
        Type::List(_) | Type::Map(_) | Type::Record(_) => return None,
    };
    parse_text(ty, &text).ok()
}

impl Workflow {
    /// Texts for the inputs that must be given and are not, secrets too, as far as there are any that they accept.
    pub fn model_inputs(&self, given: &Given) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        self.inputs.iter().for_each(|input| lacking(input, &input.name.value, given, &mut texts));
        texts
    }
}

fn lacking(input: &InputDecl, path: &str, given: &Given, texts: &mut BTreeMap<String, String>) {
    let Some(kind) = &input.kind else { return };
    if let Kind::Record(fields) = kind {
        if !input.optional || is_given(given, path) {
            fields.iter().for_each(|field| lacking(field, &format!("{path}.{}", field.name.value), given, texts));
        }
        return;
    }
    if input.optional || input.default.is_some() || given.inputs.contains_key(path) {
        return;
    }
    let fits = |text: &String| kind.read(text, input.secret, &AnyFile).is_ok();
    if let Some(text) = candidates(kind, 0).into_iter().find(fits) {
        texts.insert(path.to_owned(), text);
    }
}

/// Texts that a kind may accept; `nth` tells elements of a list apart.
fn candidates(kind: &Kind, nth: usize) -> Vec<String> {
    let plain = |ty: Type| -> Vec<String> {
        // The form that values are given in.
        match model_value(&ty, nth) {
            Some(Value::DurationMs(ms)) => vec![duration::show(ms)],
            Some(value) => value.to_text().into_iter().collect(),
            None => Vec::new(),
        }
    };
    match kind {
        Kind::Text(bounds, _) => {
            let numbered = |text: &str| if nth == 0 { text.to_owned() } else { format!("{text}{n}", n = nth + 1) };
            let mut texts: Vec<String> = TEXTS.map(numbered).to_vec();
            let length = bounds.min.or(bounds.max).map_or(0, |length| length.min(crate::limits::TEXT_BYTES as u64));
            texts.extend(["m", "1"].map(|text| text.repeat(length as usize)));
            texts
        }
        Kind::Int(bounds) | Kind::Port(bounds) => numbers(bounds.min, bounds.max, 1 + nth as i64, i64::saturating_add),
        Kind::Float(bounds) => numbers(bounds.min, bounds.max, 1.0 + nth as f64, |a, b| a + b),
        Kind::Bytes(bounds) => numbers(bounds.min, bounds.max, 1 + nth as u64, u64::saturating_add)
            .into_iter()
            .map(|n| format!("{n} B"))
            .collect(),
        Kind::Duration(bounds) => {
            let of = |ms: u64| duration::show(ms);
            let least = bounds.min.map(|min| of(min.saturating_add(nth as u64)));
            plain(Type::Duration).into_iter().chain(least).chain(bounds.max.map(of)).collect()
        }
        Kind::Bool => plain(Type::Bool),
        Kind::Url(_) => plain(Type::Url),
        Kind::Address(_) => {
            let address = format!("192.0.2.{}", nth + 1);
            plain(Type::Address).into_iter().chain([address]).collect()
        }
        Kind::File => vec![format!("/model/file-{}", nth + 1)],
        Kind::SecretFile => vec![format!("/model/secret-{}", nth + 1)],
        Kind::Image(_) => plain(Type::Image).into_iter().chain([format!("model:{}", nth + 1)]).collect(),
        Kind::Choice(of) => of.get(nth % of.len().max(1)).cloned().into_iter().collect(),
        Kind::List(of, bounds) => several(of, bounds).map(|elements| format!("{elements:?}")).into_iter().collect(),
        Kind::Map(of, bounds) => {
            let named = |values: Vec<String>| -> BTreeMap<String, String> {
                values.into_iter().enumerate().map(|(i, value)| (format!("model-{}", i + 1), value)).collect()
            };
            several(of, bounds).map(|values| format!("{:?}", named(values))).into_iter().collect()
        }
        Kind::Record(_) => Vec::new(),
    }
}

/// As many elements as a list or map of these bounds takes.
fn several(of: &Kind, bounds: &Bounds<u64>) -> Option<Vec<String>> {
    let most = bounds.max.unwrap_or(u64::MAX);
    let count = ELEMENTS.max(bounds.min.unwrap_or(0)).min(most).min(crate::limits::ELEMENTS as u64);
    let element = |nth: u64| {
        let fits = |text: &String| of.read(text, false, &AnyFile).is_ok();
        candidates(of, nth as usize).into_iter().find(fits)
    };
    (0..count).map(element).collect()
}

/// The number itself, or the least or the greatest that is allowed.
fn numbers<T: ToString + Copy>(min: Option<T>, max: Option<T>, number: T, add: impl Fn(T, T) -> T) -> Vec<String> {
    let above = min.map(|min| add(min, number));
    [Some(number), above, min, max].into_iter().flatten().map(|number| number.to_string()).collect()
}

/// Any path is a file: none is opened.
struct AnyFile;

impl Files for AnyFile {
    fn asset(&self, _: &str) -> Result<Vec<u8>, String> {
        Err("a model has no assets".to_owned())
    }

    fn file(&self, path: &str) -> Result<FileRef, String> {
        Ok(FileRef { path: path.to_owned(), size_bytes: 0, sha256: String::new() })
    }

    fn secret_file(&self, _: &str) -> Result<String, String> {
        Ok("model-secret".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    /// The model inputs of a workflow with these inputs.
    fn inputs(declared: &str) -> BTreeMap<String, String> {
        let text = format!(
            r#"Workflow(name: "m", inputs: {{ {declared} }}, roles: {{ "m": One }}, steps: [Step(id: "a", on: "m", do: Run(["true"]))])"#
        );
        let source = Source { name: "m.ron".to_owned(), text };
        let checked = crate::check(&source, &AnyFile);
        let workflow = checked.workflow.unwrap_or_else(|| panic!("{:?}", checked.diagnostics));
        let mut given = Given::default();
        let texts = workflow.model_inputs(&given);
        for (name, text) in &texts {
            let value = crate::GivenValue { text: text.clone(), origin: crate::Origin::Elsewhere };
            given.inputs.insert(name.clone(), value);
        }
        given.roles.insert("m".to_owned(), vec!["m".to_owned()]);
        let compiled = workflow.compile(&given, &AnyFile);
        assert!(compiled.is_ok(), "{texts:?}: {:?}", compiled.err());
        texts
    }

    #[test]
    fn every_type_has_a_model_value_that_its_declaration_accepts() {
        let texts = inputs(
            r#""a": Text(), "b": Text(pattern: "^[a-z]+$", max: 5), "c": Int(min: 7), "d": Port(), "e": Duration(max: "10ms"),
            "f": Bytes(min: "1 MiB"), "g": Url(), "h": Address(pattern: "^[0-9.]+$"), "i": Choice(["x", "y"]), "j": Bool(),
            "k": List(of: Text), "l": List(of: Int(min: 3), min: 3), "m": File(), "n": Float(max: 0.5),
            "o": Text(secret: true), "p": Text(min: 40), "q": Map(of: Int(max: 2)), "r": SecretFile(), "s": Image(),
            "t": Login()"#,
        );
        assert_eq!(texts.len(), 21, "{texts:?}");
        assert_eq!(texts["b"], "model");
        assert_eq!(texts["k"], r#"["model-value", "model-value2"]"#);
    }

    #[test]
    fn what_need_not_be_given_has_none() {
        let texts = inputs(
            r#""a": Text(default: "x"), "b": Text(optional: true), "c": Record(optional: true, fields: { "d": Text() }),
            "e": Record(fields: { "f": Int(), "g": Url(optional: true, secret: true) })"#,
        );
        assert_eq!(texts.keys().collect::<Vec<_>>(), ["e.f"]);
    }

    #[test]
    fn steps_put_out_what_their_types_say() {
        assert_eq!(model_value(&Type::Int, 0), Some(Value::Int(1)));
        let list = model_value(&Type::List(Box::new(Type::Text)), 0);
        assert_eq!(list, Some(Value::List(["model-1", "model-2"].map(|text| Value::Text(text.to_owned())).into())));
        let map = model_value(&Type::Map(Box::new(Type::Int)), 0);
        assert!(matches!(map, Some(Value::Record(map)) if map.len() == 2), "one entry shows less than two");
    }
}
