//! Evaluation of checked expressions.
//!
//! Total: a checked expression gives a value, or says that a calculation has no result. A secret is a name here; its text
//! is looked up only where the [`Scope`] has it, and only by what needs it. Where the scope has none, a secret can be
//! passed on, compared with `none` and replaced by `??`, and anything else is [`EvalError::SecretText`].

mod functions;

use std::fmt;

use crate::expr::{Binary, Expr, HostProperty, InstanceProperty, Part, Template, Unary};
use crate::limits;
use crate::value::{SecretRef, Value};

/// What an expression can see.
pub trait Scope {
    /// `inputs.NAME`
    fn input(&self, name: &str) -> Value;
    /// `steps.STEP.out.NAME`. Of a step on the same role with the same `each`, and of a step with one node, a value, or
    /// [`Value::None`] where the step has none (it was skipped or, read in `finally`, did not succeed). Of any other step, a
    /// record from the keys of its nodes – hosts or elements – to their values, without those that have none; never
    /// [`Value::None`].
    fn out(&self, step: usize, name: &str) -> Value;
    /// `steps.STEP.state`: a text, or a record by key where [`Scope::out`] gives one.
    fn step_state(&self, step: usize) -> Value;
    /// `steps.STEP.changed`: a Bool, or a record by key where [`Scope::out`] gives one.
    fn step_changed(&self, step: usize) -> Value;
    /// What an [`Expr::Out`], [`Expr::StepState`] or [`Expr::StepChanged`] gives of all nodes of its step: a record by key.
    fn everywhere(&self, of: &Expr) -> Value;
    /// `host.PROPERTY`
    fn host(&self, property: HostProperty) -> Value;
    /// `roles.ROLE.PROPERTY`
    fn role(&self, role: &str, property: HostProperty) -> Value;
    /// `operation.id`
    fn operation_id(&self) -> Value;
    /// `operation.started_at`
    fn operation_started_at(&self) -> Value;
    /// `operation.state`, in a step of `finally`
    fn operation_state(&self) -> Value;
    /// `operation.failure`, in a step of `finally`: [`Value::None`] where there was none
    fn operation_failure(&self) -> Value;
    /// `each`: the element, in a step that has one
    fn each(&self) -> Value;
    /// `instance.PROPERTY` of an instance of the plan
    fn instance(&self, of: usize, property: InstanceProperty) -> Value;
    /// The text of a secret. The core answers `None`: it never sees one; only executors do.
    fn secret(&self, name: &SecretRef) -> Option<String>;
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// A result does not fit its type.
    #[error("the result of `{0}` is too large or too small")]
    Overflow(&'static str),
    /// A division by zero.
    #[error("a division by zero")]
    DivisionByZero,
    /// The text of a secret is needed where it is not known.
    #[error("the text of the secret `{0}` is not known here")]
    SecretText(SecretRef),
    /// A value is absent that was proved to be there: what the scope gives does not fit the plan.
    #[error("{0} is needed, but {1} is there")]
    Unexpected(&'static str, &'static str),
    /// A text grows over its limit.
    #[error("a text has more than {} bytes", limits::RESULT_BYTES)]
    TooLong,
    /// A list grows over its limit.
    #[error("a list has more than {} elements", limits::ELEMENTS)]
    TooMany,
    /// A text is split by nothing.
    #[error("a text cannot be split by an empty one")]
    NoSeparator,
    /// An expression is deeper than any that the compiler makes: the plan was not made by it.
    #[error("the expression is nested too deeply")]
    TooDeep,
}

/// The text that a template gives.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The text; of a secret template, the secret itself.
    pub text: String,
    /// It must not be shown.
    pub secret: bool,
}

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: &dyn fmt::Debug = if self.secret { &"<secret>" } else { &self.text };
        f.debug_struct("Rendered").field("text", text).field("secret", &self.secret).finish()
    }
}

/// The value of an expression. A secret comes out as [`Value::Secret`].
pub fn eval(expr: &Expr, scope: &dyn Scope) -> Result<Value, EvalError> {
    Eval { scope }.value(expr, 0)
}

/// The text of a template. Where a secret is in it, the scope must have its text.
pub fn render(template: &Template, scope: &dyn Scope) -> Result<Rendered, EvalError> {
    let (mut text, mut secret) = (String::new(), template.secret);
    let eval = Eval { scope };
    for part in &template.parts {
        match part {
            Part::Text(part) => text.push_str(part),
            Part::Expr(expr) => {
                let value = eval.value(expr, 0)?;
                secret |= matches!(value, Value::Secret(_));
                text.push_str(&eval.text_form(value)?);
            }
        }
        if text.len() > limits::RESULT_BYTES {
            return Err(EvalError::TooLong);
        }
    }
    Ok(Rendered { text, secret })
}

pub(crate) use functions::sha256_hex;

struct Eval<'a> {
    scope: &'a dyn Scope,
}

