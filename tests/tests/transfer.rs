//! A large file on its way, as the terminal's programs see it.

use anneal_tests::anneal::Anneal;
use anneal_tests::sshd::Sshd;

#[test]
fn a_run_tells_how_far_a_file_is_and_its_journal_does_not() {
    let (anneal, sshd) = (Anneal::new(), Sshd::start());
    let to = anneal.folder().join("there");
    anneal.file(
        "put.ron",
        format!(
            r#"Workflow(name: "put", inputs: {{ "file": File() }}, roles: {{ "vm": One }}, steps: [
                Step(id: "put", on: "vm", do: Upload(from: "${{{{ inputs.file }}}}", to: "{}")),
            ])"#,
            to.display()
        ),
    );
    anneal.file("inv.ron", format!("Inventory(hosts: {{ \"web\": {} }}, roles: {{ \"vm\": [\"web\"] }})", sshd.host()));
    let content = "0123456789abcdef".repeat(6 << 20);
    anneal.file("large", &content);
    let run = ["run", "put.ron", "--json", "--inventory", "inv.ron", "--accept-new-host-keys", "--input", "file=large"];
    let ended = anneal.expect(0, run);
    assert!(std::fs::read(&to).expect("the file") == content.as_bytes());
    let lines: Vec<serde_json::Value> =
        ended.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let moving: Vec<_> = lines.iter().filter_map(|line| line.get("moving")).collect();
    assert!(!moving.is_empty(), "{}", ended.stdout);
    let mut before = 0;
    for line in &moving {
        let (bytes, of) = (line["bytes"].as_u64().expect("bytes"), line["of"].as_u64().expect("of"));
        assert_eq!((line["node"].as_str(), of), (Some("put@web"), content.len() as u64));
        assert!(before < bytes && bytes <= of, "{line}");
        before = bytes;
    }
    let id = anneal.operations().pop().expect("an operation");
    let shown = anneal.expect(0, ["replay", &id, "--json"]);
    assert!(!shown.stdout.contains("moving"), "{}", shown.stdout);
}
