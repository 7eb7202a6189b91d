//! Values and hosts that a workflow is run with: read by the declared types, secrets set apart.
//!
//! Invariant: the text of a secret goes into [`Secrets`] and nowhere else – into no value, no message, no `Debug` (I8).

use std::collections::BTreeMap;
use std::fmt;

use crate::code::Code;
use crate::declared::InputDecl;
use crate::diagnostic::{Diagnostic, Sink};
use crate::kind::{Kind, has_user_info};
use crate::limits;
use crate::source::{Files, list_names, quote, sentence, there_are};
use crate::value::{SecretRef, Value};
use crate::workflow::Workflow;

/// What a workflow is run with.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Texts of inputs by their names: `port`, or `proxy.http` for a field of a record.
    pub inputs: BTreeMap<String, GivenValue>,
    /// Names of hosts by the roles that they fill.
    pub roles: BTreeMap<String, Vec<String>>,
}

/// The text of an input. [`fmt::Debug`] does not show it: it may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct GivenValue {
    /// The text.
    pub text: String,
    /// Where it was given.
    pub origin: Origin,
}

/// Where a value was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// In plain text: on the command line, where everybody on the machine sees it, or written into a file.
    CommandLine,
    /// In the inventory, the environment, at a prompt.
    Elsewhere,
}

impl fmt::Debug for GivenValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GivenValue").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// The text of a secret. It has no `Debug` that shows it, no `Display` and no serialisation.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// The text itself. Whoever asks for it must know where it goes.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text itself, moved out.
    pub fn into_exposed(self) -> String {
        self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// The texts of secrets by their names.
pub type Secrets = BTreeMap<SecretRef, SecretText>;

/// Reads what is given.
pub(crate) struct Reading<'a> {
    pub(crate) given: &'a Given,
    pub(crate) files: &'a dyn Files,
    pub(crate) secrets: Secrets,
    pub(crate) sink: Sink,
}

