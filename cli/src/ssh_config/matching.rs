//! `Match` of ssh_config(5): what it asks, and whether it is so.

use super::line::delimited;
use super::pattern::list_matches;
use crate::report::Problem;

/// What is known when a `Match` is read.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The name that was found so far.
    pub host: &'a str,
    /// The name that was asked for.
    pub original: &'a str,
    /// The login user that was found so far.
    pub user: &'a str,
    /// Who reads.
    pub local_user: &'a str,
    /// Whether everything is read for the second time.
    pub last: bool,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Matched {
    pub yes: bool,
    /// `final` asks that everything is read a second time.
    pub wants_last: bool,
}

/// Whether all that a `Match` asks is so.
pub fn matches(text: &str, about: About<'_>) -> Result<Matched, Problem> {
    let mut rest = text;
    let mut matched = Matched { yes: true, wants_last: false };
    let mut before: Vec<String> = Vec::new();
    loop {
        let word = word(&mut rest)?;
        if word.is_empty() || word.starts_with('#') {
            break;
        }
        let (asks, name) = match word.strip_prefix('!') {
            Some(name) => (false, name.to_lowercase()),
            None => (true, word.to_lowercase()),
        };
        let is = match name.as_str() {
            "all" => {
                // OpenSSH lets one criterion stand before it.
                if before.len() > 1 || !(rest.is_empty() || rest.starts_with('#')) {
                    return Err(Problem::usage("`Match all` stands alone, or behind `final` or `canonical`"));
                }
                true
            }
            "final" | "canonical" => {
                matched.wants_last |= name == "final";
                about.last
            }
            "host" => list_matches(&argument(&name, &mut rest)?.to_lowercase(), &about.host.to_lowercase()),
            "originalhost" => list_matches(&argument(&name, &mut rest)?.to_lowercase(), &about.original.to_lowercase()),
            "user" => list_matches(&argument(&name, &mut rest)?, about.user),
            "localuser" => list_matches(&argument(&name, &mut rest)?, about.local_user),
            "exec" => {
                argument(&name, &mut rest)?;
                if matched.yes {
                    return Err(Problem::usage(
                        "`Match exec` would run a program, and Anneal runs none to read a configuration",
                    )
                    .hint("use `Match host` there, or give the host in an inventory with `ssh_config: false`"));
                }
                false
            }
            other => {
                return Err(Problem::usage(format!("`Match {other}` is not understood"))
                    .hint("all, host, originalhost, user, localuser, canonical and final are"));
            }
        };
        matched.yes &= is == asks;
        before.push(name);
    }
    if before.is_empty() {
        return Err(Problem::usage("`Match` asks for nothing").hint("write `Match all` for every host"));
    }
    Ok(matched)
}

fn argument(name: &str, rest: &mut &str) -> Result<String, Problem> {
    let argument = word(rest)?;
    if argument.is_empty() {
        return Err(Problem::usage(format!("`Match {name}` lacks its argument")));
    }
    Ok(argument)
}

fn word(rest: &mut &str) -> Result<String, Problem> {
    delimited(rest).ok_or_else(|| Problem::usage("a quote is not closed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        let about = About { host: "a.example", original: "A", user: "ann", local_user: "bob", last: false };
        match matches(text, about) {
            Ok(matched) => matched.yes.to_string(),
            Err(problem) => problem.message,
        }
    }

    #[test]
    fn all_criteria_must_be_so() {
        for yes in [
            "all",
            "host a.*",
            "host b,*",
            "originalhost a",
            "user ann localuser bob",
            "!host b",
            "!final host *",
            "Host=A.EXAMPLE",
        ] {
            assert_eq!(of(yes), "true", "{yes}");
        }
        for no in [
            "!all",
            "host b",
            "host *,!a.example",
            "user Ann",
            "final all",
            "canonical",
            "host b exec true",
            "host a.* user x",
        ] {
            assert_eq!(of(no), "false", "{no}");
        }
    }

    #[test]
    fn nothing_is_run_and_nothing_is_guessed() {
        assert_eq!(
            of("exec \"test -e x\""),
            "`Match exec` would run a program, and Anneal runs none to read a configuration"
        );
        assert_eq!(of("host a.example !exec true"), of("exec true"));
        assert_eq!(of("tagged x"), "`Match tagged` is not understood");
        assert_eq!(of(""), "`Match` asks for nothing");
        assert_eq!(of("host"), "`Match host` lacks its argument");
        assert_eq!(of("host a user x all"), "`Match all` stands alone, or behind `final` or `canonical`");
        assert_eq!(of("all host a"), of("host a user x all"));
    }
}
