//! Accessibility, as axe-core judges it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::webdriver::Browser;

/// Which of axe's rules hold: WCAG 2.1 to level AA, and what is good practice besides.
const RULES: &str = r#"["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]"#;

/// What breaks a rule: the rule, and each element with the reason.
#[track_caller]
pub fn violations(browser: &Browser) -> Vec<String> {
    browser.script(&source(), &[]);
    let run = format!(
        "const done = arguments[0];
         axe.run(document, {{ runOnly: {RULES}, resultTypes: ['violations'] }})
            .then((found) => done(found.violations), (error) => done([{{ id: 'axe', help: String(error), nodes: [] }}]));"
    );
    let found = browser.script_later(&run, &[]);
    found.as_array().unwrap_or_else(|| panic!("axe says {found}")).iter().map(told).collect()
}

fn told(violation: &Value) -> String {
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let mut told = format!("{}: {}", text(violation, "id"), text(violation, "help"));
    for node in violation["nodes"].as_array().into_iter().flatten() {
        let (html, why) = (text(node, "html"), text(node, "failureSummary").replace('\n', "\n      "));
        told += &format!("\n  at {}\n    {html}\n      {why}", node["target"]);
    }
    told
}

/// axe-core as npm installed it beside this file.
fn source() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let file = folder.join("node_modules/axe-core/axe.min.js");
    fs::read_to_string(&file).unwrap_or_else(|error| {
        let folder = folder.display();
        panic!("{}: {error}: run `npm ci --prefix {folder}`, as .ci/run does", file.display())
    })
}
