//! Patches of files by data: what is there, the patch, what is there then – and that a second patch changes nothing.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

use dsl::data::Data;
use engine::action::patch::{Patch, Wrong, json, lines, lines::Lines, toml, yaml};

/// Data, written as JSON; `null` is `None`.
fn data(text: &str) -> Vec<(String, Data)> {
    fn of(value: serde_json::Value) -> Data {
        use serde_json::Value as V;
        match value {
            V::Null => Data::Null,
            V::Bool(b) => Data::Bool(b),
            V::Number(n) => n.as_i64().map_or_else(|| Data::Float(n.as_f64().unwrap()), Data::Int),
            V::String(text) => Data::Text(text),
            V::Array(list) => Data::List(list.into_iter().map(of).collect()),
            V::Object(map) => Data::Map(map.into_iter().map(|(key, value)| (key, of(value))).collect()),
        }
    }
    match of(serde_json::from_str(text).unwrap()) {
        Data::Map(map) => map,
        _ => panic!("a patch is a map"),
    }
}

fn once_and_again(patch: &Patch, before: &str) -> String {
    let after = patch.apply(before).unwrap_or_else(|wrong| panic!("{before:?}: {wrong:?}"));
    assert_eq!(patch.apply(&after).as_deref(), Ok(after.as_str()), "of {before:?}");
    after
}

