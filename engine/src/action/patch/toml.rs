//! TOML, merged as JSON merge patch says: order, comments and spaces stay, but those of a key that is removed go with it.

use dsl::data::Data;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use super::Wrong;

/// The text after the patch; the same text where there is nothing to do.
pub fn merge(text: &str, patch: &[(String, Data)]) -> Result<String, Wrong> {
    let mut document = text.parse::<DocumentMut>().map_err(|error| match error.span() {
        Some(span) => Wrong::at(text, span.start, error.message()),
        None => Wrong { at: None, what: error.message().to_owned() },
    })?;
    let changed = table(document.as_table_mut(), patch, false)?;
    Ok(if changed { document.to_string() } else { text.to_owned() })
}

/// Whether anything changed. `inline`: within a table that stands on one line.
fn table(table: &mut dyn TableLike, patch: &[(String, Data)], inline: bool) -> Result<bool, Wrong> {
    let mut changed = false;
    for (name, data) in patch {
        if *data == Data::Null {
            changed |= table.remove(name).is_some();
            continue;
        }
        let Some(item) = table.get_mut(name) else {
            if let Some(last) = table.iter_mut().last().and_then(|(_, item)| item.as_value_mut()).filter(|_| inline) {
                close_up(last);
            }
            table.insert(name, new_item(data, inline)?);
            changed = true;
            continue;
        };
        if is(item, data) {
            continue;
        }
        if let Data::Map(inner) = data {
            let line = inline || item.is_inline_table();
            if let Some(inner_table) = item.as_table_like_mut() {
                changed |= self::table(inner_table, inner, line)?;
                continue;
            }
        }
        changed = true;
        match (item.as_value_mut(), data) {
            // The comment behind it stays.
            (Some(old), data) => {
                let decor = old.decor().clone();
                *old = value(data)?;
                *old.decor_mut() = decor;
            }
            (None, data) => *item = new_item(data, inline)?,
        }
    }
    Ok(changed)
}

/// The space between the last value of a line and its bracket does not belong before the comma that follows now.
fn close_up(last: &mut Value) {
    let decor = last.decor_mut();
    if decor.suffix().and_then(|suffix| suffix.as_str()).is_some_and(|suffix| suffix == " ") {
        decor.set_suffix("");
    }
}

fn new_item(data: &Data, inline: bool) -> Result<Item, Wrong> {
    match data {
        Data::Map(map) if !inline => {
            let mut new = Table::new();
            table(&mut new, map, false)?;
            // A table that only holds tables needs no line of its own.
            new.set_implicit(!new.is_empty() && new.iter().all(|(_, item)| item.is_table()));
            Ok(Item::Table(new))
        }
        data => value(data).map(Item::Value),
    }
}

fn value(data: &Data) -> Result<Value, Wrong> {
    Ok(match data {
        Data::Null => return Err(Wrong::of_patch("TOML has no `None` in a list")),
        Data::Bool(b) => Value::from(*b),
        Data::Int(i) => Value::from(*i),
        Data::Float(x) => Value::from(*x),
        Data::Text(text) => Value::from(text.as_str()),
        Data::List(list) => Value::Array(list.iter().map(value).collect::<Result<Array, Wrong>>()?),
        Data::Map(map) => {
            let mut new = InlineTable::new();
            table(&mut new, map, true)?;
            Value::InlineTable(new)
        }
    })
}

/// Whether an item is this already. A map is merged, so it never is.
fn is(item: &Item, data: &Data) -> bool {
    match (item, data) {
        (Item::Value(value), data) => equals(value, data),
        (Item::ArrayOfTables(tables), Data::List(list)) => {
            tables.len() == list.len() && tables.iter().zip(list).all(|(table, data)| same_entries(table, data))
        }
        _ => false,
    }
}

fn equals(value: &Value, data: &Data) -> bool {
    match (value, data) {
        (Value::String(a), Data::Text(b)) => a.value() == b,
        (Value::Integer(a), Data::Int(b)) => a.value() == b,
        (Value::Float(a), Data::Float(b)) => a.value() == b,
        (Value::Boolean(a), Data::Bool(b)) => a.value() == b,
        (Value::Array(a), Data::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equals(a, b)),
        (Value::InlineTable(a), b) => same_entries(a, b),
        _ => false,
    }
}

/// Whether a table has exactly these entries.
fn same_entries(table: &dyn TableLike, data: &Data) -> bool {
    let Data::Map(map) = data else { return false };
    let map: Vec<_> = map.iter().filter(|(_, data)| *data != Data::Null).collect();
    let has = |(key, data): &&(String, Data)| match (table.get(key), data) {
        (Some(item), Data::Map(_)) => item.as_table_like().is_some_and(|inner| same_entries(inner, data)),
        (Some(item), data) => is(item, data),
        (None, _) => false,
    };
    table.len() == map.len() && map.iter().all(has)
}
