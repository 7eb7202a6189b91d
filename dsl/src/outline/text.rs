//! The outline as text, for a terminal of 80 columns: level by level, under each step what it waits for.

use std::collections::{BTreeMap, BTreeSet};

use super::{Outline, OutlineEdge, OutlineGroup, OutlineStep};
use crate::plan::EdgeOrigin;

/// No line is longer, in characters.
const COLUMNS: usize = 80;
/// The narrowest and the widest column of ids.
const ID_COLUMNS: [usize; 2] = [12, 30];
/// Columns before an id: the number of a level.
const INDENT: usize = 6;

/// Draws it; every line ends with a line end.
pub fn draw(outline: &Outline) -> String {
    let mut lines = Vec::new();
    match outline.about.as_str() {
        "" => wrap("", &outline.workflow, &mut lines),
        about => wrap("", &format!("{}: {about}", outline.workflow), &mut lines),
    }
    for role in &outline.roles {
        wrap("      ", &format!("role  {} {}", role.name, role.declared()), &mut lines);
    }
    for group in &outline.groups {
        wrap("      ", &format!("group {} over {}: {}", group.id, group.role, group.how()), &mut lines);
    }
    let groups = groups(outline);
    // An id that others wait for stands three further in.
    let longest = outline.steps.iter().map(|step| step.id.chars().count() + 3).max().unwrap_or(0);
    let ids = longest.clamp(ID_COLUMNS[0], ID_COLUMNS[1]);
    let (mut level, mut finally) = (0, false);
    let mut body: Vec<&OutlineStep> = outline.steps.iter().collect();
    // The sort keeps the order of the plan within a level.
    body.sort_by_key(|step| (step.finally.is_some(), step.level));
    for step in body {
        if step.finally.is_some() && !finally {
            (level, finally) = (0, true);
            lines.extend([String::new(), "finally".to_owned()]);
        } else if level == 0 && !finally {
            lines.push(String::new());
        }
        let number = if step.level == level { String::new() } else { step.level.to_string() };
        level = step.level;
        row(&format!("{number:>4}  "), &step.id, ids, &what(step), &mut lines);
        let needs = needs(step, &groups);
        let last = needs.len().saturating_sub(1);
        for (at, (name, how)) in needs.iter().enumerate() {
            let branch = if at == last { "└─ " } else { "├─ " };
            row(&format!("{:INDENT$}{branch}", ""), name, ids.saturating_sub(3), how, &mut lines);
        }
    }
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// A name and what is said of it: on one line, or on two where the name is too long.
fn row(before: &str, name: &str, width: usize, words: &str, lines: &mut Vec<String>) {
    if name.chars().count() <= width {
        lines.push(cut(&format!("{before}{name:<width$}  {words}")));
    } else {
        lines.push(cut(&format!("{before}{name}")));
        lines.push(cut(&format!("{:1$}{words}", "", before.chars().count() + width + 2)));
    }
}

/// What a step is, on one line.
fn what(step: &OutlineStep) -> String {
    let mut words = step.action.clone();
    if let Some(role) = &step.role {
        words.push_str(&format!(" on {role}"));
    }
    if let Some(role) = &step.run_at {
        words.push_str(&format!(", at {role}"));
    }
    if step.each {
        words.push_str(", for each element");
    }
    if let Some(group) = step.group.as_ref().filter(|group| **group != step.id) {
        words.push_str(&format!(", in {group}"));
    }
    match step.on_state() {
        None | Some("always") => {}
        Some(state) => words.push_str(&format!(", if {state}")),
    }
    for (there, word) in [(step.when, "when"), (step.probe, "probe"), (step.undo, "undo")] {
        if there {
            words.push_str(&format!(", {word}"));
        }
    }
    words
}

/// A group with the ids of its steps.
type Whole<'a> = (&'a OutlineGroup, Vec<&'a str>);

/// The groups that a name in `needs` can mean.
fn groups(outline: &Outline) -> Vec<Whole<'_>> {
    let mut groups: Vec<Whole> = outline.groups.iter().map(|group| (group, Vec::new())).collect();
    let at: BTreeMap<&str, usize> = groups.iter().enumerate().map(|(at, (group, _))| (group.id.as_str(), at)).collect();
    for step in &outline.steps {
        if let Some(at) = step.group.as_ref().and_then(|group| at.get(group.as_str())) {
            groups[*at].1.push(&step.id);
        }
    }
    groups.retain(|(_, steps)| steps.len() > 1);
    groups
}

/// What a step waits for, each with how; a group that is needed as a whole is one.
fn needs(step: &OutlineStep, groups: &[Whole]) -> Vec<(String, String)> {
    let how = |edge: &OutlineEdge| format!("{}, {}", edge.origin_word(), edge.kind_words());
    let written = step.needs.iter().filter(|edge| edge.origin == EdgeOrigin::Needs);
    let written: BTreeMap<&str, &OutlineEdge> = written.map(|edge| (edge.step.as_str(), edge)).collect();
    let mut covered: BTreeSet<&str> = BTreeSet::new();
    let mut whole = Vec::new();
    for (group, steps) in groups {
        if let Some(edge) = steps.first().and_then(|first| written.get(first))
            && steps.iter().all(|id| written.contains_key(id))
        {
            whole.push((group.id.clone(), format!("{}; its {} steps", how(edge), steps.len())));
            covered.extend(steps);
        }
    }
    let single = step.needs.iter().filter(|edge| !covered.contains(edge.step.as_str()));
    single.map(|edge| (edge.step.clone(), how(edge))).chain(whole).collect()
}

/// Words on as many lines as they need; those after the first begin with `indent`.
pub(super) fn wrap(indent: &str, words: &str, lines: &mut Vec<String>) {
    let mut line = String::new();
    for word in words.split(' ') {
        let empty = line.trim_start().is_empty();
        if !empty && line.chars().count() + 1 + word.chars().count() > COLUMNS {
            lines.push(cut(&line));
            line = format!("{indent}{word}");
        } else {
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.push(cut(&line));
}

/// A line that fits, without control characters.
fn cut(line: &str) -> String {
    let printable: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if printable.chars().count() <= COLUMNS {
        return printable;
    }
    let mut cut: String = printable.chars().take(COLUMNS - 1).collect();
    cut.push('…');
    cut
}
