//! The shipped .inv and the tables of docs/configuration.md, both written from the keys.
//!
//! Only a test calls this: it compares these texts with the files and renews the files.

use std::collections::HashSet;

use super::key::{KeyFacts, Usage};
use super::key_name;
use super::keys;
use super::settings::KEYS;

/// Hosts in the original's .inv; the shipped .inv has the address of this machine in their place.
const ORIGINAL_HOSTS: [&str; 2] = ["172.16.61.176", "172.16.61.100"];
/// What the shipped .inv says of keys whose absence means something else.
const SHIPPED_VALUES: [(&str, &str); 1] = [("http", "127.0.0.1:9750")];
const INDENT: &str = "    ";
/// A default longer than this is not shown in a table.
const DEFAULT_BYTES_MAX: usize = 40;

/// The shipped .inv: the original's lines, byte for byte except for the hosts. Each key that pandad
/// adds stands below the one that precedes it in the list of keys.
pub fn shipped_inv(original: &str) -> String {
    let given: HashSet<(String, String)> = entries(original).collect();
    let is_own = |key: &&KeyFacts| !given.contains(&(key.section.to_owned(), key.name.to_owned()));
    let mut out = String::new();
    let mut section = "";
    for line in original.lines() {
        out.push_str(
            &ORIGINAL_HOSTS.iter().fold(line.to_owned(), |line, host| line.replace(host, "127.0.0.1")),
        );
        out.push('\n');
        section = heading(line).unwrap_or(section);
        let Some(name) = key_of(line) else { continue };
        let after = KEYS.in_section(section).skip_while(|key| key.name != name).skip(1);
        after.take_while(is_own).for_each(|key| out.push_str(&own_entry(key)));
    }
    for section in KEYS.sections().filter(|section| !given.iter().any(|(given, _)| given == section)) {
        let about = if section == keys::DAEMON { "What concerns the whole process" } else { section };
        out.push_str(&format!("\n{INDENT};{about}\n{INDENT}[{section}]\n"));
        KEYS.in_section(section).for_each(|key| out.push_str(&own_entry(key)));
    }
    out
}

/// Section and name of each key of a text that is known to be well-formed.
fn entries(text: &str) -> impl Iterator<Item = (String, String)> {
    let mut section = "";
    text.lines().filter_map(move |line| {
        section = heading(line).unwrap_or(section);
        Some((section.to_owned(), key_of(line)?))
    })
}

fn heading(line: &str) -> Option<&str> {
    line.trim().strip_prefix('[')?.strip_suffix(']')
}

fn key_of(line: &str) -> Option<String> {
    let (key, _) = line.split_once('=')?;
    if line.trim_start().starts_with(';') { None } else { key_name::canonical(key).ok() }
}

fn own_entry(key: &KeyFacts) -> String {
    let about = match key.usage {
        Usage::Refused(_) => format!("{}: not in this version", key.help),
        Usage::Used | Usage::Unused => format!("{}: {}", key.help, key.values().replace('`', "")),
    };
    let shipped = SHIPPED_VALUES.iter().find(|(name, _)| *name == key.name).map(|(_, value)| *value);
    let value = shipped.or(key.default).unwrap_or_default();
    format!("{INDENT};{about}\n{INDENT}{}='{value}'\n", key.name)
}

/// A document with its tables renewed: each stands between a line `<!-- keys: NAME -->`, where NAME
/// is a section, `required`, `unused` or `refused`, and a line `<!-- end -->`.
pub fn with_tables(document: &str) -> String {
    let mut out = String::new();
    let mut is_old = false;
    for line in document.lines() {
        if line == "<!-- end -->" {
            is_old = false;
        }
        if !is_old {
            out.push_str(line);
            out.push('\n');
        }
        let name = line.strip_prefix("<!-- keys: ").and_then(|rest| rest.strip_suffix(" -->"));
        if let Some(name) = name {
            is_old = true;
            out.push_str(&table(name));
        }
    }
    out
}

fn table(name: &str) -> String {
    let listed = |is_listed: fn(&KeyFacts) -> bool| -> String {
        let item = |key: &KeyFacts| format!("- `{}` in `[{}]`\n", key.name, key.section);
        KEYS.iter().filter(|key| is_listed(key)).map(item).collect()
    };
    match name {
        "required" => listed(|key| key.default.is_none()),
        "unused" => listed(|key| key.usage == Usage::Unused),
        "refused" => listed(|key| matches!(key.usage, Usage::Refused(_))),
        section => {
            let rows: String = KEYS.in_section(section).filter_map(row).collect();
            format!("| key | default | values | meaning |\n|---|---|---|---|\n{rows}")
        }
    }
}

/// The row of one key. The three Redis servers have the same keys: the table shows these once, with X for
/// the server.
fn row(key: &KeyFacts) -> Option<String> {
    let is_twin = |other: &str| {
        let first = key.name.replacen(other, "redis_kv_expire", 1);
        first != key.name && KEYS.named(&first).next().is_some()
    };
    if is_twin("redis_list") || is_twin("redis_ar") {
        return None;
    }
    let name = key.name.replacen("redis_kv_expire", "X", 1);
    let default = match key.default {
        None => "required".to_owned(),
        Some("") => "empty".to_owned(),
        Some(long) if long.len() > DEFAULT_BYTES_MAX => "as in the shipped `.inv`".to_owned(),
        Some(default) => format!("`{default}`"),
    };
    let usage = match key.usage {
        Usage::Used => "",
        Usage::Unused => "*Unused.* ",
        Usage::Refused(_) => "*Refused.* ",
    };
    let more = if key.more.is_empty() { String::new() } else { format!(" {}", key.more) };
    Some(format!("| `{name}` | {default} | {} | {usage}{}.{more} |\n", key.values(), key.help))
}
