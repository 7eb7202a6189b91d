//! `out`: values that later steps read, taken from standard output.

use std::collections::BTreeMap;

use dsl::plan::Out;
use dsl::value::Value;
use regex::RegexBuilder;

use crate::limits::OUT_BYTES;

/// The values of a step, or why there is one missing. `stdout` has passed the filter for secrets.
pub fn take(out: &BTreeMap<String, Out>, stdout: &str, dropped_bytes: u64) -> Result<BTreeMap<String, Value>, String> {
    let mut values = BTreeMap::new();
    for (name, out) in out {
        let (text, ty) = match out {
            Out::Stdout { ty } => {
                if dropped_bytes > 0 {
                    return Err(format!("`out` {name}: standard output is too long to be a value"));
                }
                (stdout.trim_end_matches(['\n', '\r']), ty)
            }
            Out::Regex { pattern, ty } => {
                let regex = RegexBuilder::new(pattern)
                    .multi_line(true)
                    .build()
                    .map_err(|error| format!("`out` {name}: the pattern does not compile: {error}"))?;
                let found = regex.captures(stdout).and_then(|found| found.get(1).or_else(|| found.get(0)));
                let found =
                    found.ok_or_else(|| format!("`out` {name}: nothing in standard output matches `{pattern}`"))?;
                (found.as_str(), ty)
            }
        };
        if text.len() > OUT_BYTES {
            return Err(format!("`out` {name}: {} bytes are more than the {OUT_BYTES} of one value", text.len()));
        }
        let value = dsl::parse_text(ty, text).map_err(|why| format!("`out` {name}: {why}"))?;
        values.insert(name.clone(), value);
    }
    Ok(values)
}
