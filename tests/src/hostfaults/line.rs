//! A long or a slow line, as a program on the loopback that passes bytes on later, for this kernel may know no `netem`.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// What a line is like, each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// How long each byte takes.
    pub delay: Duration,
    /// Up to so much later still, drawn for each piece; none overtakes another.
    pub jitter: Duration,
    /// How many bytes get through in a second, where that is limited.
    pub bytes_a_second: Option<usize>,
}

/// What is on its way at most, in pieces of up to 16 KiB.
const ON_ITS_WAY: usize = 1024;

impl Line {
    /// Lays one to a port of the loopback; the port at its near end.
    ///
    /// # Panics
    /// When there is no port.
    pub fn lay(self, to: u16) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)) else { continue };
                self.join(&near, &far);
                self.join(&far, &near);
            }
        });
        port
    }

    fn join(self, from: &TcpStream, to: &TcpStream) {
        let (from, to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
        // As a line of its own would: whoever writes sends at once.
        let _ = to.set_nodelay(true);
        let (sender, receiver) = sync_channel(ON_ITS_WAY);
        std::thread::spawn(move || self.take(from, &sender));
        std::thread::spawn(move || give(to, &receiver));
    }

    fn take(self, mut from: TcpStream, sender: &SyncSender<(Instant, Vec<u8>)>) {
        let mut buffer = vec![0; 16 << 10];
        let most = self.bytes_a_second.map_or(buffer.len(), |bytes| (bytes / 10).clamp(1, buffer.len()));
        while let Ok(count) = from.read(&mut buffer[..most]) {
            if count == 0 {
                break;
            }
            let at = Instant::now() + self.delay + self.jitter.mul_f64(fastrand::f64());
            if sender.send((at, buffer[..count].to_vec())).is_err() {
                break;
            }
            if let Some(bytes) = self.bytes_a_second {
                std::thread::sleep(Duration::from_secs_f64(count as f64 / bytes as f64));
            }
        }
    }
}

fn give(mut to: TcpStream, receiver: &Receiver<(Instant, Vec<u8>)>) {
    while let Ok((at, bytes)) = receiver.recv() {
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