impl Reading<'_> {
    /// The values of all inputs, by name.
    pub(crate) fn inputs(&mut self, workflow: &Workflow) -> BTreeMap<String, Value> {
        self.report_unknown(workflow);
        workflow.inputs.iter().map(|input| (input.name.value.clone(), self.input(input, &input.name.value))).collect()
    }

    fn report_unknown(&mut self, workflow: &Workflow) {
        let (mut known, mut maps) = (Vec::new(), Vec::new());
        workflow.inputs.iter().for_each(|input| leaves(input, &input.name.value, &mut known, &mut maps));
        let is_entry = |name: &String| maps.iter().any(|map| name.starts_with(map));
        for name in self.given.inputs.keys().filter(|name| !known.contains(name) && !is_entry(name)) {
            let record = known.iter().any(|known| known.starts_with(&format!("{name}.")));
            let message = match record {
                true => format!("the input {} is a record: its fields are given", quote(name)),
                false => format!("the workflow has no input {}", quote(name)),
            };
            let nearest = self.sink.nearest(name, known.iter().map(String::as_str));
            let diagnostic = Diagnostic::error(Code::UnknownInput, message);
            self.sink.push(match nearest {
                Some(nearest) if !record => diagnostic.help(format!("did you mean `{nearest}`?")),
                _ if known.is_empty() => diagnostic.help("it has no inputs"),
                _ => diagnostic.help(there_are(&known)),
            });
        }
    }

    /// The value of an input, or of a field of a record. `path` is its whole name.
    fn input(&mut self, input: &InputDecl, path: &str) -> Value {
        if let Some(Kind::Record(fields)) = &input.kind {
            return self.record(input, fields, path);
        }
        if let Some(Kind::Map(of, _)) = &input.kind
            && self.is_given(path)
        {
            return self.map(input, of, path);
        }
        let Some(given) = self.given.inputs.get(path) else {
            return match &input.default {
                Some(default) => default.clone(),
                None if input.optional => Value::None,
                None => {
                    self.report_missing(input, path);
                    Value::None
                }
            };
        };
        match &input.kind {
            _ if input.secret => self.secret(input, path, given),
            Some(kind) => self.value(input, kind, path, given),
            None => Value::None,
        }
    }

    /// A map of which single entries are given, by `path.key`. They count more than one that is given as a whole.
    fn map(&mut self, input: &InputDecl, of: &Kind, path: &str) -> Value {
        let mut map = BTreeMap::new();
        if let (Some(kind), Some(given)) = (&input.kind, self.given.inputs.get(path))
            && let Value::Record(whole) = self.value(input, kind, path, given)
        {
            map = whole;
        }
        let (given, prefix) = (self.given, format!("{path}."));
        for (name, given) in given.inputs.range(prefix.clone()..).take_while(|(name, _)| name.starts_with(&prefix)) {
            map.insert(name[prefix.len()..].to_owned(), self.value(input, of, name, given));
        }
        let map = Value::Record(map);
        if let Some(Err(reason)) = input.kind.as_ref().map(|kind| kind.check(&map)) {
            let message = format!("what is given for {} does not fit: {}", quote(path), sentence(&reason));
            self.sink.push(Diagnostic::error(Code::BadValue, message).at(&input.name.span, "declared here"));
        }
        map
    }

    fn record(&mut self, input: &InputDecl, fields: &[InputDecl], path: &str) -> Value {
        if input.optional && !self.is_given(path) {
            return Value::None;
        }
        let values = fields
            .iter()
            .map(|field| (field.name.value.clone(), self.input(field, &format!("{path}.{}", field.name.value))));
        Value::Record(values.collect())
    }

    /// Whether a field of a record is given, or something in one.
    fn is_given(&self, record: &str) -> bool {
        is_given(self.given, record)
    }

    fn report_missing(&mut self, input: &InputDecl, path: &str) {
        let message = format!("the input {} is not given", quote(path));
        let diagnostic =
            Diagnostic::error(Code::MissingInput, message).at(&input.name.span, "declared here, without a default");
        self.sink.push(match input.secret && !matches!(input.kind, Some(Kind::SecretFile)) {
            true => {
                diagnostic.help("put the secret into the inventory by reference, or be prompted for it at a terminal")
            }
            false => diagnostic.help(format!("give it: `--input {path}=…`")),
        });
    }

    fn value(&mut self, input: &InputDecl, kind: &Kind, path: &str, given: &GivenValue) -> Value {
        if kind.holds_urls() && has_user_info(&given.text) {
            let diagnostic =
                Diagnostic::error(Code::UserInfo, format!("the URL given for {} has user info in it", quote(path)))
                    .at(&input.name.span, "not declared secret")
                    .help("declare the input with `secret: true`, or give the URL without user and password");
            self.sink.push(diagnostic);
            return Value::None;
        }
        match kind.read(&given.text, false, self.files) {
            Ok(value) => value,
            Err(reason) => {
                let (code, what) = match kind {
                    Kind::File => (Code::UnreadableInput, "cannot be read"),
                    _ => (Code::BadValue, "does not fit"),
                };
                // What looks like a URL with a password in it, but is none, is not repeated either.
                let shown = match kind.holds_urls() && given.text.contains('@') {
                    true => "the value".to_owned(),
                    false => quote(&given.text),
                };
                let message = format!("{shown} given for {} {what}: {}", quote(path), sentence(&reason));
                let nearest = match kind {
                    Kind::Choice(of) => self.sink.nearest(&given.text, of.iter().map(String::as_str)),
                    _ => None,
                };
                let diagnostic =
                    Diagnostic::error(code, message).at(&input.name.span, format!("declared here as {}", kind.ty()));
                self.sink.push(diagnostic.helps(nearest.map(|nearest| format!("did you mean `{nearest}`?"))));
                Value::None
            }
        }
    }

    fn secret(&mut self, input: &InputDecl, path: &str, given: &GivenValue) -> Value {
        let declared = &input.name.span;
        // The path of a file is no secret.
        let is_file = matches!(input.kind, Some(Kind::SecretFile));
        if given.origin == Origin::CommandLine && !is_file {
            let message =
                format!("the secret {} is given in plain text, on the command line or in a file", quote(path));
            let diagnostic = Diagnostic::error(Code::SecretOnCommandLine, message)
                .at(declared, "declared secret here")
                .help(
                    "give it by reference – `Env(\"NAME\")`, `File(\"path\")` or `Command([...])` – in the inventory or in `--inputs`",
                )
                .help("or leave it out and be prompted for it; consider this one known to others");
            self.sink.push(diagnostic);
            return Value::None;
        }
        // The reason never repeats the value, only what was expected.
        let read = input.kind.as_ref().map(|kind| kind.read(&given.text, true, self.files));
        if let Some(Err(reason)) = read {
            let (code, what) = match is_file {
                true => (Code::UnreadableInput, "file given for the secret"),
                false => (Code::BadValue, "value given for the secret"),
            };
            let message = format!("the {what} {} does not fit: {}", quote(path), sentence(&reason));
            self.sink.push(Diagnostic::error(code, message).at(declared, "declared secret here"));
            return Value::None;
        }
        let text = match (&input.kind, read) {
            (Some(Kind::Text(..)), _) => given.text.clone(),
            (Some(Kind::SecretFile), Some(Ok(Value::Text(content)))) => content,
            _ => given.text.trim().to_owned(),
        };
        if text.len() < limits::SECRET_FILTER_BYTES {
            let message = format!("the secret {} is too short to be found in what programs write", quote(path));
            let diagnostic = Diagnostic::warning(Code::ShortSecret, message).at(declared, "declared secret here");
            let help = format!("secrets of {} bytes and more are replaced in it", limits::SECRET_FILTER_BYTES);
            self.sink.push(diagnostic.help(help));
        }
        let name = SecretRef(format!("inputs.{path}"));
        self.secrets.insert(name.clone(), SecretText(text));
        Value::Secret(name)
    }

    /// The hosts of all roles, by name.
    pub(crate) fn roles(&mut self, workflow: &Workflow) -> BTreeMap<String, crate::plan::Role> {
        let known: Vec<&str> = workflow.roles.iter().map(|role| role.name.value.as_str()).collect();
        for name in self.given.roles.keys().filter(|name| !known.contains(&name.as_str())) {
            let message = format!("hosts are given for {}, which no role is called", quote(name));
            let nearest = self.sink.nearest(name, known.iter().copied());
            let help = match nearest {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("the workflow's roles: {}", list_names(&known)),
            };
            self.sink.push(Diagnostic::error(Code::UnknownGivenRole, message).help(help));
        }
        let roles = workflow.roles();
        roles
            .iter()
            .zip(workflow.roles.iter())
            .map(|(role, declared)| (role.name.to_owned(), self.role(role.kind, declared)))
            .collect()
    }

    fn role(&mut self, kind: crate::declared::RoleKind, declared: &crate::declared::RoleDecl) -> crate::plan::Role {
        use crate::declared::RoleKind;
        let name = declared.name.value.as_str();
        if declared.from.is_some() {
            if self.given.roles.contains_key(name) {
                let message = format!("the role {} is filled from records, and hosts are given for it", quote(name));
                let diagnostic = Diagnostic::error(Code::RoleFilled, message).at(&declared.name.span, "declared here");
                self.sink.push(diagnostic.help("leave them out; `--limit` takes some of those that are recorded"));
            }
            return crate::plan::Role::default();
        }
        let slots = self.given.roles.get(name).cloned().unwrap_or_default();
        let (min, max, wanted) = match kind {
            RoleKind::One => (1, 1, "exactly one host".to_owned()),
            RoleKind::Optional => (0, 1, "at most one host".to_owned()),
            RoleKind::Many { min, max } if max == limits::SLOTS => {
                (min, max, format!("at least {min} and at most {max} hosts"))
            }
            RoleKind::Many { min, max } if min == max => (min, max, format!("exactly {min} hosts")),
            RoleKind::Many { min, max } => (min, max, format!("{min} to {max} hosts")),
        };
        if !(min..=max).contains(&slots.len()) {
            let found = slots.len();
            let message = format!("the role {} takes {wanted}, but {found} are given", quote(name))
                .replace("but 1 are", "but 1 is")
                .replace("but 0 are given", "but none is given");
            let diagnostic = Diagnostic::error(Code::RoleFilled, message).at(&declared.name.span, "declared here");
            self.sink.push(
                diagnostic.help(format!("say which hosts fill it, with `--host {name}=HOST` or in an inventory")),
            );
        }
        let mut seen = std::collections::HashSet::new();
        for slot in &slots {
            if !seen.insert(slot.as_str()) {
                let message = format!("the host {} fills the role {} twice", quote(slot), quote(name));
                self.sink
                    .push(Diagnostic::error(Code::DuplicateSlot, message).at(&declared.name.span, "declared here"));
            }
            if slot.is_empty()
                || slot.len() > limits::SLOT_BYTES
                || slot.contains(|c: char| c.is_whitespace() || c.is_control())
            {
                let message = format!("{} given for the role {} is no name of a host", quote(slot), quote(name));
                self.sink.push(Diagnostic::error(Code::BadValue, message).at(&declared.name.span, "declared here"));
            }
        }
        crate::plan::Role { one: kind == RoleKind::One, slots, from: None }
    }
}

