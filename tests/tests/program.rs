//! What a program gets and gives, through the real binary, on this machine and on one that is reached over SSH.

use std::fmt::Write as _;
use std::path::Path;

use anneal_tests::anneal::{Anneal, Ended, files_below};
use anneal_tests::canary::{Canary, absent};
use anneal_tests::sshd::Sshd;
use anneal_tests::until::{SOON, until};

/// Writes down what it gets: its argument, a variable, its input and where it is.
const TAKE: &str = r#"#!/bin/sh
set -e
printf %s "$1" >"$DIR/$N.argument"
printf %s "$V" >"$DIR/$N.variable"
cat >"$DIR/$N.input"
pwd -P >"$DIR/$N.folder"
"#;

/// Texts that something on the way may take for something else.
fn corpus() -> Vec<String> {
    let mut corpus: Vec<String> = [
        "",
        " ",
        "  two  spaces  ",
        "'",
        "it's",
        "\"quoted\"",
        "\\",
        "\\n\\0\\x41",
        "new\nline",
        "\n",
        "trailing newline\n",
        "\n\n",
        "\r\n",
        "\ttab",
        "$(touch INJECTED)",
        "`touch INJECTED`",
        "$HOME ${HOME} $$ $1 $@",
        "'; touch INJECTED; '",
        "\"; touch INJECTED; \"",
        "; touch INJECTED",
        "&& touch INJECTED",
        "| touch INJECTED",
        "> INJECTED",
        "-n",
        "-e",
        "--",
        "--help",
        "-",
        "*",
        "~",
        "!!",
        "#",
        "%s%n",
        "${{ inputs.take }}",
        "$${{ inputs.take }}",
        "{{ x }} {% x %}",
        "é È ā 日本 \u{1f600} \u{202e}\u{85}",
        "anneal-1 a_op=x",
        "\u{1b}[31mred\u{7}",
    ]
    .map(str::to_owned)
    .to_vec();
    corpus.push((1u8..128).map(char::from).collect());
    corpus.push("100 kB of 'text' $(id)\n".repeat(4_350));
    corpus
}

/// A text as RON writes it, where nothing of it is an expression.
fn ron(text: &str) -> String {
    let mut ron = String::from("\"");
    for c in text.chars() {
        match c {
            ' ' | '/' | '.' | '-' | '_' => ron.push(c),
            c if c.is_ascii_alphanumeric() => ron.push(c),
            c => write!(ron, "{}", c.escape_unicode()).expect("a String takes all"),
        }
    }
    ron + "\""
}

fn hosts(sshd: &Sshd, inputs: &str) -> String {
    format!(
        "Inventory(hosts: {{ \"near\": Local, \"far\": {} }}, roles: {{ \"near\": [\"near\"], \"far\": [\"far\"] }}, inputs: {{ {inputs} }})",
        sshd.host()
    )
}

fn run(anneal: &Anneal, more: &[&str]) -> Ended {
    let args = ["run", "workflow.ron", "--inventory", "inv.ron", "--accept-new-host-keys"];
    anneal.run(args.iter().chain(more))
}

