//! Types of inputs that are more than one value, or are not given as what they are: maps, logins, files that hold secrets.

use std::collections::BTreeMap;

use dsl::value::{SecretRef, Value};
use dsl::{Compiled, Diagnostic, Given, GivenValue, Origin, Source, Workflow, check};

use crate::fixture::TestFiles;

const CANARY: &str = "canary-4f1d9c";

fn workflow(inputs: &str, used: &str) -> Workflow {
    let text = format!(
        r#"Workflow(name: "test", roles: {{"vm": One}}, inputs: {{ {inputs} }},
            steps: [Step(id: "s", on: "vm", do: Run(["x"]), stdin: "{used}")])"#
    );
    let source = Source { name: "test".to_owned(), text };
    let checked = check(&source, &TestFiles);
    checked.workflow.unwrap_or_else(|| panic!("{:?}", checked.diagnostics))
}

fn given(inputs: &[(&str, &str)]) -> Given {
    let value = |text: &str| GivenValue { text: text.to_owned(), origin: Origin::CommandLine };
    Given {
        inputs: inputs.iter().map(|(name, text)| ((*name).to_owned(), value(text))).collect(),
        roles: [("vm".to_owned(), vec!["vm1".to_owned()])].into(),
    }
}

fn compile(workflow: &Workflow, inputs: &[(&str, &str)]) -> Result<Compiled, Vec<Diagnostic>> {
    workflow.compile(&given(inputs), &TestFiles)
}

fn map(entries: &[(&str, i64)]) -> Value {
    Value::Record(entries.iter().map(|(key, n)| ((*key).to_owned(), Value::Int(*n))).collect::<BTreeMap<_, _>>())
}

#[test]
fn a_map_is_given_as_a_whole_or_entry_by_entry() {
    let workflow = workflow(
        r#""sizes": Map(of: Int(max: 9), default: { "a": 1 }, max: 3), "hosts": Map(of: List(of: Address), optional: true)"#,
        "${{ inputs.sizes['a'] ?? 0 }}${{ sum(inputs.sizes) }}${{ inputs.hosts == none ? '' : json(inputs.hosts) }}",
    );
    let sizes = |inputs: &[(&str, &str)]| {
        compile(&workflow, inputs)
            .map(|compiled| compiled.plan.inputs["sizes"].value.clone())
            .map_err(|errors| errors.iter().map(|error| error.message.clone()).collect::<Vec<_>>())
    };
    assert_eq!(sizes(&[]), Ok(map(&[("a", 1)])));
    assert_eq!(sizes(&[("sizes", "{ \"b\": 2, \"c\": \"3\" }")]), Ok(map(&[("b", 2), ("c", 3)])));
    assert_eq!(sizes(&[("sizes.b.c", "4")]), Ok(map(&[("b.c", 4)])));
    assert_eq!(sizes(&[("sizes", "{ \"b\": 2 }"), ("sizes.b", "5")]), Ok(map(&[("b", 5)])), "an entry counts more");
    assert_eq!(sizes(&[("sizes", "{}")]), Ok(map(&[])));
    for wrong in [
        &[("sizes", "b=2")] as &[(&str, &str)],
        &[("sizes", "{ \"b\": 2, \"b\": 3 }")],
        &[("sizes.b", "x")],
        &[("sizes.b", "10")],
        &[("sizes.", "1")],
        &[("sizes", "{ \"a\": 1, \"b\": 2 }"), ("sizes.c", "3"), ("sizes.d", "4")],
        &[("size.b", "1")],
    ] {
        assert!(sizes(wrong).is_err(), "{wrong:?}");
    }
    let hosts = compile(&workflow, &[("hosts.web", "a.example,192.0.2.1")]).expect("a plan");
    let Value::Record(hosts) = &hosts.plan.inputs["hosts"].value else { panic!("a map") };
    assert_eq!(hosts["web"], Value::List(["a.example", "192.0.2.1"].map(|host| Value::Text(host.to_owned())).into()));
}

#[test]
fn a_login_is_a_user_and_a_secret_password() {
    let workflow = workflow(
        r#""login": Login(optional: true)"#,
        "${{ inputs.login.user ?? '' }}${{ inputs.login.password ?? '' }}",
    );
    assert!(compile(&workflow, &[]).is_ok());
    let mut all = given(&[("login.user", "ann")]);
    assert_eq!(workflow.missing_secrets(&all), [("login.password".to_owned(), None)]);
    let password = GivenValue { text: CANARY.to_owned(), origin: Origin::Elsewhere };
    all.inputs.insert("login.password".to_owned(), password);
    let compiled = workflow.compile(&all, &TestFiles).expect("a plan");
    assert!(!format!("{:?}", compiled.plan).contains(CANARY));
    assert_eq!(compiled.secrets[&SecretRef("inputs.login.password".to_owned())].expose(), CANARY);
    for user in ["", "a:b"] {
        all.inputs.insert("login.user".to_owned(), GivenValue { text: user.to_owned(), origin: Origin::Elsewhere });
        assert!(workflow.compile(&all, &TestFiles).is_err(), "{user:?}");
    }
}

#[test]
fn the_content_of_a_secret_file_is_the_secret_and_its_path_is_none() {
    let workflow = workflow(r#""key": SecretFile()"#, "${{ inputs.key }}");
    assert!(workflow.missing_secrets(&given(&[])).is_empty(), "a path is not asked for without showing it");
    let compiled = compile(&workflow, &[("key", "/secrets/key")]).expect("a plan");
    assert!(!String::from_utf8(compiled.plan.to_json().unwrap()).unwrap().contains(CANARY));
    let text = compiled.secrets[&SecretRef("inputs.key".to_owned())].expose();
    assert!(text.starts_with("-----BEGIN") && text.ends_with("-----\n"), "as it is in the file");
    assert!(compiled.plan.steps[0].stdin.as_ref().expect("stdin").secret);
    for wrong in [&[] as &[(&str, &str)], &[("key", "/secrets/other")]] {
        let errors = compile(&workflow, wrong).expect_err("no file");
        assert!(["A0301", "A0309"].contains(&errors[0].code.id()), "{errors:?}");
    }
}

#[test]
fn a_secret_that_is_generated_is_asked_of_the_edge() {
    let workflow = workflow(
        r#""token": Text(secret: true, generate: 32), "rec": Record(optional: true, fields: { "n": Int, "t": Text(secret: true, generate: 8) })"#,
        "${{ inputs.token }}${{ inputs.rec.t ?? '' }}${{ inputs.rec.n ?? 0 }}",
    );
    let of = |inputs: &[(&str, &str)]| workflow.generated_secrets(&given(inputs));
    assert_eq!(of(&[]), [("token".to_owned(), 32)]);
    assert_eq!(of(&[("rec.n", "1")]), [("token".to_owned(), 32), ("rec.t".to_owned(), 8)]);
    assert_eq!(of(&[("token", "x")]), []);
    assert!(workflow.missing_secrets(&given(&[("rec.n", "1")])).is_empty(), "nobody is asked");
    assert!(compile(&workflow, &[]).is_err(), "the compiler draws nothing");
}
