//! Values of steps that follow from inputs: `timeout: "${{ inputs.patience }}"`. They are computed when a plan is made, so
//! that a plan holds numbers, and their limits are checked like those of numbers in the file.

use std::ops::Range;

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::eval::{EvalError, Scope, eval};
use crate::expr::{Expr, Template};
use crate::limits;
use crate::lower::{Deadline, Lowered, Passed};
use crate::plan::exprs::change;
use crate::plan::{Action, CopySpec, DownloadSpec, Until};
use crate::read::parse_mode;
use crate::source::quote;
use crate::value::Value;
use crate::{duration, read::within_ms};

/// How much longer the timeout of a `Wait` or `Reboot` is than the wait itself, where nothing is said.
const WAIT_GRACE_MS: u64 = 30_000;

/// A field that can follow from inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Timeout,
    IdleTimeout,
    Within,
    Every,
    RetryTimes,
    RetryWait,
    RetryFactor,
    RetryCap,
    Mode,
    /// The mode of the nth file of `WriteFiles`.
    FileMode(usize),
    Port,
    ValidFor,
}

impl Field {
    /// Its name in the file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Field::Timeout => "timeout",
            Field::IdleTimeout => "idle_timeout",
            Field::Within => "within",
            Field::Every => "every",
            Field::RetryTimes => "times",
            Field::RetryWait => "wait",
            Field::RetryFactor => "factor",
            Field::RetryCap => "cap",
            Field::Mode | Field::FileMode(_) => "mode",
            Field::Port => "port",
            Field::ValidFor => "valid_for",
        }
    }
}

/// A value that follows from inputs, and the field it belongs into.
#[derive(Debug, Clone)]
pub(crate) struct Fixed {
    pub(crate) field: Field,
    pub(crate) expr: Expr,
    /// Where the expression stands.
    pub(crate) span: Range<usize>,
}

/// Puts all values in, and settles what depends on them. Gives what is wrong with them.
pub(crate) fn apply(lowered: &mut Lowered, inputs: &dyn Scope) -> Vec<Diagnostic> {
    let mut wrong = Vec::new();
    for fixed in std::mem::take(&mut lowered.fixed) {
        match eval(&fixed.expr, inputs) {
            Err(error) => wrong.push(arithmetic(&error, &fixed.span)),
            Ok(value) => {
                if let Err(message) = put(lowered, fixed.field, &value) {
                    let label = format!("this gives {}", show(&value));
                    wrong.push(Diagnostic::error(Code::OutOfLimits, message).at(&fixed.span, label));
                }
            }
        }
    }
    if wrong.is_empty() {
        wrong.extend(settle(lowered).err());
    }
    wrong
}

/// Whether a value that was handed on to a workflow that is called fits its input, if that can be told now.
pub(crate) fn passed(passed: &Passed, inputs: &dyn Scope) -> Result<(), Diagnostic> {
    let mut known = true;
    change(&mut passed.expr.clone(), &mut |expr| {
        known &= match expr {
            Expr::Literal(_)
            | Expr::Input(_)
            | Expr::Field(..)
            | Expr::Index(..)
            | Expr::Unary(..)
            | Expr::Binary(..)
            | Expr::Coalesce(..)
            | Expr::If(..)
            | Expr::Call(..)
            | Expr::List(_) => true,
            Expr::Out { .. }
            | Expr::StepState(_)
            | Expr::StepChanged(_)
            | Expr::Everywhere(_)
            | Expr::Host(_)
            | Expr::Role { .. }
            | Expr::OperationId
            | Expr::OperationStartedAt
            | Expr::OperationState
            | Expr::OperationFailure
            | Expr::Instance { .. }
            | Expr::Each => false,
        }
    });
    if !known {
        return Ok(());
    }
    // The text of a secret is not known here.
    let value = match eval(&passed.expr, inputs) {
        Ok(value) => value,
        Err(EvalError::SecretText(_)) => return Ok(()),
        Err(error) => return Err(arithmetic(&error, &passed.at)),
    };
    passed.kind.check(&value).map_err(|why| {
        let message = format!("the value for {} does not fit: {why}", quote(&passed.input));
        Diagnostic::error(Code::OutOfLimits, message).at(&passed.at, format!("this gives {}", show(&value)))
    })
}

