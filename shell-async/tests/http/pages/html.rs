//! A page, read crudely: its tags with their attributes, and its text. It panics where a browser would have to guess.

use std::collections::BTreeSet;

use crate::client::{Place, Whole};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// `a`, `/a`.
    pub name: String,
    /// Decoded.
    pub attributes: Vec<(String, String)>,
    /// What follows up to the next tag, decoded.
    pub text: String,
}

impl Tag {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn has_class(&self, class: &str) -> bool {
        self.get("class").is_some_and(|all| all.split(' ').any(|one| one == class))
    }
}

#[derive(Debug)]
pub struct Page {
    pub source: String,
    pub tags: Vec<Tag>,
}

impl Page {
    /// Reads a page and checks what holds for every one: nothing in it is run.
    #[track_caller]
    pub fn of(whole: &Whole) -> Page {
        assert_eq!(whole.headers["content-type"], "text/html; charset=utf-8", "{}", whole.text());
        let source = whole.text();
        let page = Page { tags: tags(&source), source };
        for (at, tag) in page.tags.iter().enumerate() {
            assert_ne!(tag.name, "style");
            if tag.name == "script" {
                assert!(tag.get("src").is_some() && tag.text.is_empty(), "{tag:?}");
                assert_eq!(page.tags[at + 1].name, "/script");
            }
            for (name, value) in &tag.attributes {
                assert!(name != "style" && !name.starts_with("on") && name != "srcdoc", "{tag:?}");
                if matches!(&**name, "href" | "src" | "action") {
                    let is_ours = (value.starts_with('/') && !value.starts_with("//")) || value.starts_with(['#', '?']);
                    assert!(is_ours, "{tag:?}");
                }
            }
        }
        page
    }

    /// The page at this address.
    #[track_caller]
    pub fn at(place: &Place, path: &str) -> Page {
        let whole = place.get(path, &[]);
        assert_eq!(whole.status, 200, "{path}: {}", whole.text());
        Page::of(&whole)
    }

    /// All text, less what surrounds it.
    pub fn text(&self) -> String {
        let all: String = self.tags.iter().map(|tag| tag.text.as_str()).collect::<Vec<_>>().join(" ");
        all.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    pub fn has(&self, text: &str) -> bool {
        self.text().contains(text)
    }

    pub fn ids(&self) -> BTreeSet<&str> {
        self.tags.iter().filter_map(|tag| tag.get("id")).collect()
    }

    /// Every address that the page leads to.
    pub fn links(&self) -> BTreeSet<&str> {
        self.tags.iter().flat_map(|tag| ["href", "src"].into_iter().filter_map(|name| tag.get(name))).collect()
    }

    /// Where the link with this text leads.
    #[track_caller]
    pub fn link(&self, text: &str) -> &str {
        let found = self.tags.iter().find(|tag| tag.name == "a" && tag.text.trim() == text);
        found.and_then(|tag| tag.get("href")).unwrap_or_else(|| panic!("a link {text:?} in {}", self.source))
    }

    pub fn with_class<'a>(&'a self, class: &'a str) -> impl Iterator<Item = &'a Tag> {
        self.tags.iter().filter(move |tag| tag.has_class(class))
    }

    /// The version that its live view begins with.
    pub fn version(&self) -> &str {
        self.tags[0].get("data-version").unwrap_or_default()
    }

    pub fn is_live(&self) -> bool {
        self.tags[0].get("data-live") == Some("true")
    }

    /// Tags with the names of their attributes: what the page is, whatever its texts are.
    pub fn shape(&self) -> Vec<String> {
        let one = |tag: &Tag| {
            let names: Vec<&str> = tag.attributes.iter().map(|(name, _)| name.as_str()).collect();
            format!("{} {}", tag.name, names.join(" "))
        };
        self.tags.iter().map(one).collect()
    }

    /// Rows of a log: number and text.
    pub fn rows(&self) -> Vec<(u64, String)> {
        let mut rows: Vec<(u64, String)> = Vec::new();
        let (mut depth, mut is_inside) = (0, false);
        for tag in &self.tags {
            match &*tag.name {
                "a" if tag.has_class("n") => rows.push((tag.get("data-n").unwrap().parse().unwrap(), String::new())),
                "span" if tag.has_class("t") => (depth, is_inside) = (1, true),
                "span" if is_inside => depth += 1,
                "/span" if is_inside => {
                    depth -= 1;
                    is_inside = depth > 0;
                }
                _ => {}
            }
            if let Some((_, text)) = rows.last_mut().filter(|_| is_inside) {
                text.push_str(&tag.text);
            }
        }
        rows
    }
}

pub fn decoded(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let (name, behind) = after.split_once(';').unwrap_or_else(|| panic!("a bare & in {text:?}"));
        out.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            number => {
                let digits = number.strip_prefix('#').unwrap_or_else(|| panic!("{number:?} in {text:?}"));
                char::from_u32(digits.parse().unwrap()).unwrap()
            }
        });
        rest = behind;
    }
    out + rest
}

fn tags(source: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = source.trim_start_matches("<!doctype html>\n");
    while let Some(inner) = rest.strip_prefix('<') {
        let name_end = inner.find(|c: char| c.is_whitespace() || c == '>').unwrap();
        let (name, mut at) = inner.split_at(name_end);
        assert!(name.trim_matches('/').bytes().all(|byte| byte.is_ascii_alphanumeric()), "<{name}");
        let mut attributes = Vec::new();
        loop {
            at = at.trim_start();
            if let Some(after) = at.strip_prefix("/>").or_else(|| at.strip_prefix('>')) {
                at = after;
                break;
            }
            let end = at.find(|c: char| c == '=' || c.is_whitespace() || c == '>').unwrap();
            let (key, after) = at.split_at(end);
            assert!(
                key.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'-' || byte.is_ascii_digit() || key == "viewBox"),
                "{key:?} in <{name}"
            );
            match after.strip_prefix("=\"") {
                Some(value) => {
                    let (value, after) = value.split_once('"').unwrap();
                    assert!(!value.contains('<'), "{value:?}");
                    attributes.push((key.to_owned(), decoded(value)));
                    at = after;
                }
                None => {
                    assert!(!after.starts_with('='), "an attribute without quotes: {key:?}");
                    attributes.push((key.to_owned(), String::new()));
                    at = after;
                }
            }
        }
        let (text, after) = at.split_at(at.find('<').unwrap_or(at.len()));
        assert!(!text.contains('>'), "{text:?}");
        tags.push(Tag { name: name.trim_end_matches('/').to_owned(), attributes, text: decoded(text) });
        rest = after;
    }
    assert!(rest.trim().is_empty(), "text outside of everything: {rest:?}");
    tags
}
