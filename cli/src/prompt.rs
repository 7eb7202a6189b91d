//! Asking whoever sits at the terminal for a secret, without showing it.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// Asks on `/dev/tty`, whatever stdin and stdout are.
pub fn secret(what: &str) -> Result<Zeroizing<String>, String> {
    let no_terminal = |_| format!("{what}: there is no terminal to ask at; give it by reference in an inventory");
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(no_terminal)?;
    let failed = |error: std::io::Error| format!("{what}: {error}");
    write!(terminal, "{what}: ").map_err(failed)?;
    let line = {
        let _quiet = Quiet::new(&terminal).map_err(|error| failed(error.into()))?;
        let mut line = Zeroizing::new(String::new());
        BufReader::new(&terminal).read_line(&mut line).map_err(failed)?;
        line
    };
    writeln!(terminal).map_err(failed)?;
    Ok(Zeroizing::new(line.trim_end_matches(['\n', '\r']).to_owned()))
}

/// Asks a question on `/dev/tty` that only `y` and `yes` say yes to.
pub fn yes(question: &str) -> Result<bool, String> {
    let no_terminal = |_| "there is no terminal to ask at".to_owned();
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(no_terminal)?;
    let failed = |error: std::io::Error| error.to_string();
    write!(terminal, "{question}? [y/N] ").map_err(failed)?;
    let mut line = String::new();
    BufReader::new(&terminal).read_line(&mut line).map_err(failed)?;
    Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// The terminal without echo, until it is dropped.
struct Quiet<'a> {
    terminal: &'a File,
    before: rustix::termios::Termios,
}

impl Quiet<'_> {
    fn new(terminal: &File) -> Result<Quiet<'_>, rustix::io::Errno> {
        let before = tcgetattr(terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Now, &quiet)?;
        Ok(Quiet { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // If this fails the terminal is gone.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}
