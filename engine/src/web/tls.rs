//! TLS: who vouches for a server, and what is wrong with its certificate, in words that say what to do.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::date;

/// Who vouches for servers.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// These; the authorities of this machine where there is none.
    given: Option<Vec<CertificateDer<'static>>>,
}

impl Trust {
    /// These certificates, in PEM, and nobody else.
    pub fn only(pem: &[u8]) -> Result<Trust, String> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        match certificates {
            Ok(certificates) if certificates.is_empty() => Err("there is no certificate in PEM in it".to_owned()),
            Ok(certificates) => Ok(Trust { given: Some(certificates) }),
            Err(error) => Err(format!("it is not PEM: {error}")),
        }
    }

    /// The certificates. Reads files.
    pub async fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        if let Some(given) = &self.given {
            return Ok(given.clone());
        }
        let found = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
        let found = found.map_err(|error| format!("the authorities of this machine cannot be read: {error}"))?;
        match (found.certs.is_empty(), found.errors.first()) {
            (false, _) => Ok(found.certs),
            (true, Some(error)) => Err(format!("the authorities of this machine cannot be read: {error}")),
            (true, None) => Err("this machine trusts no authority: install `ca-certificates`, or say `ca`".to_owned()),
        }
    }

    async fn config(&self, valid_for: Duration) -> Result<ClientConfig, String> {
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(self.certificates().await?);
        if added == 0 {
            return Err("no certificate of `ca` can be read".to_owned());
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
        let inner = inner.map_err(|error| error.to_string())?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Lasting { inner, valid_for }));
        let mut config = config.with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// What a certificate must be now, and still after a time.
#[derive(Debug)]
struct Lasting {
    inner: Arc<WebPkiServerVerifier>,
    valid_for: Duration,
}

impl ServerCertVerifier for Lasting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.inner.verify_server_cert(end_entity, intermediates, name, ocsp, now)?;
        if self.valid_for.is_zero() {
            return Ok(verified);
        }
        let later = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()).saturating_add(self.valid_for));
        self.inner.verify_server_cert(end_entity, intermediates, name, ocsp, later)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub enum Refused {
    /// It may be otherwise later.
    Now(String),
    /// What is asked for can never be.
    Never(String),
}

/// Shakes hands on a connection with a server that has to be `name`, whose certificate has to be valid for so long.
pub async fn shake_hands(
    stream: TcpStream,
    name: &str,
    trust: &Trust,
    valid_for: Duration,
) -> Result<TlsStream<TcpStream>, Refused> {
    let config = trust.config(valid_for).await.map_err(Refused::Never)?;
    let server = ServerName::try_from(name.to_owned());
    let server =
        server.map_err(|_| Refused::Never("this is neither the name nor the address of a server".to_owned()))?;
    let shaken = TlsConnector::from(Arc::new(config)).connect(server, stream).await;
    shaken.map_err(|error| {
        let of_tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        Refused::Now(of_tls.map_or_else(|| format!("no handshake: {error}"), |error| explain(error, valid_for)))
    })
}

/// What is wrong, without the name that was asked for.
fn explain(error: &rustls::Error, valid_for: Duration) -> String {
    let rustls::Error::InvalidCertificate(wrong) = error else { return format!("no handshake: {error}") };
    let day = |time: &UnixTime| date::date(time.as_secs().saturating_mul(1_000));
    match wrong {
        CertificateError::ExpiredContext { time, not_after } => {
            let ahead = Duration::from_secs(time.as_secs()) > now() + Duration::from_secs(60);
            match ahead && !valid_for.is_zero() {
                true => {
                    let wanted = dsl::duration::show(u64::try_from(valid_for.as_millis()).unwrap_or(u64::MAX));
                    format!("its certificate is valid until {} UTC only, and not for another {wanted}", day(not_after))
                }
                false => format!("its certificate expired on {} UTC", day(not_after)),
            }
        }
        CertificateError::Expired => "its certificate has expired".to_owned(),
        CertificateError::NotValidYet => "its certificate is not valid yet".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("its certificate is valid from {} UTC only", day(not_before))
        }
        CertificateError::UnknownIssuer => {
            "nobody who is trusted vouches for its certificate (unknown issuer)".to_owned()
        }
        CertificateError::BadSignature => {
            let why = "its issuer has the name of an authority that is trusted, but another key";
            format!("nobody who is trusted vouches for its certificate ({why})")
        }
        CertificateError::NotValidForName => "its certificate is for another name".to_owned(),
        CertificateError::NotValidForNameContext { presented, .. } => {
            format!("its certificate is for another name: it is for {}", presented.join(", "))
        }
        other => format!("its certificate is not accepted: {other}"),
    }
}

fn now() -> Duration {
    Duration::from_secs(UnixTime::now().as_secs())
}
