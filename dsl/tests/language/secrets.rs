//! No secret reaches an argument, a URL, an output, a condition, a message or a plan.

use dsl::plan::Action;
use dsl::{Given, GivenValue, Origin, Source, check};

use crate::fixture::TestFiles;

const CANARY: &str = "canary-4f1d9c";

/// Expressions that give a secret text, or something that was computed from one.
const LEAKS: &[&str] = &[
    "inputs.password",
    "inputs.login.user ?? 'x'",
    "inputs.login.token",
    "'x' + inputs.password",
    "inputs.flag ? inputs.password : 'x'",
    "inputs.password == 'x' ? 'yes' : 'no'",
    "len(inputs.password)",
    "starts_with(inputs.password, 'a')",
    "basename(inputs.password)",
    "join([inputs.name, inputs.password], ' ')",
    "join(inputs.names, inputs.password)",
    "inputs.password in inputs.names",
    "[inputs.password, 'x'][0] ?? 'x'",
    "['x', inputs.password][0] ?? 'x'",
    "inputs.names[len(inputs.password)] ?? 'x'",
    "inputs.opt ?? inputs.password",
    "inputs.url",
    "let.password",
    "'x' + let.password",
    "let.login.token",
    "let.tells != none",
    "sha256(inputs.password)",
    "json(inputs.password)",
    "json([inputs.login])",
    "json(inputs.login)",
    "format('{}', inputs.pin)",
    "split(inputs.password, ',')[0] ?? 'x'",
    "split(inputs.password, ',')[1] != none",
    "len(split(inputs.name, inputs.password))",
    "max(inputs.password == 'x' ? [1] : []) != none",
    "(inputs.password == 'x' ? inputs.names : [])[0] != none",
    "any([inputs.password == 'x'])",
    "(inputs.password == 'x' ? none : inputs.name) == none",
    "(inputs.password == 'x' ? none : inputs.name) ?? 'x'",
    "((inputs.password == 'x' ? none : inputs.opt) ?? inputs.opt) != none",
    "inputs.names[len(inputs.password)] != none",
    "(inputs.flag ? inputs.login : inputs.login).token",
    "[inputs.login][0].token ?? 'x'",
    "(inputs.other ?? inputs.login).token",
    "(inputs.password == 'x' ? inputs.other : none).token == none",
    "inputs.pin",
    "inputs.wait ?? '5m'",
    "!(inputs.password == 'x')",
    "inputs.password == 'x' && inputs.flag",
    "inputs.flag || inputs.password == 'x'",
    "(inputs.login.user != none && inputs.login.user == 'x') ? 1 : 2",
];

/// Expressions that read a secret only as everybody may.
const PUBLIC: &[&str] = &[
    "inputs.login.user != none",
    "inputs.login.user == none ? 'without' : 'with'",
    "inputs.wait != none && inputs.flag",
    "!(inputs.wait == none)",
    "let.has_user",
    "let.wait != none",
];

fn source(step: &str, output: &str) -> Source {
    let text = format!(
        r#"Workflow(name: "test", roles: {{"vm": One}},
            inputs: {{
                "password": Text(secret: true), "url": Url(secret: true), "pin": Int(secret: true),
                "wait": Duration(secret: true, optional: true), "flag": Bool(default: true), "opt": Text(optional: true),
                "name": Text(default: "n"), "names": List(of: Text, default: ["a"]), "image": File(optional: true),
                "other": Record(optional: true, fields: {{ "user": Text(secret: true, optional: true), "token": Text(secret: true) }}),
                "login": Record(fields: {{ "user": Text(secret: true, optional: true), "token": Text(secret: true) }}),
            }},
            let: {{
                "password": "inputs.password", "login": "inputs.login", "has_user": "inputs.login.user != none",
                "wait": "inputs.wait", "tells": "let.password == 'x' ? none : inputs.name",
            }},
            steps: [Step(id: "s", on: "vm", {step})],
            outputs: {{ "o": "{output}" }})"#
    );
    Source { name: "test".to_owned(), text }
}

fn notify(to: &str) -> Source {
    source(&format!("do: Notify(text: \"t\", to: {to})"), "")
}

fn mail(more: &str) -> Source {
    notify(&format!("Mail(server: \"h\", from: \"a@b\", to: [\"c@d\"], {more})"))
}

fn mail_from(server: &str, from: &str, to: &str) -> String {
    format!("do: Notify(text: \"t\", to: Mail(server: \"{server}\", from: \"{from}\", to: [\"{to}\"]))")
}

