//! Servers that are no SSH servers, or behave as none should.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Odd {
    /// Takes connections and never says a word.
    Silent,
    /// Says lines, and never which version of SSH it speaks.
    Wordy,
    /// Ends each connection at once.
    HangsUp,
}

impl Odd {
    /// Starts it; its port.
    ///
    /// # Panics
    /// When there is no port.
    pub fn start(self) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for mut stream in listener.incoming().flatten() {
                match self {
                    Odd::Silent => kept.push(stream),
                    Odd::HangsUp => drop(stream),
                    Odd::Wordy => drop(std::thread::spawn(move || {
                        while stream.write_all(b"a line before the version, as RFC 4253 allows\r\n").is_ok() {
                            std::thread::sleep(Duration::from_millis(5));
                        }
                    })),
                }
            }
        });
        port
    }
}