impl Eval<'_> {
    fn value(&self, expr: &Expr, depth: usize) -> Result<Value, EvalError> {
        // More levels than the compiler allows in one expression, so that what it made always passes: it puts the conditions of a
        // role, of a group and of a step together.
        if depth > limits::EXPRESSION_DEPTH + 2 {
            return Err(EvalError::TooDeep);
        }
        let value = |expr: &Expr| self.value(expr, depth + 1);
        match expr {
            Expr::Literal(literal) => Ok(literal.clone()),
            Expr::Input(name) => Ok(self.scope.input(name)),
            Expr::Out { step, name } => Ok(self.scope.out(*step, name)),
            Expr::StepState(step) => Ok(self.scope.step_state(*step)),
            Expr::StepChanged(step) => Ok(self.scope.step_changed(*step)),
            Expr::Everywhere(of) => Ok(self.scope.everywhere(of)),
            Expr::Host(property) => Ok(self.scope.host(*property)),
            Expr::Role { role, property } => Ok(self.scope.role(role, *property)),
            Expr::OperationId => Ok(self.scope.operation_id()),
            Expr::OperationStartedAt => Ok(self.scope.operation_started_at()),
            Expr::OperationState => Ok(self.scope.operation_state()),
            Expr::OperationFailure => Ok(self.scope.operation_failure()),
            Expr::Each => Ok(self.scope.each()),
            Expr::Instance { of, property } => Ok(self.scope.instance(*of, *property)),
            Expr::Field(base, name) => match value(base)? {
                Value::Record(mut fields) => Ok(fields.remove(name).unwrap_or(Value::None)),
                Value::None => Ok(Value::None),
                other => Err(unexpected("a record", &other)),
            },
            Expr::Index(base, index) => self.element(value(base)?, self.known(value(index)?)?),
            Expr::Unary(op, operand) => unary(*op, self.known(value(operand)?)?),
            Expr::Binary(op, left, right) => self.binary(*op, left, right, depth),
            Expr::Coalesce(a, b) => match value(a)? {
                Value::None => value(b),
                found => Ok(found),
            },
            Expr::If(condition, yes, no) => {
                if self.truth(condition, depth)? {
                    value(yes)
                } else {
                    value(no)
                }
            }
            Expr::Call(function, arguments) => {
                let arguments: Vec<Value> = arguments.iter().map(value).collect::<Result<_, _>>()?;
                self.call(*function, arguments)
            }
            Expr::List(list) => list.iter().map(value).collect::<Result<_, _>>().map(Value::List),
        }
    }

    /// The value itself, where it is a secret whose text is known.
    fn known(&self, value: Value) -> Result<Value, EvalError> {
        match value {
            Value::Secret(name) => self.scope.secret(&name).map(Value::Text).ok_or(EvalError::SecretText(name)),
            value => Ok(value),
        }
    }

    fn text_form(&self, value: Value) -> Result<String, EvalError> {
        let value = self.known(value)?;
        value.to_text().ok_or_else(|| unexpected("a single value", &value))
    }

    fn text(&self, value: Value) -> Result<String, EvalError> {
        match self.known(value)? {
            Value::Text(text) => Ok(text),
            other => Err(unexpected("a text", &other)),
        }
    }

    fn truth(&self, expr: &Expr, depth: usize) -> Result<bool, EvalError> {
        match self.known(self.value(expr, depth + 1)?)? {
            Value::Bool(truth) => Ok(truth),
            other => Err(unexpected("a Bool", &other)),
        }
    }

    fn element(&self, base: Value, index: Value) -> Result<Value, EvalError> {
        match (base, index) {
            (Value::List(mut list), Value::Int(i)) => match usize::try_from(i) {
                Ok(i) if i < list.len() => Ok(list.swap_remove(i)),
                _ => Ok(Value::None),
            },
            (Value::Record(mut map), Value::Text(key)) => Ok(map.remove(&key).unwrap_or(Value::None)),
            (Value::None, _) => Ok(Value::None),
            (Value::List(_), other) => Err(unexpected("a whole number", &other)),
            (Value::Record(_), other) => Err(unexpected("a text", &other)),
            (other, _) => Err(unexpected("a list or a map", &other)),
        }
    }

    fn binary(&self, op: Binary, left: &Expr, right: &Expr, depth: usize) -> Result<Value, EvalError> {
        match op {
            Binary::And => return Ok(Value::Bool(self.truth(left, depth)? && self.truth(right, depth)?)),
            Binary::Or => return Ok(Value::Bool(self.truth(left, depth)? || self.truth(right, depth)?)),
            _ => {}
        }
        let (a, b) = (self.value(left, depth + 1)?, self.value(right, depth + 1)?);
        match op {
            Binary::Equal => self.equal(a, b).map(Value::Bool),
            Binary::NotEqual => self.equal(a, b).map(|equal| Value::Bool(!equal)),
            Binary::In => {
                for element in functions::elements(b)? {
                    if self.equal(a.clone(), element)? {
                        return Ok(Value::Bool(true));
                    }
                }
                Ok(Value::Bool(false))
            }
            _ => calculate(op, self.known(a)?, self.known(b)?),
        }
    }

    /// Whether two values are equal. Whether one is absent is seen without looking at a secret.
    fn equal(&self, a: Value, b: Value) -> Result<bool, EvalError> {
        if a == Value::None || b == Value::None {
            return Ok(a == b);
        }
        Ok(match (self.known(a)?, self.known(b)?) {
            (Value::Int(a), Value::Float(b)) | (Value::Float(b), Value::Int(a)) => a as f64 == b,
            (a, b) => a == b,
        })
    }
}

