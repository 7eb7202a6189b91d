//! Plans as they are stored: JSON with a format number.
//!
//! What comes from a store may come from another version, or be damaged. It is checked against the plan's invariants before
//! anyone relies on them.

use crate::expr::{Expr, Part, Template};
use crate::plan::{Action, FORMAT, Plan, Step, Until, UploadFrom};

/// The oldest format that is read.
const OLDEST: u32 = if FORMAT > 1 { FORMAT - 1 } else { 1 };

/// Why a stored plan cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It was written by a newer engine: this operation waits until one is installed.
    #[error("the plan has format {found}, but this engine reads formats up to {newest}: install a newer engine")]
    NeedsEngine {
        /// The plan's format.
        found: u32,
        /// The newest that this build reads.
        newest: u32,
    },
    /// It was written by an engine that is too old.
    #[error(
        "the plan has format {found}, but this engine reads formats from {oldest} on: continue it with an older engine"
    )]
    TooOld {
        /// The plan's format.
        found: u32,
        /// The oldest that this build reads.
        oldest: u32,
    },
    /// It is no plan.
    #[error("the plan cannot be read")]
    Malformed(#[source] serde_json::Error),
    /// It contradicts itself.
    #[error("the plan is damaged: {0}")]
    Invalid(String),
}

impl Plan {
    /// The plan as it is stored.
    pub fn to_json(&self) -> Result<Vec<u8>, PlanError> {
        serde_json::to_vec(self).map_err(PlanError::Malformed)
    }

    /// Reads a stored plan, and checks that its parts fit together.
    pub fn from_json(bytes: &[u8]) -> Result<Plan, PlanError> {
        /// Only the format: all else may differ in another one.
        #[derive(serde::Deserialize)]
        struct Format {
            format: u32,
        }
        let found = serde_json::from_slice::<Format>(bytes).map_err(PlanError::Malformed)?.format;
        if found > FORMAT {
            return Err(PlanError::NeedsEngine { found, newest: FORMAT });
        }
        if found < OLDEST {
            return Err(PlanError::TooOld { found, oldest: OLDEST });
        }
        let plan: Plan = serde_json::from_slice(bytes).map_err(PlanError::Malformed)?;
        plan.validate().map_err(PlanError::Invalid)?;
        Ok(plan)
    }

    /// Whether the plan's invariants hold; if not, which one does not.
    pub fn validate(&self) -> Result<(), String> {
        let mut ids = std::collections::HashSet::new();
        for (index, step) in self.steps.iter().enumerate() {
            let wrong = |what: &str| Err(format!("step {index} (`{}`) {what}", step.id));
            if !ids.insert(step.id.as_str()) {
                return wrong("has the id of another");
            }
            if step.role.as_ref().is_some_and(|role| !self.roles.contains_key(role)) {
                return wrong("runs on an unknown role");
            }
            if step.needs.iter().any(|edge| edge.step >= index) {
                return wrong("waits for a step that does not stand before it");
            }
            if step.retry.times == 0 || !step.retry.factor.is_finite() || step.retry.factor < 1.0 {
                return wrong("has an impossible retry");
            }
            step.exprs(&mut |expr| {
                match expr {
                    // Its own values are there when it is undone.
                    Expr::Out { step: read, .. } | Expr::StepState(read)
                        if *read != index && !step.needs.iter().any(|edge| edge.step == *read) =>
                    {
                        Err("reads a step that it does not wait for".to_owned())
                    }
                    expr => self.validate_expr(expr),
                }
            })
            .or_else(|what| wrong(&what))?;
            for asset in step.assets() {
                if !self.assets.contains_key(asset) {
                    return wrong("names an unknown file");
                }
            }
        }
        for (name, template) in &self.outputs {
            if template.secret {
                return Err(format!("the output `{name}` is secret"));
            }
            template_exprs(template, &mut |expr| self.validate_expr(expr))
                .map_err(|what| format!("the output `{name}` {what}"))?;
        }
        Ok(())
    }

