//! `generate`: a secret that is drawn where it is not given. The compiler draws nothing: it says how long it is to be.

use super::fields::Fields;
use super::scalars::Reader;
use crate::code::Code;
use crate::declared::InputDecl;
use crate::diagnostic::Diagnostic;
use crate::kind::Kind;
use crate::limits;
use crate::value::Value;

/// Reads it; refuses what a secret that is drawn cannot keep to.
pub(super) fn generate(fields: &mut Fields, input: &mut InputDecl, reader: &mut Reader) {
    let Some(node) = fields.optional("generate") else { return };
    let (min, max) = (i64::from(limits::GENERATE_MIN), i64::from(limits::GENERATE_MAX));
    let Some(length) = reader.integer(node, "generate", min, max) else { return };
    let drawn = Value::Text("x".repeat(length.unsigned_abs() as usize));
    let bounds = match &input.kind {
        Some(Kind::Text(bounds, _)) => Kind::Text(*bounds, None).check(&drawn).err(),
        _ => None,
    };
    let wrong = if !input.secret {
        Some(("it is not secret, so everybody would see it".to_owned(), None, "add `secret: true`"))
    } else if fields.has("pattern") {
        let message = "what is drawn need not match its `pattern`".to_owned();
        Some((message, Some("pattern"), "it is drawn from letters and digits: leave `pattern` out"))
    } else if input.optional {
        Some(("it is never absent then".to_owned(), Some("optional"), "remove one of them"))
    } else {
        bounds.map(|why| (why, None, "draw as many characters as `min` and `max` allow"))
    };
    match wrong {
        None => input.generate = u32::try_from(length).ok(),
        Some((why, other, help)) => {
            let message = format!("`generate` cannot draw input `{}`: {why}", input.name.value);
            let mut diagnostic = Diagnostic::error(Code::BadGenerate, message).at(&fields.place("generate"), "this");
            if let Some(other) = other {
                diagnostic = diagnostic.at(&fields.place(other), "beside this");
            }
            reader.sink.push(diagnostic.help(help));
        }
    }
}
