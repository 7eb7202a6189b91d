//! A workflow as a whole, for people and other programs: its roles, groups and steps, and what waits for what.
//!
//! An [`Outline`] is made of a checked workflow, so it needs no inputs and no hosts; its steps stand in the order of the plan,
//! every edge points to one before. [`text`], [`dot`] and [`mermaid`] draw it: pure functions, the same outline gives the same
//! bytes. It serialises to what `anneal graph --json` prints.

pub mod dot;
pub mod mermaid;
pub mod text;

use serde::Serialize;

use crate::declared::{InputDecl, RoleDecl, RoleKind};
use crate::kind::Kind;
use crate::plan::{Action, EdgeKind, EdgeOrigin, OnState, Step};
use crate::value::Value;
use crate::workflow::Workflow;

/// What a workflow consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outline {
    /// Its name.
    pub workflow: String,
    /// What it is for; empty where it does not say.
    pub about: String,
    /// Its inputs, in the order of the file.
    pub inputs: Vec<OutlineInput>,
    /// Its roles, in the order of the file.
    pub roles: Vec<OutlineRole>,
    /// Its groups, in the order of the file; a step with a `batch` of its own is one with its id.
    pub groups: Vec<OutlineGroup>,
    /// Its steps, in the order of the plan.
    pub steps: Vec<OutlineStep>,
    /// Names of what it gives when it has completed.
    pub outputs: Vec<String>,
}

/// An input, or a field of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutlineInput {
    /// Its name.
    pub name: String,
    /// Its type, as a workflow declares it.
    #[serde(rename = "type")]
    pub ty: String,
    /// It need not be given.
    pub optional: bool,
    /// It is never shown.
    pub secret: bool,
    /// What it is where nothing is given, as text.
    pub default: Option<String>,
    /// What it is for.
    pub about: Option<String>,
    /// The fields of a record.
    pub fields: Vec<OutlineInput>,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutlineRole {
    /// Its name.
    pub name: String,
    /// How few hosts may fill it.
    pub min: usize,
    /// How many hosts may fill it.
    pub max: usize,
    /// Which of them are not passed over, as it is written.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// The records that fill it, as it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutlineGroup {
    /// Its id.
    pub id: String,
    /// The role whose hosts pass through.
    pub role: String,
    /// How many hosts may be in it at once, batch by batch; empty: all.
    pub sizes: Vec<u32>,
    /// How long after a host has left before the next one enters, in milliseconds.
    pub pause_ms: u64,
    /// After so many hosts with a failure no further host enters.
    pub stop_after: Option<u32>,
    /// The gate that a person opens after the first batch.
    pub gate: Option<String>,
    /// What hosts that are in it at once have in common, as it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutlineStep {
    /// Its id.
    pub id: String,
    /// What it is for.
    pub about: Option<String>,
    /// The role it runs on; none for a gate.
    pub role: Option<String>,
    /// The role at whose host it runs, where that is not its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_at: Option<String>,
    /// Its group.
    pub group: Option<String>,
    /// What it does, as the language calls it: `Run`, `Upload`, …
    pub action: String,
    /// In `finally`: after which ends it runs.
    pub finally: Option<OnState>,
    /// It has a condition.
    pub when: bool,
    /// It runs for each element of a list.
    pub each: bool,
    /// It asks first whether its effect is there.
    pub probe: bool,
    /// It can be undone.
    pub undo: bool,
    /// Names of what it puts out.
    pub out: Vec<String>,
    /// 1 for a step that waits for none; else one more than the highest of those it waits for. `finally` begins at 1 again.
    pub level: usize,
    /// What it waits for.
    pub needs: Vec<OutlineEdge>,
}

/// What a step waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutlineEdge {
    /// Id of the earlier step.
    pub step: String,
    /// Host by host, or all of it.
    pub kind: EdgeKind,
    /// Written in `needs`, or a reference.
    pub origin: EdgeOrigin,
    /// A failure of the earlier step will do.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub settled: bool,
}

impl Workflow {
    /// What it consists of.
    pub fn outline(&self) -> Outline {
        let steps: Vec<&Step> = self.steps.iter().map(|lowered| &lowered.step).collect();
        let mut levels: Vec<usize> = Vec::with_capacity(steps.len());
        for step in &steps {
            levels.push(1 + step.needs.iter().filter_map(|edge| levels.get(edge.step)).max().copied().unwrap_or(0));
        }
        let id = |index: usize| steps.get(index).map(|step| step.id.clone());
        let edge = |edge: &crate::plan::Edge| {
            Some(OutlineEdge { step: id(edge.step)?, kind: edge.kind, origin: edge.origin, settled: edge.settled })
        };
        Outline {
            workflow: self.name.clone(),
            about: self.about.clone(),
            inputs: self.inputs.iter().filter_map(outline_input).collect(),
            outputs: self.whole.outputs.keys().cloned().collect(),
            roles: self.roles.iter().filter_map(outline_role).collect(),
            groups: (self.whole.groups.iter().zip(&self.whole.by))
                .map(|(group, by)| OutlineGroup {
                    id: group.id.clone(),
                    role: group.role.clone(),
                    sizes: group.sizes.clone(),
                    pause_ms: group.pause_ms,
                    stop_after: group.stop_after,
                    gate: group.gate.and_then(id),
                    by: by.clone(),
                })
                .collect(),
            steps: (steps.iter().zip(&levels))
                .map(|(step, level)| OutlineStep {
                    id: step.id.clone(),
                    about: step.about.clone(),
                    role: step.role.clone(),
                    run_at: step.run_at.clone(),
                    group: step.group.and_then(|group| self.whole.groups.get(group)).map(|group| group.id.clone()),
                    action: action_word(&step.action),
                    finally: step.finally,
                    when: step.when.is_some(),
                    each: step.each.is_some(),
                    probe: step.probe.is_some(),
                    undo: step.undo.is_some(),
                    out: step.out.keys().cloned().collect(),
                    level: *level,
                    needs: step.needs.iter().filter_map(edge).collect(),
                })
                .collect(),
        }
    }
}

