//! Every way that sudo may be set up, and may refuse: nobody waits for ever, and it is said what mends it.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

mod host_support;

use std::time::{Duration, Instant};

use engine::host::{ErrorKind, Host, SshSpec};
use host_support::{PASSWORD, Sshd, argv, secret, shell, text};

fn host(sshd: &Sshd, user: &str, sudo_password: Option<&str>) -> Host {
    sshd.host_with(SshSpec { sudo_password: sudo_password.map(secret), ..sshd.as_user(user, PASSWORD) })
}

async fn becomes(host: &Host, user: &str, name: &str) {
    let mut job = shell("id -un; cat; exit 3");
    job.as_user = Some(user.into());
    job.stdin = Some(secret("input"));
    let end = host.run(&job, &()).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(text(&end), (3, format!("{user}\ninput"), String::new()), "{name}");
    host.sweep(job.id.operation, Some(user)).await.unwrap();
}

/// What it says of the refusal, in full.
async fn refuses(host: &Host, user: &str, name: &str) -> String {
    let mut job = argv(&["true"]);
    job.as_user = Some(user.into());
    let began = Instant::now();
    let error = host.run(&job, &()).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(30), "{name}: it was waited for {:?}", began.elapsed());
    assert!(error.nothing_began(), "{name}: {error}");
    assert!(matches!(error.kind, ErrorKind::Sudo { .. }), "{name}: {error}");
    assert!(!error.to_string().contains(PASSWORD), "{name}: {error}");
    error.to_string()
}

#[tokio::test]
async fn a_lecture_a_terminal_and_a_prompt_of_pams_own_are_no_hindrance() {
    let sshd = Sshd::with_sudoers(
        "Defaults:asked lecture=always\nDefaults:asked use_pty\nDefaults:asked passprompt=\"[%p] \"\n\
         denied ALL=(ALL) ALL\n",
        "sed -i '1i auth sufficient pam_ftp.so users=denied ignore' /etc/pam.d/sudo",
    );
    let asked = host(&sshd, "asked", Some(PASSWORD));
    // `denied` is asked by a module that has other words, and takes any answer.
    let foreign = host(&sshd, "denied", Some(PASSWORD));
    for user in ["root", "other"] {
        becomes(&asked, user, "lecture").await;
        becomes(&foreign, user, "foreign prompt").await;
    }
}

#[tokio::test]
async fn what_sudo_refuses_is_said_with_what_mends_it() {
    let sshd = Sshd::with_sudoers(
        "Defaults:plain requiretty\nother ALL=(ALL) NOPASSWD: /usr/bin/id\nptyed ALL=(other) NOPASSWD: ALL, !ALL\n",
        "printf '%s\\n' 'ptyed ALL=(other) NOPASSWD: ALL' >/etc/sudoers.d/zz-last; chmod 0440 /etc/sudoers.d/zz-last",
    );
    let cases = [
        ("plain", None, "requiretty", "!requiretty"),
        ("plain", Some(PASSWORD), "requiretty, with a password", "!requiretty"),
        ("asked", None, "no password", "give the host a sudo password"),
        ("asked", Some("guess"), "a wrong password", "check `sudo_password`"),
        ("denied", None, "nobody's rule", "allow the login user to become root"),
        ("denied", Some(PASSWORD), "nobody's rule, with a password", "allow the login user to become root"),
        ("other", None, "some commands only", "a rule for single ones is not enough"),
        ("other", Some(PASSWORD), "some commands only, with a password", "a rule for single ones is not enough"),
    ];
    for (user, password, name, mends) in cases {
        let said = refuses(&host(&sshd, user, password), "root", name).await;
        assert!(said.contains(mends), "{name}: {said}");
    }
    // Another than root, where only that is allowed.
    becomes(&host(&sshd, "ptyed", None), "other", "other than root").await;
}

#[tokio::test]
async fn a_question_behind_the_password_is_noticed() {
    // The password has expired: PAM wants another one.
    let sshd = Sshd::with_sudoers(
        "",
        "printf '%s\\n' 'account required pam_permit.so' >/etc/pam.d/sshd-account
        sed -i 's/^@include common-account/account required pam_permit.so/' /etc/pam.d/sshd
        sed -i 's/^asked:\\([^:]*\\):[0-9]*:/asked:\\1:0:/' /etc/shadow",
    );
    let said = refuses(&host(&sshd, "asked", Some(PASSWORD)), "root", "expired").await;
    assert!(said.contains("asks something else") || said.contains("expired"), "{said}");
}

#[tokio::test]
async fn a_machine_without_sudo_says_so() {
    let sshd = Sshd::with_sudoers("", "mkdir -p /etc/none; mount --bind /dev/null /usr/bin/sudo");
    let said = refuses(&host(&sshd, "plain", None), "root", "no sudo").await;
    assert!(said.contains("sudo"), "{said}");
    let sshd = Sshd::with_sudoers("", "mkdir $FOLDER/bin; mount -t tmpfs -o size=1m tmpfs $FOLDER/bin
        mkdir $FOLDER/bin/up $FOLDER/bin/work; mount -t overlay overlay -o lowerdir=/usr/bin,upperdir=$FOLDER/bin/up,workdir=$FOLDER/bin/work /usr/bin; rm /usr/bin/sudo");
    let said = refuses(&host(&sshd, "plain", Some(PASSWORD)), "root", "no sudo").await;
    assert!(said.contains("install sudo on the machine, or log in as root"), "{said}");
}
