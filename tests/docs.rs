//! The documents against the tree, without servers: lengths, links, and whether everything that a document
//! names in backticks exists. A rename that forgets a document fails here.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test that is how a fault is shown"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// How many lines a document may have.
const LINES_MAX: [(&str, usize); 2] = [("README.md", 80), ("docs/internals/architecture.md", 150)];
/// The top folders whose paths are compared with the tree.
const FOLDERS: [&str; 6] = ["src/", "tests/", "scripts/", "docs/", "packaging/", "fuzz/"];
/// Documents about the past. They may use names that do not exist any more.
const HISTORIES: [&str; 2] = ["CHANGELOG.md", "docs/internals/glossary.md"];
/// Names that look like types of pandad, but are the `kafka` crate's.
const OTHERS_TYPES: [&str; 3] = ["KafkaClient", "Consumer", "CorruptMessage"];

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|one| one == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

struct Document {
    /// The path of the document, from the top of the repository.
    name: String,
    folder: PathBuf,
    text: String,
}

fn documents() -> Vec<Document> {
    let top = fs::read_dir(here()).unwrap().map(|entry| entry.unwrap().path());
    let top = top.filter(|path| path.extension().is_some_and(|end| end == "md"));
    let mut paths: Vec<PathBuf> = top.chain(files(&here().join("docs"), "md")).collect();
    paths.sort();
    let document = |path: PathBuf| Document {
        name: path.strip_prefix(here()).unwrap().display().to_string(),
        folder: path.parent().unwrap().to_owned(),
        text: fs::read_to_string(&path).unwrap(),
    };
    paths.into_iter().map(document).collect()
}

/// The texts between backticks, line by line: no quoted code has a line break in it. Lines that are
/// indented by four blanks are examples, and are left out.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter(|line| !line.starts_with("    "));
    lines.flat_map(|line| line.split('`').skip(1).step_by(2))
}

fn fail_with(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn documents_are_short() {
    for (name, most) in LINES_MAX {
        let lines = fs::read_to_string(here().join(name)).unwrap().lines().count();
        assert!(lines <= most, "{name} has {lines} lines, {most} are allowed");
    }
}

/// The part of a page that a link names must exist, too.
#[test]
fn links_lead_somewhere() {
    let mut faults = Vec::new();
    for Document { name, folder, text } in documents() {
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") || target.is_empty() {
                continue;
            }
            let (path, part) = target.split_once('#').unwrap_or((target, ""));
            let path = if path.is_empty() { here().join(&name) } else { folder.join(path) };
            if !path.exists() {
                faults.push(format!("{name}: {target} does not exist"));
            } else if !part.is_empty() && !headings(&path).contains(part) {
                faults.push(format!("{name}: {target} names no heading"));
            }
        }
    }
    fail_with(&faults);
}

/// The anchors of a page's headings, as GitHub makes them.
fn headings(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let words = line.trim_start_matches('#').trim().to_lowercase();
            let kept = words.chars().filter(|one| one.is_alphanumeric() || " -_".contains(*one));
            kept.map(|one| if one == ' ' { '-' } else { one }).collect()
        })
        .collect()
}

/// Paths such as `src/kafka/seam.rs`, and names of files such as `seam.rs`.
#[test]
fn paths_exist() {
    let sources: BTreeSet<String> = ["src", "tests", "fuzz"]
        .iter()
        .flat_map(|folder| files(&here().join(folder), "rs"))
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let mut faults = Vec::new();
    for Document { name, text, .. } in documents() {
        if HISTORIES.contains(&name.as_str()) {
            continue;
        }
        for word in quoted(&text).filter_map(|code| code.split_whitespace().next()) {
            let is_path = FOLDERS.iter().any(|folder| word.starts_with(folder)) && !word.contains('*');
            let is_file = word.ends_with(".rs") && !word.contains('/');
            if (is_path && !here().join(word).exists()) || (is_file && !sources.contains(word)) {
                faults.push(format!("{name}: {word} does not exist"));
            }
        }
    }
    fail_with(&faults);
}

/// Keys of the .inv, such as `kafka['start']`, against the page that is made of them.
#[test]
fn keys_exist() {
    let keys = fs::read_to_string(here().join("docs/configuration.md")).unwrap();
    let mut faults = Vec::new();
    for Document { name, text, .. } in documents() {
        for code in quoted(&text).filter(|code| !code.contains("master[")) {
            let Some((before, rest)) = code.split_once("['") else { continue };
            let block = before.rsplit(' ').next().unwrap();
            let last = format!("['{}']", rest.split_once("']").map_or(rest, |(last, _)| last));
            let known = keys.contains(&format!("{block}{last}"))
                || (block.starts_with("redis_") && keys.contains(&format!("X{last}")));
            if !known && block != "a" {
                faults.push(format!("{name}: there is no key {code}"));
            }
        }
    }
    fail_with(&faults);
}

/// `Fetcher` and `resume::decide`, in the pages about the sources.
#[test]
fn types_and_functions_exist() {
    let sources: Vec<String> =
        files(&here().join("src"), "rs").iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let is_declared = |kind: &str, name: &str| {
        let declared = format!("{kind} {name}");
        sources.iter().any(|text| {
            text.match_indices(&declared).any(|(at, found)| {
                let next = text[at + found.len()..].chars().next();
                next.is_none_or(|next| !next.is_alphanumeric() && next != '_')
            })
        })
    };
    let mut faults = Vec::new();
    for Document { name, text, .. } in documents() {
        if !name.starts_with("docs/internals/") || HISTORIES.contains(&name.as_str()) {
            continue;
        }
        for code in quoted(&text) {
            let is_word = code.chars().all(|one| one.is_alphanumeric() || one == '_');
            let is_type = is_word
                && code.starts_with(|one: char| one.is_ascii_uppercase())
                && code.contains(|one: char| one.is_ascii_lowercase());
            let kinds = ["struct", "enum", "trait", "type"];
            // A variant stands on a line of its own.
            let is_known = || {
                kinds.iter().any(|kind| is_declared(kind, code))
                    || sources.iter().any(|text| text.lines().any(|line| is_variant(line, code)))
            };
            if is_type && !OTHERS_TYPES.contains(&code) && !is_known() {
                faults.push(format!("{name}: no type or variant is called {code}"));
            }
            if let Some((module, function)) = code.split_once("::")
                && module.chars().all(|one| one.is_ascii_lowercase() || one == '_')
                && !function.ends_with('!')
                && !is_declared("fn", function.trim_end_matches("()"))
            {
                faults.push(format!("{name}: there is no function {code}"));
            }
        }
    }
    fail_with(&faults);
}

fn is_variant(line: &str, name: &str) -> bool {
    let rest = line.trim_start().strip_prefix(name);
    rest.is_some_and(|rest| line.starts_with("    ") && rest.starts_with([',', '(', ' ', '{']))
}
