//! Calls: the workflows that a workflow calls are found and checked, each by itself.
//!
//! A workflow that is called is checked as if nobody called it, with its own files; so its errors are shown in its own
//! text. Only then is it written out in the caller ([`crate::inline`]).

use std::sync::Arc;

use crate::code::Code;
use crate::declared::Declared;
use crate::diagnostic::{Diagnostic, Sink};
use crate::limits;
use crate::source::{Called, Files, Source, Spanned, count, quote, sentence};
use crate::workflow::{Workflow, build};

/// The workflows in whose midst one is checked.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// Names of their sources: each calls the next.
    stack: Vec<String>,
    /// How many were loaded.
    loaded: usize,
}

impl Calls {
    /// Of a workflow that nobody calls.
    pub(crate) fn of(source: &str) -> Calls {
        Calls { stack: vec![source.to_owned()], loaded: 0 }
    }

    /// Finds and checks what a workflow calls; reports what cannot be called.
    pub(crate) fn load(&mut self, declared: &mut Declared, files: &dyn Files, sink: &mut Sink) {
        for step in &mut declared.steps {
            let Some(call) = &mut step.call else { continue };
            let Some(name) = &call.workflow else { continue };
            match self.one(name, files, sink) {
                Ok(workflow) => call.callee = Some(Arc::new(workflow)),
                Err(diagnostic) => sink.push(*diagnostic),
            }
        }
    }

    fn one(
        &mut self,
        name: &Spanned<String>,
        files: &dyn Files,
        caller: &mut Sink,
    ) -> Result<Workflow, Box<Diagnostic>> {
        let wrong =
            |message: String, label: &str| Box::new(Diagnostic::error(Code::CallFails, message).at(&name.span, label));
        let shown = quote(&name.value);
        let Called { source, files } = files
            .workflow(&name.value)
            .map_err(|reason| wrong(format!("{shown} cannot be called: {}", sentence(&reason)), "called here"))?;
        if self.stack.contains(&source.name) {
            let circle = self.stack.iter().chain([&source.name]).map(String::as_str).collect::<Vec<_>>();
            let message = format!("workflows call each other in a circle: {}", quote(&circle.join(" → ")));
            return Err(wrong(message, "closes the circle"));
        }
        if self.stack.len() > limits::CALL_DEPTH {
            let message = format!("workflows call each other more than {} deep", limits::CALL_DEPTH);
            return Err(wrong(message, "one too many"));
        }
        if self.loaded >= limits::CALLS {
            return Err(wrong(format!("the workflow calls more than {} others", limits::CALLS), "one too many"));
        }
        self.loaded += 1;
        self.stack.push(source.name.clone());
        let mut sink = Sink::default();
        let workflow = build(&source, &*files, self, &mut sink);
        self.stack.pop();
        let (errors, warnings): (Vec<_>, Vec<_>) = sink.into_sorted().into_iter().partition(Diagnostic::is_error);
        match (workflow, errors.as_slice()) {
            (Some(workflow), []) => {
                // What a workflow lets others see is for everybody to know who calls it.
                let source = Arc::new(source);
                let seen = warnings.into_iter().filter(|warning| warning.code == Code::SecretArgs);
                seen.for_each(|warning| caller.push(called(name, warning, &source)));
                Ok(workflow)
            }
            (_, errors) => {
                let message = format!("{shown}, which is called, has {}", count(errors.len(), "error"));
                let mut diagnostic = *wrong(message, "called here");
                if let Some(first) = errors.first() {
                    let source = Arc::new(source);
                    diagnostic = match (&first.inside, first.labels.first()) {
                        // What is wrong further in says more than that something is.
                        (Some(inside), _) if first.code == Code::CallFails => {
                            diagnostic.inside(&inside.file, &inside.label.range, &inside.label.text)
                        }
                        (Some(inside), _) => diagnostic.inside(&inside.file, &inside.label.range, &first.message),
                        (None, Some(label)) => diagnostic.inside(&source, &label.range, &first.message),
                        (None, None) => diagnostic.help(first.message.clone()),
                    };
                    diagnostic = diagnostic.help(format!("`anneal check {}` shows all of it", source.name));
                }
                Err(Box::new(diagnostic))
            }
        }
    }
}

/// A warning of a workflow that is called, where it is called.
fn called(name: &Spanned<String>, warning: Diagnostic, source: &Arc<Source>) -> Diagnostic {
    let shown = Diagnostic::warning(warning.code, warning.message).at(&name.span, "called here");
    let shown = match (warning.inside, warning.labels.first()) {
        (Some(inside), _) => shown.inside(&inside.file, &inside.label.range, &inside.label.text),
        (None, Some(label)) => shown.inside(source, &label.range, &label.text),
        (None, None) => shown,
    };
    warning.helps.into_iter().fold(shown, Diagnostic::help)
}