fn until_tls(fields: &str) -> Source {
    source(&format!("do: Wait(until: Tls({fields}), within: \"1m\")"), "")
}

/// Every place in which a secret would be seen.
fn places(expression: &str) -> Vec<(&'static str, Source)> {
    let value = format!("${{{{ {expression} }}}}");
    let run = "do: Run([\"true\"])";
    vec![
        ("argument", source(&format!("do: Run([\"x\", \"a{value}b\"])"), "")),
        ("program", source(&format!("do: Run([\"{value}\"])"), "")),
        ("argument of a script", source(&format!("do: Script(file: \"scripts/ok.sh\", args: [\"{value}\"])"), "")),
        ("argument of a probe", source(&format!("probe: Run([\"x\", \"{value}\"]), {run}"), "")),
        ("argument of an undo", source(&format!("undo: Run([\"x\", \"{value}\"]), {run}"), "")),
        ("path of an upload", source(&format!("do: Upload(from: \"etc/app.conf\", to: \"/{value}\")"), "")),
        ("path of a file", source(&format!("do: WriteFile(to: \"/{value}\", content: \"\")"), "")),
        ("owner", source(&format!("do: WriteFile(to: \"/x\", content: \"\", owner: \"{value}\")"), "")),
        ("mode of a file", source(&format!("do: WriteFile(to: \"/x\", content: \"\", mode: \"{value}\")"), "")),
        (
            "path of a patch",
            source(&format!("do: PatchFile(path: \"/{value}\", patch: Json(merge: {{ \"a\": 1 }}))"), ""),
        ),
        ("URL", source(&format!("do: Wait(until: Http(url: \"http://h/{value}\"), within: \"1m\")"), "")),
        ("URL of https", source(&format!("do: Wait(until: Http(url: \"https://h/{value}\"), within: \"1m\")"), "")),
        ("URL of a request", source(&format!("do: Http(url: \"https://h/{value}\")"), "")),
        ("URL of a webhook", source(&format!("do: Notify(text: \"t\", to: Webhook(url: \"https://{value}/\"))"), "")),
        ("authority", source(&format!("do: Http(url: \"https://h/\", ca: \"{value}\")"), "")),
        ("authority of a webhook", notify(&format!("Webhook(url: \"https://h/\", ca: \"{value}\")"))),
        ("authority of a mail", mail(&format!("ca: \"{value}\""))),
        ("local argument", source(&format!("do: Local([\"x\", \"{value}\"])"), "")),
        ("local argument of a probe", source(&format!("probe: Local([\"x\", \"{value}\"]), {run}"), "")),
        ("assertion", source(&format!("do: Assert(\"({expression}) == ({expression})\", \"t\")"), "")),
        ("text of an assertion", source(&format!("do: Assert(\"true\", \"{value}\")"), "")),
        ("notice", source(&format!("do: Notify(text: \"{value}\", to: Command([\"x\"]))"), "")),
        ("subject", source(&format!("do: Notify(text: \"t\", subject: \"{value}\", to: Command([\"x\"]))"), "")),
        ("argument of a notice", notify(&format!("Command([\"x\", \"{value}\"])"))),
        ("mail server", source(&mail_from(&value, "a@b", "c@d"), "")),
        ("sender", source(&mail_from("h", &value, "c@d"), "")),
        ("receiver", source(&mail_from("h", "a@b", &value), "")),
        ("name of a certificate", until_tls(&format!("port: 443, name: \"{value}\""))),
        ("port of a certificate", until_tls(&format!("port: \"{value}\""))),
        ("validity of a certificate", until_tls(&format!("port: 443, valid_for: \"{value}\""))),
        ("authority of a certificate", until_tls(&format!("port: 443, ca: \"{value}\""))),
        ("output", source(run, &value)),
        ("user", source(&format!("{run}, as_user: \"{value}\""), "")),
        ("condition", source(&format!("when: \"({expression}) == ({expression})\", {run}"), "")),
        ("port", source(&format!("do: Wait(until: Tcp(port: \"{value}\"), within: \"1m\")"), "")),
        ("timeout", source(&format!("{run}, timeout: \"{value}\""), "")),
        ("times", source(&format!("{run}, retry: (times: \"{value}\")"), "")),
        ("mode", source(&format!("do: Upload(from: \"etc/app.conf\", to: \"/x\", mode: \"{value}\")"), "")),
        ("file", source(&format!("do: Upload(from: \"{value}\", to: \"/x\")"), "")),
        ("lock", source(&format!("{run}, locks: [\"{value}\"]"), "")),
        ("each", source(&format!("{run}, each: \"[{expression}]\""), "")),
        (
            "question",
            around(&source(run, ""), "Step(id: \"s\"", &format!("Step(id: \"g\", do: Gate(text: \"{value}\")), ")),
        ),
        ("lock of all", around(&source(run, ""), "roles:", &format!("locks: [\"{value}\"], "))),
        ("instance", around(&source(run, ""), "roles:", &format!("instance: \"{value}\", "))),
        ("deadline", around(&source(run, ""), "roles:", &format!("deadline: \"{value}\", "))),
        (
            "last",
            around(
                &source(run, ""),
                "outputs:",
                &format!("finally: [Step(id: \"l\", on: \"vm\", do: Run([\"{value}\"]))], "),
            ),
        ),
    ]
}

