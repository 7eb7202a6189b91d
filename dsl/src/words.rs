//! Lists and maps that are given as RON texts: `["a", 1]`, `{ "name": "value" }`. Their elements are read as texts, by type.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::limits;

/// A text, or a number or Bool as the text that it is written as.
pub(crate) struct Word(pub(crate) String);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Word, D::Error> {
        struct Visit;
        impl Visitor<'_> for Visit {
            type Value = Word;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, `true` or `false`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Word, E> {
                Ok(Word(text.to_owned()))
            }

            fn visit_bool<E: Error>(self, truth: bool) -> Result<Word, E> {
                Ok(Word(truth.to_string()))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Word, E> {
                Ok(Word(number.to_string()))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Word, E> {
                Ok(Word(number.to_string()))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Word, E> {
                Ok(Word(number.to_string()))
            }
        }
        deserializer.deserialize_any(Visit)
    }
}

/// The entries of a map, whose keys are unique: ron itself lets the last of two win.
struct Words(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Words, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Words;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Words, A::Error> {
                let mut all = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    if all.insert(key, map.next_value::<Word>()?.0).is_some() {
                        return Err(A::Error::custom("a key stands there twice"));
                    }
                }
                Ok(Words(all))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

/// The elements of a list that is given as text: `a,b` or `["a", "b"]`.
pub(crate) fn elements(text: &str) -> Result<Vec<String>, String> {
    let text = text.trim();
    let list: Vec<String> = if text.starts_with('[') {
        let wrong = |_| "a list is written `a,b` or `[\"a\", \"b\"]`".to_owned();
        let words: Vec<Word> = crate::syntax::options().from_str(text).map_err(wrong)?;
        words.into_iter().map(|word| word.0).collect()
    } else if text.is_empty() {
        Vec::new()
    } else {
        text.split(',').map(|element| element.trim().to_owned()).collect()
    };
    match list.len() <= limits::ELEMENTS {
        true => Ok(list),
        false => Err(format!("a list has at most {} elements", limits::ELEMENTS)),
    }
}

/// The entries of a map that is given as text: `{ "name": "value" }`.
pub(crate) fn entries(text: &str) -> Result<BTreeMap<String, String>, String> {
    let map: Result<Words, _> = crate::syntax::options().from_str(text);
    let Words(map) = map.map_err(|error| match error.code {
        ron::Error::Message(message) if message.contains("twice") => message,
        _ => "a map is written `{ \"name\": \"value\" }`".to_owned(),
    })?;
    match map.len() <= limits::ELEMENTS {
        true => Ok(map),
        false => Err(format!("a map has at most {} entries", limits::ELEMENTS)),
    }
}

/// Whether a text can be the key of a map.
pub(crate) fn is_key(key: &str) -> Result<(), String> {
    if key.is_empty() || key.len() > limits::MAP_KEY_BYTES || key.contains(char::is_control) {
        return Err(format!("a key has 1 to {} bytes and no control characters", limits::MAP_KEY_BYTES));
    }
    Ok(())
}
