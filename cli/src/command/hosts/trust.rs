//! `anneal hosts trust`: the keys that hosts show, compared by a person and recorded.
//!
//! Hosts that are reached directly come first, so that whoever lies on the way to others is known when they are asked.

use std::collections::BTreeMap;

use engine::HostSpec;
use engine::operation::ReachRecord;
use engine::survey::{Key, Standing, Survey, Trouble};
use serde::Serialize;

use super::{Chosen, Places, put_trouble, stopped};
use crate::args::{Global, Trust};
use crate::prompt;
use crate::reach::Reaching;
use crate::report::{FAILED, OK, Problem, put, put_json, say};
use crate::session::Session;
use crate::stop::Stop;

/// A host, as `--json` shows it.
#[derive(Serialize)]
struct Row {
    host: String,
    at: Option<String>,
    keys: Vec<Key>,
    /// How many of them were recorded now.
    recorded: usize,
    error: Option<String>,
    hint: Option<String>,
}

/// What is to become of a host's keys.
enum Verdict {
    /// It is known by one of them.
    Known,
    /// These are to be recorded.
    Record(Vec<Key>),
    /// They may not be.
    No(Trouble),
}

pub async fn run(trust: &Trust, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let reaching = if trust.forget { Reaching::without_secrets() } else { Reaching::for_the_way() };
    let inventory = Chosen::inventory(&trust.which, session).await?;
    let mut chosen = Chosen::new(&trust.which, inventory, reaching)?;
    // The hosts themselves are not logged in to.
    for spec in chosen.hosts.values_mut().flatten() {
        if let ReachRecord::Ssh(ssh) = &mut spec.reach {
            (ssh.auth, ssh.sudo_password) = (Vec::new(), None);
            if trust.forget {
                ssh.via.clear();
            }
        }
    }
    let mut rows = Vec::new();
    for group in by_distance(chosen) {
        let (survey, not_asked, places) = group.survey::<Vec<Key>>(trust.how.parallel, global)?;
        rows.extend(not_asked.into_iter().map(|(host, answer)| row(&host, &places, Vec::new(), answer.err())));
        match trust.forget {
            true => rows.extend(places.keys().map(|host| row(host, &places, Vec::new(), survey.forget(host).err()))),
            false => rows.extend(one_distance(trust, global, &survey, &places).await?),
        }
    }
    rows.sort_by(|a, b| a.host.cmp(&b.host));
    let code = if rows.iter().all(|row| row.error.is_none()) { OK } else { FAILED };
    if global.json {
        put_json(&rows)?;
    } else {
        for row in rows.iter().filter(|row| row.error.is_some() || trust.forget) {
            let (error, hint) = (row.error.clone(), row.hint.clone());
            match error {
                Some(error) => put_trouble(&row.host, row.at.as_ref(), &Trouble { error, hint })?,
                None => put(&format!("✓ {}: what was recorded of its keys is forgotten", row.host))?,
            }
        }
    }
    Ok(code)
}

/// The hosts by how many servers lie on the way; this machine has no key.
fn by_distance(chosen: Chosen) -> Vec<Chosen> {
    let Chosen { inventory: _, hosts, secrets } = chosen;
    let mut groups: BTreeMap<usize, BTreeMap<String, Result<HostSpec, Trouble>>> = BTreeMap::new();
    for (name, reached) in hosts {
        let distance = match &reached {
            Ok(HostSpec { reach: ReachRecord::Local, .. }) => {
                say(&format!("note: {name} is this machine, and has no host key"));
                continue;
            }
            Ok(HostSpec { reach: ReachRecord::Ssh(ssh), .. }) => ssh.via.len(),
            Err(_) => 0,
        };
        groups.entry(distance).or_default().insert(name, reached);
    }
    let group = |hosts| Chosen { inventory: Default::default(), hosts, secrets: secrets.clone() };
    groups.into_values().map(group).collect()
}

