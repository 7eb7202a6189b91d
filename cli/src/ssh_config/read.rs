//! Reading: from the files to the settings of one host. Of each setting the first value counts.

use std::path::{Path, PathBuf};

use super::keywords::{self, Keyword as K};
use super::line::Line;
use super::matching::{self, About};
use super::values::{Proxy, Strict, flag};
use super::{Files, Local, expand, pattern};
use crate::report::Problem;

/// How deep files may include each other, as in OpenSSH.
const INCLUDE_DEPTH: usize = 16;
/// Identity files, certificates and files of known hosts of one host, each, as in OpenSSH.
const FILES: usize = 100;
/// Lines that are gone through for one host, with those that are included again.
const LINES: usize = 2_000_000;
/// The folder of the system's configuration.
const SYSTEM: &str = "/etc/ssh";

/// What is asked for, as a command line of `ssh` would say it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Host name or address, or what the configuration calls it.
    pub host: &'a str,
    /// Login user.
    pub user: Option<&'a str>,
    /// TCP port.
    pub port: Option<u16>,
}

/// Where reading begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// `~/.ssh/config`, then `/etc/ssh/ssh_config`, as far as they are there.
    Usual,
    /// This file only, as `ssh -F`.
    File(PathBuf),
}

/// Settings as they are written: `~`, `%h` and `${NAME}` stand for themselves, but in `proxy` and `host_name`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    pub host_name: Option<String>,
    pub user: Option<String>,
    pub port: Option<u16>,
    pub identity_files: Vec<String>,
    pub identities_only: Option<bool>,
    pub identity_agent: Option<String>,
    pub certificate_files: Vec<String>,
    pub proxy: Option<Proxy>,
    pub user_known_hosts: Option<Vec<String>>,
    pub global_known_hosts: Option<Vec<String>>,
    pub strict: Option<Strict>,
    pub host_key_alias: Option<String>,
    pub pubkey: Option<bool>,
    pub preferred: Option<String>,
    /// What is not done here and might matter.
    pub warnings: Vec<String>,
}

/// The settings of a host.
pub fn read(asked: Asked<'_>, root: &Root, files: &dyn Files, local: &Local) -> Result<Settings, Problem> {
    let found = Settings { user: asked.user.map(str::to_owned), port: asked.port, ..Settings::default() };
    let host = asked.host.to_owned();
    let mut reading =
        Reading { asked, files, local, found, host, last: false, wants_last: false, ignored: Vec::new(), lines: 0 };
    reading.all(root)?;
    if reading.wants_last {
        // `Match final`: everything once more, now about the name that was found.
        reading.host = expand::host_name(&reading.found, asked.host)?.to_lowercase();
        reading.found.host_name = Some(reading.host.replace('%', "%%"));
        reading.last = true;
        reading.all(root)?;
    }
    Ok(reading.found)
}

struct Reading<'a> {
    asked: Asked<'a>,
    files: &'a dyn Files,
    local: &'a Local,
    found: Settings,
    /// What `Host` is about.
    host: String,
    /// Whether this is the second time.
    last: bool,
    /// Whether a second time is asked for.
    wants_last: bool,
    /// Patterns of keywords that nobody needs to know.
    ignored: Vec<String>,
    lines: usize,
}

/// Where a line stands.
#[derive(Clone, Copy)]
struct At<'a> {
    file: &'a Path,
    /// Whether it is the user's file, or included by it.
    user: bool,
    depth: usize,
    /// In a file that is included where nothing counts, no `Host` makes anything count.
    never: bool,
}

