//! Asking hosts without an operation: real servers, users whom sudo lets do much, little and nothing.

mod host_support;

use std::collections::BTreeMap;

use dsl::value::{SecretRef, Value};
use engine::HostSpec;
use engine::operation::{AuthRecord, HostKeyRecord, ReachRecord, SshRecord};
use engine::survey::{Asked, Standing, Sudo, Survey};
use host_support::{Folder, PASSWORD, Sshd, secret};

fn over_ssh(port: u16, user: &str, sudo_password: Option<&str>) -> HostSpec {
    let name = |name: &str| SecretRef(name.to_owned());
    HostSpec::new(ReachRecord::Ssh(SshRecord {
        address: "127.0.0.1".into(),
        port,
        user: user.into(),
        auth: vec![AuthRecord::Password(name("password"))],
        host_key: HostKeyRecord::AcceptNew,
        sudo_password: sudo_password.map(name),
        known_as: None,
        known_hosts: vec!["/dev/null".into()],
        via: Vec::new(),
    }))
}

fn survey(hosts: Vec<(&str, HostSpec)>, folder: &Folder) -> Survey {
    let secrets = [("password", PASSWORD), ("wrong", "hunter22-hunter22")];
    let asked = Asked {
        hosts: hosts.into_iter().map(|(name, host)| (name.to_owned(), host)).collect(),
        secrets: secrets.map(|(name, text)| (SecretRef(name.to_owned()), secret(text))).into(),
        data_dir: folder.0.clone(),
        home: None,
        at_once: 3,
    };
    Survey::new(asked).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_who_we_are_and_what_sudo_says() {
    let (sshd, folder) = (Sshd::with_users(""), Folder::new("survey"));
    let of = |user, sudo_password| over_ssh(sshd.port, user, sudo_password);
    let hosts = vec![
        ("free", of("plain", None)),
        ("with", of("asked", Some("password"))),
        ("without", of("asked", None)),
        ("wrong", of("asked", Some("wrong"))),
        ("denied", of("denied", Some("password"))),
        ("nobody", of("no-such-user", None)),
        ("down", over_ssh(1, "plain", None)),
    ];
    let answers = survey(hosts, &folder).check("root", std::future::pending()).await.unwrap();
    let names: Vec<&str> = answers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["denied", "down", "free", "nobody", "with", "without", "wrong"]);
    let answers: BTreeMap<_, _> = answers.into_iter().collect();
    let checked = |name: &str| answers[name].as_ref().unwrap_or_else(|trouble| panic!("{name}: {trouble:?}"));
    assert_eq!((checked("free").user.as_str(), &checked("free").sudo), ("plain", &Sudo::Free));
    assert_eq!((checked("with").user.as_str(), &checked("with").sudo), ("asked", &Sudo::Password));
    for (name, why) in [("without", "password"), ("wrong", "password"), ("denied", "")] {
        let Sudo::No { why: says } = &checked(name).sudo else { panic!("{name}: {:?}", checked(name)) };
        assert!(says.contains(why) && !says.contains(PASSWORD), "{name}: {says}");
    }
    assert!(!checked("free").os.is_empty());
    for name in ["nobody", "down"] {
        let trouble = answers[name].as_ref().unwrap_err();
        assert!(trouble.error.contains(name) && trouble.hint.is_some(), "{trouble:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_are_those_that_workflows_read() {
    let (sshd, folder) = (Sshd::with_users(""), Folder::new("survey"));
    let hosts = vec![("over-ssh", over_ssh(sshd.port, "plain", None)), ("here", HostSpec::new(ReachRecord::Local))];
    let answers = survey(hosts, &folder).facts(std::future::pending()).await.unwrap();
    let [(_, Ok(here)), (_, Ok(there))] = answers.as_slice() else { panic!("{answers:?}") };
    for fact in ["os", "kernel", "hostname", "boot_id", "memory"] {
        assert_eq!(here[fact], there[fact], "{fact}: both are this machine");
    }
    assert!(matches!(here["cpus"], Value::Int(1..)));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_shown_without_a_login_recorded_and_forgotten() {
    let (sshd, folder) = (Sshd::start(), Folder::new("survey"));
    let mut spec = over_ssh(sshd.port, "nobody-here", None);
    if let ReachRecord::Ssh(ssh) = &mut spec.reach {
        ssh.auth.clear();
        ssh.host_key = HostKeyRecord::Strict;
    }
    let survey = survey(vec![("web", spec)], &folder);
    let keys = async || {
        let mut answers = survey.keys(std::future::pending()).await.unwrap();
        answers.pop().unwrap().1.unwrap()
    };
    let shown = keys().await;
    assert_eq!((shown.len(), shown[0].standing, shown[0].algorithm.as_str()), (1, Standing::Unknown, "ssh-ed25519"));
    assert!(!folder.path("known_hosts").exists(), "looking records nothing");
    survey.trust("web", &shown, false).unwrap();
    assert_eq!(keys().await[0].standing, Standing::Known);
    survey.forget("web").unwrap();
    assert_eq!(keys().await[0].standing, Standing::Unknown);
    assert!(survey.trust("other", &shown, false).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stops_does_not_wait_for_hosts_that_do_not_answer() {
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = Folder::new("survey");
    let hosts = vec![("silent", over_ssh(silent.local_addr().unwrap().port(), "plain", None))];
    let survey = survey(hosts, &folder);
    let begun = std::time::Instant::now();
    assert!(survey.check("root", std::future::ready(())).await.is_none());
    assert!(begun.elapsed().as_secs() < 10);
}
