//! Jobs over SSH, in each of the shells that a host may have as `sh`.

mod host_support;

use engine::host::{Host, Program, Supervise};
use host_support::{Folder, Sshd, argv, job, local, secret, shell, shells, text};

/// Every way of running: three shells over SSH, three here.
fn everywhere(sshd: &Sshd, folder: &Folder) -> Vec<(String, Host)> {
    shells(folder)
        .into_iter()
        .flat_map(|(name, sh)| {
            [
                (format!("{name} over ssh"), sshd.host().with_shell(&sh)),
                (format!("{name} here"), local().with_shell(&sh)),
            ]
        })
        .collect()
}

#[tokio::test]
async fn exit_codes_and_output_come_back() {
    let (sshd, folder) = (Sshd::start(), Folder::new("shells"));
    for (name, host) in everywhere(&sshd, &folder) {
        host.check().await.unwrap();
        for supervise in [Supervise::Always, Supervise::Never] {
            for exit in [0, 1, 7, 97, 127, 255] {
                let mut job = shell(&format!("echo out; echo err >&2; exit {exit}"));
                job.supervise = supervise;
                let end = host.run(&job, &()).await.unwrap();
                assert_eq!(text(&end), (exit, "out\n".into(), "err\n".into()), "{name} {supervise:?}");
                host.sweep(job.id.operation, None).await.unwrap();
            }
        }
    }
}
