//! Names of environment variables that a program can be given.
//!
//! On a host a shell sets them and then becomes the program. So a name is refused that the engine's own scripts use there, and
//! one that a shell keeps for itself: it would not arrive, or end the shell.

use crate::limits;

/// What some POSIX shell sets itself, or refuses to have set.
const OF_THE_SHELL: &[&str] = &[
    "_",
    "BASHOPTS",
    "BASHPID",
    "BASH_ALIASES",
    "BASH_ARGC",
    "BASH_ARGV",
    "BASH_ARGV0",
    "BASH_CMDS",
    "BASH_COMMAND",
    "BASH_LINENO",
    "BASH_SOURCE",
    "BASH_SUBSHELL",
    "BASH_VERSINFO",
    "COMP_WORDBREAKS",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "HISTCMD",
    "LINENO",
    "OLDPWD",
    "OPTIND",
    "PIPESTATUS",
    "PPID",
    "PWD",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SHLVL",
    "SRANDOM",
    "UID",
];

/// Whether a name can be that of a variable; if not, why.
pub fn variable_name(name: &str) -> Result<(), &'static str> {
    let ok = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(ok) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("letters, digits and `_`");
    }
    if name.len() > limits::NAME_BYTES {
        return Err("too long");
    }
    if name.starts_with("ANNEAL_") {
        return Err("names that begin with `ANNEAL_` are the engine's own");
    }
    if name.starts_with("a_") {
        return Err("names that begin with `a_` are those of the engine's scripts");
    }
    if OF_THE_SHELL.contains(&name) {
        return Err("a shell sets this itself, so the value would not arrive");
    }
    Ok(())
}