/// All names by which values can be given for an input, and what names of entries of maps begin with.
fn leaves(input: &InputDecl, path: &str, names: &mut Vec<String>, maps: &mut Vec<String>) {
    if let Some(Kind::Record(fields)) = &input.kind {
        fields.iter().for_each(|field| leaves(field, &format!("{path}.{}", field.name.value), names, maps));
        return;
    }
    if let Some(Kind::Map(..)) = &input.kind {
        maps.push(format!("{path}."));
    }
    names.push(path.to_owned());
}

pub(crate) fn is_given(given: &Given, record: &str) -> bool {
    let prefix = format!("{record}.");
    given.inputs.keys().any(|name| name.starts_with(&prefix))
}

impl Workflow {
    /// The secrets that must be given and are not, with what they are for: whoever has a terminal asks for them.
    pub fn missing_secrets(&self, given: &Given) -> Vec<(String, Option<String>)> {
        let mut missing = Vec::new();
        self.inputs.iter().for_each(|input| missing_in(input, &input.name.value, given, &mut missing));
        missing
    }

    /// The secrets that are to be drawn because they are not given, with how many characters. The compiler draws nothing.
    pub fn generated_secrets(&self, given: &Given) -> Vec<(String, u32)> {
        let mut drawn = Vec::new();
        self.inputs.iter().for_each(|input| generated_in(input, &input.name.value, given, &mut drawn));
        drawn
    }
}

fn generated_in(input: &InputDecl, path: &str, given: &Given, drawn: &mut Vec<(String, u32)>) {
    if let Some(Kind::Record(fields)) = &input.kind {
        if !input.optional || is_given(given, path) {
            fields.iter().for_each(|field| generated_in(field, &format!("{path}.{}", field.name.value), given, drawn));
        }
    } else if let Some(length) = input.generate.filter(|_| !given.inputs.contains_key(path)) {
        drawn.push((path.to_owned(), length));
    }
}

fn missing_in(input: &InputDecl, path: &str, given: &Given, missing: &mut Vec<(String, Option<String>)>) {
    if let Some(Kind::Record(fields)) = &input.kind {
        if !input.optional || is_given(given, path) {
            let path = |field: &InputDecl| format!("{path}.{}", field.name.value);
            fields.iter().for_each(|field| missing_in(field, &path(field), given, missing));
        }
    } else if input.secret
        && !input.optional
        && input.generate.is_none()
        && !matches!(input.kind, Some(Kind::SecretFile))
        && !given.inputs.contains_key(path)
    {
        missing.push((path.to_owned(), input.about.clone()));
    }
}
