//! What the compiler's reader knows, as its source says: the fields of every struct, every word, every function.
//!
//! The grammar and the manual are held against it, so what is new in the reader is missing there at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use regex::Regex;

use crate::fixture;

/// All of it.
pub struct Vocabulary {
    /// The fields of structs, by their names; those without a name are together under the empty one.
    pub structs: BTreeMap<String, BTreeSet<String>>,
    /// Words that begin a value, such as `Run`, `One`, `Stop`.
    pub words: BTreeSet<String>,
    /// Functions of expressions.
    pub functions: BTreeSet<String>,
}

fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).expect("the reader's folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, text);
        } else {
            text.push_str(&std::fs::read_to_string(&path).expect("a source of the reader"));
        }
    }
}

/// The texts in quotation marks.
fn quoted(list: &str) -> impl Iterator<Item = String> + use<'_> {
    list.split('"').skip(1).step_by(2).map(str::to_owned)
}

fn all<'t>(pattern: &str, text: &'t str) -> Vec<regex::Captures<'t>> {
    Regex::new(pattern).expect("a pattern").captures_iter(text).collect()
}

pub fn vocabulary() -> Vocabulary {
    let source = fixture::folder().join("../src");
    let mut text = std::fs::read_to_string(source.join("read.rs")).expect("the reader");
    sources(&source.join("read"), &mut text);
    let arrays: BTreeMap<String, Vec<String>> =
        all(r"const (\w+): (?:&\[&str\]|\[&str; \d+\]) =\s*&?\[([^\]]*)\];", &text)
            .into_iter()
            .map(|found| (found[1].to_owned(), quoted(&found[2]).collect()))
            .collect();
    let mut structs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let shapes = all(r#"Shape\s*\{\s*name: "(\w*)",\s*fields: &(?:\[([^\]]*)\]|(\w+)),"#, &text);
    assert_eq!(shapes.len(), all(r#"Shape\s*\{\s*name: ""#, &text).len(), "a shape that this cannot read");
    for shape in &shapes {
        let fields = match (shape.get(2), shape.get(3)) {
            (Some(list), _) => quoted(list.as_str()).collect(),
            (None, Some(array)) => arrays[array.as_str()].clone(),
            (None, None) => panic!("a shape without fields"),
        };
        structs.entry(shape[1].to_owned()).or_default().extend(fields);
    }
    let short = all(r#"shape!\("(\w+)", \[([^\]]*)\]\)"#, &text);
    assert!(shapes.len() >= 20 && short.len() >= 20, "{} and {} shapes", shapes.len(), short.len());
    for shape in short {
        structs.entry(shape[1].to_owned()).or_default().extend(quoted(&shape[2]));
    }
    let lists = all(r#"(?:\.variant\([^;]*?|known = |TYPES: &\[&str\] =\s*)&\[([^\]]*)\]"#, &text);
    let calls = all(r"\.variant\(", &text).len();
    let words: BTreeSet<String> = lists.iter().flat_map(|list| quoted(&list[1])).filter(|word| is_word(word)).collect();
    assert!(lists.len() >= calls && words.len() > 60, "{} lists for {calls} choices", lists.len());
    let calls = std::fs::read_to_string(source.join("typing/calls.rs")).expect("the functions");
    let functions: BTreeSet<String> =
        all(r#"\("(\w+)", Function::\w+,"#, &calls).into_iter().map(|found| found[1].to_owned()).collect();
    assert!(functions.len() >= 15, "{functions:?}");
    // Where inputs come from stands in another file than a workflow.
    let words = words.into_iter().filter(|word| !["Env", "Prompt", "Sealed"].contains(&word.as_str())).collect();
    Vocabulary { structs, words, functions }
}

/// Whether it begins like a word of the language, and not like a name.
pub fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase())
}