/// The deadline of the operation, in milliseconds, if it is within limits.
pub(crate) fn deadline(deadline: &Deadline, inputs: &dyn Scope) -> Result<u64, Diagnostic> {
    let (expr, span) = match deadline {
        Deadline::Ms(ms) => return Ok(*ms),
        Deadline::Follows(expr, span) => (expr, span),
    };
    let value = eval(expr, inputs).map_err(|error| arithmetic(&error, span))?;
    duration_of(&value, "deadline", limits::DEADLINE_MIN_MS, limits::DEADLINE_MAX_MS).map_err(|message| {
        Diagnostic::error(Code::OutOfLimits, message).at(span, format!("this gives {}", show(&value)))
    })
}

fn duration_of(value: &Value, name: &str, min: u64, max: u64) -> Result<u64, String> {
    match value {
        Value::DurationMs(ms) => within_ms(*ms, name, min, max),
        other => Err(format!("`{name}` is a {}, but a Duration is needed", other.kind())),
    }
}

fn arithmetic(error: &EvalError, span: &Range<usize>) -> Diagnostic {
    Diagnostic::error(Code::Arithmetic, format!("an expression has no result: {error}")).at(span, "computed here")
}

fn show(value: &Value) -> String {
    value.to_text().map_or_else(|| value.kind().to_owned(), |text| quote(&text))
}

fn mode_of(value: &Value) -> Result<u32, String> {
    let Value::Text(text) = value else { return Err("`mode` must be a text such as '0644'".to_owned()) };
    parse_mode(text).ok_or_else(|| "`mode` must be octal, such as '0644'".to_owned())
}

/// Puts a value into its field, if it is within limits.
fn put(lowered: &mut Lowered, field: Field, value: &Value) -> Result<(), String> {
    let name = field.name();
    let duration = |min, max| duration_of(value, name, min, max);
    let whole = |min: i64, max: i64| match value {
        Value::Int(i) if (min..=max).contains(i) => Ok(*i),
        _ => Err(format!("`{name}` must be from {min} to {max}")),
    };
    let step = &mut lowered.step;
    match field {
        Field::Timeout => step.timeout_ms = duration(limits::TIMEOUT_MIN_MS, limits::TIMEOUT_MAX_MS)?,
        Field::IdleTimeout => {
            step.idle_timeout_ms = Some(duration(limits::TIMEOUT_MIN_MS, limits::TIMEOUT_MAX_MS)?);
        }
        Field::RetryWait => step.retry.wait_ms = duration(0, limits::RETRY_WAIT_MAX_MS)?,
        Field::RetryCap => step.retry.cap_ms = duration(0, limits::RETRY_WAIT_MAX_MS)?,
        Field::RetryTimes => step.retry.times = whole(1, i64::from(limits::RETRY_TIMES))?.unsigned_abs() as u32,
        Field::RetryFactor => {
            let factor = match value {
                Value::Int(i) => *i as f64,
                Value::Float(x) => *x,
                _ => 0.0,
            };
            if !(1.0..=f64::from(limits::RETRY_FACTOR)).contains(&factor) {
                return Err(format!("`factor` must be from 1 to {}", limits::RETRY_FACTOR));
            }
            step.retry.factor = factor;
        }
        Field::Within | Field::Every | Field::Mode | Field::Port | Field::ValidFor => match &mut step.action {
            Action::Wait { within_ms, .. } if field == Field::Within => {
                *within_ms = duration(limits::TIMEOUT_MIN_MS, limits::TIMEOUT_MAX_MS)?;
            }
            Action::Wait { every_ms, .. } if field == Field::Every => {
                *every_ms = duration(limits::EVERY_MIN_MS, limits::EVERY_MAX_MS)?;
            }
            Action::Wait { until: Until::Tls { valid_for_ms, .. }, .. } if field == Field::ValidFor => {
                *valid_for_ms = duration(0, limits::VALID_FOR_MAX_MS)?;
            }
            Action::Wait { until: Until::Tcp { port } | Until::Tls { port, .. }, .. } => {
                *port = Template::literal(whole(1, 65_535)?.to_string())
            }
            Action::Reboot { within_ms } => {
                *within_ms = duration(limits::TIMEOUT_MIN_MS, limits::TIMEOUT_MAX_MS)?;
            }
            Action::Upload { mode, .. }
            | Action::Download(DownloadSpec { mode, .. })
            | Action::Copy(CopySpec { mode, .. }) => {
                *mode = Some(mode_of(value)?);
            }
            Action::Gate { within_ms, .. } => {
                *within_ms = Some(duration(limits::TIMEOUT_MIN_MS, limits::GATE_WITHIN_MAX_MS)?);
            }
            // Only these actions have such fields.
            Action::Wait { .. }
            | Action::Run { .. }
            | Action::Shell { .. }
            | Action::Script { .. }
            | Action::WriteFiles { .. }
            | Action::PatchFile { .. }
            | Action::Assert { .. }
            | Action::Local { .. }
            | Action::Http(_)
            | Action::Notify(_)
            | Action::Record(_)
            | Action::Forget(_)
            | Action::Facts
            | Action::Restore => {}
        },
        Field::FileMode(nth) => {
            if let Action::WriteFiles { files } = &mut step.action
                && let Some(file) = files.get_mut(nth)
            {
                file.mode = Some(mode_of(value)?);
            }
        }
    }
    Ok(())
}

