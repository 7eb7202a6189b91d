//! `anneal hosts check`: can each host be used, and how.

use engine::survey::{Checked, Sudo};
use serde::Serialize;

use super::{Chosen, Places, code, put_trouble, sorted, stopped};
use crate::args::{CheckHosts as Check, Global};
use crate::reach::Reaching;
use crate::report::{Problem, put, put_json};
use crate::session::Session;
use crate::stop::Stop;

/// A host, as `--json` shows it.
#[derive(Serialize)]
struct Row<'a> {
    host: &'a str,
    at: Option<&'a String>,
    /// What it answered; else `error` says why it did not.
    reached: Option<&'a Checked>,
    error: Option<&'a str>,
    hint: Option<&'a str>,
}

pub async fn run(check: &Check, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let inventory = Chosen::inventory(&check.which, session).await?;
    let chosen = Chosen::new(&check.which, inventory, Reaching::new(check.accept_new_host_keys))?;
    let (survey, not_asked, places) = chosen.survey(check.how.parallel, global)?;
    let mut stop = Stop::new()?;
    let answers = survey.check(&check.as_user, stop.asked()).await.ok_or_else(stopped)?;
    let answers = sorted(answers, not_asked);
    if global.json {
        let row = |(name, answer): &'_ (String, Result<Checked, _>)| serde_json::json!(row(name, answer, &places));
        put_json(&answers.iter().map(row).collect::<Vec<_>>())?;
    } else {
        for (name, answer) in &answers {
            match answer {
                Ok(checked) => {
                    let place = places.get(name).map(|place| format!(" ({place})")).unwrap_or_default();
                    put(&format!("✓ {name}{place}"))?;
                    put(&format!("    {}", about(checked, &check.as_user)))?;
                }
                Err(trouble) => put_trouble(name, places.get(name), trouble)?,
            }
        }
        let well = answers.iter().filter(|(_, answer)| answer.is_ok()).count();
        put(&format!("{well} of {} hosts can be used", answers.len()))?;
    }
    Ok(code(&answers))
}

fn row<'a>(name: &'a str, answer: &'a Result<Checked, engine::survey::Trouble>, places: &'a Places) -> Row<'a> {
    let trouble = answer.as_ref().err();
    Row {
        host: name,
        at: places.get(name),
        reached: answer.as_ref().ok(),
        error: trouble.map(|trouble| trouble.error.as_str()),
        hint: trouble.and_then(|trouble| trouble.hint.as_deref()),
    }
}

fn about(checked: &Checked, as_user: &str) -> String {
    let Checked { user, by, os, sudo, login_ms, answer_ms } = checked;
    let by = by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let sudo = match sudo {
        Sudo::Root => "needs no sudo".to_owned(),
        Sudo::Free => format!("sudo to {as_user} without a password"),
        Sudo::Password => format!("sudo to {as_user} with the password"),
        Sudo::No { why } => format!("no sudo to {as_user}: {why}"),
    };
    format!("{user}{by}, {sudo}; {os}; login {login_ms} ms, answer {answer_ms} ms")
}
