//! What runs from here: `Assert`, `Local`, `Http`, `Notify`, and waiting for a certificate – with real servers on loopback.

use anneal_tests::anneal::{Anneal, Ended};
use anneal_tests::journal::{self, Event, Unknown};
use anneal_tests::until::{SOON, until};
use anneal_tests::web::{Authority, MailSink, Reply, Request, Server};
use ring::hmac;

/// A secret that is looked for everywhere.
const CANARY: &str = "canary-70c4e1b2";

/// Runs a workflow of these steps, without a host.
fn run(anneal: &Anneal, code: i32, head: &str, steps: &str) -> Ended {
    let text = format!("Workflow(name: \"here\", {head} steps: [{steps}])");
    anneal.file("here.ron", text);
    anneal.file("token", CANARY);
    let args = ["run", "here.ron"]
        .into_iter()
        .chain(head.contains("token").then_some(["--input", "token=@token"]).into_iter().flatten());
    anneal.expect(code, args.collect::<Vec<_>>())
}

fn answer(status: u16, body: &str) -> Reply {
    Reply::Answer(status, Vec::new(), body.to_owned())
}

fn id(anneal: &Anneal) -> String {
    anneal.operations().pop().expect("an operation")
}

/// Nothing that is stored or said holds the canary, but for the sealed secrets.
fn stays_secret(anneal: &Anneal, said: &[&Ended]) {
    for ended in said {
        assert!(!ended.all().contains(CANARY), "{}", ended.all());
    }
    for (path, bytes) in anneal.data_files() {
        let there = bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
        assert!(!there, "it is in {}", path.display());
    }
}

#[test]
fn an_assertion_says_what_is_wrong_and_runs_for_each_element() {
    let anneal = Anneal::new();
    let head = r#"inputs: { "names": List(of: Text, default: ["ann", "bob"]) },"#;
    run(&anneal, 0, head, r#"Step(id: "named", each: "inputs.names", do: Assert("each != ''", "no name"))"#);
    let wrong = r#"Step(id: "named", each: "inputs.names", do: Assert("each == 'ann'", "`${{ each }}` is not ann"))"#;
    let ended = run(&anneal, 1, head, wrong);
    ended.says(&["named@bob", "`bob` is not ann"]);
    let view = anneal.json(["show", &id(&anneal), "--json"]);
    let states: Vec<_> = view["nodes"].as_array().unwrap().iter().map(|node| node["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["succeeded", "failed"]);
}

#[test]
fn a_local_program_is_found_again_when_the_engine_was_killed() {
    let anneal = Anneal::new();
    let gate = anneal.folder().join("gate");
    let step = format!(
        r#"Workflow(name: "here", steps: [Step(
            id: "wait", env: {{ "GATE": "{}" }}, stdin: "from stdin",
            do: Local(["sh", "-c", "echo begun >>$GATE.count; until [ -e $GATE ]; do sleep 0.1; done; cat; exit 3"]),
            ok_exit: [3], out: {{ "said": Stdout(type: Text) }},
        )], outputs: {{ "said": "${{{{ steps.wait.out.said }}}}" }})"#,
        gate.display()
    );
    anneal.file("here.ron", step);
    let running = anneal.start(["run", "here.ron", "--json"]);
    running.event("wait started", SOON, journal::started("wait"));
    until("the program to begin", SOON, || gate.with_extension("count").exists().then_some(()));
    running.kill();
    let id = id(&anneal);
    std::fs::write(&gate, "").expect("a gate");
    assert_eq!(anneal.expect(0, ["resume", &id]).stdout, "said = from stdin\n");
    assert_eq!(std::fs::read_to_string(gate.with_extension("count")).unwrap(), "begun\n", "it was begun again");
    let journal = anneal.journal(&id);
    assert!(journal.iter().any(|entry| matches!(entry.event, Event::Reattached { .. })), "{journal:?}");
    let leftovers = anneal_tests::anneal::files_below(&anneal.local_jobs());
    assert!(leftovers.is_empty(), "job files of an operation that has completed: {leftovers:?}");
}