impl Reading<'_> {
    fn all(&mut self, root: &Root) -> Result<(), Problem> {
        let at = |file, user| At { file, user, depth: 0, never: false };
        match root {
            Root::Usual => {
                let user = self.local.home.join(".ssh/config");
                self.file(at(&user, true), true, true)?;
                self.file(at(Path::new("/etc/ssh/ssh_config"), false), false, true)?;
            }
            Root::File(path) => {
                if !self.file(at(path, true), false, true)? {
                    return Err(Problem::usage(format!("the ssh configuration `{}` is not there", path.display())));
                }
            }
        }
        Ok(())
    }

    /// Goes through a file; whether it is there.
    fn file(&mut self, at: At<'_>, checked: bool, mut active: bool) -> Result<bool, Problem> {
        let unreadable = |why: String| Problem::usage(format!("{}: {why}", at.file.display()));
        let Some(lines) = self.files.lines(at.file, checked).map_err(unreadable)? else { return Ok(false) };
        self.lines += lines.len();
        if self.lines > LINES {
            return Err(unreadable(format!("more than {LINES} lines are to be read for one host")));
        }
        for line in &*lines {
            let place = |problem: Problem| Problem {
                message: format!("{}:{}: {}", at.file.display(), line.number, problem.message),
                ..problem
            };
            match keywords::of(&line.keyword) {
                K::Include => {
                    let named = self.included(line, at).map_err(place)?;
                    for path in named {
                        let never = at.never || !active;
                        let at = At { file: &path, depth: at.depth + 1, never, ..at };
                        self.file(at, true, active)?;
                    }
                }
                K::Host => active = self.host(line, at).map_err(place)?,
                K::Match => active = !at.never && self.matches(line).map_err(place)?,
                keyword if active => self.setting(keyword, line).map_err(place)?,
                _ => {}
            }
        }
        Ok(true)
    }

    /// The files that an `Include` names.
    fn included(&self, line: &Line, at: At<'_>) -> Result<Vec<PathBuf>, Problem> {
        if line.args.is_empty() {
            return Err(lacks(line));
        }
        if at.depth >= INCLUDE_DEPTH {
            return Err(Problem::usage(format!("files include each other more than {INCLUDE_DEPTH} deep"))
                .hint("look for a file that includes itself"));
        }
        let mut paths = Vec::new();
        for pattern in &line.args {
            let folder = if at.user { self.local.home.join(".ssh") } else { SYSTEM.into() };
            let pattern = match expand::home(pattern, self.local)? {
                path if path.starts_with('/') => path,
                path => folder.join(path).to_string_lossy().into_owned(),
            };
            paths.extend(self.files.matching(&pattern).map_err(|why| Problem::usage(format!("`{pattern}`: {why}")))?);
        }
        Ok(paths)
    }

    /// Whether what follows a `Host` is about the host.
    fn host(&self, line: &Line, at: At<'_>) -> Result<bool, Problem> {
        if line.args.is_empty() || line.args.iter().any(String::is_empty) {
            return Err(lacks(line));
        }
        let mut matched = false;
        for pattern in &line.args {
            match pattern.strip_prefix('!') {
                Some(not) if pattern::matches(not, &self.host) => return Ok(false),
                Some(_) => {}
                None => matched |= pattern::matches(pattern, &self.host),
            }
        }
        Ok(matched && !at.never)
    }

    fn matches(&mut self, line: &Line) -> Result<bool, Problem> {
        let host = match (&self.found.host_name, self.last) {
            (Some(_), _) => expand::host_name(&self.found, self.asked.host)?,
            (None, _) => self.asked.host.to_owned(),
        };
        let about = About {
            host: &host,
            original: self.asked.host,
            user: self.found.user.as_deref().unwrap_or(&self.local.user),
            local_user: &self.local.user,
            last: self.last,
        };
        let matched = matching::matches(&line.rest, about)?;
        self.wants_last |= matched.wants_last;
        Ok(matched.yes)
    }

    /// A setting that counts, if it is the first of its kind.
    fn setting(&mut self, keyword: K, line: &Line) -> Result<(), Problem> {
        let found = &mut self.found;
        match keyword {
            K::HostName => first(&mut found.host_name, line, |text| Some(text.to_owned())),
            K::User => first(&mut found.user, line, |text| Some(text.to_owned())),
            K::Port => first(&mut found.port, line, |text| text.parse().ok().filter(|port| *port > 0)),
            K::IdentitiesOnly => first(&mut found.identities_only, line, flag),
            K::IdentityAgent => first(&mut found.identity_agent, line, |text| Some(text.to_owned())),
            K::HostKeyAlias => first(&mut found.host_key_alias, line, |text| Some(text.to_owned())),
            K::StrictHostKeyChecking => first(&mut found.strict, line, Strict::parse),
            K::PreferredAuthentications => first(&mut found.preferred, line, |text| Some(text.to_owned())),
            K::PubkeyAuthentication => first(&mut found.pubkey, line, |text| match text {
                "unbound" | "host-bound" => Some(true),
                text => flag(text),
            }),
            K::IdentityFile => another(&mut found.identity_files, line),
            K::CertificateFile => another(&mut found.certificate_files, line),
            K::UserKnownHostsFile => several(&mut found.user_known_hosts, line),
            K::GlobalKnownHostsFile => several(&mut found.global_known_hosts, line),
            K::ProxyCommand if line.rest.is_empty() => Err(lacks(line)),
            K::ProxyCommand => {
                if matches!(found.proxy, None | Some(Proxy::NoJump)) {
                    found.proxy = Some(Proxy::command(&line.rest));
                }
                Ok(())
            }
            K::ProxyJump => {
                let proxy = Proxy::jump(&line.rest).map_err(Problem::usage)?;
                found.proxy.get_or_insert(proxy);
                Ok(())
            }
            K::IgnoreUnknown => {
                self.ignored.extend(line.args.iter().flat_map(|list| list.split(',')).map(str::to_lowercase));
                Ok(())
            }
            K::NotDone(usual) => {
                if line.args.first().is_none_or(|value| !value.eq_ignore_ascii_case(usual)) {
                    self.warn(format!("`{} {}` is not done by Anneal", line.keyword, line.rest));
                }
                Ok(())
            }
            K::Unknown => {
                if !self.ignored.iter().any(|pattern| pattern::matches(pattern, &line.keyword)) {
                    self.warn(format!("`{}` is a keyword that Anneal does not know", line.keyword));
                }
                Ok(())
            }
            K::Harmless | K::Host | K::Match | K::Include => Ok(()),
        }
    }

    fn warn(&mut self, warning: String) {
        if !self.found.warnings.contains(&warning) {
            self.found.warnings.push(warning);
        }
    }
}

