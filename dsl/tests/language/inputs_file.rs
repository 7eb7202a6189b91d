//! Files of values for inputs.

use dsl::{FileValue, Source, ValueSource, read_inputs};

fn source(text: &str) -> Source {
    Source { name: "inputs.ron".to_owned(), text: text.to_owned() }
}

fn read(text: &str) -> Vec<(String, FileValue)> {
    let source = source(text);
    let values = read_inputs(&source);
    values.unwrap_or_else(|wrong| panic!("{}", wrong[0].render(&source, false))).into_iter().collect()
}

#[test]
fn values_are_given_as_on_the_command_line() {
    let found = read(
        r#"// The values of one site.
        {
            "port": 5_001, "share": 0.5, "flag": true, "name": "a \"b\"", "absent": None, "users": ["ann", 2], "none": {},
            "labels": { "env": "prod", "a.b": From(File("/run/x")) },
            "proxy": (http: From(Env("PROXY_URL")), none: "localhost"),
            "token": From(Command(["pass", "token"])), "pin": From(Prompt), "sealed": From(Sealed("a.b")),
        }"#,
    );
    let text = |text: &str| FileValue::Text(text.to_owned());
    let wanted = [
        ("flag", text("true")),
        ("labels.a.b", FileValue::From(ValueSource::File("/run/x".to_owned()))),
        ("labels.env", text("prod")),
        ("name", text("a \"b\"")),
        ("none", text("{}")),
        ("pin", FileValue::From(ValueSource::Prompt)),
        ("port", text("5001")),
        ("proxy.http", FileValue::From(ValueSource::Env("PROXY_URL".to_owned()))),
        ("proxy.none", text("localhost")),
        ("sealed", FileValue::From(ValueSource::Sealed("a.b".to_owned()))),
        ("share", text("0.5")),
        ("token", FileValue::From(ValueSource::Command(vec!["pass".to_owned(), "token".to_owned()]))),
        ("users", text("[\"ann\", \"2\"]")),
    ];
    let found: Vec<(&str, FileValue)> = found.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    assert_eq!(found, wanted);
    assert!(!format!("{:?}", found).contains("localhost"), "it may be a secret that was written there by mistake");
}

#[test]
fn what_is_wrong_in_it_is_shown_with_its_place() {
    for (text, code, says) in [
        ("[1]", "A0109", "a map is expected"),
        ("{ \"a\": 1, \"a\": 2 }", "A0104", "twice"),
        ("{ \"a.b\": 1, \"a\": { \"b\": 2 } }", "A0104", "given twice"),
        ("{ \"a\": Blue }", "A0109", "a word"),
        ("{ \"a\": [[1]] }", "A0109", "a list"),
        ("{ \"a\": From(Env(5)) }", "A0109", "a text is expected"),
        ("{ \"a\": From(Vault(\"x\")) }", "A0110", "Vault"),
        ("{ \"a\": From(Command([])) }", "A0117", "no program"),
        ("{ \"a\": From }", "A0109", "a word"),
        ("{ \"a\": { \"\": 1 } }", "A0115", "a key has"),
        ("{ \"a\": 1 ", "A0102", ""),
    ] {
        let source = source(text);
        let wrong = read_inputs(&source).expect_err(text);
        let shown = wrong[0].render(&source, false);
        assert!(
            wrong[0].code.id() == code && shown.contains(says) && shown.contains("inputs.ron:1:"),
            "{text}: {shown}"
        );
    }
}

#[test]
fn no_file_of_inputs_makes_the_reader_panic() {
    let seeds = [
        r#"{ "a": 1, "b": { "c": From(Env("X")), "d": (e: [1, "x", true]) }, "f": From(Command(["a", "b"])) }"#,
        r##"{ "é": "\u{1F600}", "n": -1.5e300, "r": r#"raw"# }"##,
    ];
    for seed in 0..2_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut bytes = seeds[rng.usize(..seeds.len())].as_bytes().to_vec();
        for _ in 0..rng.usize(1..6) {
            let at = rng.usize(..bytes.len());
            match rng.u8(..4) {
                0 => bytes[at] ^= 1 << rng.u8(..8),
                1 => bytes.insert(at, b"()[]{},:\"#\n 0-"[rng.usize(..14)]),
                2 if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => bytes.extend_from_within(at..),
            }
        }
        let source = source(&String::from_utf8_lossy(&bytes));
        if let Err(wrong) = read_inputs(&source) {
            wrong.iter().for_each(|wrong| drop(wrong.render(&source, false)));
        }
    }
}