fn outline_input(input: &InputDecl) -> Option<OutlineInput> {
    let kind = input.kind.as_ref()?;
    let fields = match kind {
        Kind::Record(fields) => fields.iter().filter_map(outline_input).collect(),
        _ => Vec::new(),
    };
    Some(OutlineInput {
        name: input.name.value.clone(),
        ty: kind.ty().to_string(),
        optional: input.optional,
        secret: input.secret,
        default: input.default.as_ref().filter(|_| !input.secret).map(shown),
        about: input.about.clone(),
        fields,
    })
}

/// A default as people read it.
fn shown(value: &Value) -> String {
    match value {
        Value::List(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Record(fields) => {
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {}", shown(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        value => value.to_text().unwrap_or_else(|| value.kind().to_owned()),
    }
}

fn outline_role(role: &RoleDecl) -> Option<OutlineRole> {
    let (min, max) = match role.kind? {
        RoleKind::One => (1, 1),
        RoleKind::Optional => (0, 1),
        RoleKind::Many { min, max } => (min, max),
    };
    let filter = role.filter.as_ref().map(|filter| filter.text.clone());
    let from = role.from.as_ref().map(|from| {
        let (word, fields) = from.declared();
        format!("{word}({})", fields.join(", "))
    });
    Some(OutlineRole { name: role.name.value.clone(), min, max, filter, from })
}

/// The word of an action. Its stored name is the same in `snake_case`, so a new action is named right without a word here.
fn action_word(action: &Action) -> String {
    let stored = match serde_json::to_value(action) {
        Ok(serde_json::Value::Object(fields)) => fields.into_iter().next().map(|(name, _)| name).unwrap_or_default(),
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    };
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    stored.split('_').filter(|word| !word.is_empty()).map(capital).collect()
}

impl OutlineRole {
    /// As a workflow declares it: `One`, `Many(min: 2)`.
    pub fn declared(&self) -> String {
        if let Some(from) = &self.from {
            let filter = self.filter.as_ref().map(|filter| format!(", where: \"{filter}\")"));
            return match filter {
                Some(filter) => format!("{}{filter}", from.trim_end_matches(')')),
                None => from.clone(),
            };
        }
        let (kind, mut fields) = match (self.min, self.max) {
            (1, 1) => ("One", Vec::new()),
            (0, 1) => ("Optional", Vec::new()),
            (1, crate::limits::SLOTS) => ("Many", Vec::new()),
            (min, crate::limits::SLOTS) => ("Many", vec![format!("min: {min}")]),
            (min, max) => ("Many", vec![format!("min: {min}"), format!("max: {max}")]),
        };
        fields.extend(self.filter.iter().map(|filter| format!("where: \"{filter}\"")));
        if fields.is_empty() { kind.to_owned() } else { format!("{kind}({})", fields.join(", ")) }
    }
}

impl OutlineGroup {
    /// How hosts pass through it, in words.
    pub fn how(&self) -> String {
        let mut how = match self.sizes.as_slice() {
            [] => "all hosts at once".to_owned(),
            sizes => {
                let sizes: Vec<String> = sizes.iter().map(u32::to_string).collect();
                format!("{} at a time", sizes.join(", then "))
            }
        };
        if let Some(by) = &self.by {
            how.push_str(&format!(", by {by}"));
        }
        if self.pause_ms > 0 {
            how.push_str(&format!(", {} between", crate::duration::show(self.pause_ms)));
        }
        if let Some(most) = self.stop_after {
            how.push_str(&format!(", stops after {most} failed"));
        }
        if let Some(gate) = &self.gate {
            how.push_str(&format!(", {gate} after the first batch"));
        }
        how
    }
}

impl OutlineStep {
    /// Whether a person is asked.
    pub fn is_gate(&self) -> bool {
        self.role.is_none() && self.action == "Gate"
    }

    /// When it runs of `finally`, in a word.
    pub fn on_state(&self) -> Option<&'static str> {
        Some(match self.finally? {
            OnState::Always => "always",
            OnState::Succeeded => "succeeded",
            OnState::Failed => "failed",
            OnState::Cancelled => "cancelled",
        })
    }
}

impl OutlineEdge {
    /// Where it comes from, in a word.
    pub fn origin_word(&self) -> &'static str {
        match self.origin {
            EdgeOrigin::Needs if self.settled => "its end",
            EdgeOrigin::Needs => "needs",
            EdgeOrigin::Reference => "reads",
        }
    }

    /// How nodes are matched, in words.
    pub fn kind_words(&self) -> &'static str {
        match self.kind {
            EdgeKind::Keyed => "host by host",
            EdgeKind::Barrier => "all of it",
        }
    }
}
