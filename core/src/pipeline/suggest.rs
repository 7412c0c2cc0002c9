//! "did you mean": the nearest of the names that exist.

use super::diagnostic::{named, quoted};

/// Most names that a list shows.
const LISTED: usize = 20;
/// Most names that are compared.
const COMPARED: usize = 500;

/// The name that was probably meant by `wrong`, if one is near enough: the same but for case, the same behind a `/`, or few edits away.
pub fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = wrong.to_lowercase();
    names
        .take(COMPARED)
        .filter_map(|name| {
            let behind = name.rsplit_once('/').is_some_and(|(_, last)| last == lower);
            let distance = if behind { 0 } else { distance(&lower, &name.to_lowercase())? };
            let most = lower.chars().count().max(name.chars().count()).div_ceil(3).min(4);
            (distance <= most && distance < lower.chars().count().max(1)).then_some((distance, name))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// `did you mean "x"? ` or nothing.
pub(crate) fn did_you_mean<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> String {
    nearest(wrong, names).map(|name| format!("did you mean {}? ", quoted(name))).unwrap_or_default()
}

/// `a, b, c`, and how many more.
pub(crate) fn list<'a>(mut names: impl Iterator<Item = &'a str>) -> String {
    let shown: Vec<&str> = names.by_ref().take(LISTED).collect();
    let more = names.count();
    let mut text = shown.into_iter().map(named).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// Edits (insert, delete, replace, swap of neighbours) that make `b` of `a`; `None` for texts too long to be worth it.
fn distance(a: &str, b: &str) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().max(b.len()) > 120 {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let replaced = above.get(j)? + usize::from(x != y);
            let mut best = replaced.min(above.get(j + 1)? + 1).min(row.get(j)? + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(before.get(j - 1)? + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("a", "", 1),
            ("biuld", "build", 1),
            ("tset", "test", 1),
            ("abc", "xyz", 3),
            ("lint", "links", 2),
        ] {
            assert_eq!(distance(a, b), Some(expected), "{a} {b}");
            assert_eq!(distance(b, a), Some(expected), "{b} {a}");
        }
        assert_eq!(distance(&"x".repeat(121), "x"), None);
    }

    #[test]
    fn the_nearest_name() {
        let names = ["build", "lint", "test-1.2", "quire/push", "quire/manual"];
        for (wrong, expected) in [
            ("biuld", Some("build")),
            ("Build", Some("build")),
            ("push", Some("quire/push")),
            ("quire/pusch", Some("quire/push")),
            ("test-1.3", Some("test-1.2")),
            ("deploy", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, names.into_iter()), expected, "{wrong}");
        }
    }

    #[test]
    fn lists_are_cut() {
        assert_eq!(list(["a", "b"].into_iter()), "a, b");
        let many: Vec<String> = (0..23).map(|n| n.to_string()).collect();
        assert!(list(many.iter().map(String::as_str)).ends_with(", 19 and 3 more"));
    }
}
