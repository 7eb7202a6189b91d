//! From a checked workflow and what is given to a [`Plan`].

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Sink};
use crate::eval::{Scope, sha256_hex};
use crate::expr::{Expr, HostProperty, InstanceProperty};
use crate::fixed;
use crate::given::{Given, Reading, Secrets};
use crate::plan::exprs::change_template;
use crate::plan::{Asset, FORMAT, Input, Plan, Role};
use crate::roles::{is_several, parts};
use crate::source::Files;
use crate::value::{SecretRef, Value};
use crate::workflow::Workflow;

/// A plan with what belongs to it and is kept apart from it.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The plan: it holds no secret and no bytes of files.
    pub plan: Plan,
    /// The bytes of [`Plan::assets`], by path.
    pub assets: BTreeMap<String, Vec<u8>>,
    /// The texts of the secrets that the plan names.
    pub secrets: Secrets,
    /// What is hardly meant.
    pub warnings: Vec<Diagnostic>,
}

impl Workflow {
    /// Compiles the workflow for given values and hosts. `files` is asked about inputs of type `File`; the scripts are
    /// those that were there when the workflow was checked.
    pub fn compile(&self, given: &Given, files: &dyn Files) -> Result<Compiled, Vec<Diagnostic>> {
        let mut reading = Reading { given, files, secrets: Secrets::new(), sink: Sink::default() };
        let values = reading.inputs(self);
        let mut roles = reading.roles(self);
        for (name, source) in &self.whole.sources {
            if let Some(role) = roles.get_mut(name) {
                role.from = Some(source.clone());
            }
        }
        for several in
            self.steps.iter().filter_map(|lowered| lowered.step.role.as_deref()).filter(|role| is_several(role))
        {
            let together = union(several, &roles);
            roles.entry(several.to_owned()).or_insert(together);
        }
        let Reading { secrets, mut sink, .. } = reading;
        let mut steps = Vec::with_capacity(self.steps.len());
        if !sink.has_errors() {
            for lowered in &self.steps {
                let mut lowered = lowered.clone();
                fixed::apply(&mut lowered, &Inputs(&values)).into_iter().for_each(|diagnostic| sink.push(diagnostic));
                steps.push(lowered.step);
            }
        }
        if !sink.has_errors() {
            self.passed
                .iter()
                .filter_map(|passed| fixed::passed(passed, &Inputs(&values)).err())
                .for_each(|wrong| sink.push(wrong));
        }
        let deadline_ms = match &self.whole.deadline {
            Some(deadline) if !sink.has_errors() => {
                fixed::deadline(deadline, &Inputs(&values)).map_err(|diagnostic| sink.push(diagnostic)).ok()
            }
            _ => None,
        };
        if sink.has_errors() {
            return Err(sink.into_sorted());
        }
        let mut seen = BTreeMap::new();
        let mut note = |expr: &mut Expr| {
            if let Expr::Instance { of, .. } = expr {
                seen.insert(*of, None);
            }
        };
        steps.iter_mut().for_each(|step| step.change(&mut note));
        self.whole.outputs.values().for_each(|output| change_template(&mut output.clone(), &mut note));
        let inputs = self.inputs.iter().filter_map(|input| {
            let value = values.get(&input.name.value)?.clone();
            Some((input.name.value.clone(), Input { field: input.field()?, value }))
        });
        let plan = Plan {
            format: FORMAT,
            workflow: self.name.clone(),
            about: self.about.clone(),
            inputs: inputs.collect(),
            roles,
            steps,
            outputs: self.whole.outputs.clone(),
            assets: self.assets.iter().map(|(path, bytes)| (path.clone(), asset(bytes))).collect(),
            groups: self.whole.groups.clone(),
            locks: self.whole.locks.clone(),
            instances: self.whole.instances.clone(),
            deadline_ms,
            left_out: BTreeMap::new(),
            seen,
        };
        debug_assert!(plan.validate().is_ok(), "the compiler made an invalid plan");
        Ok(Compiled { plan, assets: self.assets.clone(), secrets, warnings: sink.into_sorted() })
    }
}

impl Plan {
    /// Fills roles with hosts from records; those of several roles together follow.
    pub fn fill(&mut self, filled: &BTreeMap<String, Vec<String>>) {
        for (name, slots) in filled {
            if let Some(role) = self.roles.get_mut(name).filter(|role| role.from.is_some()) {
                role.slots.clone_from(slots);
            }
        }
        let several: Vec<String> = self.roles.keys().filter(|name| is_several(name)).cloned().collect();
        for name in several {
            let together = union(&name, &self.roles);
            self.roles.insert(name, together);
        }
    }
}

/// The hosts of several roles, each once, in the order of the roles' names.
fn union(several: &str, roles: &BTreeMap<String, Role>) -> Role {
    let mut slots: Vec<String> = Vec::new();
    for slot in parts(several).filter_map(|part| roles.get(part)).flat_map(|role| &role.slots) {
        if !slots.contains(slot) {
            slots.push(slot.clone());
        }
    }
    Role { one: false, slots, from: None }
}

fn asset(bytes: &[u8]) -> Asset {
    Asset { sha256: sha256_hex(bytes), size_bytes: bytes.len() as u64 }
}

/// What is known before an operation begins: inputs, and nothing else. The compiler has proved that nothing else is asked.
struct Inputs<'a>(&'a BTreeMap<String, Value>);

impl Scope for Inputs<'_> {
    fn input(&self, name: &str) -> Value {
        self.0.get(name).cloned().unwrap_or(Value::None)
    }

    fn out(&self, _: usize, _: &str) -> Value {
        Value::None
    }

    fn step_state(&self, _: usize) -> Value {
        Value::None
    }

    fn step_changed(&self, _: usize) -> Value {
        Value::None
    }

    fn everywhere(&self, _: &Expr) -> Value {
        Value::None
    }

    fn host(&self, _: HostProperty) -> Value {
        Value::None
    }

    fn role(&self, _: &str, _: HostProperty) -> Value {
        Value::None
    }

    fn operation_id(&self) -> Value {
        Value::None
    }

    fn operation_started_at(&self) -> Value {
        Value::None
    }

    fn operation_state(&self) -> Value {
        Value::None
    }

    fn operation_failure(&self) -> Value {
        Value::None
    }

    fn each(&self) -> Value {
        Value::None
    }

    fn instance(&self, _: usize, _: InstanceProperty) -> Value {
        Value::None
    }

    fn secret(&self, _: &SecretRef) -> Option<String> {
        None
    }
}
