//! Data: what a [`Datum`] gives once its expressions are evaluated, at the edge. It holds the texts of secrets, so it is
//! neither shown nor stored.

use crate::eval::{EvalError, Scope, eval, render};
use crate::limits;
use crate::plan::Datum;
use crate::value::Value;

/// Evaluated data.
#[derive(Clone, PartialEq)]
pub enum Data {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number, finite.
    Float(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Data>),
    /// A map, in its order.
    Map(Vec<(String, Data)>),
}

/// What a datum gives. The scope must have the texts of its secrets.
pub fn evaluate(datum: &Datum, scope: &dyn Scope) -> Result<Data, EvalError> {
    let mut bytes = 0;
    data(datum, scope, &mut bytes)
}

fn data(datum: &Datum, scope: &dyn Scope, bytes: &mut usize) -> Result<Data, EvalError> {
    Ok(match datum {
        Datum::Null => Data::Null,
        Datum::Bool(b) => Data::Bool(*b),
        Datum::Int(i) => Data::Int(*i),
        Datum::Float(x) => Data::Float(*x),
        Datum::Text(text) => limited(Data::Text(render(text, scope)?.text), bytes)?,
        Datum::Value { expr, .. } => of_value(eval(expr, scope)?, scope, bytes)?,
        Datum::List(list) => Data::List(list.iter().map(|datum| data(datum, scope, bytes)).collect::<Result<_, _>>()?),
        Datum::Map(map) => {
            let entry = |(key, datum): &(String, Datum)| Ok((key.clone(), data(datum, scope, bytes)?));
            Data::Map(map.iter().map(entry).collect::<Result<_, EvalError>>()?)
        }
    })
}

fn of_value(value: Value, scope: &dyn Scope, bytes: &mut usize) -> Result<Data, EvalError> {
    let data = match value {
        Value::None => Data::Null,
        Value::Bool(b) => Data::Bool(b),
        Value::Int(i) => Data::Int(i),
        Value::Float(x) => Data::Float(x),
        Value::Text(text) => Data::Text(text),
        Value::Secret(name) => match scope.secret(&name) {
            Some(text) => Data::Text(text),
            None => return Err(EvalError::SecretText(name)),
        },
        Value::List(list) => {
            Data::List(list.into_iter().map(|value| of_value(value, scope, bytes)).collect::<Result<_, _>>()?)
        }
        Value::Record(fields) => {
            let entry = |(key, value)| Ok((key, of_value(value, scope, bytes)?));
            Data::Map(fields.into_iter().map(entry).collect::<Result<_, EvalError>>()?)
        }
        Value::DurationMs(_) | Value::File(_) => Data::Text(value.to_text().unwrap_or_default()),
    };
    limited(data, bytes)
}

fn limited(data: Data, bytes: &mut usize) -> Result<Data, EvalError> {
    if let Data::Text(text) = &data {
        *bytes += text.len();
    }
    if *bytes > limits::RESULT_BYTES { Err(EvalError::TooLong) } else { Ok(data) }
}
