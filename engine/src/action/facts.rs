//! `Facts`: what a host says of itself, in one question. The script writes lines `name=value`; the plan says which facts it
//! knows, and of which types. A line that is none, a fact that is missing or does not fit is a failure that says which.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use dsl::types::{Field, Type};
use dsl::value::Value;

use super::{failure, output};
use crate::host::Host;
use crate::limits::{FACT_BYTES, FACT_LINES};
use crate::operation::{Failure, NodeOutcome};
use crate::redact::Redactor;
use crate::runner::{Call, Context};

/// Asks, unless somebody else of the operation asks the same host, or has: `epoch` is how often a person set it going again, and
/// asked anew with that.
pub async fn ask(context: &Context, host: &Host, call: &Call, epoch: u32) -> NodeOutcome {
    let asked = context.facts.of(host.slot(), epoch);
    let said = asked.get_or_try_init(|| said(&context.redactor, host, call)).await;
    match said.and_then(|said| values(call, said)) {
        Ok(out) => NodeOutcome::Succeeded { out, changed: false, output: None },
        Err(failure) => NodeOutcome::Failed { failure, output: None },
    }
}

/// Asks without an operation.
pub(crate) async fn look(redactor: &Redactor, host: &Host, call: &Call) -> Result<BTreeMap<String, Value>, Failure> {
    values(call, &said(redactor, host, call).await?)
}

fn values(call: &Call, said: &str) -> Result<BTreeMap<String, Value>, Failure> {
    let value = |(name, out): (&String, &dsl::plan::Out)| match read(&out.ty(), said) {
        Ok(value) => Ok((name.clone(), value)),
        Err(why) => Err(failure::other(format!("the host's facts cannot be read: {why}"))),
    };
    call.out.iter().map(value).collect()
}

/// What the host says, with secrets filtered.
async fn said(redactor: &Redactor, host: &Host, call: &Call) -> Result<String, Failure> {
    let end = host.facts(&call.job, call.timeout).await.map_err(|error| failure::of(&error))?;
    if end.exit != 0 {
        let said = output::last_line(&redactor.output(&end.stderr)).unwrap_or_else(|| "it wrote nothing".to_owned());
        return Err(failure::other(format!(
            "the host could not be asked for its facts: exit code {} ({said})",
            end.exit
        )));
    }
    if end.stdout.dropped_bytes > 0 {
        return Err(failure::other("the host says too much of itself"));
    }
    Ok(redactor.output(&end.stdout))
}

/// The record of this type that the lines make, or what is wrong with them.
pub fn read(ty: &Type, said: &str) -> Result<Value, String> {
    let Type::Record(fields) = ty else { return Err(format!("the plan wants {ty}, not a record")) };
    let mut lines: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (number, line) in said.lines().enumerate() {
        if number >= FACT_LINES {
            return Err(format!("it says more than {FACT_LINES} of them"));
        }
        let Some((name, value)) = line.split_once('=').filter(|(name, _)| is_name(name)) else {
            return Err(format!("line {} is none: {:?}", number + 1, line.chars().take(80).collect::<String>()));
        };
        if value.len() > FACT_BYTES {
            return Err(format!("`{name}` has more than {FACT_BYTES} bytes"));
        }
        let value: String = value.chars().filter(|c| !c.is_control()).collect();
        lines.entry(name).or_default().push(value);
    }
    let mut facts = BTreeMap::new();
    for (name, field) in fields {
        let said = lines.get(name.as_str()).map(Vec::as_slice).unwrap_or_default();
        if let Some(value) = fact(field, said).map_err(|why| format!("`{name}`: {why}"))? {
            facts.insert(name.clone(), value);
        }
    }
    Ok(Value::Record(facts))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn fact(field: &Field, said: &[String]) -> Result<Option<Value>, String> {
    let one = |ty: &Type, text: &String| -> Result<Value, String> {
        let text = if *ty == Type::Address { address(text) } else { text.clone() };
        dsl::parse_text(ty, &text).map_err(|why| format!("{why}, and it says {text:?}"))
    };
    match (&field.ty, said) {
        (Type::List(of), said) => {
            // The kernel's tables name an address several times.
            let mut seen = BTreeSet::new();
            let said = said.iter().filter(|text| seen.insert(*text));
            Ok(Some(Value::List(said.map(|text| one(of, text)).collect::<Result<_, _>>()?)))
        }
        (ty, [said, ..]) => one(ty, said).map(Some),
        (_, []) if field.optional => Ok(None),
        (_, []) => Err("the host does not say".to_owned()),
    }
}

/// An address as people write it: the kernel has those of IPv6 without colons.
fn address(text: &str) -> String {
    match u128::from_str_radix(text, 16) {
        Ok(bits) if text.len() == 32 => Ipv6Addr::from_bits(bits).to_string(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "os=debian\nos_like=a\nos_like=b\nkernel=6.1\nmachine=x86_64\narch=amd64\ninit=systemd\nhostname=h\n\
        fqdn=h.example\nboot_id=b\nuptime=90s\ncpus=2\nmemory=1024 KiB\nroot_size=4 KiB\nroot_free=2 KiB\nvar_free=1 KiB\n\
        addresses=192.0.2.1\naddresses=192.0.2.1\naddresses=fd000000000000000000000000000002\nlater=what a newer script says\n";

    fn read_all(said: &str) -> Result<BTreeMap<String, Value>, String> {
        match read(&Type::Record(dsl::host_facts::fields()), said)? {
            Value::Record(facts) => Ok(facts),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_are_read_by_the_types_of_the_plan() {
        let facts = read_all(SAID).unwrap();
        let texts = |texts: &[&str]| Value::List(texts.iter().map(|text| Value::Text((*text).to_owned())).collect());
        assert_eq!(facts["os_like"], texts(&["a", "b"]));
        assert_eq!(facts["addresses"], texts(&["192.0.2.1", "fd00::2"]), "once each, as people write them");
        assert_eq!(facts["uptime"], Value::DurationMs(90_000));
        assert_eq!(facts["memory"], Value::Int(1 << 20));
        assert!(!facts.contains_key("docker") && !facts.contains_key("later"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (from, to, why) in [
            ("root_size=4 KiB", "", "line 14 is none: \"\""),
            ("root_size=4 KiB\n", "", "`root_size`: the host does not say"),
            ("cpus=2", "cpus=two", "`cpus`: a whole number is expected, and it says \"two\""),
            ("init=systemd", "init=upstart", "`init`: one of"),
            ("os=debian", "Welcome!", "line 1 is none: \"Welcome!\""),
            ("addresses=192.0.2.1", "addresses=a/b", "`addresses`: a host name or an IP address"),
        ] {
            let said = read_all(&SAID.replacen(from, to, 1)).unwrap_err();
            assert!(said.starts_with(why), "{said}");
        }
        let long = SAID.replacen("os=debian", &format!("os={}", "x".repeat(FACT_BYTES + 1)), 1);
        assert!(read_all(&long).unwrap_err().starts_with("`os` has more than"));
        let many = SAID.to_owned() + &"addresses=192.0.2.1\n".repeat(FACT_LINES);
        assert!(read_all(&many).unwrap_err().starts_with("it says more than"));
    }

    #[test]
    fn a_model_host_says_what_a_host_says() {
        let (Value::Record(model), fields) = (dsl::host_facts::model(), dsl::host_facts::fields()) else {
            panic!("a record")
        };
        assert!(fields.iter().all(|(name, field)| field.optional || model.contains_key(name)));
        assert!(model.keys().all(|name| fields.contains_key(name)));
    }
}
