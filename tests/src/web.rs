//! Servers on loopback that a test asks: of HTTP, with and without TLS, and of mail. Each answers as the test says and keeps what
//! it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method and path.
    pub line: String,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Request {
    /// A header; empty where it was not sent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(given, _)| given == name).map_or("", |(_, value)| value)
    }
}

/// What a server does about a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Answers, with lines of headers and a body.
    Answer(u16, Vec<String>, String),
    /// Ends the connection without a word.
    CutOff,
    /// Says nothing for as long as somebody waits.
    Silent,
}

/// A server. It lives as long as the test.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its port on 127.0.0.1.
    pub port: u16,
    asked: Arc<Mutex<Vec<Request>>>,
}

trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

impl Server {
    /// A server of plain HTTP. `reply` is told how many requests came before.
    ///
    /// # Panics
    /// When no port is free.
    pub fn http(reply: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Server {
        Server::new(None, reply)
    }

    /// The same, with TLS.
    pub fn https(identity: &Identity, reply: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Server {
        Server::new(Some(Arc::clone(&identity.config)), reply)
    }

    fn new(tls: Option<Arc<ServerConfig>>, reply: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (theirs, reply) = (Arc::clone(&asked), Arc::new(reply));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (asked, reply, tls) = (Arc::clone(&theirs), Arc::clone(&reply), tls.clone());
                std::thread::spawn(move || {
                    let mut stream: Box<dyn Stream> = match tls {
                        None => Box::new(stream),
                        Some(config) => match ServerConnection::new(config) {
                            Ok(connection) => Box::new(StreamOwned::new(connection, stream)),
                            Err(_) => return,
                        },
                    };
                    let Some(request) = read(&mut stream) else { return };
                    let before = {
                        let mut asked = asked.lock().expect("nobody panics while holding it");
                        asked.push(request.clone());
                        asked.len() - 1
                    };
                    match reply(before, &request) {
                        Reply::CutOff => {}
                        // Whoever waits ends the connection.
                        Reply::Silent => drop(stream.read(&mut [0; 1])),
                        Reply::Answer(status, headers, body) => {
                            let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
                            let length = body.len();
                            let head = format!("HTTP/1.1 {status} said\r\ncontent-length: {length}\r\n{headers}\r\n");
                            let _ = stream.write_all(format!("{head}{body}").as_bytes());
                            let _ = stream.flush();
                        }
                    }
                });
            }
        });
        Server { port, asked }
    }

    /// What it was asked so far.
    ///
    /// # Panics
    /// Never: nobody panics while holding the list.
    pub fn asked(&self) -> Vec<Request> {
        self.asked.lock().expect("nobody panics while holding it").clone()
    }
}

fn read(stream: &mut dyn Stream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        Some(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut headers = Vec::new();
    while let Some(line) = line().filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let request = Request { line: first.trim_end_matches(" HTTP/1.1").to_owned(), headers, body: String::new() };
    let mut body = vec![0; request.header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some(Request { body: String::from_utf8_lossy(&body).into_owned(), ..request })
}

/// An authority of our own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
pub struct Identity {
    config: Arc<ServerConfig>,
}

impl Authority {
    /// A new one, whatever others are called.
    ///
    /// # Panics
    /// When no key can be made.
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Authority(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Its certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a name, valid for so many days from now; for less than none it has expired.
    ///
    /// # Panics
    /// When none can be made.
    pub fn identity(&self, name: &str, days: i64) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
        let day = Duration::from_secs(86_400);
        let now = date_time_ymd(1970, 1, 1) + now;
        params.not_before = now - 100 * day;
        params.not_after = if days < 0 { now - day } else { now + day * days.unsigned_abs() as u32 };
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &*self.0).expect("a certificate");
        let chain = vec![certificate.der().clone()];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
        Identity { config: Arc::new(config.with_single_cert(chain, key).expect("a configuration")) }
    }
}

/// A server that takes mail for everybody.
#[derive(Debug, Clone)]
pub struct MailSink {
    /// Its port on 127.0.0.1.
    pub port: u16,
    heard: Arc<Mutex<String>>,
}

impl MailSink {
    /// A new one. With an identity it demands STARTTLS and a login first.
    ///
    /// # Panics
    /// When no port is free.
    pub fn new(identity: Option<&Identity>) -> MailSink {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let heard: Arc<Mutex<String>> = Arc::default();
        let (theirs, tls) = (Arc::clone(&heard), identity.map(|identity| Arc::clone(&identity.config)));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = take_mail(stream, tls.clone(), &theirs);
            }
        });
        MailSink { port, heard }
    }

    /// All that clients said so far.
    ///
    /// # Panics
    /// Never: nobody panics while holding it.
    pub fn heard(&self) -> String {
        self.heard.lock().expect("nobody panics while holding it").clone()
    }
}

fn take_mail(mut stream: TcpStream, tls: Option<Arc<ServerConfig>>, heard: &Mutex<String>) -> std::io::Result<()> {
    stream.write_all(b"220 sink\r\n")?;
    if let Some(config) = tls {
        converse(&mut stream, "250-sink\r\n250 STARTTLS\r\n", heard)?;
        let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
        return converse(&mut StreamOwned::new(connection, stream), "250-sink\r\n250 AUTH PLAIN\r\n", heard);
    }
    converse(&mut stream, "250 sink\r\n", heard)
}

/// Answers one line after the other, byte by byte: what follows STARTTLS is not ours to read.
fn converse(stream: &mut (impl Read + Write), hello: &str, heard: &Mutex<String>) -> std::io::Result<()> {
    let mut in_data = false;
    loop {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        heard.lock().expect("nobody panics while holding it").push_str(&line);
        let reply = match line.split([' ', '\r']).next().unwrap_or_default() {
            "." if in_data => {
                in_data = false;
                "250 taken\r\n"
            }
            _ if in_data => continue,
            "EHLO" => hello,
            "STARTTLS" => "220 go on\r\n",
            "AUTH" => "235 welcome\r\n",
            "DATA" => {
                in_data = true;
                "354 go on\r\n"
            }
            "QUIT" => "221 bye\r\n",
            "MAIL" | "RCPT" | "NOOP" | "RSET" => "250 yes\r\n",
            _ => "500 what?\r\n",
        };
        stream.write_all(reply.as_bytes())?;
        stream.flush()?;
        if line.starts_with("STARTTLS") || line.starts_with("QUIT") {
            return Ok(());
        }
    }
}
