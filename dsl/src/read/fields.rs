//! The fields of a struct: each read at most once, none left over.

use std::ops::Range;

use crate::code::Code;
use crate::diagnostic::{Diagnostic, Sink};
use crate::source::{list_names, quote, there_are};
use crate::syntax::{Kind, Node, Struct};

/// What a struct looks like.
pub(super) struct Shape {
    /// Its name, which may be left out.
    pub(super) name: &'static str,
    /// All of its fields.
    pub(super) fields: &'static [&'static str],
    /// How to write its one value that has no name, where it has one instead of fields.
    pub(super) positional: Option<&'static str>,
}

/// The fields of one struct while they are read.
pub(super) struct Fields<'t> {
    this: &'t Struct,
    /// Where a field is looked for that is not in it: the nearest first.
    defaults: Vec<&'t Struct>,
    /// What messages call it: "step `run`".
    what: String,
    head: Range<usize>,
}

impl<'t> Fields<'t> {
    /// Opens a struct: reports another kind of value, a wrong name, values without a name and unknown fields. `None`
    /// where there is nothing to read.
    pub(super) fn open(node: &'t Node, shape: &Shape, what: &str, sink: &mut Sink) -> Option<Fields<'t>> {
        let example = || format!("it is written `{}({}: …)`", shape.name, shape.fields.first().unwrap_or(&""));
        let this = match &node.kind {
            Kind::Struct(this) => this,
            Kind::Broken => return None,
            _ => {
                let message = format!("{what} is {}, but `{}(…)` is expected", node.describe(), shape.name);
                sink.push(
                    Diagnostic::error(Code::WrongShape, message).at(&node.head(), "not a struct").help(example()),
                );
                return None;
            }
        };
        if let Some(name) = this.name.as_ref().filter(|name| name.value != shape.name) {
            if shape.name.is_empty() {
                let message = format!("{what} begins with {}, but has no name", quote(&name.value));
                sink.push(Diagnostic::error(Code::UnknownVariant, message).at(&name.span, "remove it").help(example()));
                return None;
            }
            let message = format!("{what} begins with {}, but `{}` is expected", quote(&name.value), shape.name);
            sink.push(
                Diagnostic::error(Code::UnknownVariant, message).at(&name.span, format!("write `{}`", shape.name)),
            );
            return None;
        }
        let fields = Fields { this, defaults: Vec::new(), what: what.to_owned(), head: node.head() };
        fields.report_positional(shape, sink);
        for (name, _) in &this.fields {
            if !shape.fields.contains(&name.value.as_str()) {
                let nearest = sink.nearest(&name.value, shape.fields.iter().copied());
                let diagnostic =
                    Diagnostic::error(Code::UnknownField, format!("{what} has no field {}", quote(&name.value)))
                        .at(&name.span, "no such field")
                        .helps(nearest.map(|nearest| format!("did you mean `{nearest}`?")));
                sink.push(diagnostic.help(there_are(shape.fields)));
            }
        }
        Some(fields)
    }

    fn report_positional(&self, shape: &Shape, sink: &mut Sink) {
        // Where something could not be read, a value may have lost its name by that.
        if self.this.broken {
            return;
        }
        let Some(first) = self.this.positional.first() else { return };
        if let Some(example) = shape.positional {
            let message = format!("{} has values without a name", self.what);
            let diagnostic = Diagnostic::error(Code::PositionalAndNamed, message).at(&first.head(), "without a name");
            sink.push(diagnostic.help(format!("it is written `{example}`")));
            return;
        }
        let missing = shape.fields.iter().find(|field| !self.this.fields.iter().any(|(name, _)| name.value == **field));
        let named = self.this.fields.first();
        let message = match named {
            Some(_) => format!("{} has a value without a name among named ones", self.what),
            None => format!("{} has a value without a name", self.what),
        };
        let mut diagnostic = Diagnostic::error(Code::PositionalAndNamed, message).at(&first.head(), "without a name");
        if let Some((name, _)) = named {
            diagnostic = diagnostic.at(&name.span, "named");
        }
        sink.push(match missing {
            Some(field) if named.is_some() => diagnostic.help(format!("name the first one too: `{field}: …`")),
            Some(field) => diagnostic.help(format!("name it: `{field}: …`")),
            None => diagnostic.help(format!("the fields are {}", list_names(shape.fields))),
        });
    }

    /// The value of a field; `None` where it is not there, or `None`.
    pub(super) fn optional(&mut self, name: &str) -> Option<&'t Node> {
        let (_, node) = self.this.fields.iter().find(|(field, _)| field.value == name)?;
        (node.kind != Kind::Absent).then_some(node)
    }

    /// Fields that are not in it are those of `defaults`, the first of them that has one, where they are read by
    /// [`Fields::or_default`].
    pub(super) fn with_defaults(self, defaults: Vec<&'t Struct>) -> Fields<'t> {
        Fields { defaults, ..self }
    }

    /// The value of a field, or its default.
    pub(super) fn or_default(&mut self, name: &str) -> Option<&'t Node> {
        if self.this.fields.iter().any(|(field, _)| field.value == name) {
            return self.optional(name); // `None` takes a default back.
        }
        self.all(name).into_iter().next()
    }

    /// The values of a field: its own, then its defaults, the nearest first.
    pub(super) fn all(&self, name: &str) -> Vec<&'t Node> {
        let layers = [self.this].into_iter().chain(self.defaults.iter().copied());
        let fields = layers.filter_map(|this| this.fields.iter().find(|(field, _)| field.value == name));
        fields.map(|(_, node)| node).filter(|node| node.kind != Kind::Absent).collect()
    }

    /// The value of a field that must be there.
    pub(super) fn required(&mut self, name: &str, sink: &mut Sink) -> Option<&'t Node> {
        let found = self.optional(name);
        // Where something could not be read, or has no name, it may well be this field: enough is said of it.
        if found.is_none() && !self.this.broken && self.this.positional.is_empty() {
            let message = format!("{} has no `{name}`", self.what);
            sink.push(
                Diagnostic::error(Code::MissingField, message)
                    .at(&self.head, format!("`{name}: …` is missing in here")),
            );
        }
        found
    }

    /// Whether a field is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.this.fields.iter().any(|(field, node)| field.value == name && node.kind != Kind::Absent)
    }

    /// Where the name of a field stands.
    pub(super) fn place(&self, name: &str) -> Range<usize> {
        let found = self.this.fields.iter().find(|(field, _)| field.value == name);
        found.map_or(self.head.clone(), |(field, _)| field.span.clone())
    }

    /// Whether something in it could not be read.
    pub(super) fn is_broken(&self) -> bool {
        self.this.broken
    }
}
