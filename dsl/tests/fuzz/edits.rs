//! Changes of a workflow that know what it is made of: words, texts, brackets with what is in them.

use std::ops::Range;

use proptest::prelude::*;

use crate::expressions;

/// A workflow of the corpus and what is done to it.
#[derive(Debug, Clone)]
pub struct Changes {
    of: usize,
    edits: Vec<Edit>,
}

/// One change. Places are counted in tokens and brackets of the text as it is by then, modulo how many there are.
#[derive(Debug, Clone)]
enum Edit {
    /// A token goes.
    Drop(usize),
    /// A token becomes this.
    Replace(usize, String),
    /// A text in quotation marks becomes `${{ this }}`.
    Express(usize, String),
    /// A bracket with all that is in it goes.
    DropBracket(usize),
    /// It comes once more, with a comma between.
    Double(usize),
    /// One becomes one of another workflow.
    Splice(usize, usize, usize),
    /// The entry of a name `name: …` is moved behind another.
    Move(usize, usize),
    /// Anything at any byte.
    Bytes(usize, Vec<u8>),
    /// The rest goes.
    Truncate(usize),
}

/// Words that mean something somewhere, and values at the borders.
const WORDS: [&str; 76] = [
    "None",
    "Some(1)",
    "true",
    "-1",
    "0",
    "1",
    "65536",
    "99999999999999999999",
    "1e999",
    "0.5",
    "\"\"",
    "\"a\"",
    "\"5m\"",
    "\"\\u{0}\"",
    "\"\u{2028}\"",
    "r#\"a\"#",
    "'a'",
    "[]",
    "{}",
    "()",
    "One",
    "Many",
    "Optional",
    "Text",
    "Int",
    "Float",
    "Bool",
    "Port",
    "Duration",
    "Bytes",
    "Url",
    "Address",
    "Image",
    "File",
    "SecretFile",
    "Login",
    "Secret",
    "Stop",
    "Continue",
    "Rollback",
    "Rerun",
    "Reattach",
    "Ask",
    "UndoThenRerun",
    "Probe",
    "Restore",
    "Reject",
    "Approve",
    "Always",
    "Failed",
    "Succeeded",
    "Cancelled",
    "Any",
    "Connection",
    "Timeout",
    "Exit([1])",
    "Ssh",
    "Shell(\"true\")",
    "Run([\"true\"])",
    "Gate(text: \"Go?\")",
    "Stdout(type: Text)",
    "Json(path: \".a\", type: Int)",
    "ExitIs(true_on: [0], false_on: [1])",
    "List(of: Text)",
    "Map(of: Int)",
    "Record(fields: {\"a\": Text(optional: true)})",
    "Choice([\"a\", \"b\"])",
    "batch: (sizes: [1]),",
    "each: \"['a', 'b']\",",
    "finally: [],",
    "when: \"false\",",
    "probe: Run([\"true\"]),",
    "secret: true,",
    "optional: true,",
    "\u{feff}",
    "/* */",
];

fn edit() -> impl Strategy<Value = Edit> {
    let at = || any::<usize>();
    let word = prop::sample::select(&WORDS[..]).prop_map(str::to_owned);
    prop_oneof![
        3 => at().prop_map(Edit::Drop),
        4 => (at(), word).prop_map(|(at, word)| Edit::Replace(at, word)),
        4 => (at(), expressions::any()).prop_map(|(at, text)| Edit::Express(at, text)),
        3 => at().prop_map(Edit::DropBracket),
        2 => at().prop_map(Edit::Double),
        4 => (at(), at(), at()).prop_map(|(at, from, which)| Edit::Splice(at, from, which)),
        2 => (at(), at()).prop_map(|(from, to)| Edit::Move(from, to)),
        1 => (at(), prop::collection::vec(any::<u8>(), 1..4)).prop_map(|(at, bytes)| Edit::Bytes(at, bytes)),
        1 => at().prop_map(Edit::Truncate),
    ]
}

/// Any workflow with a few changes.
pub fn changes(corpus: &[String]) -> impl Strategy<Value = Changes> + use<> {
    (0..corpus.len(), prop::collection::vec(edit(), 0..5)).prop_map(|(of, edits)| Changes { of, edits })
}

/// A file of inputs out of its own words, and values that are given by name.
pub fn given() -> impl Strategy<Value = (String, Vec<(String, String)>)> {
    let pieces = [
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        ",",
        ":",
        "\"port\"",
        "\"a.b\"",
        "port",
        "5_001",
        "0.5",
        "true",
        "None",
        "Some(",
        "From(",
        "Env(\"A\")",
        "Command([\"a\"])",
        "Prompt",
        "File(\"/a\")",
        "\"\\u{0}\"",
        "\u{feff}",
        "//",
        "\"é",
        "'",
    ];
    let piece = prop_oneof![8 => prop::sample::select(pieces.to_vec()).prop_map(str::to_owned), 1 => ".{0,3}"];
    let file = prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat());
    let whole = prop::collection::vec(("[a-z]{1,3}", text()), 0..6).prop_map(|entries| {
        let entries: String = entries.iter().map(|(name, value)| format!("{name:?}: {value:?},")).collect();
        format!("{{{entries}}}")
    });
    let names = [
        "text",
        "int",
        "float",
        "bool",
        "port",
        "duration",
        "bytes",
        "url",
        "address",
        "image",
        "file",
        "secret_file",
        "choice",
        "list",
        "map",
        "record.a",
        "record.b",
        "login.user",
        "login.password",
        "map.x",
        "nothing",
    ];
    let value = (prop::sample::select(names.to_vec()).prop_map(str::to_owned), text());
    (prop_oneof![file, whole], prop::collection::vec(value, 0..8))
}

