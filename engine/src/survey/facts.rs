//! What hosts say of themselves: the facts that workflows read, in one question each.

use std::collections::BTreeMap;
use std::time::Duration;

use dsl::types::Type;
use dsl::value::Value;

use super::{Survey, Trouble, question};
use crate::action::{facts, output};
use crate::host::Host;

/// As long as the step has that a plan asks by.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Facts by name.
pub type Facts = BTreeMap<String, Value>;

impl Survey {
    /// The facts of each host.
    pub async fn facts(&self, stop: impl Future<Output = ()>) -> Option<Vec<(String, Result<Facts, Trouble>)>> {
        self.each(stop, async |host| self.facts_of(host).await).await
    }

    async fn facts_of(&self, host: &Host) -> Result<Facts, Trouble> {
        let end = host.facts(&question("facts"), TIMEOUT).await.map_err(|error| self.trouble(&error))?;
        if end.exit != 0 {
            let said =
                output::last_line(&self.redactor.output(&end.stderr)).unwrap_or_else(|| "it wrote nothing".into());
            let why = format!("the host could not be asked for its facts: exit code {} ({said})", end.exit);
            return Err(self.other(&why));
        }
        let ty = Type::Record(dsl::host_facts::fields());
        match facts::read(&ty, &self.redactor.output(&end.stdout)) {
            Ok(Value::Record(facts)) => Ok(facts),
            Ok(other) => Err(self.other(&format!("the host's facts are a {}", other.kind()))),
            Err(why) => Err(self.other(&format!("the host's facts cannot be read: {why}"))),
        }
    }
}