#[test]
fn json_keeps_what_the_patch_does_not_name() {
    let cases = [
        ("", r#"{"a": 1}"#, "{\n  \"a\": 1\n}\n"),
        ("{}", r#"{"a": {"b": null, "c": [1, "x"]}}"#, "{\n  \"a\": {\n    \"c\": [1, \"x\"]\n  }\n}"),
        ("{ \"b\" : 1.50 , \"a\":2 }\n", r#"{"a": 3}"#, "{ \"b\" : 1.50 , \"a\":3 }\n"),
        ("{ \"b\" : 1.50 , \"a\":2 }", r#"{"b": null}"#, "{ \"a\":2 }"),
        ("{ \"b\" : 1.50 , \"a\":2 }", r#"{"a": null, "c": true}"#, "{ \"b\" : 1.50, \"c\": true }"),
        ("{\"a\":1}", r#"{"a": null}"#, "{}"),
        ("{\"a\":1}", r#"{"b": {"c": [{"d": null}]}}"#, "{\"a\":1, \"b\": {\"c\": [{\"d\": null}]}}"),
        (
            "{\n\t\"log\": {\n\t\t\"max\": 123456789012345678901234567890, \"x\": \"}\\\"{\"\n\t},\n\t\"z\": []\n}\n",
            r#"{"log": {"max": 5, "file": "3"}, "new": {"k": {"l": 1}}}"#,
            "{\n\t\"log\": {\n\t\t\"max\": 5, \"x\": \"}\\\"{\",\n\t\t\"file\": \"3\"\n\t},\n\t\"z\": [],\n\t\"new\": {\n\t\t\"k\": {\n\t\t\t\"l\": 1\n\t\t}\n\t}\n}\n",
        ),
        ("{\r\n  \"a\": {}\r\n}\r\n", r#"{"a": {"b": 1}}"#, "{\r\n  \"a\": {\r\n    \"b\": 1\r\n  }\r\n}\r\n"),
        (
            "{\"\\u0061\": {\"b\":[{\"c\":1}, 2]}, \"d\": null}",
            r#"{"a": {"b": [{"c": 1}, 2]}, "d": 0}"#,
            "{\"\\u0061\": {\"b\":[{\"c\":1}, 2]}, \"d\": 0}",
        ),
        ("{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n}", r#"{"a": null, "c": null}"#, "{\n  \"b\": 2\n}"),
        ("{\n  \"a\": 1\n}", r#"{"a": null, "é": "ü\n"}"#, "{\n  \"é\": \"ü\\n\"\n}"),
    ];
    for (before, patch, after) in cases {
        assert_eq!(once_and_again(&Patch::Json(data(patch)), before), after, "{before:?} with {patch}");
    }
}

#[test]
fn json_that_cannot_be_patched_says_where() {
    let wrong = |text: &str| json::merge(text, &data(r#"{"a": {"b": 1}}"#)).unwrap_err();
    assert_eq!(wrong("{\n  \"a\": 1,\n}").at, Some((3, 1)));
    assert_eq!(wrong("// a comment\n{}").at, Some((1, 1)));
    assert_eq!(wrong("[1]"), Wrong { at: Some((1, 1)), what: "the file is no object `{…}`".to_owned() });
    assert_eq!(wrong("{\"a\": {\"b\": 1, \n\"b\": 2}}").at, Some((2, 1)));
    assert!(!wrong("{\"password\": \"hunter2\" x}").what.contains("hunter2"));
}

/// Random documents and patches: the result means what RFC 7386 says it means, and a second patch changes nothing.
#[test]
fn json_means_what_the_standard_says() {
    use serde_json::{Map, Value};
    fn value(rng: &mut fastrand::Rng, depth: usize) -> Value {
        match rng.u8(..if depth == 0 { 5 } else { 8 }) {
            0 => Value::Null,
            1 => Value::from(rng.bool()),
            2 => Value::from(rng.i64(-5..5)),
            3 => Value::from(["", "}", "a\"b", "é,{", "\\"][rng.usize(..5)]),
            4 => Value::from(0.5),
            5 => Value::from_iter((0..rng.usize(..3)).map(|_| value(rng, depth - 1)).collect::<Vec<_>>()),
            _ => object(rng, depth - 1),
        }
    }
    fn object(rng: &mut fastrand::Rng, depth: usize) -> Value {
        let keys = ["a", "b", "c,", "d\"", "é"];
        let count = rng.usize(..4);
        Value::Object((0..count).map(|_| (keys[rng.usize(..5)].to_owned(), value(rng, depth))).collect::<Map<_, _>>())
    }
    /// RFC 7386, section 2.
    fn expected(target: Value, patch: &Value) -> Value {
        let Value::Object(patch) = patch else { return patch.clone() };
        let mut target = if let Value::Object(target) = target { target } else { Map::new() };
        for (key, value) in patch {
            match value {
                Value::Null => drop(target.remove(key)),
                value => {
                    let old = target.remove(key).unwrap_or(Value::Null);
                    target.insert(key.clone(), expected(old, value));
                }
            }
        }
        Value::Object(target)
    }
    for seed in 0..3_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (target, patch) = (object(&mut rng, 3), object(&mut rng, 3));
        let text = if rng.bool() { target.to_string() } else { serde_json::to_string_pretty(&target).unwrap() };
        let after = once_and_again(&Patch::Json(data(&patch.to_string())), &text);
        let after: Value = serde_json::from_str(&after).unwrap_or_else(|error| panic!("seed {seed}: {error}: {after}"));
        assert_eq!(after, expected(target, &patch), "seed {seed}: {text} with {patch}");
    }
}

#[test]
fn toml_keeps_comments_and_order() {
    let cases = [
        ("", r#"{"a": 1, "t": {"b": "x"}}"#, "a = 1\n\n[t]\nb = \"x\"\n"),
        ("# one\nb = 1.0 # two\na = [1,2]\n", r#"{"a": [1, 2], "b": 2.5}"#, "# one\nb = 2.5 # two\na = [1,2]\n"),
        ("# one\nb = 1\n# three\nc = 3\n", r#"{"b": null}"#, "# three\nc = 3\n"),
        (
            "[t] # head\nx = 1\n\n[u]\ny = 2\n",
            r#"{"t": {"z": true}, "u": {"y": 2}}"#,
            "[t] # head\nx = 1\nz = true\n\n[u]\ny = 2\n",
        ),
        ("t = { x = 1 }\n", r#"{"t": {"y": {"z": 1}}}"#, "t = { x = 1, y = { z = 1 } }\n"),
        ("", r#"{"a": {"b": {"c": 1}}}"#, "[a.b]\nc = 1\n"),
        ("[[m]]\nx = 1\n", r#"{"m": [{"x": 1}]}"#, "[[m]]\nx = 1\n"),
        ("a.b = 1\n", r#"{"a": {"b": 1, "c": 2}}"#, "a.b = 1\na.c = 2\n"),
    ];
    for (before, patch, after) in cases {
        assert_eq!(once_and_again(&Patch::Toml(data(patch)), before), after, "{before:?} with {patch}");
    }
    let wrong = toml::merge("a = 1\nb = = 2\n", &data(r#"{"a": 1}"#)).unwrap_err();
    assert_eq!(wrong.at.map(|(line, _)| line), Some(2), "{wrong:?}");
    assert!(toml::merge("", &data(r#"{"a": [null]}"#)).is_err());
}

#[test]
fn yaml_keeps_comments_and_order() {
    let cases = [
        ("", r#"{"a": 1, "t": {"b": "x", "n": null}}"#, "a: 1\nt:\n  b: x\n"),
        ("# head\n---\n", r#"{"a": "yes"}"#, "# head\n---\na: \"yes\"\n"),
        (
            "b: 1.0  # two\n# three\na: [1, 2]\n\n# end\n",
            r#"{"a": [1, 2], "b": 2.5}"#,
            "b: 2.5 # two\n# three\na: [1, 2]\n\n# end\n",
        ),
        (
            "a:\n    x: 1 # one\n    # about y\n    y: 'it # is'\n\nb: 2",
            r#"{"a": {"x": null, "z": [true]}, "c": {}}"#,
            "a:\n    # about y\n    y: 'it # is'\n    z: [true]\n\nb: 2\nc: {}\n",
        ),
        (
            "list:\n- a\n- b\ntext: |\n  one\n  key: no\nlast: 1\n",
            r#"{"list": ["c"], "text": "x y"}"#,
            "list: [\"c\"]\ntext: \"x y\"\nlast: 1\n",
        ),
        ("a: {x: 1} # why\n", r#"{"a": {"y": {"z": 1}}}"#, "a: {\"x\": 1, \"y\": {\"z\": 1}} # why\n"),
        ("a:\n  b: 1\nc: 2\n", r#"{"a": {"b": null}}"#, "a: {}\nc: 2\n"),
        ("\"a b\": 1\r\n'c''': 2\r\n", r#"{"a b": 2, "c'": null, "d": "e: f"}"#, "\"a b\": 2\r\nd: \"e: f\"\r\n"),
        ("a:\n  - x: 1\n    y: 2\n", r#"{"a": [{"x": 1, "y": 2}], "b": null}"#, "a:\n  - x: 1\n    y: 2\n"),
    ];
    for (before, patch, after) in cases {
        assert_eq!(once_and_again(&Patch::Yaml(data(patch)), before), after, "{before:?} with {patch}");
    }
    let wrong = |text: &str| yaml::merge(text, &data(r#"{"a": 1}"#)).unwrap_err();
    assert_eq!(wrong("a: 2\nb: [\n").at.map(|(line, _)| line > 1), Some(true), "{:?}", wrong("a: 2\nb: [\n"));
    assert_eq!(wrong("- a\n").what, "the file is no map");
    assert!(wrong("a: &x 2\nb: *x\n").what.contains("line by line"), "what others rely on is not changed under them");
    for text in ["a: 2\n---\na: 3\n", "a: 2\na: 3\n", "\"hunter2: [\n"] {
        assert!(!wrong(text).what.contains("hunter2"));
    }
}

/// Documents that patches have made, and patches of them.
#[test]
fn yaml_means_what_the_merge_says() {
    fn object(rng: &mut fastrand::Rng, depth: usize) -> Data {
        let keys = ["a", "b c", "d:", "yes", "#é", "'", "\"q"];
        let value = |rng: &mut fastrand::Rng| match rng.u8(..if depth == 0 { 5 } else { 8 }) {
            0 => Data::Null,
            1 => Data::Bool(rng.bool()),
            2 => Data::Int(rng.i64(-5..5)),
            3 => Data::Text(["", "x", "- y", "no", "a: b # c", "|", "0x1", "é\n", "~"][rng.usize(..9)].to_owned()),
            4 => Data::List(vec![Data::Int(1), Data::Text("# z".to_owned()), Data::Null]),
            _ => object(rng, depth - 1),
        };
        let first = rng.usize(..7);
        Data::Map((0..rng.usize(..4)).map(|nth| (keys[(first + 2 * nth) % 7].to_owned(), value(rng))).collect())
    }
    for seed in 0..2_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut text = "# one\n".to_owned();
        for _ in 0..3 {
            let Data::Map(patch) = object(&mut rng, 2) else { panic!("an object") };
            text = once_and_again(&Patch::Yaml(patch), &text);
            assert!(text.starts_with("# one\n"), "seed {seed}");
        }
    }
}

fn patch(ensure: &[&str], absent: &[&str], replace: &[(&str, &str)]) -> Patch {
    let own = |list: &[&str]| list.iter().map(|line| (*line).to_owned()).collect();
    let replace = replace.iter().map(|(pattern, with)| ((*pattern).to_owned(), (*with).to_owned())).collect();
    Patch::Lines(Lines { ensure: own(ensure), absent: own(absent), replace })
}

#[test]
fn lines_are_added_removed_and_said_otherwise() {
    let cases: [(&str, Patch, &str); 7] = [
        ("", patch(&["a"], &[], &[]), "a\n"),
        ("x\na\ny", patch(&["a", "b", "b"], &["y"], &[]), "x\na\nb\n"),
        ("x\r\ny", patch(&["b"], &[], &[]), "x\r\ny\r\nb\r\n"),
        ("#Port 22\nPort 22\nAddr a\n", patch(&[], &[], &[("^#?Port ", "Port 23")]), "Port 23\nPort 23\nAddr a\n"),
        ("a\nb\n", patch(&["a"], &[], &[("a|b", "c")]), "a\nc\n"),
        ("a\n", patch(&[], &[], &[("a", "b"), ("b", "a")]), "a\n"),
        ("a\n\n", patch(&[""], &["b"], &[]), "a\n\n"),
    ];
    for (before, patch, after) in cases {
        assert_eq!(once_and_again(&patch, before), after, "{before:?}");
    }
    assert!(
        lines::apply("", &Lines { ensure: vec!["a".into()], absent: vec!["a".into()], ..Lines::default() }).is_err()
    );
    assert!(lines::apply("", &Lines { ensure: vec!["a\nb".into()], ..Lines::default() }).is_err());
}

#[test]
fn random_patches_of_lines_are_done_once() {
    for seed in 0..3_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let words = ["", "a", "b", "ab", "ba", "#a"];
        let mut some = |most: usize| -> Vec<String> {
            (0..rng.usize(..most)).map(|_| words[rng.usize(..words.len())].to_owned()).collect()
        };
        let (ensure, absent, with, before) = (some(3), some(3), some(3), some(6).join("\n"));
        let patterns = ["a", "^b$", "^", "b|#"];
        let replace = with.into_iter().map(|with| (patterns[rng.usize(..4)].to_owned(), with)).collect();
        let lines = Lines { ensure, absent, replace };
        if lines::apply(&before, &lines).is_ok() {
            let after = once_and_again(&Patch::Lines(lines.clone()), &before);
            assert!(lines.ensure.iter().all(|line| after.lines().any(|other| other == line)), "seed {seed}");
            assert!(!after.lines().any(|line| lines.absent.contains(&line.to_owned())), "seed {seed}: {after:?}");
        }
    }
}
