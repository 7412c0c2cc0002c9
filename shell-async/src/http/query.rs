//! The query of a request: each parameter once, none that the endpoint does not know.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::failure::Failure;

/// What a query says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads a query (what follows `?`). A misspelt filter must not look like none: unknown names are refused.
    pub(super) fn parse(query: &str, known: &[&str]) -> Result<Query, Failure> {
        let mut read = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if !known.contains(&name.as_str()) {
                let takes = match known {
                    [] => "this path takes none".to_owned(),
                    known => format!("this path takes {}", known.join(", ")),
                };
                return Err(Failure::bad(format!("the query has an unknown parameter {name:?}: {takes}")));
            }
            if let Some(other) = read.insert(name.clone(), value)
                && other != read.get(&name).map_or("", String::as_str)
            {
                return Err(Failure::bad(format!("the query gives {name:?} more than once")));
            }
        }
        Ok(Query(read))
    }

    /// A parameter; an empty one counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// All parameters by name, less those that are absent.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A parameter that is a number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        let parse = |value: &str| {
            value.parse().map_err(|_| Failure::bad(format!("{name} must be a whole number, not {value:?}")))
        };
        self.get(name).map(parse).transpose()
    }
}

fn decoded(part: &str) -> Result<String, Failure> {
    let spaced = part.replace('+', " ");
    let text = percent_decode_str(&spaced).decode_utf8();
    let text = text.map_err(|_| Failure::bad(format!("{part:?} in the query is not percent-encoded UTF-8")))?;
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_once_and_none_unknown() {
        let check = |query: &str, want: Option<&[(&str, &str)]>| {
            let read = Query::parse(query, &["repo", "ref"]).ok();
            let want = want.map(|pairs| {
                Query(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
            });
            assert_eq!(read, want, "{query}");
        };
        check("", Some(&[]));
        check("repo=work%2Ffoo.git&ref=refs/heads/a+b", Some(&[("repo", "work/foo.git"), ("ref", "refs/heads/a b")]));
        check("repo", Some(&[("repo", "")]));
        check("&&repo=a&", Some(&[("repo", "a")]));
        check("repo=a&repo=a", Some(&[("repo", "a")]));
        check("repo=a&repo=b", None);
        check("repos=a", None);
        check("repo=%ff", None);
    }
}
