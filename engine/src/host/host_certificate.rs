//! Whether a host certificate holds for a name (OpenSSH's PROTOCOL.certkeys; ssh-keygen(1), "CERTIFICATES").
//!
//! Whose signature it must bear is not decided here: [`KnownHosts`](super::KnownHosts) knows the `@cert-authority` lines.

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate};

use super::error::shown;
use super::known_hosts_line::matches;

/// Why a certificate that an authority of the host signed does not hold, in words that follow "it". `now_s` is in seconds since 1970.
pub(super) fn check(certificate: &Certificate, name: &str, now_s: u64) -> Result<(), String> {
    if matches!(certificate.signature().algorithm(), Algorithm::Rsa { hash: None } | Algorithm::Dsa) {
        return Err("is signed with SHA-1".into());
    }
    if certificate.verify_signature().is_err() {
        return Err("has a signature that is wrong".into());
    }
    if certificate.cert_type() != CertType::Host {
        return Err("is one for users, not for hosts".into());
    }
    if let Some((option, _)) = certificate.critical_options().iter().next() {
        return Err(format!("has the critical option {:?}, which is not known", shown(option.as_bytes())));
    }
    valid_at(certificate, now_s)?;
    let principals = certificate.valid_principals();
    // None at all means every host; that is the authority's word.
    if !principals.is_empty() && !principals.iter().any(|one| matches(&one.to_lowercase(), name)) {
        return Err(format!("is for {}, not for {name}", shown(principals.join(", ").as_bytes())));
    }
    Ok(())
}

/// The same of a certificate's time.
pub(super) fn valid_at(certificate: &Certificate, now_s: u64) -> Result<(), String> {
    let date = |s: u64| crate::date::rfc3339(s.saturating_mul(1000));
    if now_s < certificate.valid_after() {
        return Err(format!("is valid from {} on only", date(certificate.valid_after())));
    }
    if now_s >= certificate.valid_before() {
        return Err(format!("expired at {}", date(certificate.valid_before())));
    }
    Ok(())
}

/// Seconds since 1970.
pub(super) fn now_s() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    // A clock before 1970 makes every certificate one of the future.
    since.map_or(0, |since| since.as_secs())
}