/// The same workflow with something more before a place.
fn around(source: &Source, place: &str, more: &str) -> Source {
    Source { text: source.text.replacen(place, &format!("{more}{place}"), 1), ..source.clone() }
}

#[test]
fn a_secret_goes_nowhere_where_it_would_be_seen() {
    for expression in LEAKS {
        for (place, source) in places(expression) {
            let checked = check(&source, &TestFiles);
            let codes: Vec<&str> = checked.diagnostics.iter().filter(|d| d.is_error()).map(|d| d.code.id()).collect();
            assert!(checked.workflow.is_none(), "{expression} as {place}");
            assert!(codes.iter().all(|code| ["A0205", "A0206"].contains(code)), "{expression} as {place}: {codes:?}");
        }
    }
}

#[test]
fn a_secret_goes_into_the_environment_and_standard_input() {
    for expression in LEAKS {
        let value = format!("${{{{ {expression} }}}}");
        let source = source(&format!("do: Run([\"true\"]), env: {{ \"A\": \"{value}\" }}, stdin: \"x{value}\""), "");
        let checked = check(&source, &TestFiles);
        let shown: String =
            checked.diagnostics.iter().filter(|d| d.is_error()).map(|d| d.render(&source, false)).collect();
        assert!(checked.workflow.is_some(), "{shown}");
    }
}

#[test]
fn a_secret_goes_into_what_a_request_sends_and_a_login_needs() {
    for expression in LEAKS {
        let value = format!("${{{{ {expression} }}}}");
        for step in [
            format!("do: Http(url: \"https://h/\", headers: {{ \"X\": \"a{value}\" }})"),
            format!("do: Http(method: \"POST\", url: \"https://h/\", body: \"{value}\")"),
            format!("do: Http(method: \"POST\", url: \"https://h/\", json: {{ \"a\": [\"{value}\"] }})"),
            format!(
                "do: Notify(text: \"t\", to: Webhook(url: \"https://h/\", key: \"{value}\", headers: {{ \"X\": \"{value}\" }}))"
            ),
            format!(
                "do: Notify(text: \"t\", to: Mail(server: \"h\", from: \"a@b\", to: [\"c@d\"], user: \"{value}\", password: \"{value}\"))"
            ),
            format!("do: Local([\"true\"]), env: {{ \"A\": \"{value}\" }}, stdin: \"{value}\""),
        ] {
            is_accepted(&source(&step, ""), 0);
        }
    }
}

/// With a reason a secret goes into arguments and URLs, and nowhere else; each time that is said.
#[test]
fn secrets_are_allowed_in_arguments_and_urls_only() {
    const ALLOWED: [&str; 9] = [
        "argument",
        "program",
        "argument of a script",
        "argument of a probe",
        "argument of an undo",
        "URL",
        "URL of https",
        "URL of a request",
        "URL of a webhook",
    ];
    const MORE: [&str; 3] = ["local argument", "local argument of a probe", "argument of a notice"];
    for expression in LEAKS {
        for (place, source) in places(expression) {
            let text =
                source.text.replacen("id: \"s\", on: \"vm\",", "id: \"s\", on: \"vm\", allow_secret_args: \"so\",", 1);
            let source = Source { text, ..source };
            match ALLOWED.contains(&place) || MORE.contains(&place) {
                true => is_accepted(&source, 1),
                false => assert!(check(&source, &TestFiles).workflow.is_none(), "{expression} as {place}"),
            }
        }
    }
}

