//! How each kind of value is written in the file: flags, counts, times, sizes, words, lists, secrets.
//!
//! What is wrong is said so that it stands behind the name of the key: `wants a size such as "500M" or a number of bytes, not
//! the text "many"`.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::pattern::full_ref;
use super::types::{Executor, Keep, Role, SecretRule};
use crate::pipeline::quoted;
use crate::queue::Supersede;
use crate::{size, time};

/// A value that is no table.
#[derive(Debug, Clone, Copy)]
enum Given<'a> {
    Flag(bool),
    Number(f64),
    Text(&'a str),
}

/// Why a value will not do.
enum No {
    /// It is of another kind.
    Kind,
    /// What is wrong with it.
    Because(String),
}

/// Reads one value that is no table.
struct Scalar<T, F> {
    wanted: &'static str,
    read: F,
    /// It may be a secret: it is not to be shown.
    is_secret: bool,
    made: PhantomData<T>,
}

impl<T, F: Fn(Given<'_>) -> Result<T, No>> Scalar<T, F> {
    fn take<E: Error>(&self, given: Given<'_>) -> Result<T, E> {
        (self.read)(given).map_err(|no| match (no, given) {
            (No::Because(why), _) => E::custom(why),
            (No::Kind, Given::Text(_)) if self.is_secret => self.no("a text"),
            (No::Kind, Given::Text(text)) => self.no(format_args!("the text {}", quoted(text))),
            (No::Kind, Given::Flag(flag)) => self.no(flag),
            (No::Kind, Given::Number(number)) => self.no(format_args!("the number {number}")),
        })
    }

    fn no<E: Error>(&self, given: impl fmt::Display) -> E {
        E::custom(format_args!("wants {}, not {given}", self.wanted))
    }
}

impl<'de, T, F: Fn(Given<'_>) -> Result<T, No>> Visitor<'de> for Scalar<T, F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.wanted)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        self.take(Given::Flag(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        self.take(Given::Number(value as f64))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        self.take(Given::Number(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        self.take(Given::Number(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<T, E> {
        self.take(Given::Text(value))
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Err(self.no("null"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<T, A::Error> {
        Err(self.no("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<T, A::Error> {
        Err(self.no("a table"))
    }
}

fn scalar<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    wanted: &'static str,
    read: impl Fn(Given<'_>) -> Result<T, No>,
) -> Result<T, D::Error> {
    deserializer.deserialize_any(Scalar { wanted, read, is_secret: false, made: PhantomData })
}

/// A whole number of this range.
fn whole(number: f64, most: f64) -> Result<u64, No> {
    if number.fract() == 0.0 && (0.0..=most).contains(&number) { Ok(number as u64) } else { Err(No::Kind) }
}

/// `true` or `false`.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    scalar(deserializer, "true or false", |given| match given {
        Given::Flag(flag) => Ok(Some(flag)),
        Given::Number(_) | Given::Text(_) => Err(No::Kind),
    })
}

/// A whole number from 1 on.
pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    scalar(deserializer, "a whole number from 1 on", |given| match given {
        Given::Number(number) if number >= 1.0 => {
            whole(number, f64::from(u32::MAX)).map(|count| u32::try_from(count).ok())
        }
        _ => Err(No::Kind),
    })
}

/// Any text but an empty one.
pub(super) fn text<'de, D: Deserializer<'de>, T: From<String>>(deserializer: D) -> Result<T, D::Error> {
    scalar(deserializer, "a text", |given| match given {
        Given::Text("") => Err(No::Because("is empty".to_owned())),
        Given::Text(text) => Ok(text.to_owned().into()),
        Given::Flag(_) | Given::Number(_) => Err(No::Kind),
    })
}

/// A name of a header.
pub(super) fn lower_case<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    text(deserializer).map(|text: String| text.to_ascii_lowercase())
}

