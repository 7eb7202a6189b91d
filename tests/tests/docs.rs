//! What the docs say is what the code does.

use std::fmt::Write;

#[test]
fn the_table_of_limits_is_that_of_the_code() {
    let mut page = String::from(
        "# Limits\n\nEverything has a limit. What is over one is refused with a message that names it. This page is generated from the\n\
         code: `UPDATE=1 cargo nextest run -p anneal-tests --test docs`.\n",
    );
    let mut part = |title: &str, rows: Vec<(String, u64, String)>| {
        write!(page, "\n## {title}\n\n| limit | value | what |\n|---|---|---|\n").unwrap();
        for (name, value, about) in rows {
            writeln!(page, "| `{name}` | {value} | {} |", about.replace('|', "\\|")).unwrap();
        }
    };
    part("The language", dsl::limits::table().into_iter().map(|l| (l.name.into(), l.value, l.about.into())).collect());
    part(
        "The store",
        store::limits::table()
            .into_iter()
            .map(|l| (l.name.into(), l.value, format!("{} ({})", l.about, l.unit)))
            .collect(),
    );
    part(
        "The engine",
        engine::limits::table()
            .into_iter()
            .map(|l| (l.name.into(), l.value, format!("{} ({})", l.about, l.unit)))
            .collect(),
    );
    part(
        "Hosts",
        engine::host::limits::table()
            .into_iter()
            .map(|l| (l.name.into(), l.value, format!("{} ({})", l.about, l.unit)))
            .collect(),
    );
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/limits.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), page, "UPDATE=1 rewrites docs/limits.md");
}