/// Looks at hosts, shows their keys, asks, and records.
async fn one_distance(trust: &Trust, global: &Global, survey: &Survey, places: &Places) -> Result<Vec<Row>, Problem> {
    let mut stop = Stop::new()?;
    let answers = survey.keys(stop.asked()).await.ok_or_else(stopped)?;
    let mut rows = Vec::new();
    let mut to_record = Vec::new();
    for (host, answer) in answers {
        let keys = match answer {
            Ok(keys) => keys,
            Err(trouble) => {
                rows.push(row(&host, places, Vec::new(), Some(trouble)));
                continue;
            }
        };
        if !global.json {
            shown(&host, places, &keys).iter().try_for_each(|line| put(line))?;
        }
        match verdict(&keys, trust) {
            Verdict::Known => rows.push(row(&host, places, keys, None)),
            Verdict::No(trouble) => rows.push(row(&host, places, keys, Some(trouble))),
            Verdict::Record(new) => to_record.push((host, keys, new)),
        }
    }
    let yes = to_record.is_empty() || trust.yes || !trust.fingerprint.is_empty() || ask(global, to_record.len())?;
    for (host, keys, new) in to_record {
        let refused = || Trouble { error: "its keys are not recorded".to_owned(), hint: Some(HOW.to_owned()) };
        let trouble = if yes { survey.trust(&host, &new, trust.replace).err() } else { Some(refused()) };
        let recorded = if trouble.is_none() { new.len() } else { 0 };
        if recorded > 0 && !global.json {
            let keys = if recorded == 1 { "key is" } else { "keys are" };
            put(&format!("✓ {host}: {recorded} {keys} recorded"))?;
        }
        rows.push(Row { recorded, ..row(&host, places, keys, trouble) });
    }
    Ok(rows)
}

/// What to do where keys are not recorded.
const HOW: &str = "compare them with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` says on the machine itself, then answer \
                   yes, or name them with --fingerprint";

fn ask(global: &Global, hosts: usize) -> Result<bool, Problem> {
    if global.json {
        return Ok(false);
    }
    let whose = if hosts == 1 { "the host's".to_owned() } else { format!("those of {hosts} hosts") };
    prompt::yes(&format!("Did you compare them? Record them as {whose}")).map_err(|why| Problem::usage(why).hint(HOW))
}

fn verdict(keys: &[Key], trust: &Trust) -> Verdict {
    let no = |error: String, hint: &str| Verdict::No(Trouble { error, hint: Some(hint.to_owned()) });
    let is = |standing: Standing| move |key: &&Key| key.standing == standing;
    if let Some(key) = keys.iter().find(is(Standing::Revoked)) {
        let by = key.says.as_deref().unwrap_or_default();
        return no(
            format!("its key {} was withdrawn ({by})", key.fingerprint),
            "find out why before you use this machine",
        );
    }
    let chosen: Vec<Key> = match trust.fingerprint.as_slice() {
        [] => keys.to_vec(),
        prints => keys.iter().filter(|key| prints.contains(&key.fingerprint)).cloned().collect(),
    };
    if chosen.is_empty() {
        let shown: Vec<&str> = keys.iter().map(|key| key.fingerprint.as_str()).collect();
        return no(
            format!("it shows none of the keys that are named, but {}", shown.join(", ")),
            "somebody may be in between; look at the machine itself",
        );
    }
    if !trust.replace
        && let Some(key) = chosen.iter().find(is(Standing::Changed))
    {
        let known = key.says.as_deref().unwrap_or_default();
        return no(
            format!("its key has changed: known is {known}, it shows {}", key.fingerprint),
            "if the machine was installed anew, compare the fingerprint there and use --replace",
        );
    }
    let new = chosen.iter().any(|key| match key.standing {
        Standing::Changed => true,
        Standing::Unknown | Standing::BadCertificate => {
            // A host that is known by one key needs no other, unless it is named.
            !trust.fingerprint.is_empty() || !keys.iter().any(is_known)
        }
        Standing::Known | Standing::Vouched | Standing::Revoked => false,
    });
    match new {
        true => Verdict::Record(chosen),
        false => Verdict::Known,
    }
}

fn is_known(key: &Key) -> bool {
    matches!(key.standing, Standing::Known | Standing::Vouched)
}

fn row(host: &str, places: &Places, keys: Vec<Key>, trouble: Option<Trouble>) -> Row {
    let (error, hint) = trouble.map_or((None, None), |trouble| (Some(trouble.error), trouble.hint));
    Row { host: host.to_owned(), at: places.get(host).cloned(), keys, recorded: 0, error, hint }
}

fn shown(host: &str, places: &Places, keys: &[Key]) -> Vec<String> {
    let place = places.get(host).map(|place| format!(" ({place})")).unwrap_or_default();
    let width = keys.iter().map(|key| key.algorithm.len()).max().unwrap_or(0);
    let lines = keys.iter().map(|key| {
        let says = key.says.as_deref().unwrap_or_default();
        let standing = match key.standing {
            Standing::Known => format!("known ({says})"),
            Standing::Vouched => format!("signed by a known authority ({says})"),
            Standing::Unknown => "not known".to_owned(),
            Standing::Changed => format!("CHANGED: known is {says}"),
            Standing::Revoked => format!("WITHDRAWN ({says})"),
            Standing::BadCertificate => says.to_owned(),
        };
        format!("    {:<width$}  {}  {standing}", key.algorithm, key.fingerprint)
    });
    std::iter::once(format!("{host}{place}")).chain(lines).collect()
}
