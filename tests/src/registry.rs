//! What a person does with a registry: see that it answers, push, pull.

use std::path::Path;
use std::process::Command;

/// Whether a registry answers there.
///
/// # Panics
/// When `curl` cannot be started.
pub fn answers(server: &str) -> bool {
    let url = format!("http://{server}/v2/");
    let output = Command::new("curl").args(["--silent", "--fail", "--max-time", "10", "--noproxy", "*", &url]).output();
    output.expect("curl starts").status.success()
}

/// Pushes an image archive.
///
/// # Panics
/// When it fails.
pub fn push(archive: &Path, server: &str, name: &str) {
    skopeo(&[
        "copy",
        "--dest-tls-verify=false",
        &format!("docker-archive:{}", archive.display()),
        &remote(server, name),
    ]);
}

/// Pulls an image into an OCI folder and gives the digest of its manifest.
///
/// # Panics
/// When it fails.
pub fn pull(server: &str, name: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let to = format!("dir:{}", folder.path().join("image").display());
    skopeo(&["copy", "--src-tls-verify=false", &remote(server, name), &to]);
    skopeo(&["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &remote(server, name)]).trim().to_owned()
}

fn remote(server: &str, name: &str) -> String {
    format!("docker://{server}/{name}")
}

fn skopeo(args: &[&str]) -> String {
    let output = Command::new("skopeo").args(args).output().expect("skopeo starts (the testbed installs it)");
    assert!(output.status.success(), "skopeo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