fn lacks(line: &Line) -> Problem {
    Problem::usage(format!("`{}` lacks its argument", line.keyword))
}

/// The one argument of a line.
fn only(line: &Line) -> Result<&str, Problem> {
    match line.args.as_slice() {
        [one] if !one.is_empty() => Ok(one),
        [] | [_] => Err(lacks(line)),
        [_, extra, ..] => Err(Problem::usage(format!("`{}` takes one argument; `{extra}` is too much", line.keyword))
            .hint("quote what has spaces in it")),
    }
}

fn first<T>(place: &mut Option<T>, line: &Line, parse: impl Fn(&str) -> Option<T>) -> Result<(), Problem> {
    let text = only(line)?;
    let value = parse(text).ok_or_else(|| {
        Problem::usage(format!("`{text}` is no value of `{}`", line.keyword)).hint("see ssh_config(5)")
    })?;
    place.get_or_insert(value);
    Ok(())
}

/// One more of a list, unless it is there.
fn another(list: &mut Vec<String>, line: &Line) -> Result<(), Problem> {
    let text = only(line)?;
    if list.iter().any(|known| known == text) {
        return Ok(());
    }
    if list.len() == FILES {
        return Err(Problem::usage(format!("more than {FILES} of `{}`", line.keyword)));
    }
    list.push(text.to_owned());
    Ok(())
}

/// A list that stands in one line.
fn several(place: &mut Option<Vec<String>>, line: &Line) -> Result<(), Problem> {
    if line.args.is_empty() || line.args.iter().any(String::is_empty) {
        return Err(lacks(line));
    }
    if line.args.len() > FILES {
        return Err(Problem::usage(format!("more than {FILES} files of `{}`", line.keyword)));
    }
    if line.args.len() > 1 && line.args.iter().any(|file| file.eq_ignore_ascii_case("none")) {
        return Err(Problem::usage(format!("`none` stands alone in `{}`", line.keyword)));
    }
    place.get_or_insert_with(|| line.args.clone());
    Ok(())
}
