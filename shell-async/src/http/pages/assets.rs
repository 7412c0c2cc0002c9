//! Style sheet, script and icons: part of the program. Their names hold a digest of their content, so that browsers keep them for
//! ever and never use old ones.

use std::sync::LazyLock;

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_ENCODING, HeaderValue, VARY};

use super::super::answers::{self, Answer};
use super::super::failure::Failure;
use super::super::respond::Call;
use super::{compressed, palette};

/// States that have an icon, with what it shows: a shape, in ink or in the colour of what is broken.
const ICONS: &[(&str, &str)] = &[
    ("quire", r#"<path d="M4 3h8v10H4zM6 6h4M6 8.5h4" class="o"/>"#),
    ("pending", r#"<circle cx="8" cy="8" r="5.5" class="o"/>"#),
    ("active", r#"<circle cx="8" cy="8" r="5.5" class="o"/><path d="M8 2.5a5.5 5.5 0 0 1 0 11z" class="i"/>"#),
    ("complete", r#"<path d="M2.5 8.5 6.5 12.5 13.5 4" class="o"/>"#),
    ("failed", r#"<path d="M3 3 13 13M13 3 3 13" class="o a"/>"#),
    ("aborted", r#"<path d="M4 4h8v8H4z" class="i"/>"#),
    ("superseded", r#"<path d="M3 11c2-7 7-7 9-2M12.5 5.5V9.500H8.500" class="o"/>"#),
];

/// Of icons: they are seen on the browser's own paper.
const ICON_STYLE: &str = "<style>.o{fill:none;stroke:#16181b;stroke-width:2.2}.i{fill:#16181b}.a{stroke:#b3261e}\
    @media(prefers-color-scheme:dark){.o{stroke:#e4e6e9}.i{fill:#e4e6e9}.a{stroke:#ff8a80}}</style>";

struct Asset {
    /// `quire-0123abcd.css`.
    name: String,
    content_type: &'static str,
    bytes: Vec<u8>,
    compressed: Vec<u8>,
}

struct Assets {
    all: Vec<Asset>,
}

static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    let sheet = [include_str!("../../../assets/quire.css"), &palette::sheet()].concat();
    let mut all = vec![
        Asset::new("quire", "css", "text/css; charset=utf-8", sheet),
        Asset::new(
            "quire",
            "js",
            "text/javascript; charset=utf-8",
            include_str!("../../../assets/quire.js").to_owned(),
        ),
    ];
    for (state, shape) in ICONS {
        let picture =
            format!("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 16\">{ICON_STYLE}{shape}</svg>\n");
        all.push(Asset::new(&format!("icon-{state}"), "svg", "image/svg+xml; charset=utf-8", picture));
    }
    Assets { all }
});

impl Asset {
    fn new(name: &str, extension: &str, content_type: &'static str, text: String) -> Asset {
        let bytes = text.into_bytes();
        let digest = answers::tag(&bytes);
        Asset { name: format!("{name}-{digest}.{extension}"), content_type, compressed: compressed(&bytes, 9), bytes }
    }
}

/// Path of the style sheet.
pub(super) fn sheet() -> String {
    path("quire-", ".css")
}

/// Path of the script.
pub(super) fn script() -> String {
    path("quire-", ".js")
}

/// Path of a state's icon; of another word, quire's own.
pub(super) fn icon(state: Option<&str>) -> String {
    let state = state.filter(|state| ICONS.iter().any(|(known, _)| known == state)).unwrap_or("quire");
    path(&format!("icon-{state}-"), ".svg")
}

fn path(begin: &str, end: &str) -> String {
    let found = ASSETS.all.iter().find(|asset| asset.name.starts_with(begin) && asset.name.ends_with(end));
    format!("/assets/{}", found.map_or("", |asset| &asset.name))
}

/// `GET /assets/{file}`.
pub(in super::super) fn asset(call: &Call) -> Result<Answer, Failure> {
    let name = call.named.part("file");
    let found = ASSETS.all.iter().find(|asset| asset.name == name);
    let found = found.ok_or_else(|| Failure::not_found("there is no such file: reload the page that asked for it"))?;
    let is_compressed = super::takes_gzip(&call.headers);
    let bytes = if is_compressed { &found.compressed } else { &found.bytes };
    let mut answer = answers::typed(StatusCode::OK, found.content_type, bytes.clone());
    let headers = answer.headers_mut();
    if is_compressed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_a_name_of_its_own_content() {
        for path in [sheet(), script(), icon(None), icon(Some("failed")), icon(Some("active"))] {
            let name = path.strip_prefix("/assets/").unwrap();
            assert!(ASSETS.all.iter().any(|asset| asset.name == name), "{path}");
        }
        assert_eq!(icon(Some("no state")), icon(None));
        assert_ne!(icon(Some("failed")), icon(None));
    }

    #[test]
    fn nothing_is_asked_of_others() {
        for asset in &ASSETS.all {
            let text = String::from_utf8(asset.bytes.clone()).unwrap().replace("http://www.w3.org/2000/svg", "");
            for elsewhere in ["http:", "https:", "//cdn", "@import", "url("] {
                assert!(!text.contains(elsewhere), "{} has {elsewhere}", asset.name);
            }
        }
    }
}
