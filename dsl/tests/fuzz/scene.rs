//! What the expressions of a plan see when everything has succeeded, on hosts and with values that are models.

use dsl::eval::{EvalError, Scope};
use dsl::expr::{Expr, HostProperty, InstanceProperty, Template};
use dsl::plan::{Action, Plan};
use dsl::value::{SecretRef, Value};
use dsl::{eval, model_value, render};

/// What one node sees, or the outputs, which belong to no step.
struct Scene<'a> {
    plan: &'a Plan,
    step: Option<usize>,
    each: Value,
}

impl Scene<'_> {
    /// Whether what a step puts out is one value from here, and not one for each of its nodes.
    fn sees_one(&self, of: usize) -> bool {
        let of = &self.plan.steps[of];
        let own = self.step.is_some_and(|own| {
            let own = &self.plan.steps[own];
            own.role == of.role && own.each == of.each
        });
        own || of.each.is_none() && of.role.as_ref().is_none_or(|role| self.plan.roles[role].one)
    }
}

fn by_host(value: Value) -> Value {
    Value::Record([("host-1".to_owned(), value)].into())
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn property(property: HostProperty) -> Value {
    match property {
        HostProperty::Name => text("host-1"),
        HostProperty::Address => text("192.0.2.1"),
        HostProperty::Labels => Value::Record([("zone".to_owned(), text("a"))].into()),
    }
}

impl Scope for Scene<'_> {
    fn input(&self, name: &str) -> Value {
        self.plan.inputs.get(name).map_or(Value::None, |input| input.value.clone())
    }

    fn out(&self, step: usize, name: &str) -> Value {
        let out = &self.plan.steps[step].out[name];
        let value = match out.is_secret() {
            true => Value::Secret(SecretRef(format!("steps.{step}.out.{name}"))),
            false => model_value(&out.ty(), 0).expect("a program puts it out"),
        };
        if self.sees_one(step) { value } else { by_host(value) }
    }

    fn step_state(&self, step: usize) -> Value {
        if self.sees_one(step) { text("succeeded") } else { by_host(text("succeeded")) }
    }

    fn step_changed(&self, step: usize) -> Value {
        if self.sees_one(step) { Value::Bool(true) } else { by_host(Value::Bool(true)) }
    }

    fn everywhere(&self, of: &Expr) -> Value {
        let Scene { plan, step: _, each: _ } = self;
        let from_nowhere = Scene { plan, step: None, each: Value::None };
        match of {
            Expr::Out { step, name } => from_nowhere.out(*step, name),
            Expr::StepState(step) => from_nowhere.step_state(*step),
            Expr::StepChanged(step) => from_nowhere.step_changed(*step),
            other => panic!("{other:?} is of no step"),
        }
    }

    fn host(&self, of: HostProperty) -> Value {
        property(of)
    }

    fn role(&self, _: &str, of: HostProperty) -> Value {
        property(of)
    }

    fn operation_id(&self) -> Value {
        text("op")
    }

    fn operation_started_at(&self) -> Value {
        text("2026-11-23T08:04:41Z")
    }

    fn operation_state(&self) -> Value {
        text("failed")
    }

    fn operation_failure(&self) -> Value {
        text("it broke")
    }

    fn each(&self) -> Value {
        self.each.clone()
    }

    fn instance(&self, _: usize, property: InstanceProperty) -> Value {
        match property {
            InstanceProperty::Name | InstanceProperty::Kind => text("x"),
            InstanceProperty::Exists => Value::Bool(true),
            InstanceProperty::Values => Value::Record([("server".to_owned(), text("r:5000"))].into()),
            InstanceProperty::Members => Value::Record([("node".to_owned(), Value::List(vec![text("n1")]))].into()),
        }
    }

    fn secret(&self, _: &SecretRef) -> Option<String> {
        Some("model-secret".to_owned())
    }
}

/// Everything that a plan computes has a value of its type; only arithmetic, splitting by nothing and limits may fail.
pub fn every_expression_has_a_value(plan: &Plan) -> Result<(), String> {
    let outside = Scene { plan, step: None, each: Value::None };
    plan.outputs.values().chain(&plan.locks).chain(&plan.instances).try_for_each(|it| text_of(it, &outside))?;
    for (index, step) in plan.steps.iter().enumerate() {
        let mut scene = Scene { plan, step: Some(index), each: Value::None };
        if let Some(each) = &step.each {
            match value_of(each, &scene)? {
                Some(Value::List(elements)) => match elements.into_iter().next() {
                    Some(first) => scene.each = first,
                    None => continue,
                },
                Some(other) => return Err(format!("`each` of {} is {other:?}", step.id)),
                None => continue,
            }
        }
        if let Some(when) = &step.when {
            match value_of(when, &scene)? {
                Some(Value::Bool(true)) => {}
                // What it guards is not computed then.
                Some(Value::Bool(false)) | None => continue,
                Some(other) => return Err(format!("`when` of {} is {other:?}", step.id)),
            }
        }
        step.env.values().chain(&step.locks).try_for_each(|it| text_of(it, &scene))?;
        [&step.stdin, &step.as_user, &step.cwd].into_iter().flatten().try_for_each(|it| text_of(it, &scene))?;
        match &step.action {
            Action::Run { argv: texts } | Action::Script { args: texts, .. } => {
                texts.iter().try_for_each(|it| text_of(it, &scene))?;
            }
            Action::Gate { text, .. } => text_of(text, &scene)?,
            // Their texts are rendered by the same function from the same scope.
            _ => {}
        }
    }
    Ok(())
}

fn text_of(template: &Template, scene: &Scene) -> Result<(), String> {
    match render(template, scene) {
        Ok(rendered) if rendered.secret && !template.secret => Err(format!("a secret in {template:?}")),
        Ok(_) => Ok(()),
        Err(error) => allowed(&error, &format_args!("{template:?}")),
    }
}

fn value_of(expr: &Expr, scene: &Scene) -> Result<Option<Value>, String> {
    match eval(expr, scene) {
        Ok(value) => Ok(Some(value)),
        Err(error) => allowed(&error, &format_args!("{expr:?}")).map(|()| None),
    }
}

fn allowed(error: &EvalError, what: &dyn std::fmt::Display) -> Result<(), String> {
    match error {
        EvalError::Overflow(_) | EvalError::DivisionByZero | EvalError::NoSeparator => Ok(()),
        EvalError::TooLong | EvalError::TooMany => Ok(()),
        EvalError::Unexpected(..) | EvalError::TooDeep | EvalError::SecretText(_) => Err(format!("{error} in {what}")),
    }
}