#[test]
fn every_text_arrives_byte_for_byte() {
    let (anneal, sshd, corpus) = (Anneal::new(), Sshd::start(), corpus());
    anneal.file("take.sh", TAKE);
    let dir = anneal.folder().join("taken");
    std::fs::create_dir(&dir).expect("a folder");
    // A folder is called like the text where that can be.
    let folder_of = |text: &str| dir.join(if text.contains('/') || text.len() > 200 { "other" } else { text });
    let (mut inputs, mut given, mut steps) = (String::new(), String::new(), String::new());
    for (at, text) in corpus.iter().enumerate() {
        let folder = folder_of(text);
        std::fs::create_dir_all(&folder).expect("a folder");
        // What is too long for one input comes as two.
        let (first, second) = text.split_at(text.floor_char_boundary(text.len() / 2));
        write!(inputs, "\"a{at}\": Text(), \"b{at}\": Text(), \"c{at}\": Text(), ").expect("a String takes all");
        let folder = folder.to_str().expect("UTF-8");
        write!(given, "\"a{at}\": Value({}), \"b{at}\": Value({}), ", ron(first), ron(second))
            .expect("a String takes all");
        write!(given, "\"c{at}\": Value({}), ", ron(folder)).expect("a String takes all");
        let whole = format!("${{{{ inputs.a{at} }}}}${{{{ inputs.b{at} }}}}");
        for role in ["near", "far"] {
            for (how, program) in [
                ("run", format!("Run([\"/bin/sh\", \"${{{{ inputs.take }}}}\", \"{whole}\"])")),
                ("script", format!("Script(file: \"take.sh\", args: [\"{whole}\"])")),
            ] {
                write!(
                    steps,
                    "Step(id: \"{how}_{role}_{at}\", on: \"{role}\", do: {program}, stdin: \"{whole}\", cwd: \"${{{{ inputs.c{at} }}}}\",
                     env: {{ \"V\": \"{whole}\", \"DIR\": \"${{{{ inputs.dir }}}}\", \"N\": \"{how}.{role}.{at}\" }}),\n"
                )
                .expect("a String takes all");
            }
        }
    }
    let workflow = format!(
        "Workflow(name: \"injection\", inputs: {{ \"dir\": Text(), \"take\": Text(), {inputs} }},
         roles: {{ \"near\": One, \"far\": One }}, steps: [ {steps} ])"
    );
    anneal.file("workflow.ron", workflow);
    let take = anneal.folder().join("work/take.sh");
    write!(given, "\"dir\": Value({}), \"take\": Value({})", ron(&dir.to_string_lossy()), ron(&take.to_string_lossy()))
        .expect("a String takes all");
    anneal.file("inv.ron", hosts(&sshd, &given));
    run(&anneal, &[]).must_be(0);
    for (at, text) in corpus.iter().enumerate() {
        for role in ["near", "far"] {
            for how in ["run", "script"] {
                let name = format!("{how}.{role}.{at}");
                let taken = |what: &str| std::fs::read(dir.join(format!("{name}.{what}"))).expect("what it got");
                for what in ["argument", "variable", "input"] {
                    assert!(taken(what) == text.as_bytes(), "{name}: {what} is not {text:?}");
                }
                let folder = folder_of(text).canonicalize().expect("a folder");
                assert_eq!(taken("folder"), format!("{}\n", folder.display()).into_bytes(), "{name}");
            }
        }
    }
    let injected = files_below(anneal.folder()).into_iter().find(|(path, _)| path.ends_with("INJECTED"));
    assert_eq!(injected.map(|(path, _)| path), None);
}

#[test]
fn every_text_is_the_content_and_the_name_of_files_byte_for_byte() {
    let (anneal, sshd, corpus) = (Anneal::new(), Sshd::start(), corpus());
    let dir = anneal.folder().join("files");
    let named = |text: &str| !text.is_empty() && !text.contains('/') && text.len() <= 200;
    let (mut inputs, mut given, mut steps) = (String::new(), String::new(), String::new());
    for (at, text) in corpus.iter().enumerate() {
        let (first, second) = text.split_at(text.floor_char_boundary(text.len() / 2));
        write!(inputs, "\"a{at}\": Text(), \"b{at}\": Text(), ").expect("a String takes all");
        write!(given, "\"a{at}\": Value({}), \"b{at}\": Value({}), ", ron(first), ron(second))
            .expect("a String takes all");
        let whole = format!("${{{{ inputs.a{at} }}}}${{{{ inputs.b{at} }}}}");
        for (role, other) in [("near", "far"), ("far", "near")] {
            let mut step = |id: &str, action: String| {
                writeln!(steps, "Step(id: \"{id}_{role}_{at}\", on: \"{role}\", do: {action}),")
                    .expect("a String takes all");
            };
            let path = |name: &str| format!("${{{{ inputs.dir }}}}/{name}");
            step("write", format!("WriteFile(to: \"{}\", content: \"{whole}\")", path(&format!("write.{role}.{at}"))));
            if named(text) {
                std::fs::create_dir_all(dir.join("from")).expect("a folder");
                std::fs::write(dir.join("from").join(text), text).expect("a file");
                let from = path(&format!("from/{whole}"));
                step("get", format!("Download(from: \"{from}\", to: \"{}\")", path(&format!("get {role}/{whole}"))));
                // A newline has no place in the name of what is written on a host.
                if !text.contains('\n') {
                    let to = path(&format!("copy {role}/{whole}"));
                    let from = format!("(role: \"{other}\", path: \"{from}\")");
                    step("copy", format!("Copy(from: {from}, to: (path: \"{to}\"))"));
                }
            }
        }
    }
    let head = format!("Workflow(name: \"named\", inputs: {{ \"dir\": Text(), {inputs} }}");
    anneal.file("workflow.ron", format!("{head}, roles: {{ \"near\": One, \"far\": One }}, steps: [ {steps} ])"));
    write!(given, "\"dir\": Value({})", ron(&dir.to_string_lossy())).expect("a String takes all");
    anneal.file("inv.ron", hosts(&sshd, &given));
    run(&anneal, &[]).must_be(0);
    for (at, text) in corpus.iter().enumerate() {
        for role in ["near", "far"] {
            let is = |path: &Path| {
                let got = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                assert!(got == text.as_bytes(), "{} is not {text:?}", path.display());
            };
            is(&dir.join(format!("write.{role}.{at}")));
            if named(text) {
                is(&dir.join(format!("get {role}")).join(text));
                if !text.contains('\n') {
                    is(&dir.join(format!("copy {role}")).join(text));
                }
            }
        }
    }
    let injected = files_below(anneal.folder()).into_iter().find(|(path, _)| path.ends_with("INJECTED"));
    assert_eq!(injected.map(|(path, _)| path), None);
}

#[test]
fn a_nul_is_refused_with_a_message() {
    let anneal = Anneal::new();
    anneal.file("nul", "a\0b");
    let workflow = |step: &str| {
        let head = "Workflow(name: \"nul\", inputs: { \"x\": Text(default: \"y\") }, roles: { \"m\": One }, steps: [";
        anneal.file("workflow.ron", format!("{head} Step(id: \"s\", on: \"m\", {step}) ])"));
    };
    workflow("do: Run([\"echo\", \"${{ inputs.x }}\"])");
    let ended = anneal.expect(2, ["run", "workflow.ron", "--host", "m=local", "--input", "x=@nul"]);
    ended.says(&["NUL"]);
    for (step, field) in [
        ("do: Run([\"echo\", \"a\\u{0}b\"])", "Run"),
        ("do: Script(file: \"x.sh\", args: [\"a\\u{0}b\"])", "args"),
        ("do: Run([\"true\"]), env: { \"X\": \"a\\u{0}b\" }", "X"),
        ("do: Run([\"true\"]), stdin: \"a\\u{0}b\"", "stdin"),
        ("do: Run([\"true\"]), cwd: \"/a\\u{0}b\"", "cwd"),
        ("do: WriteFile(to: \"/a\", content: \"a\\u{0}b\")", "content"),
        ("do: Download(from: \"/a\\u{0}b\", to: \"/a\")", "from"),
        ("do: Download(from: \"/a\", to: \"/a\\u{0}b\")", "to"),
        ("do: Copy(from: (role: \"m\", path: \"/a\\u{0}b\"), to: (path: \"/a\"))", "path"),
    ] {
        workflow(step);
        let ended = anneal.expect(2, ["check", "workflow.ron"]);
        ended.says(&[&format!("`{field}` cannot be read: there is a NUL byte in it")]);
    }
}

#[test]
fn what_a_program_gives_is_read_by_type() {
    let (anneal, sshd) = (Anneal::new(), Sshd::start());
    let file = anneal.file("content", "line one\nline two\n\n");
    let json = r#"{"items": [{"name": "a", "port": 80}, {"name": "b", "port": 81, "note": null}], "labels": {"x/y": "z"}, "size": "64 MiB"}"#;
    anneal.file("json", json);
    let mut steps = String::new();
    for role in ["near", "far"] {
        write!(
            steps,
            r#"
            Step(id: "look_{role}", on: "{role}", do: Run(["cat", "json"]), cwd: "${{{{ inputs.folder }}}}", out: {{
                "second": Json(path: ".items[1].name", type: Text),
                "ports": Json(path: ".items", type: List(of: Record(fields: {{ "name": Text, "port": Port, "note": Text(optional: true) }}))),
                "label": Json(path: ".labels['x/y']", type: Text),
                "labels": Json(path: ".labels", type: Map(of: Text)),
                "size": Json(path: ".size", type: Bytes),
                "lines": File(path: "${{{{ inputs.folder }}}}/content", type: List(of: Text)),
                "text": File(path: "${{{{ inputs.folder }}}}/content", type: Text),
            }}),
            Step(id: "yes_{role}", on: "{role}", do: Run(["true"]), out: {{ "is": ExitIs(true_on: [0], false_on: [1]) }}),
            Step(id: "no_{role}", on: "{role}", do: Shell("exit 9"), out: {{ "is": ExitIs(true_on: [0], false_on: [1, 9]) }}),
            Step(id: "two_{role}", on: "{role}", do: Shell("echo two; exit 2"), ok_exit: [0, 2], out: {{ "said": Stdout(type: Text) }}),
            Step(id: "all_{role}", on: "{role}", each: "steps.look_{role}.out.ports", do: Run(["echo", "${{{{ each.name }}}}:${{{{ each.port }}}}"]),
                out: {{ "x": Stdout(type: Text) }}),
            "#
        )
        .expect("a String takes all");
    }
    let outputs: String = ["near", "far"]
        .map(|role| {
            format!(
                "\"{role}\": \"${{{{ steps.look_{role}.out.second }}}} ${{{{ steps.look_{role}.out.label }}}} ${{{{ steps.look_{role}.out.labels['x/y'] ?? '' }}}} \
                 ${{{{ steps.look_{role}.out.size }}}} ${{{{ join(steps.look_{role}.out.lines, '+') }}}} ${{{{ len(steps.look_{role}.out.text) }}}} \
                 ${{{{ steps.yes_{role}.out.is }}}} ${{{{ steps.no_{role}.out.is }}}} ${{{{ steps.two_{role}.out.said }}}} ${{{{ steps.all_{role}.out.x['b'] ?? '' }}}}\","
            )
        })
        .concat();
    let head = "Workflow(name: \"given\", inputs: { \"folder\": Text() }, roles: { \"near\": One, \"far\": One }";
    anneal.file("workflow.ron", format!("{head}, steps: [ {steps} ], outputs: {{ {outputs} }})"));
    anneal.file(
        "inv.ron",
        hosts(&sshd, &format!("\"folder\": Value({})", ron(&file.parent().expect("a folder").to_string_lossy()))),
    );
    let ended = run(&anneal, &[]);
    ended.must_be(0);
    let expected = "b z z 67108864 line one+line two 17 true false two b:81";
    ended.says(&[&format!("near = {expected}\n"), &format!("far = {expected}\n")]);
}

#[test]
fn what_is_missing_or_of_another_type_fails_the_step_and_says_so() {
    let anneal = Anneal::new();
    let large = anneal.file("large", "x".repeat(70_000));
    let cases = [
        ("out: { \"x\": Json(path: \".a.b\", type: Int) }", "echo '{\"a\": {}}'", "`out` x: `.a` has no `.b`"),
        (
            "out: { \"x\": Json(path: \".a\", type: Int) }",
            "echo '{\"a\": \"1\"}'",
            "a text is there, but a number is expected",
        ),
        ("out: { \"x\": Json(path: \".a\", type: Int) }", "echo no", "`out` x: it is no JSON"),
        (
            "out: { \"x\": File(path: \"/nonexistent/x\", type: Text) }",
            "true",
            "`out` x: there is no file /nonexistent/x",
        ),
        ("out: { \"x\": File(path: \"/tmp\", type: Text) }", "true", "`out` x: there is no file /tmp"),
        (
            &format!("out: {{ \"x\": File(path: {}, type: Text) }}", ron(&large.to_string_lossy())),
            "true",
            "more than 65536 bytes",
        ),
        (
            "out: { \"x\": ExitIs(true_on: [3], false_on: [4]) }",
            "true",
            "exit code 0 stands neither in its `true_on` nor in its `false_on`",
        ),
        ("ok_exit: [2]", "true", "exit code 0"),
        ("cwd: \"/nonexistent/x\"", "echo ran; exit 3", "there is no folder /nonexistent/x to start in"),
        ("idle_timeout: \"1s\"", "echo begun; exec sleep 60", "wrote nothing for 1 s and was killed"),
        ("out: { \"x\": Stdout(type: Secret) }", "echo", "`out` x: it is empty, which no secret is"),
    ];
    for (field, text, why) in cases {
        anneal.file(
            "workflow.ron",
            format!("Workflow(name: \"fails\", roles: {{ \"m\": One }}, steps: [Step(id: \"s\", on: \"m\", do: Shell({}), {field})])", ron(text)),
        );
        let ended = anneal.run(["run", "workflow.ron", "--host", "m=local"]);
        ended.must_be(1);
        ended.says(&[why]);
        assert!(!ended.all().contains("exit code 3"), "it did not begin: {}", ended.all());
    }
}

#[test]
fn a_secret_output_cannot_be_given_by_hand() {
    let anneal = Anneal::new();
    anneal.file(
        "workflow.ron",
        r#"Workflow(name: "by-hand", roles: { "m": One }, steps: [
            Step(id: "make", on: "m", do: Shell("printf 'canary-%s\\n' 4711 >&2; exit 1"), out: { "token": Stdout(type: Secret) }),
            Step(id: "use", on: "m", do: Run(["true"]), env: { "TOKEN": "${{ steps.make.out.token }}" }),
        ])"#,
    );
    let ended = anneal.run(["run", "workflow.ron", "--host", "m=local"]);
    ended.must_be(1);
    ended.says(&["the program ended with exit code 1", "what it wrote is not kept"]);
    assert!(!ended.all().contains("canary-4711"), "{}", ended.all());
    let id = anneal.operations().pop().expect("an operation");
    for out in ["token=canary-4711", "other=canary-4711"] {
        let ended = anneal.run(["mark", &id, "make", "succeeded", "--out", out, "--reason", "x"]);
        assert_ne!(ended.code, 0, "{}", ended.all());
    }
    let ended = anneal.run(["mark", &id, "make", "succeeded", "--out", "token=canary-4711", "--reason", "x"]);
    ended.says(&["is a secret, which cannot be given by hand", "resume --from make"]);
    for (path, bytes) in anneal.data_files() {
        assert!(!bytes.windows(11).any(|part| part == b"canary-4711"), "it is in {}", path.display());
    }
}

/// Makes secrets in several ways, uses them, gives them away, and fails with one.
fn secret_steps(role: &str) -> String {
    format!(
        r#"
        Step(id: "make_{role}", on: "{role}", do: Run(["cat", "json"]), cwd: "${{{{ inputs.folder }}}}", out: {{
            "token": Json(path: ".token", type: Secret),
            "user": Json(path: ".user", type: Text),
            "note": Json(path: ".note", type: Text),
        }}),
        Step(id: "key_{role}", on: "{role}", do: Shell("cat key; cat key >&2"), cwd: "${{{{ inputs.folder }}}}", out: {{
            "key": File(path: "${{{{ inputs.folder }}}}/key", type: Secret),
            "line": Regex(pattern: "^line (.*)$", type: Secret),
        }}),
        Step(id: "wait_{role}", on: "{role}", needs: ["make_{role}", "key_{role}"],
            do: Shell(": >\"$GATE.{role}\"; until [ -e \"$GATE\" ]; do sleep 0.1; done"), env: {{ "GATE": "${{{{ inputs.gate }}}}" }}),
        Step(id: "use_{role}", on: "{role}", needs: ["wait_{role}"],
            do: Shell("cat >used-stdin.{role}; printf %s \"$TOKEN\" >used-env.{role}; echo \"token $TOKEN, user $U\"; printf %s \"$TOKEN\" | base64; cat key >&2"),
            env: {{ "TOKEN": "${{{{ steps.make_{role}.out.token }}}}", "U": "${{{{ steps.make_{role}.out.user }}}}" }},
            stdin: "${{{{ steps.key_{role}.out.key }}}}", cwd: "${{{{ inputs.folder }}}}"),
        Step(id: "fail_{role}", on: "{role}", needs: ["use_{role}"], on_failure: Continue,
            do: Shell("echo \"cannot log in with $TOKEN\" >&2; exit 7"), env: {{ "TOKEN": "${{{{ steps.make_{role}.out.token }}}}" }}),
        "#
    )
}

#[test]
fn a_secret_that_a_host_gives_is_sealed_and_seen_nowhere() {
    let (anneal, sshd) = (Anneal::new().with_env("ANNEAL_LOG", "trace"), Sshd::start());
    let (token, line) = (Canary::new("the token"), Canary::new("the line of the key"));
    let canaries = [token.clone(), line.clone()];
    // Not where the search is for what must not be there.
    let made = tempfile::tempdir().expect("a folder");
    let key = format!("-----BEGIN-----\nline {}\n-----END-----", line.value);
    let json = format!(
        "{{\"token\": \"{}\", \"user\": \"admin\", \"note\": \"the token is {}\"}}",
        token.value,
        token.value.replace('+', "\\u002b")
    );
    std::fs::write(made.path().join("json"), json).expect("a file");
    std::fs::write(made.path().join("key"), format!("{key}\n")).expect("a file");
    let gate = made.path().join("gate");
    let steps = ["near", "far"].map(secret_steps).concat();
    let head = "Workflow(name: \"sealed\", inputs: { \"folder\": Text(), \"gate\": Text() }, roles: { \"near\": One, \"far\": One }";
    let outputs = "\"user\": \"${{ steps.make_near.out.user }}\", \"note\": \"${{ steps.make_far.out.note }}\"";
    anneal.file("workflow.ron", format!("{head}, steps: [ {steps} ], outputs: {{ {outputs} }})"));
    let inputs = format!(
        "\"folder\": Value({}), \"gate\": Value({})",
        ron(&made.path().to_string_lossy()),
        ron(&gate.to_string_lossy())
    );
    anneal.file("inv.ron", hosts(&sshd, &inputs));

    let running = anneal.start(["run", "workflow.ron", "--inventory", "inv.ron", "--accept-new-host-keys"]);
    for role in ["near", "far"] {
        let ready = gate.with_extension(role);
        until("the secrets to be made", SOON, || ready.exists().then_some(()));
    }
    // What the steps wrote is gone from their hosts by then, or soon.
    let id = anneal.operations().pop().expect("an operation");
    let jobs = [anneal.local_jobs(), sshd.jobs(&id)];
    until("the output to be removed", SOON, || {
        let left = jobs.iter().flat_map(|folder| files_below(folder));
        let shown = left.filter(|(_, bytes)| canaries.iter().any(|canary| canary.found_in(bytes).is_some())).count();
        (shown == 0).then_some(())
    });
    assert!(anneal.data().join("secrets").join(&id).exists(), "sealed");
    search(&anneal, &canaries, &id);
    absent(&canaries, "the output of run", running.kill().all().as_bytes());
    search(&anneal, &canaries, &id);

    // Another process goes on with them.
    std::fs::write(&gate, "").expect("a gate");
    let ended = anneal.expect(1, ["resume", &id]);
    ended.says(&["cannot log in with <secret>"]);
    absent(&canaries, "the output of resume", ended.all().as_bytes());
    for role in ["near", "far"] {
        let used =
            |what: &str| std::fs::read_to_string(made.path().join(format!("{what}.{role}"))).expect("what it used");
        assert_eq!((used("used-env"), used("used-stdin")), (token.value.clone(), key.clone()), "{role}");
        let logs = anneal.expect(0, ["logs", &id, &format!("use_{role}")]);
        logs.says(&["token <secret>, user admin\n<secret>"]);
        let logs = anneal.run(["logs", &id, &format!("make_{role}")]);
        assert!(
            !logs.all().contains("admin"),
            "the output of a step that puts out a secret is not kept: {}",
            logs.all()
        );
    }
    search(&anneal, &canaries, &id);
    for (path, bytes) in jobs.iter().flat_map(|folder| files_below(folder)) {
        // These give it away themselves, which nobody can keep a program from.
        let name = path.file_name().expect("a name").to_string_lossy();
        if !name.starts_with("use_") && !name.starts_with("fail_") {
            absent(&canaries, &path.display().to_string(), &bytes);
        }
    }

    // A backup has them, sealed, and what is made of it goes on.
    let backup = anneal.folder().join("backup");
    anneal.expect(0, ["store", "backup", &backup.to_string_lossy()]);
    files_below(&backup).iter().for_each(|(path, bytes)| absent(&canaries, &path.display().to_string(), bytes));
    anneal.expect(0, ["store", "compact"]);
    search(&anneal, &canaries, &id);
    let ended = anneal.expect(1, ["resume", &id]);
    ended.says(&["cannot log in with <secret>"]);

    anneal.expect(0, ["fail", &id, "--reason", "it is a test"]);
    assert!(!anneal.data().join("secrets").join(&id).exists(), "deleted with the end");
    search(&anneal, &canaries, &id);
    for folder in [anneal.local_jobs(), sshd.jobs(&id)] {
        assert!(files_below(&folder).is_empty(), "job files are left in {}", folder.display());
    }
    anneal.expect(0, ["ops", "prune", "--keep", "0"]);
    search_files(anneal.data(), &canaries);
}

fn search_files(folder: &Path, canaries: &[Canary]) {
    let files = files_below(folder);
    assert!(!files.is_empty(), "nothing to look through in {}", folder.display());
    files.iter().for_each(|(path, bytes)| absent(canaries, &path.display().to_string(), bytes));
}

/// The data folder, and what every command says about the operation.
fn search(anneal: &Anneal, canaries: &[Canary], id: &str) {
    search_files(anneal.data(), canaries);
    for args in
        [&["ops"][..], &["show", id], &["logs", id], &["replay", id], &["export", id], &["export", id, "--anonymous"]]
    {
        for json in [&[][..], &["--json"]] {
            let ended = anneal.run(args.iter().chain(json));
            ended.must_be(0);
            absent(canaries, &args.join(" "), ended.all().as_bytes());
        }
    }
}
