//! A file of values for inputs (`--inputs FILE`).

use std::path::Path;

use dsl::{FileValue, Source, ValueSource};

use crate::inventory::Input;
use crate::report::Problem;
use crate::secret_source::SecretSource;

/// Opens it as the text that [`dsl::read_inputs`] reads.
pub fn open(path: &Path) -> Result<Source, Problem> {
    let name = path.display().to_string();
    let unreadable = |error: std::io::Error| {
        let why = match error.kind() {
            std::io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
            _ => error.to_string(),
        };
        Problem::usage(format!("the inputs `{name}` cannot be read: {why}"))
            .hint("name a file such as { \"port\": 5001, \"token\": From(Env(\"TOKEN\")) }")
    };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > dsl::limits::SOURCE_BYTES as u64 {
        let most = dsl::limits::SOURCE_BYTES;
        return Err(Problem::usage(format!("the inputs `{name}` have {bytes} bytes; {most} are the most")));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    Ok(Source { name, text })
}

/// The text with each quoted value blanked, for messages: one may be a secret that was written there by mistake (I8). Keys stay,
/// and so does every place.
pub fn blanked(source: &Source) -> Source {
    let text = source.text.as_str();
    let (mut shown, mut at) = (String::with_capacity(text.len()), 0);
    while let Some(open) = text[at..].find('"').map(|found| at + found) {
        let hashes = text[..open].bytes().rev().take_while(|byte| *byte == b'#').count();
        let raw = text[..open - hashes].ends_with('r');
        let end = match raw {
            true => text[open + 1..].find(&format!("\"{}", "#".repeat(hashes))).map(|end| open + 1 + end),
            false => closing(text, open + 1),
        };
        let end = end.unwrap_or(text.len());
        shown.push_str(&text[at..open]);
        if text[end..].trim_start_matches(['"', '#']).trim_start().starts_with(':') {
            shown.push_str(&text[open..end]);
        } else {
            shown.push('"');
            shown.extend(text[open + 1..end].bytes().map(|byte| if byte == b'\n' { '\n' } else { '*' }));
        }
        at = (end + 1).min(text.len());
        shown.push_str(&text[end..at]);
    }
    shown.push_str(&text[at..]);
    Source { name: source.name.clone(), text: shown }
}

/// Where the quoted text ends that begins there.
fn closing(text: &str, from: usize) -> Option<usize> {
    let mut escaped = false;
    let ends = |(_, byte): &(usize, u8)| {
        let end = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        end
    };
    text.bytes().enumerate().skip(from).find(ends).map(|(at, _)| at)
}

/// A value of the file as an inventory has it.
pub fn input(value: FileValue) -> Input {
    match value {
        FileValue::Text(text) => Input::Value(text),
        FileValue::From(from) => Input::From(source(from)),
    }
}

fn source(source: ValueSource) -> SecretSource {
    match source {
        ValueSource::Env(name) => SecretSource::Env(name),
        ValueSource::File(path) => SecretSource::File(path.into()),
        ValueSource::Command(argv) => SecretSource::Command(argv),
        ValueSource::Prompt => SecretSource::Prompt,
        ValueSource::Sealed(name) => SecretSource::Sealed(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_not_shown_and_its_place_stays() {
        let shown = |text: &str| blanked(&Source { name: String::new(), text: text.to_owned() }).text;
        assert_eq!(shown(r#"{ "a": "x\"y", "b" : Env("N") }"#), r#"{ "a": "****", "b" : Env("*") }"#);
        assert_eq!(shown("{ \"k\": r#\"a\"b\"#, \"é\": \"é\" }"), "{ \"k\": r#\"***\"#, \"é\": \"**\" }");
        assert_eq!(shown("{ \"k\": \"open\n more"), "{ \"k\": \"****\n*****");
        assert_eq!(shown("{}"), "{}");
    }
}