fn unexpected(needed: &'static str, found: &Value) -> EvalError {
    EvalError::Unexpected(needed, found.kind())
}

fn unary(op: Unary, value: Value) -> Result<Value, EvalError> {
    match (op, value) {
        (Unary::Not, Value::Bool(b)) => Ok(Value::Bool(!b)),
        (Unary::Negate, Value::Int(i)) => i.checked_neg().map(Value::Int).ok_or(EvalError::Overflow("-")),
        (Unary::Negate, Value::Float(x)) => Ok(Value::Float(-x)),
        (Unary::Not, other) => Err(unexpected("a Bool", &other)),
        (Unary::Negate, other) => Err(unexpected("a number", &other)),
    }
}

/// Checked arithmetic and order.
fn calculate(op: Binary, a: Value, b: Value) -> Result<Value, EvalError> {
    let sign = match op {
        Binary::Add => "+",
        Binary::Subtract => "-",
        Binary::Multiply => "*",
        Binary::Divide => "/",
        _ => "<",
    };
    let overflow = EvalError::Overflow(sign);
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => {
            let result = match op {
                Binary::Add => a.checked_add(b),
                Binary::Subtract => a.checked_sub(b),
                Binary::Multiply => a.checked_mul(b),
                Binary::Divide if b == 0 => return Err(EvalError::DivisionByZero),
                Binary::Divide => a.checked_div(b),
                _ => return order(op, &a, &b),
            };
            result.map(Value::Int).ok_or(overflow)
        }
        (Value::DurationMs(a), Value::DurationMs(b)) => {
            let result = match op {
                Binary::Add => a.checked_add(b),
                Binary::Subtract => a.checked_sub(b),
                _ => return order(op, &a, &b),
            };
            duration(result, overflow)
        }
        (Value::DurationMs(a), Value::Int(b)) | (Value::Int(b), Value::DurationMs(a)) => {
            let b = u64::try_from(b).ok();
            match op {
                Binary::Multiply => duration(b.and_then(|b| a.checked_mul(b)), overflow),
                Binary::Divide if b == Some(0) => Err(EvalError::DivisionByZero),
                Binary::Divide => duration(b.and_then(|b| a.checked_div(b)), overflow),
                _ => Err(EvalError::Unexpected("a Duration", "Int")),
            }
        }
        (Value::Text(a), Value::Text(b)) if op == Binary::Add => {
            if a.len() + b.len() > limits::RESULT_BYTES {
                return Err(EvalError::TooLong);
            }
            Ok(Value::Text(a + &b))
        }
        (Value::Float(a), Value::Float(b)) => floats(op, a, b),
        (Value::Int(a), Value::Float(b)) => floats(op, a as f64, b),
        (Value::Float(a), Value::Int(b)) => floats(op, a, b as f64),
        (Value::Int(_) | Value::Float(_) | Value::DurationMs(_), other) | (other, _) => {
            Err(unexpected("a number", &other))
        }
    }
}

fn duration(ms: Option<u64>, overflow: EvalError) -> Result<Value, EvalError> {
    ms.filter(|ms| *ms <= limits::DURATION_MS).map(Value::DurationMs).ok_or(overflow)
}

fn floats(op: Binary, a: f64, b: f64) -> Result<Value, EvalError> {
    let (result, sign) = match op {
        Binary::Add => (a + b, "+"),
        Binary::Subtract => (a - b, "-"),
        Binary::Multiply => (a * b, "*"),
        Binary::Divide if b == 0.0 => return Err(EvalError::DivisionByZero),
        Binary::Divide => (a / b, "/"),
        _ => return order(op, &a, &b),
    };
    if result.is_finite() { Ok(Value::Float(result)) } else { Err(EvalError::Overflow(sign)) }
}

fn order<T: PartialOrd>(op: Binary, a: &T, b: &T) -> Result<Value, EvalError> {
    Ok(Value::Bool(match op {
        Binary::Less => a < b,
        Binary::LessOrEqual => a <= b,
        Binary::Greater => a > b,
        Binary::GreaterOrEqual => a >= b,
        _ => return Err(EvalError::Unexpected("an order", "another operator")),
    }))
}