/// A time.
pub(super) fn time<'de, D: Deserializer<'de>, T: From<Duration>>(deserializer: D) -> Result<T, D::Error> {
    scalar(deserializer, "a time such as \"90s\", \"10m\", \"1h30m\", or a number of seconds", |given| {
        let time = match given {
            Given::Number(seconds) => time::from_seconds(seconds),
            Given::Text(text) => time::parse(text),
            Given::Flag(_) => None,
        };
        time.map(T::from).ok_or(No::Kind)
    })
}

/// A size.
pub(super) fn size<'de, D: Deserializer<'de>, T: From<u64>>(deserializer: D) -> Result<T, D::Error> {
    // Up to here a number is exact.
    const MOST: f64 = 9_007_199_254_740_992.0;
    scalar(deserializer, "a size such as \"500M\" or \"20GB\", or a number of bytes", |given| match given {
        Given::Number(bytes) => whole(bytes, MOST).map(T::from),
        Given::Text(text) => size::parse(text).map(T::from).map_err(|_| No::Kind),
        Given::Flag(_) => Err(No::Kind),
    })
}

/// One of these words.
fn word<'de, D: Deserializer<'de>, T: Copy>(
    deserializer: D,
    wanted: &'static str,
    words: &[(&str, T)],
) -> Result<T, D::Error> {
    scalar(deserializer, wanted, |given| match given {
        Given::Text(text) => words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or(No::Kind),
        Given::Flag(_) | Given::Number(_) => Err(No::Kind),
    })
}

/// Who performs runs.
pub(super) fn executor<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Executor>, D::Error> {
    scalar(deserializer, "\"quire-ci\" or \"host\"", |given| match given {
        Given::Text("quire-ci") => Ok(Some(Executor::QuireCi)),
        Given::Text("host") => Ok(Some(Executor::Host)),
        Given::Text("container" | "docker") => {
            Err(No::Because("wants \"quire-ci\" or \"host\": the executor \"container\" has not landed yet".to_owned()))
        }
        _ => Err(No::Kind),
    })
}

/// What newer pushes do.
pub(super) fn supersede<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Supersede>, D::Error> {
    let words = [("queued", Supersede::Queued), ("off", Supersede::Off)];
    word(deserializer, "\"queued\" or \"off\"", &words).map(Some)
}

/// Which workspaces stay.
pub(super) fn keep<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Keep>, D::Error> {
    word(deserializer, "\"failed\" or \"none\"", &[("failed", Keep::Failed), ("none", Keep::None)]).map(Some)
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Role, D::Error> {
        let words = [("read", Role::Read), ("run", Role::Run), ("admin", Role::Admin)];
        word(deserializer, "\"read\", \"run\" or \"admin\"", &words)
    }
}

/// The full name of a branch that is named shortly.
pub(super) fn branch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    text(deserializer).map(|name: String| Some(full_ref(&name)))
}

/// An element of a list.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        text(deserializer).map(Text)
    }
}

/// A value of the environment.
struct Variable(String);

impl<'de> Deserialize<'de> for Variable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Variable, D::Error> {
        scalar(deserializer, "a text", |given| match given {
            Given::Text(text) => Ok(Variable(text.to_owned())),
            Given::Number(number) => Ok(Variable(number.to_string())),
            Given::Flag(_) => Err(No::Kind),
        })
    }
}

struct Address(IpAddr);

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
        scalar(deserializer, "an address such as \"127.0.0.1\" or \"::1\"", |given| match given {
            Given::Text(text) => text.parse().map(Address).map_err(|_| No::Kind),
            Given::Flag(_) | Given::Number(_) => Err(No::Kind),
        })
    }
}

/// Reads a list; a table without anything in it is one.
struct List<T>(&'static str, PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            elements.push(element);
        }
        Ok(elements)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<T>, A::Error> {
        match map.next_key::<String>()? {
            None => Ok(Vec::new()),
            Some(_) => Err(A::Error::custom(format_args!("wants {}, not a table with names as keys", self.0))),
        }
    }
}

