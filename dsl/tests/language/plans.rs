//! Plans of whole workflows, in short.

use std::fmt::Write;

use dsl::Code;
use dsl::expr::{Expr, Part, Template};
use dsl::plan::{Action, EdgeKind, EdgeOrigin, FileContent, FileSpec, Plan, Recipient, RecordOf, Until, UploadFrom};

use crate::fixture;

#[test]
fn plans_are_as_expected() {
    let wrong: Vec<String> = fixture::all(&fixture::folder().join("plans"))
        .iter()
        .filter_map(|path| {
            let outcome = fixture::run(path);
            let mut found = fixture::rendered(&outcome);
            if let Some(compiled) = &outcome.compiled {
                let stored = compiled.plan.to_json().expect("to store the plan");
                assert_eq!(Plan::from_json(&stored).expect("to read the plan"), compiled.plan);
                found.push_str(&summary(&compiled.plan).expect("a text takes everything"));
                let secrets: Vec<_> = compiled.secrets.keys().map(ToString::to_string).collect();
                writeln!(found, "secrets: {}", secrets.join(", ")).unwrap();
            }
            fixture::compare(path, &found)
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_newer_plan_needs_another_engine_and_a_damaged_one_is_refused() {
    let outcome = fixture::run(&fixture::folder().join("plans/registry_install.ron"));
    let plan = outcome.compiled.expect("a plan").plan;
    let stored = String::from_utf8(plan.to_json().unwrap()).unwrap();
    let newer = stored.replace("\"format\":2", "\"format\":3");
    let error = Plan::from_json(newer.as_bytes()).unwrap_err();
    assert!(matches!(error, dsl::PlanError::NeedsEngine { found: 3, newest: 2 }));
    assert_eq!(
        error.to_string(),
        "the plan has format 3, but this engine reads formats up to 2: install a newer engine"
    );
    // Even where all else is unknown.
    assert!(matches!(Plan::from_json(br#"{"format": 9, "new": 1}"#), Err(dsl::PlanError::NeedsEngine { .. })));
    assert!(matches!(Plan::from_json(br#"{"format": 0}"#), Err(dsl::PlanError::TooOld { .. })));
    assert!(matches!(Plan::from_json(b"nonsense"), Err(dsl::PlanError::Malformed(_))));
    let mut damaged = plan.clone();
    damaged.steps.swap(0, 5);
    assert!(matches!(Plan::from_json(&damaged.to_json().unwrap()), Err(dsl::PlanError::Invalid(_))));
    let mut damaged = plan.clone();
    damaged.steps[0].when = Some(Expr::StepState(99));
    assert!(matches!(Plan::from_json(&damaged.to_json().unwrap()), Err(dsl::PlanError::Invalid(_))));
    let mut damaged = plan;
    damaged.assets.clear();
    assert!(matches!(Plan::from_json(&damaged.to_json().unwrap()), Err(dsl::PlanError::Invalid(_))));
}

/// The examples of the manual and of the pages for newcomers that are whole workflows; the tutorial's are run.
#[test]
fn the_examples_of_the_manual_are_workflows() {
    for (page, least) in
        [("workflows.md", 7), ("from-ansible.md", 1), ("from-cron-and-shell.md", 1), ("from-dagu.md", 1)]
    {
        let examples = crate::reference::examples(page);
        assert!(examples.len() >= least, "only {} examples in {page}", examples.len());
        for text in examples {
            let source = dsl::Source { name: page.to_owned(), text };
            let mut outcome = fixture::run_source(source, None);
            // That secrets are allowed in arguments is said each time, in an example of it too.
            outcome.diagnostics.retain(|diagnostic| diagnostic.code != Code::SecretArgs);
            assert!(outcome.diagnostics.is_empty(), "{}", fixture::rendered(&outcome));
        }
    }
}

/// Plans as former builds wrote them, and one of this format, which must stay readable.
#[test]
fn stored_plans_of_both_formats_are_read() {
    let golden = |name: &str| {
        let bytes = std::fs::read(fixture::folder().join("golden").join(name)).expect("the stored plan");
        let plan = Plan::from_json(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        // What is read can be written, and is the same but for what this format has in addition.
        assert_eq!(Plan::from_json(&plan.to_json().unwrap()).unwrap(), plan, "{name}");
        plan
    };
    for (name, steps) in
        [("format1_hello.json", 3), ("format1_registry_install.json", 9), ("format1_several_roles.json", 6)]
    {
        let plan = golden(name);
        assert_eq!((plan.format, plan.steps.len()), (1, steps), "{name}");
        let plain = |step: &dsl::plan::Step| step.group.is_none() && step.each.is_none() && step.finally.is_none();
        assert!(plan.groups.is_empty() && plan.instances.is_empty() && plan.steps.iter().all(plain), "{name}");
    }
    for name in ["rolling", "each", "files", "here", "host_facts", "records"] {
        let stored = format!("format2_{name}.json");
        let plan = fixture::run(&fixture::folder().join(format!("plans/{name}.ron"))).compiled.expect("a plan").plan;
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(fixture::folder().join("golden").join(&stored), plan.to_json().unwrap()).unwrap();
        }
        assert_eq!(golden(&stored), plan, "a stored plan must not change its meaning: write a new format instead");
    }
}

fn summary(plan: &Plan) -> Result<String, std::fmt::Error> {
    let mut text = format!("workflow {}: {}\n", plan.workflow, plan.about);
    for (name, input) in &plan.inputs {
        let optional = if input.field.optional { " optional" } else { "" };
        writeln!(text, "input {name}: {}{optional} = {:?}", input.field.ty, input.value)?;
    }
    for (name, role) in &plan.roles {
        writeln!(text, "role {name}: {}{:?}", if role.one { "one " } else { "" }, role.slots)?;
    }
    for group in &plan.groups {
        let (pause, gate) = (dsl::duration::show(group.pause_ms), group.gate);
        let (sizes, stop) = (&group.sizes, group.stop_after);
        writeln!(
            text,
            "group {} over {}: {sizes:?}, pause {pause}, stop {stop:?}, gate {gate:?}",
            group.id, group.role
        )?;
        for (word, expr) in [("where", &group.filter), ("by", &group.by)] {
            if let Some(expr) = expr {
                writeln!(text, "  {word} {expr:?}")?;
            }
        }
    }
    for (what, names) in [("lock", &plan.locks), ("instance", &plan.instances)] {
        for name in names {
            writeln!(text, "{what} {}", template(name))?;
        }
    }
    if let Some(deadline_ms) = plan.deadline_ms {
        writeln!(text, "deadline {}", dsl::duration::show(deadline_ms))?;
    }
    for (index, step) in plan.steps.iter().enumerate() {
        let group = step.group.map_or(String::new(), |group| format!(", group {}", plan.groups[group].id));
        let finally = step.finally.map_or(String::new(), |state| format!(", finally {state:?}"));
        writeln!(text, "{index} {} on {}{group}{finally}", step.id, step.role.as_deref().unwrap_or("here"))?;
        if let Some(role) = &step.run_at {
            writeln!(text, "  at {role}")?;
        }
        if let Some(each) = &step.each {
            writeln!(text, "  each {each:?}")?;
        }
        if let Some(most) = step.parallel {
            writeln!(text, "  {most} at once")?;
        }
        for lock in &step.locks {
            writeln!(text, "  lock {}", template(lock))?;
        }
        for edge in &step.needs {
            let kind = match edge.kind {
                EdgeKind::Keyed => "host by host",
                EdgeKind::Barrier => "all",
            };
            let origin = match edge.origin {
                EdgeOrigin::Needs => "needs",
                EdgeOrigin::Reference => "reads",
            };
            let settled = if edge.settled { ", a failure will do" } else { "" };
            writeln!(text, "  {origin} {} {} ({kind}{settled})", edge.step, plan.steps[edge.step].id)?;
        }
        if let Some(when) = &step.when {
            writeln!(text, "  when {when:?}")?;
        }
        if let Some(probe) = &step.probe {
            let always = if probe.always { ", not asked first" } else { "" };
            writeln!(text, "  probe {}{always}", action(&probe.action))?;
        }
        let reads = if step.reads { ", which only reads" } else { "" };
        writeln!(text, "  do {}{reads}", action(&step.action))?;
        if let Some(undo) = &step.undo {
            writeln!(text, "  undo {}", action(undo))?;
        }
        for (name, value) in &step.env {
            writeln!(text, "  env {name}={}", template(value))?;
        }
        if let Some(cwd) = &step.cwd {
            writeln!(text, "  cwd {}", template(cwd))?;
        }
        if let Some(stdin) = &step.stdin {
            writeln!(text, "  stdin {}", template(stdin))?;
        }
        for (name, out) in &step.out {
            writeln!(text, "  out {name} = {out:?}")?;
        }
        let user = step.as_user.as_ref().map_or(String::new(), |user| format!(", as {}", template(user)));
        let (interrupted, failure, timeout) = (step.interrupted, step.on_failure, dsl::duration::show(step.timeout_ms));
        writeln!(text, "  {interrupted:?}, {failure:?}, {timeout}{user}")?;
        writeln!(text, "{}", format!("  {:?}", step.retry).replace(", jitter: 0.25", ""))?;
        if let Some(why) = &step.allow_secret_args {
            writeln!(text, "  secrets in arguments: {why}")?;
        }
    }
    for (name, value) in &plan.outputs {
        writeln!(text, "output {name} = {}", template(value))?;
    }
    for (path, asset) in &plan.assets {
        writeln!(text, "asset {path}: {} bytes, {}…", asset.size_bytes, &asset.sha256[..8])?;
    }
    Ok(text)
}

fn template(template: &Template) -> String {
    let parts: String = template
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Expr(expr) => format!("⟨{expr:?}⟩"),
        })
        .collect();
    format!("{parts:?}{}", if template.secret { " (secret)" } else { "" }).replace("\\\"", "\"")
}

fn action(action: &Action) -> String {
    let list = |list: &[Template]| list.iter().map(template).collect::<Vec<_>>().join(" ");
    match action {
        Action::Run { argv } => format!("run {}", list(argv)),
        Action::Shell { text } => format!("shell {text:?}"),
        Action::Script { asset, args } => format!("script {asset} {}", list(args)),
        Action::Upload { from, to, mode } => {
            let from = match from {
                UploadFrom::File(expr) => format!("{expr:?}"),
                UploadFrom::Asset(path) => format!("asset {path}"),
            };
            format!("upload {from} to {} mode {mode:?}", template(to))
        }
        Action::Wait { until, within_ms, every_ms } => {
            let until = match until {
                Until::Ssh => "ssh".to_owned(),
                Until::Tcp { port } => format!("tcp {}", template(port)),
                Until::Http { url, status, ca } => {
                    let trusts = ca.as_ref().map_or(String::new(), |ca| format!(" trusts {ca:?}"));
                    format!("http {} {status:?}{trusts}", template(url))
                }
                Until::Tls { port, name, ca, valid_for_ms } => {
                    let name = name.as_ref().map_or("-".to_owned(), template);
                    let valid_for = dsl::duration::show(*valid_for_ms);
                    format!("tls {} {name} trusts {ca:?} for {valid_for}", template(port))
                }
                Until::Command { argv } => format!("command {}", list(argv)),
            };
            let show = dsl::duration::show;
            format!("wait {until} within {} every {}", show(*within_ms), show(*every_ms))
        }
        Action::Gate { text, approvers, not_requester, within_ms, otherwise } => {
            format!("gate {} {approvers:?} {not_requester} {within_ms:?} {otherwise:?}", template(text))
        }
        Action::WriteFiles { files } => files.iter().map(file).collect::<Vec<_>>().join(" and "),
        Action::PatchFile { path, patch, create } => format!("patch {} create {create} {patch:?}", template(path)),
        Action::Download(download) => {
            format!("download {} to {} mode {:?}", template(&download.from), template(&download.to), download.mode)
        }
        Action::Copy(copy) => format!(
            "copy {} of {} to {} mode {:?} {}:{}{}",
            template(&copy.from),
            copy.from_role,
            template(&copy.to),
            copy.mode,
            of(&copy.owner),
            of(&copy.group),
            if copy.backup { " backup" } else { "" }
        ),
        Action::Reboot { within_ms } => format!("reboot within {}", dsl::duration::show(*within_ms)),
        Action::Restore => "restore".to_owned(),
        Action::Local { argv } => format!("local {}", list(argv)),
        Action::Assert { condition, text } => format!("assert {condition:?} or {}", template(text)),
        Action::Http(request) => {
            let headers = request.headers.iter().map(|(name, value)| format!(" {name}: {}", template(value)));
            let headers: String = headers.collect();
            let (method, url, ca) = (request.method.word(), template(&request.url), &request.ca);
            let (status, follow) = (&request.status, request.follow);
            format!("{method} {url}{headers} {:?} status {status:?} follow {follow} trusts {ca:?}", request.body)
        }
        Action::Notify(notice) => {
            let subject = notice.subject.as_ref().map_or("-".to_owned(), template);
            let to = match &notice.to {
                Recipient::Webhook { url, key, headers, ca: _ } => {
                    let key = key.as_ref().map_or("-".to_owned(), template);
                    let names: Vec<_> = headers.iter().map(|(name, _)| name).collect();
                    format!("webhook {} key {key} {names:?}", template(url))
                }
                Recipient::Command { argv } => format!("command {}", list(argv)),
                Recipient::Mail(mail) => {
                    let of = |text: &Option<Template>| text.as_ref().map_or("-".to_owned(), template);
                    let (server, from, to) = (template(&mail.server), template(&mail.from), list(&mail.to));
                    format!("mail {server} {from} {to} {} {} {:?}", of(&mail.user), of(&mail.password), mail.tls)
                }
            };
            format!("notify {} {subject} by {to}", template(&notice.text))
        }
        Action::Facts => "facts".to_owned(),
        Action::Record(spec) => {
            let kind = of(&spec.kind);
            let values = spec.values.iter().map(|(name, value)| format!(" {name}: {}", template(value)));
            format!("record {} {kind} of {:?}{}", record_of(&spec.of), spec.members, values.collect::<String>())
        }
        Action::Forget(of) => format!("forget {}", record_of(of)),
    }
}

fn record_of(of: &RecordOf) -> String {
    match of {
        RecordOf::Instance(name) => format!("instance {}", template(name)),
        RecordOf::Wiring(name) => format!("wiring to {}", template(name)),
    }
}

fn of(name: &Option<Template>) -> String {
    name.as_ref().map_or("-".to_owned(), template)
}

fn file(file: &FileSpec) -> String {
    let content = match &file.content {
        FileContent::Text(text) => template(text),
        FileContent::Jinja { asset, vars } => format!("jinja {asset} {vars:?}"),
    };
    let (owner, group) = (of(&file.owner), of(&file.group));
    let backup = if file.backup { " backup" } else { "" };
    format!("write {} mode {:o} {owner}:{group}{backup} {content}", template(&file.to), file.mode())
}
