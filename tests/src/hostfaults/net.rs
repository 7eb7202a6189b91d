//! What a network does to one port of the loopback: packets that are dropped, all or some, and connections that are reset.

use std::process::Command;

use super::world::run;

/// What is done to the packets of a port, in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wall {
    /// None comes through, and nobody is told.
    BlackHole,
    /// Of each hundred so many are lost.
    Loses(u8),
    /// Whoever sends there is told that there is no such connection (RST).
    Resets,
}

/// A wall before a port. It is gone when it is dropped.
#[derive(Debug)]
pub struct Walled(Vec<Vec<String>>);

impl Walled {
    /// Puts it up.
    ///
    /// # Panics
    /// When iptables cannot.
    pub fn up(port: u16, wall: Wall) -> Walled {
        let ends: &[&str] = if wall == Wall::Resets { &["--dport"] } else { &["--dport", "--sport"] };
        let rules = ends.iter().map(|end| {
            let mut rule = words(&["INPUT", "-p", "tcp", end, &port.to_string()]);
            match wall {
                Wall::BlackHole => rule.extend(words(&["-j", "DROP"])),
                Wall::Loses(percent) => {
                    let share = format!("{:.2}", f64::from(percent) / 100.0);
                    rule.extend(words(&["-m", "statistic", "--mode", "random", "--probability", &share, "-j", "DROP"]));
                }
                Wall::Resets => rule.extend(words(&["-j", "REJECT", "--reject-with", "tcp-reset"])),
            }
            rule
        });
        let rules: Vec<Vec<String>> = rules.collect();
        Walled::of(rules)
    }

    /// A black hole for one connection, by the port of its near end: for others the port is as it was.
    pub fn around(near: u16, port: u16) -> Walled {
        let (near, port) = (near.to_string(), port.to_string());
        let rule = |from: &str, to: &str| words(&["INPUT", "-p", "tcp", "--sport", from, "--dport", to, "-j", "DROP"]);
        Walled::of(vec![rule(&near, &port), rule(&port, &near)])
    }

    fn of(rules: Vec<Vec<String>>) -> Walled {
        for rule in &rules {
            iptables("-A", rule).unwrap_or_else(|why| panic!("{why}: install iptables"));
        }
        Walled(rules)
    }
}

impl Drop for Walled {
    fn drop(&mut self) {
        for rule in &self.0 {
            // The whole network goes with the world in any case.
            let _ = iptables("-D", rule);
        }
    }
}

fn iptables(how: &str, rule: &[String]) -> Result<(), String> {
    run(Command::new("iptables").args(["-w", how]).args(rule))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