    fn validate_expr(&self, expr: &Expr) -> Result<(), String> {
        match expr {
            Expr::Out { step, .. } | Expr::StepState(step) if *step >= self.steps.len() => {
                Err("reads an unknown step".to_owned())
            }
            Expr::Input(name) if !self.inputs.contains_key(name) => Err(format!("reads the unknown input `{name}`")),
            Expr::Role { role, .. } if !self.roles.get(role).is_some_and(|role| role.one) => {
                Err(format!("reads the role `{role}`, which is not one host"))
            }
            _ => Ok(()),
        }
    }
}

type Visit<'v> = dyn FnMut(&Expr) -> Result<(), String> + 'v;

impl Step {
    fn actions(&self) -> impl Iterator<Item = &Action> {
        self.probe.iter().map(|probe| &probe.action).chain([&self.action]).chain(&self.undo)
    }

    /// The files of the workflow that the step uses.
    pub fn assets(&self) -> impl Iterator<Item = &str> {
        self.actions().filter_map(|action| match action {
            Action::Script { asset, .. } | Action::Upload { from: UploadFrom::Asset(asset), .. } => {
                Some(asset.as_str())
            }
            Action::Run { .. }
            | Action::Shell { .. }
            | Action::Upload { .. }
            | Action::Wait { .. }
            | Action::Gate { .. } => None,
        })
    }

    fn exprs(&self, visit: &mut Visit<'_>) -> Result<(), String> {
        self.when.iter().try_for_each(|when| walk(when, visit))?;
        for template in self.env.values().chain(&self.stdin).chain(&self.as_user) {
            template_exprs(template, visit)?;
        }
        for action in self.actions() {
            let templates: Vec<&Template> = match action {
                Action::Run { argv: list } | Action::Script { args: list, .. } => list.iter().collect(),
                Action::Shell { .. } => Vec::new(),
                Action::Upload { from, to, .. } => {
                    if let UploadFrom::File(expr) = from {
                        walk(expr, visit)?;
                    }
                    vec![to]
                }
                Action::Wait { until, .. } => match until {
                    Until::Ssh => Vec::new(),
                    Until::Tcp { port } => vec![port],
                    Until::Http { url, .. } => vec![url],
                },
                Action::Gate { text, .. } => vec![text],
            };
            for template in templates {
                if template.secret {
                    return Err("puts a secret where it would be seen".to_owned());
                }
                template_exprs(template, visit)?;
            }
        }
        Ok(())
    }
}

fn template_exprs(template: &Template, visit: &mut Visit<'_>) -> Result<(), String> {
    template.parts.iter().try_for_each(|part| match part {
        Part::Text(_) => Ok(()),
        Part::Expr(expr) => walk(expr, visit),
    })
}

/// Visits an expression and all in it. Its depth is limited by the reader of JSON.
fn walk(expr: &Expr, visit: &mut Visit<'_>) -> Result<(), String> {
    visit(expr)?;
    match expr {
        Expr::Literal(_)
        | Expr::Input(_)
        | Expr::Out { .. }
        | Expr::StepState(_)
        | Expr::Host(_)
        | Expr::Role { .. }
        | Expr::OperationId
        | Expr::OperationState
        | Expr::OperationFailure
        | Expr::Each => Ok(()),
        Expr::Field(a, _) | Expr::Unary(_, a) => walk(a, visit),
        Expr::Index(a, b) | Expr::Binary(_, a, b) | Expr::Coalesce(a, b) => {
            [a, b].into_iter().try_for_each(|x| walk(x, visit))
        }
        Expr::If(a, b, c) => [a, b, c].into_iter().try_for_each(|x| walk(x, visit)),
        Expr::Call(_, list) | Expr::List(list) => list.iter().try_for_each(|x| walk(x, visit)),
    }
}