fn is_accepted(source: &Source, warnings: usize) {
    let checked = check(source, &TestFiles);
    let said: String = checked.diagnostics.iter().map(|d| d.render(source, false)).collect();
    assert!(checked.workflow.is_some(), "{said}");
    assert_eq!(checked.diagnostics.iter().filter(|d| d.code.id() == "A0140").count(), warnings, "{said}");
}

#[test]
fn a_secret_goes_into_a_file_which_is_for_its_owner_only() {
    let value = |text: &str| GivenValue { text: text.to_owned(), origin: Origin::Elsewhere };
    let inputs = [("password", CANARY), ("url", "http://h/"), ("pin", "1"), ("login.token", CANARY)];
    let given = Given {
        inputs: inputs.map(|(name, text)| (name.to_owned(), value(text))).into(),
        roles: [("vm".to_owned(), vec!["a".to_owned()])].into(),
    };
    for expression in LEAKS.iter().copied().chain(["inputs.login", "[inputs.login]", "inputs.other"]) {
        let value = format!("${{{{ {expression} }}}}");
        let vars = format!("vars: {{ \"name\": \"{value}\", \"port\": 1, \"peers\": [], \"proxy\": None }}");
        let mut steps = vec![
            format!("do: WriteFile(to: \"/x\", template: \"templates/app.conf.j2\", {vars})"),
            format!("do: PatchFile(path: \"/x\", patch: Json(merge: {{ \"a\": [{{ \"b\": \"{value}\" }}] }}))"),
        ];
        match LEAKS.contains(&expression) {
            true => steps.extend([
                format!("do: WriteFile(to: \"/x\", content: \"x{value}\")"),
                format!("do: PatchFile(path: \"/x\", patch: Lines(ensure: [\"x{value}\"]))"),
            ]),
            // What may be absent removes no key.
            false if expression == "inputs.other" => drop(steps.pop()),
            false => {}
        }
        for step in steps {
            let source = source(&step, "");
            let checked = check(&source, &TestFiles);
            let shown: String =
                checked.diagnostics.iter().filter(|d| d.is_error()).map(|d| d.render(&source, false)).collect();
            let workflow = checked.workflow.unwrap_or_else(|| panic!("{shown}"));
            let compiled = workflow.compile(&given, &TestFiles).expect("a plan");
            match &compiled.plan.steps[0].action {
                Action::PatchFile { patch, .. } => assert!(patch.is_secret(), "{step}"),
                action => assert_eq!(action.files()[0].mode(), 0o600, "{step}"),
            }
            assert!(!format!("{:?}", compiled.plan).contains(CANARY));
        }
    }
}

#[test]
fn whether_a_secret_is_there_is_public() {
    for expression in PUBLIC {
        for (place, source) in places(expression) {
            if ["condition", "argument", "output", "user", "URL", "lock", "each", "question", "lock of all", "last"]
                .contains(&place)
            {
                let checked = check(&source, &TestFiles);
                let shown: String =
                    checked.diagnostics.iter().filter(|d| d.is_error()).map(|d| d.render(&source, false)).collect();
                assert!(checked.workflow.is_some(), "{place}: {shown}");
            }
        }
    }
}

fn given(origin: Origin, changed: &[(&str, &str)]) -> Given {
    let mut inputs: Vec<(&str, String)> = vec![
        ("password", format!("{CANARY} \"quoted\"\n")),
        ("url", format!("https://user:{CANARY}@host/")),
        ("pin", "1234567890".to_owned()),
        ("login.token", CANARY.to_owned()),
    ];
    inputs.extend(changed.iter().map(|(name, text)| (*name, (*text).to_owned())));
    Given {
        inputs: inputs.into_iter().map(|(name, text)| (name.to_owned(), GivenValue { text, origin })).collect(),
        roles: [("vm".to_owned(), vec!["vm1".to_owned()])].into(),
    }
}

#[test]
fn no_text_of_a_secret_is_in_a_plan_or_in_what_debug_shows() {
    let source = source(
        "do: Run([\"true\"]), env: { \"A\": \"${{ inputs.password }}${{ inputs.url }}${{ inputs.login.token }}\" }",
        "",
    );
    let workflow = check(&source, &TestFiles).workflow.expect("a workflow");
    let given = given(Origin::Elsewhere, &[]);
    assert!(!format!("{given:?}").contains(CANARY));
    let compiled = workflow.compile(&given, &TestFiles).expect("a plan");
    assert!(!format!("{compiled:?}").contains(CANARY));
    assert!(!String::from_utf8(compiled.plan.to_json().unwrap()).unwrap().contains(CANARY));
    let texts: Vec<(String, &str)> =
        compiled.secrets.iter().map(|(name, text)| (name.to_string(), text.expose())).collect();
    let password = format!("{CANARY} \"quoted\"\n");
    let url = format!("https://user:{CANARY}@host/");
    assert_eq!(
        texts,
        [
            ("inputs.login.token".to_owned(), CANARY),
            ("inputs.password".to_owned(), password.as_str()),
            ("inputs.pin".to_owned(), "1234567890"),
            ("inputs.url".to_owned(), url.as_str()),
        ]
    );
    assert!(compiled.warnings.is_empty());
}

