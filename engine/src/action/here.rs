//! What actions that run from here share: whom they trust, and by which name a delivery is known.

use dsl::value::FileRef;
use store::Secret;

use super::failure;
use crate::limits::CA_BYTES;
use crate::operation::{Failure, Node, Operation};
use crate::web::tls::Trust;

/// Whom a request trusts, rendered.
#[derive(Debug, Default)]
pub enum Ca {
    /// The authorities of this machine.
    #[default]
    System,
    /// These, in PEM.
    Pem(Vec<u8>),
    /// Those in a file of this machine, checked against what it was when the operation was created.
    File(FileRef),
}

impl Ca {
    /// The certificates in it.
    pub async fn trust(&self) -> Result<Trust, Failure> {
        let wrong = |why: String| failure::other(format!("`ca` cannot be used: {why}"));
        match self {
            Ca::System => Ok(Trust::default()),
            Ca::Pem(pem) => Trust::only(pem).map_err(wrong),
            Ca::File(file) => {
                if file.size_bytes > CA_BYTES {
                    return Err(wrong(format!("{} has more than {CA_BYTES} bytes", file.path)));
                }
                let pem = tokio::fs::read(&file.path).await;
                let pem = pem.map_err(|error| wrong(format!("{}: {error}", file.path)))?;
                let digest = ring::digest::digest(&ring::digest::SHA256, &pem);
                if data_encoding::HEXLOWER.encode(digest.as_ref()) != file.sha256 {
                    let changed = format!("{} has changed since the operation was created", file.path);
                    return Err(wrong(changed));
                }
                Trust::only(&pem).map_err(wrong)
            }
        }
    }
}

/// The name of what a node does, the same in each attempt: so a server can tell that it has done it already. Setting the node
/// going anew is something new.
pub fn delivery(operation: &Operation, node: &Node) -> String {
    let mut name = format!("{}/", operation.id);
    for byte in node.id.to_string().bytes() {
        match byte {
            b'!'..=b'~' if byte != b'%' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    if node.epoch > 0 {
        name.push_str(&format!("/{}", node.epoch));
    }
    name
}

/// Adds a header where the workflow does not give it.
pub fn add(headers: &mut Vec<(String, Secret)>, name: &str, value: String) {
    if !headers.iter().any(|(given, _)| given == name) {
        headers.push((name.to_owned(), Secret::from(value)));
    }
}