/// Settles what depends on other fields: the timeout of a `Wait` or `Reboot` is longer than what it waits for, and no wait of a retry is
/// longer than its cap.
pub(crate) fn settle(lowered: &mut Lowered) -> Result<(), Diagnostic> {
    let step = &mut lowered.step;
    match &lowered.cap {
        None => step.retry.cap_ms = step.retry.cap_ms.max(step.retry.wait_ms),
        Some(span) if step.retry.cap_ms < step.retry.wait_ms => {
            let (cap, wait) = (duration::show(step.retry.cap_ms), duration::show(step.retry.wait_ms));
            let message = format!("`cap` is {cap}, which is shorter than `wait`, {wait}");
            return Err(Diagnostic::error(Code::OutOfLimits, message).at(span, "the first wait is longer already"));
        }
        Some(_) => {}
    }
    if step.retry.times == 1 {
        step.retry.on.clear();
    }
    if let (Some(span), Some(idle_ms)) = (&lowered.idle_timeout, step.idle_timeout_ms)
        && idle_ms >= step.timeout_ms
    {
        let (idle, timeout) = (duration::show(idle_ms), duration::show(step.timeout_ms));
        let message = format!("`idle_timeout` is {idle}, but after {timeout} `timeout` ends the attempt anyway");
        return Err(Diagnostic::error(Code::OutOfLimits, message).at(span, "never reached"));
    }
    let (Action::Wait { within_ms, .. } | Action::Reboot { within_ms }) = step.action else { return Ok(()) };
    match &lowered.timeout {
        None => step.timeout_ms = within_ms + WAIT_GRACE_MS,
        Some(span) if step.timeout_ms < within_ms => {
            let (timeout, within) = (duration::show(step.timeout_ms), duration::show(within_ms));
            let message = format!("`timeout` is {timeout}, which ends before `within`, {within}");
            let diagnostic = Diagnostic::error(Code::OutOfLimits, message).at(span, "too short");
            return Err(diagnostic.help("leave `timeout` out: it is `within` and 30 seconds then"));
        }
        Some(_) => {}
    }
    Ok(())
}
