//! The outline in the language of Mermaid, which code hosting sites and wikis draw.
//!
//! Nodes are numbered (`s0`, `s1`, …), because words such as `end` mean something in it. Solid arrows come from `needs`, dotted
//! ones from references; `all` on an arrow waits for all of the earlier step, the others go host by host.

use std::collections::BTreeMap;

use super::{Outline, OutlineStep};
use crate::plan::{EdgeKind, EdgeOrigin};

/// Draws it.
pub fn draw(outline: &Outline) -> String {
    let number: BTreeMap<&str, usize> =
        outline.steps.iter().enumerate().map(|(at, step)| (step.id.as_str(), at)).collect();
    let mut lines = vec!["flowchart TD".to_owned()];
    for (at, group) in outline.groups.iter().enumerate() {
        let title = format!("{} over {}: {}", group.id, group.role, group.how());
        lines.push(format!("    subgraph g{at}[{}]", quoted(&title)));
        nodes(outline, "        ", &mut lines, |step| step.group.as_ref() == Some(&group.id));
        lines.push("    end".to_owned());
    }
    nodes(outline, "    ", &mut lines, |step| step.group.is_none() && step.finally.is_none());
    if outline.steps.iter().any(|step| step.finally.is_some()) {
        lines.push("    subgraph finally[\"finally\"]".to_owned());
        nodes(outline, "        ", &mut lines, |step| step.finally.is_some());
        lines.push("    end".to_owned());
    }
    for (to, step) in outline.steps.iter().enumerate() {
        for edge in &step.needs {
            let Some(from) = number.get(edge.step.as_str()) else { continue };
            let arrow = match edge.origin {
                EdgeOrigin::Needs => "-->",
                EdgeOrigin::Reference => "-.->",
            };
            let kind = match edge.kind {
                EdgeKind::Keyed => "",
                EdgeKind::Barrier => "|all|",
            };
            lines.push(format!("    s{from} {arrow}{kind} s{to}"));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

fn nodes(outline: &Outline, indent: &str, lines: &mut Vec<String>, which: impl Fn(&OutlineStep) -> bool) {
    for (at, step) in outline.steps.iter().enumerate().filter(|(_, step)| which(step)) {
        let mut label = format!("{}\n{}", step.id, step.action);
        if let Some(role) = &step.role {
            label.push_str(&format!(" on {role}"));
        }
        if let Some(state) = step.on_state().filter(|state| *state != "always") {
            label.push_str(&format!("\nif {state}"));
        }
        let (open, close) = if step.is_gate() { ("{{", "}}") } else { ("[", "]") };
        lines.push(format!("{indent}s{at}{open}{}{close}", quoted(&label)));
    }
}

/// A quoted text of the language, in which nothing but its own entities is escaped.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("#quot;"),
            '#' => quoted.push_str("#35;"),
            '&' => quoted.push_str("#amp;"),
            '<' => quoted.push_str("#lt;"),
            '>' => quoted.push_str("#gt;"),
            '`' => quoted.push_str("#96;"),
            '\n' => quoted.push_str("<br/>"),
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
    fn nothing_ends_a_text_but_its_quote() {
        assert_eq!(super::quoted("a\"b\n<#`&>"), "\"a#quot;b<br/>#lt;#35;#96;#amp;#gt;\"");
    }
}
