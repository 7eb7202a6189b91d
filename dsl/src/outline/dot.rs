//! The outline in the language of Graphviz (`dot -Tsvg`).
//!
//! Solid edges come from `needs`, dashed ones from references; a filled arrow waits for all of the earlier step, an open one
//! goes host by host. Groups and `finally` are clusters, gates are hexagons.

use std::fmt::Write;

use super::{Outline, OutlineStep};
use crate::plan::{EdgeKind, EdgeOrigin};

/// Draws it.
pub fn draw(outline: &Outline) -> String {
    let mut dot = format!("digraph {} {{\n", quoted(&outline.workflow));
    dot.push_str("  rankdir=TB;\n  node [shape=box, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\"];\n");
    let mut put = |line: String| {
        dot.push_str(&line);
        dot.push('\n');
    };
    for (at, group) in outline.groups.iter().enumerate() {
        let title = format!("{} over {}: {}", group.id, group.role, group.how());
        put(format!("  subgraph cluster_group_{at} {{\n    label={};", quoted(&title)));
        of(outline, |step| step.group.as_ref() == Some(&group.id)).for_each(|step| put(format!("    {}", node(step))));
        put("  }".to_owned());
    }
    of(outline, |step| step.group.is_none() && step.finally.is_none())
        .for_each(|step| put(format!("  {}", node(step))));
    if outline.steps.iter().any(|step| step.finally.is_some()) {
        put("  subgraph cluster_finally {\n    label=\"finally\";\n    style=dotted;".to_owned());
        of(outline, |step| step.finally.is_some()).for_each(|step| put(format!("    {}", node(step))));
        put("  }".to_owned());
    }
    for step in &outline.steps {
        for edge in &step.needs {
            let style = match edge.origin {
                EdgeOrigin::Needs => "solid",
                EdgeOrigin::Reference => "dashed",
            };
            let arrow = match edge.kind {
                EdgeKind::Keyed => "onormal",
                EdgeKind::Barrier => "normal",
            };
            put(format!("  {} -> {} [style={style}, arrowhead={arrow}];", quoted(&edge.step), quoted(&step.id)));
        }
    }
    dot.push_str("}\n");
    dot
}

fn of(outline: &Outline, which: impl Fn(&OutlineStep) -> bool) -> impl Iterator<Item = &OutlineStep> {
    outline.steps.iter().filter(move |step| which(step))
}

fn node(step: &OutlineStep) -> String {
    let mut label = format!("{}\n{}", step.id, step.action);
    if let Some(role) = &step.role {
        let _ = write!(label, " on {role}");
    }
    if let Some(state) = step.on_state().filter(|state| *state != "always") {
        let _ = write!(label, "\nif {state}");
    }
    let shape = if step.is_gate() { ", shape=hexagon" } else { "" };
    let tooltip = step.about.as_ref().map(|about| format!(", tooltip={}", quoted(about))).unwrap_or_default();
    format!("{} [label={}{shape}{tooltip}];", quoted(&step.id), quoted(&label))
}

/// A double-quoted string of the language: `"` and `\` escaped, a line end written `\n`, no other control character.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_ends_a_string_but_its_quote() {
        assert_eq!(super::quoted("a\"b\\c\nd\u{7}e"), r#""a\"b\\c\nd e""#);
    }
}