/// A list of texts.
pub(super) fn texts<'de, D: Deserializer<'de>, T: FromIterator<String>>(deserializer: D) -> Result<T, D::Error> {
    let list: Vec<Text> = deserializer.deserialize_any(List("a list of texts", PhantomData))?;
    Ok(list.into_iter().map(|text| text.0).collect())
}

/// A list of addresses.
pub(super) fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpAddr>, D::Error> {
    let list: Vec<Address> = deserializer.deserialize_any(List("a list of addresses", PhantomData))?;
    Ok(list.into_iter().map(|address| address.0).collect())
}

/// Names to texts.
pub(super) fn environment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let map = BTreeMap::<String, Variable>::deserialize(deserializer)?;
    Ok(map.into_iter().map(|(name, value)| (name, value.0)).collect())
}

/// Where a secret comes from, checked. What is refused is not shown: it may be the secret itself.
struct SecretFrom(String);

const SOURCE: &str = "env:NAME or file:PATH";

impl<'de> Deserialize<'de> for SecretFrom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SecretFrom, D::Error> {
        let read = |given: Given<'_>| match given {
            Given::Text(text) => match text.split_once(':') {
                Some(("env", name)) if is_variable(name) => Ok(SecretFrom(text.to_owned())),
                Some(("file", path)) if !path.is_empty() && !path.contains('\0') => Ok(SecretFrom(text.to_owned())),
                _ => Err(No::Because(format!("wants {SOURCE}: the secret itself does not belong into this file"))),
            },
            Given::Flag(_) | Given::Number(_) => Err(No::Because(format!("wants {SOURCE}"))),
        };
        deserializer.deserialize_any(Scalar { wanted: SOURCE, read, is_secret: true, made: PhantomData })
    }
}

/// May an environment variable be called so?
pub(super) fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `{ from = …, refs = … }`, or `{ "env:X", refs = … }`.
#[derive(serde::Deserialize)]
struct SecretTable {
    #[serde(rename = "1")]
    first: Option<SecretFrom>,
    from: Option<SecretFrom>,
    #[serde(default, deserialize_with = "refs")]
    refs: Vec<String>,
}

fn refs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let list: Vec<Text> = deserializer.deserialize_any(List("a list of refs", PhantomData))?;
    Ok(list.into_iter().map(|text| full_ref(&text.0)).collect())
}

impl<'de> Deserialize<'de> for SecretRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SecretRule, D::Error> {
        struct Secret;

        impl<'de> Visitor<'de> for Secret {
            type Value = SecretRule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(SOURCE)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<SecretRule, E> {
                let from = SecretFrom::deserialize(serde::de::value::StrDeserializer::new(text))?;
                Ok(SecretRule { from: from.0, refs: Vec::new() })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<SecretRule, A::Error> {
                match (list.next_element::<SecretFrom>()?, list.next_element::<serde::de::IgnoredAny>()?) {
                    (Some(from), None) => Ok(SecretRule { from: from.0, refs: Vec::new() }),
                    _ => Err(A::Error::custom("comes from one place: refs, if there are any, are a key of their own")),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SecretRule, A::Error> {
                let table = SecretTable::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                match (table.first, table.from) {
                    (Some(_), Some(_)) => Err(A::Error::custom("comes from one place, not from two")),
                    (Some(from), None) | (None, Some(from)) => Ok(SecretRule { from: from.0, refs: table.refs }),
                    (None, None) => Err(A::Error::custom(format_args!("does not say where it comes from: {SOURCE}"))),
                }
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<SecretRule, E> {
                Err(E::custom(format_args!("wants {SOURCE}")))
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<SecretRule, E> {
                self.visit_bool(false)
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<SecretRule, E> {
                self.visit_bool(false)
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<SecretRule, E> {
                self.visit_bool(false)
            }

            fn visit_unit<E: Error>(self) -> Result<SecretRule, E> {
                self.visit_bool(false)
            }
        }

        deserializer.deserialize_any(Secret)
    }
}