#[test]
fn local_programs_probe_and_undo_from_here() {
    let anneal = Anneal::new();
    let made = anneal.folder().join("made");
    let steps = format!(
        r#"Step(
            id: "make", probe: Local(["test", "-e", "{0}"]), do: Local(["touch", "{0}"]), undo: Local(["rm", "{0}"]),
        ),
        Step(id: "again", needs: ["make"], probe: Local(["test", "-e", "{0}"]), do: Local(["false"])),
        Step(id: "fail", needs: ["again"], do: Local(["false"]), on_failure: Rollback)"#,
        made.display()
    );
    run(&anneal, 1, "", &steps).says(&["rolled back"]);
    assert!(!made.exists(), "it was not undone");
}

#[test]
fn a_request_is_sent_as_it_is_written_and_its_answer_gives_values() {
    let anneal = Anneal::new();
    let server = Server::http(|_, request| match request.line.as_str() {
        "GET /old" => Reply::Answer(302, vec!["Location: /new?x=1".to_owned()], String::new()),
        "GET /new?x=1" => Reply::Answer(
            200,
            vec!["ETag: \"abc\"".to_owned()],
            format!(r#"{{"version": "1.2", "ports": [1, 2], "echo": "{CANARY}"}}"#),
        ),
        "POST /things" => answer(201, "made"),
        other => answer(404, other),
    });
    let (port, head) =
        (server.port, r#"inputs: { "token": Text(secret: true), "names": List(of: Text, default: ["a\"b"]) },"#);
    let steps = format!(
        r#"Step(
            id: "get", do: Http(url: "http://127.0.0.1:{port}/old", follow: 1, headers: {{ "Authorization": "Bearer ${{{{ inputs.token }}}}" }}),
            out: {{
                "code": Status(type: Int), "etag": Header(name: "ETag", type: Text), "version": Json(path: ".version", type: Text),
                "ports": Json(path: ".ports", type: List(of: Int)), "echo": Json(path: ".echo", type: Text),
            }},
        ),
        Step(
            id: "post", do: Http(
                method: "POST", url: "http://127.0.0.1:{port}/things", status: [201],
                json: {{ "version": "${{{{ steps.get.out.version }}}}", "names": "${{{{ inputs.names }}}}", "token": "${{{{ inputs.token }}}}", "n": 1 }},
            ),
        ),
        Step(
            id: "check", do: Assert(
                "steps.get.out.code == 200 && steps.get.out.etag == '\"abc\"' && sum(steps.get.out.ports) == 3",
                "code ${{{{ steps.get.out.code }}}}, etag ${{{{ steps.get.out.etag }}}}",
            ),
        ),
        Step(id: "not_found", needs: ["post"], do: Http(method: "DELETE", url: "http://127.0.0.1:{port}/none"))"#
    );
    let ended = run(&anneal, 1, head, &steps);
    ended.says(&["not_found@here", &format!("DELETE http://127.0.0.1:{port}/none: the answer is 404: DELETE /none")]);
    let asked = server.asked();
    let lines: Vec<_> = asked.iter().map(|request| request.line.as_str()).collect();
    assert_eq!(lines, ["GET /old", "GET /new?x=1", "POST /things", "DELETE /none"]);
    assert_eq!(asked[1].header("authorization"), format!("Bearer {CANARY}"));
    assert_eq!(asked[2].body, format!(r#"{{"n":1,"names":["a\"b"],"token":"{CANARY}","version":"1.2"}}"#));
    assert_eq!(asked[2].header("content-type"), "application/json");
    assert_eq!(asked[2].header("idempotency-key"), format!("{}/post@here", id(&anneal)));
    let logs = anneal.expect(0, ["logs", &id(&anneal), "get"]);
    logs.says(&["\"echo\": \"<secret>\""]);
    stays_secret(&anneal, &[&ended, &logs, &anneal.expect(0, ["show", &id(&anneal)])]);
}

#[test]
fn what_a_server_says_no_to_is_tried_again_where_it_passes() {
    let anneal = Anneal::new();
    let server = Server::http(|before, _| match before {
        0 => answer(503, "later"),
        1 => Reply::CutOff,
        2 => answer(200, "ok"),
        _ => answer(403, "never"),
    });
    let step = |id: &str| {
        let url = format!("http://127.0.0.1:{}/", server.port);
        format!(
            r#"Step(id: "{id}", do: Http(url: "{url}"), retry: (times: 4, wait: "10ms"), out: {{ "x": Stdout(type: Text) }})"#
        )
    };
    run(&anneal, 0, "", &step("passes"));
    assert_eq!(server.asked().len(), 3);
    run(&anneal, 1, "", &step("refused")).says(&["the answer is 403: never"]);
    assert_eq!(server.asked().len(), 4, "what a server refuses for good was tried again");
    // Nobody is there.
    let step = r#"Step(id: "nobody", do: Http(method: "POST", url: "http://127.0.0.1:1/"))"#;
    run(&anneal, 1, "", step).says(&["http://127.0.0.1:1/: ", "refused"]);
}

#[test]
fn a_post_that_is_cut_off_waits_for_a_person_and_is_known_by_its_key() {
    let anneal = Anneal::new();
    let server = Server::http(|before, _| if before == 0 { Reply::CutOff } else { answer(200, "") });
    let step =
        format!(r#"Step(id: "pay", do: Http(method: "POST", url: "http://127.0.0.1:{}/", body: "1"))"#, server.port);
    run(&anneal, 3, "", &step).says(&["pay@here", "--rerun pay@here", "--done pay@here"]);
    let id = id(&anneal);
    let unknown = |entry: &journal::Entry| matches!(entry.event, Event::Indeterminate { why: Unknown::Unanswered, .. });
    assert!(anneal.journal(&id).iter().any(unknown));
    anneal.expect(0, ["resume", &id, "--rerun", "pay"]);
    let keys: Vec<_> = server.asked().iter().map(|request| request.header("idempotency-key").to_owned()).collect();
    assert_eq!(keys, [format!("{id}/pay@here"), format!("{id}/pay@here")]);
}

#[test]
fn a_post_whose_engine_is_killed_asks_its_probe_and_a_get_is_sent_again() {
    for (method, probe, code) in
        [("POST", r#"probe: Local(["test", "-e", "FOLDER/there"]),"#, 0), ("POST", "", 3), ("GET", "", 0)]
    {
        let anneal = Anneal::new();
        let server = Server::http(|before, _| if before == 0 { Reply::Silent } else { answer(200, "") });
        let folder = anneal.folder().to_string_lossy().into_owned();
        let probe = probe.replace("FOLDER", &folder);
        let url = format!("http://127.0.0.1:{}/", server.port);
        let text = format!(
            r#"Workflow(name: "here", steps: [Step(id: "ask", {probe} do: Http(method: "{method}", url: "{url}"))])"#
        );
        anneal.file("here.ron", text);
        let running = anneal.start(["run", "here.ron"]);
        until("the request", SOON, || (server.asked().len() == 1).then_some(()));
        running.kill();
        // What was asked for is there, whoever brought it about.
        std::fs::write(format!("{folder}/there"), "").expect("a file");
        anneal.expect(code, ["resume", &id(&anneal)]);
        assert_eq!(server.asked().len(), if method == "GET" { 2 } else { 1 }, "{method} {probe}");
    }
}

#[test]
fn https_is_trusted_by_the_given_authority_only() {
    let anneal = Anneal::new();
    let authority = Authority::new("ours");
    let server = Server::https(&authority.identity("127.0.0.1", 100), |_, _| answer(200, "secure"));
    anneal.file("ca.pem", authority.pem());
    let url = format!("https://127.0.0.1:{}/", server.port);
    let steps = format!(
        r#"Step(id: "asset", do: Http(url: "{url}", ca: "ca.pem"), out: {{ "said": Stdout(type: Text) }}),
        Step(id: "pem", do: Local(["cat", "{}"]), out: {{ "pem": Stdout(type: Text) }}),
        Step(id: "text", do: Http(url: "{url}", ca: "${{{{ steps.pem.out.pem }}}}")),
        Step(id: "file", do: Http(url: "{url}", ca: "${{{{ inputs.ca }}}}")),
        Step(id: "nobody", needs: ["asset", "text", "file"], do: Http(url: "{url}"))"#,
        anneal.folder().join("work/ca.pem").display()
    );
    let head = r#"inputs: { "ca": File(default: "ca.pem") },"#;
    anneal.file(
        "here.ron",
        format!("Workflow(name: \"here\", {} steps: [{steps}])", head.replace("(default: \"ca.pem\")", "")),
    );
    let anneal = anneal.with_env("SSL_CERT_FILE", "/dev/null");
    let ended = anneal.expect(1, ["run", "here.ron", "--input", "ca=ca.pem"]);
    ended.says(&["nobody@here", "this machine trusts no authority"]);
    assert_eq!(server.asked().len(), 3, "{}", ended.all());
    let anneal = anneal.with_env("SSL_CERT_FILE", "ca.pem");
    anneal.expect(0, ["resume", &id(&anneal)]);
    anneal.file("other.pem", Authority::new("ours").pem());
    let other = format!(r#"Step(id: "other", do: Http(url: "{url}", ca: "other.pem"))"#);
    run(&anneal, 1, "", &other).says(&["nobody who is trusted vouches for its certificate (its issuer has the name"]);
}

#[test]
fn waiting_for_a_certificate_says_what_is_wrong_with_it() {
    let anneal = Anneal::new();
    let authority = Authority::new("ours");
    anneal.file("ca.pem", authority.pem());
    anneal.file("other.pem", Authority::new("theirs").pem());
    let wait = |name: &str, days: i64, more: &str| {
        let server = Server::https(&authority.identity(name, days), |_, _| answer(200, ""));
        let until = format!(r#"until: Tls(port: {}, name: "app.example", {more})"#, server.port);
        let step = format!(r#"Step(id: "certificate", on: "vm", do: Wait({until}, within: "1s"))"#);
        anneal.file("here.ron", format!("Workflow(name: \"here\", roles: {{ \"vm\": One }}, steps: [{step}])"));
        anneal.run(["run", "here.ron", "--host", "vm=local"])
    };
    wait("app.example", 100, r#"ca: "ca.pem", valid_for: "30d""#).must_be(0);
    for (name, days, more, said) in [
        ("app.example", 10, r#"ca: "ca.pem", valid_for: "30d""#, "only, and not for another 30d"),
        ("app.example", -1, r#"ca: "ca.pem""#, "its certificate expired on 20"),
        ("web.example", 100, r#"ca: "ca.pem""#, "its certificate is for another name"),
        (
            "app.example",
            100,
            r#"ca: "other.pem""#,
            "nobody who is trusted vouches for its certificate (unknown issuer)",
        ),
    ] {
        let ended = wait(name, days, more);
        ended.must_be(1);
        ended.says(&["has no certificate to be trusted for `app.example`", said]);
    }
}

#[test]
fn a_webhook_is_signed_and_told_again_by_the_same_name() {
    let anneal = Anneal::new();
    let server = Server::http(|before, _| answer(if before == 0 { 502 } else { 204 }, ""));
    let url = format!("http://127.0.0.1:{}/hook", server.port);
    let head = r#"inputs: { "token": Text(secret: true) },"#;
    let steps = r#"Step(id: "fail", do: Assert("false", "as it must"))"#;
    let notify = format!(
        r#"], finally: [Step(
            id: "tell", on_state: Failed, retry: (times: 2, wait: "10ms"),
            do: Notify(
                text: "${{{{ operation.state }}}}: ${{{{ operation.failure ?? '' }}}}", subject: "here",
                to: Webhook(url: "{url}", key: "${{{{ inputs.token }}}}", headers: {{ "X-Team": "ops" }}),
            ),
        )"#
    );
    let ended = run(&anneal, 1, head, &format!("{steps}{notify}"));
    let [first, second] = &server.asked()[..] else { panic!("{:?}", server.asked()) };
    let body: serde_json::Value = serde_json::from_str(&second.body).expect("JSON");
    let operation = id(&anneal);
    assert_eq!((body["operation"].as_str(), body["state"].as_str()), (Some(operation.as_str()), Some("failed")));
    assert_eq!((body["workflow"].as_str(), body["node"].as_str()), (Some("here"), Some("tell@here")));
    assert!(body["failure"].as_str().unwrap().contains("fail@here"), "{body}");
    assert!(body["text"].as_str().unwrap().starts_with("failed: ") && body["subject"] == "here", "{body}");
    assert!(body["at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(second.header("anneal-delivery"), format!("{operation}/tell@here"));
    assert_eq!(first.header("anneal-delivery"), second.header("anneal-delivery"));
    assert_eq!(second.header("x-team"), "ops");
    verify(second);
    stays_secret(&anneal, &[&ended]);
}

fn verify(request: &Request) {
    let signature = request.header("anneal-signature");
    let (time, tag) = signature.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")).expect("a signature");
    let tag = data_encoding::HEXLOWER.decode(tag.as_bytes()).expect("hex");
    let key = hmac::Key::new(hmac::HMAC_SHA256, CANARY.as_bytes());
    hmac::verify(&key, format!("{time}.{}", request.body).as_bytes(), &tag).expect("the signature of this body");
}

#[test]
fn a_program_is_told_on_its_standard_input() {
    let anneal = Anneal::new();
    let told = anneal.folder().join("told");
    let step = format!(
        r#"Step(
            id: "tell", env: {{ "TOLD": "{}" }},
            do: Notify(text: "it is over\n", subject: "done", to: Command(["sh", "-c", "cat >$TOLD; echo $ANNEAL_STATE $ANNEAL_NODE $ANNEAL_SUBJECT >>$TOLD"])),
        )"#,
        told.display()
    );
    run(&anneal, 0, "", &step);
    assert_eq!(std::fs::read_to_string(told).expect("what it was told"), "it is over\nrunning tell@here done\n");
}

#[test]
fn mail_is_sent_over_tls_with_a_login_or_plainly_without() {
    let anneal = Anneal::new();
    let authority = Authority::new("ours");
    anneal.file("ca.pem", authority.pem());
    let (safe, plain) = (MailSink::new(Some(&authority.identity("127.0.0.1", 10))), MailSink::new(None));
    let mail = |id: &str, port: u16, more: &str| {
        let to = format!(
            r#"to: Mail(server: "127.0.0.1:{port}", from: "Anneal <anneal@x.example>", to: ["ops@x.example"], {more})"#
        );
        format!(r#"Step(id: "{id}", do: Notify(text: "Überall fertig\n.\nEnde", subject: "für alle", {to}))"#)
    };
    let login = r#"user: "anneal", password: "${{ inputs.token }}", ca: "ca.pem""#;
    let head = r#"inputs: { "token": Text(secret: true) },"#;
    let steps = [mail("safe", safe.port, login), mail("plain", plain.port, "tls: None")].join(", ");
    let ended = run(&anneal, 0, head, &steps);
    let (safe, plain) = (safe.heard(), plain.heard());
    let auth = data_encoding::BASE64.encode(format!("\0anneal\0{CANARY}").as_bytes());
    for words in ["STARTTLS", &format!("AUTH PLAIN {auth}"), "MAIL FROM:<anneal@x.example>", "RCPT TO:<ops@x.example>"]
    {
        assert!(safe.contains(words), "{words}:\n{safe}");
    }
    assert!(safe.find("STARTTLS") < safe.find("AUTH") && !plain.contains("AUTH"));
    assert!(plain.contains("Subject: =?utf-8?") && plain.contains("Message-ID: <"), "{plain}");
    stays_secret(&anneal, &[&ended]);
    // Without TLS a login is refused before anything is sent.
    let bad = mail("bad", 1, r#"tls: None, user: "a", password: "b""#);
    run(&anneal, 2, "", &bad).says(&["A0129"]);
}

#[test]
fn a_secret_url_is_allowed_with_a_reason_and_never_shown() {
    let anneal = Anneal::new();
    let server = Server::http(|_, request| answer(404, &format!("no {}", request.line)));
    let head = r#"inputs: { "token": Text(secret: true) },"#;
    let step = |allow: &str| {
        let url = format!("http://127.0.0.1:{}/services/x${{{{ inputs.token }}}}", server.port);
        format!(r#"Step(id: "tell", {allow} do: Http(url: "{url}"))"#)
    };
    run(&anneal, 2, head, &step("")).says(&["A0205"]);
    let ended = run(&anneal, 1, head, &step(r#"allow_secret_args: "this hook knows no other way","#));
    ended.says(&["http://<secret>: the answer is 404"]);
    assert_eq!(server.asked()[0].line, format!("GET /services/x{CANARY}"));
    let id = id(&anneal);
    let show = anneal.expect(0, ["show", &id]);
    show.says(&["may be seen in arguments and URLs of tell: this hook knows no other way"]);
    let logs = anneal.expect(0, ["logs", &id, "tell"]);
    stays_secret(&anneal, &[&ended, &show, &logs]);
    let check = anneal.run(["check", "here.ron"]);
    check.says(&["A0140", "this hook knows no other way"]);
    // Arguments, and what is said of a program that fails with them.
    let program = r#"Step(id: "arg", allow_secret_args: "it reads nothing else", do: Local(["sh", "-c", "echo $0 >&2; exit 4", "${{ inputs.token }}"]))"#;
    let ended = run(&anneal, 1, head, program);
    ended.says(&["exit code 4: <secret>"]);
    stays_secret(&anneal, &[&ended]);
}
