//! A line with a delay: connections to an address here are passed on, and each byte arrives so much later than it was sent.
//!
//! In user space, for a kernel without netem. Everybody's bytes go through the same one. What is on its way is bounded, as on a
//! real line (64 MiB a direction here), and is read from the client no faster than that.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The most bytes on their way in one direction.
const ON_ITS_WAY: usize = 64 << 20;
const PIECE: usize = 256 << 10;

/// Listens on a free port of the loopback for as long as the process lives; gives the port.
pub fn delayed(to: SocketAddr, one_way: Duration) -> io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // Whoever cannot be passed on sees its connection end.
            let Ok(server) = TcpStream::connect(to) else { continue };
            let pairs = [(client.try_clone(), server.try_clone()), (Ok(server), Ok(client))];
            for (from, to) in pairs {
                if let (Ok(from), Ok(to)) = (from, to) {
                    one_direction(from, to, one_way);
                }
            }
        }
    });
    Ok(port)
}

#[derive(Default)]
struct Line {
    pieces: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    /// No more follows, or nobody listens.
    over: bool,
}

fn one_direction(mut from: TcpStream, mut to: TcpStream, one_way: Duration) {
    // Without it, small packets wait for each other here and not on the line.
    let _ = to.set_nodelay(true);
    let line = Arc::new((Mutex::new(Line::default()), Condvar::new()));
    let filled = Arc::clone(&line);
    thread::spawn(move || {
        let (line, changed) = &*filled;
        loop {
            let mut piece = vec![0; PIECE];
            let read = from.read(&mut piece).unwrap_or(0);
            piece.truncate(read);
            let mut line = line.lock().unwrap_or_else(PoisonError::into_inner);
            while line.bytes > ON_ITS_WAY && !line.over {
                line = changed.wait(line).unwrap_or_else(PoisonError::into_inner);
            }
            line.bytes += read;
            line.pieces.push_back((Instant::now() + one_way, piece));
            changed.notify_all();
            if read == 0 || line.over {
                return;
            }
        }
    });
    thread::spawn(move || {
        let (line, changed) = &*line;
        loop {
            let (due, piece) = {
                let mut line = line.lock().unwrap_or_else(PoisonError::into_inner);
                loop {
                    match line.pieces.pop_front() {
                        Some(next) => break next,
                        None => line = changed.wait(line).unwrap_or_else(PoisonError::into_inner),
                    }
                }
            };
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let end = piece.is_empty() || to.write_all(&piece).is_err();
            let mut line = line.lock().unwrap_or_else(PoisonError::into_inner);
            line.bytes -= piece.len();
            line.over |= end;
            changed.notify_all();
            if end {
                // The end is passed on, too.
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
        }
    });
}
