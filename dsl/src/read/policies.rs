//! What a step does about failures and unknown outcomes.

use super::fields::{Fields, Shape};
use super::scalars::Reader;
use crate::code::Code;
use crate::declared::{RetryDecl, Scalar};
use crate::diagnostic::Diagnostic;
use crate::limits;
use crate::plan::{Interrupted, OnFailure, RetryOn};
use crate::source::Spanned;
use crate::syntax::{Kind, Node};

const RETRY: Shape = Shape { name: "", fields: &["times", "wait", "factor", "cap", "on", "jitter"], positional: None };

pub(super) fn on_failure(node: &Node, reader: &mut Reader) -> Option<OnFailure> {
    let word = reader.variant(node, "a policy of `on_failure`", &["Stop", "Continue", "Rollback"])?;
    reader.bare(node);
    Some(match word {
        "Continue" => OnFailure::Continue,
        "Rollback" => OnFailure::Rollback,
        _ => OnFailure::Stop,
    })
}

pub(super) fn interrupted(node: &Node, reader: &mut Reader) -> Option<Spanned<Interrupted>> {
    let known = &["Reattach", "Probe", "Rerun", "UndoThenRerun", "Ask"];
    let value = match reader.variant(node, "a policy of `interrupted`", known)? {
        "Reattach" => Interrupted::Reattach,
        "Probe" => Interrupted::Probe,
        "Rerun" => Interrupted::Rerun,
        "UndoThenRerun" => Interrupted::UndoThenRerun,
        _ => Interrupted::Ask,
    };
    reader.bare(node)?;
    Some(Spanned::new(value, node.span.clone()))
}

pub(super) fn retry(node: &Node, reader: &mut Reader) -> Option<RetryDecl> {
    let mut fields = Fields::open(node, &RETRY, "`retry`", reader.sink)?;
    let times = fields.required("times", reader.sink);
    let times = times.and_then(|node| reader.integer_or_expr(node, "times", 1, i64::from(limits::RETRY_TIMES)));
    let mut wait = |field: &str| {
        let node = fields.optional(field)?;
        reader.duration_or_expr(node, field, 0, limits::RETRY_WAIT_MAX_MS)
    };
    let (wait, cap) = (wait("wait"), wait("cap"));
    let factor = fields.optional("factor").and_then(|node| factor(node, reader));
    let on = fields.optional("on").and_then(|node| retry_on(node, reader));
    let jitter = fields.optional("jitter").and_then(|node| reader.float(node, "jitter", 0.0, 1.0));
    if let Some(Scalar::Literal(Spanned { value: 1, span })) = &times {
        for field in ["wait", "factor", "cap", "on", "jitter"] {
            if fields.optional(field).is_some() {
                let message = format!("`{field}` has no effect where there is one attempt only");
                let diagnostic = Diagnostic::error(Code::NoEffect, message).at(&fields.place(field), "never used");
                reader.sink.push(diagnostic.at(span, "because of this").help("`times` counts the first attempt too"));
            }
        }
    }
    let times = times.map(|times| match times {
        Scalar::Literal(Spanned { value, span }) => Scalar::Literal(Spanned::new(value.unsigned_abs() as u32, span)),
        Scalar::Expr(syntax) => Scalar::Expr(syntax),
    });
    Some(RetryDecl { times, wait, factor, cap, on, jitter })
}

fn factor(node: &Node, reader: &mut Reader) -> Option<Scalar<f64>> {
    if let Kind::Text(_) = node.kind {
        let text = reader.text(node, "factor")?;
        if let Some(expr) = reader.only_expression(text, "factor")? {
            return Some(expr);
        }
    }
    let number = reader.float(node, "factor", 1.0, f64::from(limits::RETRY_FACTOR))?;
    Some(Scalar::Literal(Spanned::new(number, node.span.clone())))
}

fn retry_on(node: &Node, reader: &mut Reader) -> Option<Vec<RetryOn>> {
    let list = reader.list(node, "on", limits::CHOICES)?;
    let mut on = Vec::new();
    for node in list {
        let class = match reader.variant(node, "a class of failures", &["Connection", "Timeout", "Exit", "Any"])? {
            "Connection" => reader.bare(node).map(|()| RetryOn::Connection)?,
            "Timeout" => reader.bare(node).map(|()| RetryOn::Timeout)?,
            "Any" => reader.bare(node).map(|()| RetryOn::Any)?,
            _ => {
                let codes = reader.single(node, "Exit([100, 101])")?;
                let codes = reader.list(codes, "Exit", limits::CHOICES)?;
                let codes: Option<Vec<i32>> =
                    codes.iter().map(|node| reader.integer(node, "Exit", 1, 255).map(|code| code as i32)).collect();
                RetryOn::Exit(some(codes?, node, "`Exit` lists no code", reader)?)
            }
        };
        on.push(class);
    }
    some(on, node, "`on` lists no class of failures, so nothing would be tried again", reader)
}

pub(super) fn some<T>(list: Vec<T>, node: &Node, message: &str, reader: &mut Reader) -> Option<Vec<T>> {
    if list.is_empty() {
        reader.sink.push(Diagnostic::error(Code::Empty, message).at(&node.head(), "empty"));
        return None;
    }
    Some(list)
}
