use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::report::{CountedUnit, Counters, DiskState, JobState};

const BYTES_MAX: usize = 40_000;
/// The keys of figures that the page shows in other places than its list of counters.
const SHOWN_ELSEWHERE: [&str; 3] = ["state", "waits_for", "waits_s"];

/// The table of texts in the script: each name with its English and its Chinese text.
fn texts() -> BTreeMap<&'static str, Vec<&'static str>> {
    let (_, table) = PAGE.split_once("const TEXTS = {\n").expect("the table begins");
    let (table, _) = table.split_once("\n};").expect("the table ends");
    let mut texts = BTreeMap::new();
    for entry in table.split("],\n") {
        let (name, list) = entry.split_once(": [").unwrap_or_else(|| panic!("no entry: {entry}"));
        let before = texts.insert(name.trim(), list.split('"').skip(1).step_by(2).collect());
        assert!(before.is_none(), "{name} stands twice");
    }
    texts
}

fn placeholders(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
}

/// The names in `t("NAME"…)` and `data-t="NAME"`.
fn used_texts() -> BTreeSet<&'static str> {
    let found = PAGE.match_indices("t(\"").map(|(at, begin)| (at, at + begin.len()));
    let calls = found.filter(|(at, _)| !PAGE[..*at].ends_with(char::is_alphanumeric));
    let attributes = PAGE.match_indices("data-t=\"").map(|(at, begin)| (at, at + begin.len()));
    calls
        .chain(attributes)
        .filter_map(|(_, after)| PAGE[after..].split_once('"'))
        // `t("queued_" + unit)`: looked for by the test of what the status says.
        .filter(|(_, rest)| !rest.starts_with(" +"))
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn it_is_small_and_asks_nobody_else() {
    assert!(PAGE.len() < BYTES_MAX, "{} bytes", PAGE.len());
    // Addresses of other servers, and ways in which data could become a part of the document.
    for never in ["http:", "https:", "://", "src=", "@import", "url(", "innerHTML", "outerHTML"] {
        assert!(!PAGE.contains(never), "{never}");
    }
    for never in ["insertAdjacentHTML", "document.write", "eval(", "new Function", "DOMParser", "style="] {
        assert!(!PAGE.contains(never), "{never}");
    }
    let links: Vec<&str> = PAGE.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(links, ["/status.json", "/metrics", "/ready", "/live"]);
}

#[test]
fn every_text_is_in_both_languages() {
    for (name, both) in texts() {
        let [english, chinese] = both[..] else { panic!("{name} has {} texts", both.len()) };
        let is_chinese = |text: &str| text.chars().any(|one| ('\u{4e00}'..='\u{9fff}').contains(&one));
        assert!(english.contains(char::is_alphabetic) && !is_chinese(english), "{name}: {english}");
        assert!(is_chinese(chinese), "{name}: {chinese}");
        assert_eq!(placeholders(english), placeholders(chinese), "{name}");
    }
}

#[test]
fn every_text_is_used_and_every_used_text_is_there() {
    let texts = texts();
    let used = used_texts();
    assert!(used.len() > 40, "{used:?}");
    for name in &used {
        assert!(texts.contains_key(name), "{name} is not in the table");
    }
    let script = PAGE.split_once("\n};").expect("the table ends").1;
    // Names that are put together, such as `state_` and the word for the state.
    let composed = ["f_", "state_", "disk_", "job_", "queued_", "records_", "keys_", "items_"];
    for name in texts.keys() {
        let is_used = script.contains(&format!("\"{name}\"")) || used.contains(name);
        assert!(is_used || composed.iter().any(|begin| name.starts_with(begin)), "{name} is not used");
    }
}

#[test]
fn whatever_the_status_says_has_a_text() {
    let texts = texts();
    let known = |name: String| assert!(texts.contains_key(name.as_str()), "{name}");
    for (unit, name) in
        [(CountedUnit::Records, "records"), (CountedUnit::Keys, "keys"), (CountedUnit::Items, "items")]
    {
        for figure in Counters::shared("test", unit).figures() {
            if !SHOWN_ELSEWHERE.contains(&figure.key) {
                known(format!("f_{}", figure.key));
            }
        }
        for form in [format!("job_{name}"), format!("{name}_s"), format!("{name}_n")] {
            known(form);
        }
    }
    for state in [
        JobState::Starting,
        JobState::Running,
        JobState::Standby,
        JobState::Waiting,
        JobState::Blocked,
        JobState::Failed,
        JobState::Ended,
    ] {
        known(format!("state_{state}"));
    }
    for disk in [DiskState::Ok, DiskState::NotOpened, DiskState::RefusesWrites, DiskState::NotSettled] {
        known(format!("disk_{}", disk.word()));
    }
}
