//! Every diagnostic as it is shown.

use std::collections::BTreeSet;

use crate::fixture;

#[test]
fn diagnostics_read_as_expected() {
    let wrong: Vec<String> = fixture::all(&fixture::folder().join("diagnostics"))
        .iter()
        .filter_map(|path| fixture::compare(path, &fixture::rendered(&fixture::run(path))))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_has_a_fixture_that_is_named_after_it() {
    let mut found = BTreeSet::new();
    for path in fixture::all(&fixture::folder().join("diagnostics")) {
        let name = path.file_stem().expect("a name").to_string_lossy().to_uppercase();
        let outcome = fixture::run(&path);
        let codes: BTreeSet<&str> = outcome.diagnostics.iter().map(|d| d.code.id()).collect();
        if let Some(code) = name.split('_').next().filter(|code| code.starts_with("A0")) {
            assert!(codes.contains(code), "{name} gives {codes:?}");
            found.insert(code.to_owned());
        }
    }
    // The file would be too large to keep; `robustness` makes it.
    found.insert("A0101".to_owned());
    let all: BTreeSet<String> = dsl::codes().iter().map(|info| info.id.to_owned()).collect();
    assert_eq!(all.difference(&found).collect::<Vec<_>>(), Vec::<&String>::new(), "codes without a fixture");
    assert_eq!(found.difference(&all).collect::<Vec<_>>(), Vec::<&String>::new(), "fixtures without a code");
}

#[test]
fn codes_are_in_order_and_explained() {
    let codes = dsl::codes();
    assert!(codes.windows(2).all(|pair| pair[0].id < pair[1].id));
    for info in codes {
        assert!(info.explanation.len() > 40 && !info.explanation.contains("  "), "{}", info.id);
        assert_eq!(dsl::explain(&info.id.to_lowercase()), Some(info));
    }
    assert_eq!(dsl::explain("A9999"), None);
}

#[test]
fn the_same_facts_come_as_json() {
    let outcome = fixture::run(&fixture::folder().join("diagnostics/a0107_unknown_step.ron"));
    let json = outcome.diagnostics[0].to_json(&outcome.source);
    assert_eq!(json["code"], "A0107");
    assert_eq!(json["severity"], "error");
    assert_eq!(json["file"], "a0107_unknown_step.ron");
    let label = &json["labels"][0];
    let (start, end) = (label["start"].as_u64().unwrap() as usize, label["end"].as_u64().unwrap() as usize);
    assert_eq!(&outcome.source.text[start..end], "\"runn\"");
    let line = outcome.source.text.lines().nth(label["line"].as_u64().unwrap() as usize - 1).unwrap();
    assert!(
        line.chars().skip(label["column"].as_u64().unwrap() as usize - 1).collect::<String>().starts_with("\"runn\"")
    );
}

#[test]
fn colour_adds_nothing_but_colour() {
    for path in fixture::all(&fixture::folder().join("diagnostics")) {
        let outcome = fixture::run(&path);
        for diagnostic in &outcome.diagnostics {
            let coloured = diagnostic.render(&outcome.source, true);
            let mut plain = String::new();
            let mut rest = coloured.as_str();
            while let Some(at) = rest.find('\u{1b}') {
                plain.push_str(&rest[..at]);
                rest = &rest[at..];
                rest = &rest[rest.find('m').expect("the end of a colour") + 1..];
            }
            plain.push_str(rest);
            assert_eq!(plain, diagnostic.render(&outcome.source, false));
        }
    }
}