/// What somebody may give as a value.
fn text() -> impl Strategy<Value = String> {
    let some = [
        "",
        "1",
        "-1",
        "65535",
        "9223372036854775808",
        "1e400",
        "NaN",
        "true",
        "5m",
        "1h30m",
        "99999999999d",
        "64 MiB",
        "18446744073709551615 TiB",
        "http://u:p@h/",
        "http://[::1]:99999/",
        "::1",
        "a,b",
        "[\"a\", \"b\"]",
        "{ \"a\": 1 }",
        "[[[[",
        "registry:2",
        "a@sha256:0",
        "\0",
        "\u{feff}",
        "\u{2028}",
        "é",
        "fast",
    ];
    prop_oneof![3 => prop::sample::select(some.to_vec()).prop_map(str::to_owned), 1 => ".{0,12}", 1 => "[0-9a-zA-Z:/.,@ ]{0,20}"]
}

/// The text of a changed workflow.
pub fn apply(corpus: &[String], changes: &Changes) -> String {
    let mut text = corpus[changes.of % corpus.len()].clone();
    for edit in &changes.edits {
        let tokens = tokens(&text);
        if tokens.is_empty() {
            break;
        }
        let token = |at: usize| tokens[at % tokens.len()].clone();
        let bracket = |at: usize| brackets(&text, &tokens, at);
        match edit {
            Edit::Drop(at) => text.replace_range(token(*at), ""),
            Edit::Replace(at, word) => text.replace_range(token(*at), word),
            Edit::Express(at, expression) => {
                let quoted = tokens.iter().filter(|token| text[(*token).clone()].starts_with('"')).collect::<Vec<_>>();
                if !quoted.is_empty() {
                    let place = quoted[at % quoted.len()].clone();
                    let escaped = expression.replace('\\', "\\\\").replace('"', "\\\"");
                    text.replace_range(place, &format!("\"${{{{ {escaped} }}}}\""));
                }
            }
            Edit::DropBracket(at) => bracket(*at).into_iter().for_each(|place| text.replace_range(place, "")),
            Edit::Double(at) => {
                if let Some(place) = bracket(*at) {
                    let again = format!(", {}", &text[place.clone()]);
                    text.insert_str(place.end, &again);
                }
            }
            Edit::Splice(at, from, which) => {
                let other = &corpus[from % corpus.len()];
                if let (Some(place), Some(piece)) = (bracket(*at), brackets(other, &self::tokens(other), *which)) {
                    text.replace_range(place, &other[piece]);
                }
            }
            Edit::Move(from, to) => {
                let (from, to) = (token(*from), token(*to));
                let moved = text[from.clone()].to_owned();
                if from.end <= to.start {
                    text.insert_str(to.end, &format!(" {moved} "));
                    text.replace_range(from, "");
                } else {
                    text.replace_range(from, "");
                    text.insert_str(to.start, &format!(" {moved} "));
                }
            }
            Edit::Bytes(at, some) => {
                let mut all = text.into_bytes();
                let at = at % (all.len() + 1);
                all.splice(at..at, some.iter().copied());
                text = String::from_utf8_lossy(&all).into_owned();
            }
            Edit::Truncate(at) => text.truncate(text.floor_char_boundary(at % text.len())),
        }
    }
    text
}

/// Words, texts, comments and signs, as far as a dozen lines can tell them apart.
fn tokens(text: &str) -> Vec<Range<usize>> {
    let (bytes, mut found, mut at) = (text.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b if b.is_ascii_alphanumeric() || b == b'_' => {
                while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_') {
                    at += 1;
                }
            }
            b if b.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            _ => at = text.ceil_char_boundary(at + 1),
        }
        at = text.floor_char_boundary(at.min(text.len())).max(text.ceil_char_boundary(start + 1));
        found.push(start..at);
    }
    found
}

/// One of the brackets, from its opening to its closing.
fn brackets(text: &str, tokens: &[Range<usize>], which: usize) -> Option<Range<usize>> {
    let (mut open, mut found) = (Vec::new(), Vec::new());
    for token in tokens {
        match &text[token.clone()] {
            "(" | "[" | "{" => open.push(token.start),
            ")" | "]" | "}" => found.extend(open.pop().map(|start| start..token.end)),
            _ => {}
        }
    }
    (!found.is_empty()).then(|| found[which % found.len()].clone())
}