#[test]
fn no_message_repeats_a_secret() {
    let source = source("do: Run([\"true\"]), env: { \"A\": \"${{ inputs.password }}\" }", "");
    let workflow = check(&source, &TestFiles).workflow.expect("a workflow");
    let wrong = [
        given(Origin::CommandLine, &[]),
        given(
            Origin::Elsewhere,
            &[("pin", CANARY), ("url", CANARY), ("wait", CANARY), ("password", "canary-4f1d9c\0")],
        ),
        given(Origin::Elsewhere, &[("passwort", CANARY), ("login", CANARY), ("login.user", CANARY), ("flag", "maybe")]),
    ];
    for given in wrong {
        let errors = workflow.compile(&given, &TestFiles).expect_err("something is wrong");
        for error in &errors {
            assert!(!format!("{error:?}").contains(CANARY), "{error:?}");
            assert!(!error.render(&source, false).contains(CANARY));
        }
    }
}

#[test]
fn a_url_with_a_password_is_never_a_public_value() {
    let text = r#"Workflow(name: "test", roles: {"vm": One}, inputs: { "url": Url, "urls": List(of: Url) },
        steps: [Step(id: "s", on: "vm", do: Run(["x", "${{ inputs.url }}", "${{ join(inputs.urls, ',') }}"]))])"#;
    let source = Source { name: "test".to_owned(), text: text.to_owned() };
    let workflow = check(&source, &TestFiles).workflow.expect("a workflow");
    let secret = format!("http://u:{CANARY}@h/");
    for (url, urls) in [
        (secret.as_str(), "http://h/"),
        ("http://h/", secret.as_str()),
        ("http://h/", &format!("http://h/,{secret}")),
        (&format!("u:{CANARY}@h"), "http://h/"),
        (&format!("http://u:{CANARY}@"), "http://h/"),
    ] {
        let value = |text: &str| GivenValue { text: text.to_owned(), origin: Origin::CommandLine };
        let given = Given {
            inputs: [("url".to_owned(), value(url)), ("urls".to_owned(), value(urls))].into(),
            roles: [("vm".to_owned(), vec!["vm1".to_owned()])].into(),
        };
        let errors = workflow.compile(&given, &TestFiles).expect_err("a URL with a password");
        assert!(!format!("{errors:?}").contains(CANARY), "{errors:?}");
    }
}

#[test]
fn the_secrets_that_are_to_be_asked_for_are_known() {
    let text = r#"Workflow(name: "test", roles: {"vm": One}, inputs: {
            "password": Text(secret: true, about: "Of the registry."), "maybe": Text(secret: true, optional: true), "name": Text,
            "login": Record(optional: true, fields: { "user": Text, "token": Text(secret: true) }),
        },
        steps: [Step(id: "s", on: "vm", do: Run(["true"]), stdin: "${{ inputs.password }}${{ inputs.maybe ?? '' }}${{ inputs.name }}${{ inputs.login.token ?? '' }}")])"#;
    let source = Source { name: "test".to_owned(), text: text.to_owned() };
    let workflow = check(&source, &TestFiles).workflow.expect("a workflow");
    let password = ("password".to_owned(), Some("Of the registry.".to_owned()));
    let mut given = Given::default();
    assert_eq!(workflow.missing_secrets(&given), std::slice::from_ref(&password));
    let value = GivenValue { text: "u".to_owned(), origin: Origin::CommandLine };
    given.inputs.insert("login.user".to_owned(), value);
    assert_eq!(workflow.missing_secrets(&given), [password, ("login.token".to_owned(), None)]);
    let inputs = workflow.inputs();
    assert_eq!(inputs.iter().map(|input| input.name).collect::<Vec<_>>(), ["password", "maybe", "name", "login"]);
    assert_eq!(inputs[0].about, Some("Of the registry."));
    assert!(inputs[0].field.secret && !inputs[0].field.optional && !inputs[0].has_default);
}
