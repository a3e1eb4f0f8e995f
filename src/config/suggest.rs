//! Suggests an existing name for a name that does not exist.

use super::key::{KeyFacts, KeyList};

/// No suggestion is made for a name that is longer than this.
const NAME_BYTES_MAX: usize = 64;

/// A sentence that says which key was probably meant by an unknown key of a known section.
pub fn for_key(known: KeyList, section: &str, name: &str) -> String {
    let here = || known.in_section(section);
    let base = name.split('[').next().unwrap_or(name);
    let subs: Vec<&str> = here().filter_map(|key| sub_of(key, base)).collect();
    if base == name && !subs.is_empty() {
        return format!("there is no such key; {base}[…] takes {}", subs.join(", "));
    }
    // Compares only the part in brackets.
    if let Some(key) = here().find(|key| key.name.ends_with(&format!("['{name}']"))) {
        return format!("there is no such key; did you mean {}?", key.name);
    }
    if let Some(near) = nearest(name, here().map(|key| key.name)) {
        return format!("there is no such key; did you mean {near}?");
    }
    let elsewhere = sections_of(known, name);
    if !elsewhere.is_empty() {
        return format!("this key belongs in {elsewhere}");
    }
    if !subs.is_empty() {
        return format!("there is no such key; {base}[…] takes {}", subs.join(", "));
    }
    if let Some(near) = nearest(name, known.iter().map(|key| key.name)) {
        return format!(
            "there is no such key; did you mean {near}, which belongs in {}?",
            sections_of(known, near)
        );
    }
    "there is no such key: remove it, or put ; before it".into()
}

/// A sentence about a key that stands before the first section.
pub fn for_orphan(known: KeyList, name: &str) -> String {
    let sections = sections_of(known, name);
    if sections.is_empty() {
        "the key stands before the first [section]: move it below the section it belongs to".into()
    } else {
        format!("the key stands before the first [section]; it belongs in {sections}")
    }
}

/// A sentence about an unknown section.
pub fn for_section(known: KeyList, name: &str) -> String {
    match nearest(name, known.sections()) {
        Some(near) => format!("pandad has no such section and passes over it; did you mean [{near}]?"),
        None => "pandad has no such section and passes over it".into(),
    }
}

/// The sections that have a key of this name, as a text.
fn sections_of(known: KeyList, name: &str) -> String {
    let sections: Vec<String> = known.named(name).map(|key| format!("[{}]", key.section)).collect();
    sections.join(" or ")
}

fn sub_of(key: &KeyFacts, base: &str) -> Option<&'static str> {
    key.name.strip_prefix(base)?.strip_prefix("['")?.strip_suffix("']")
}

/// The nearest of some names, if one is near enough.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = plain(name)?;
    candidates
        .filter_map(|candidate| {
            let other = plain(candidate)?;
            // The name is, for example, a singular for a plural, or the beginning of a longer name.
            let begins =
                name.len().min(other.len()) >= 4 && (other.starts_with(&name) || name.starts_with(&other));
            // The distance is at least the difference in length, which is cheaper to compute.
            if !begins && name.len().abs_diff(other.len()) > 2 {
                return None;
            }
            let distance = distance(&name, &other);
            let near = distance <= 2 && distance * 2 < name.len();
            (near || begins).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters and digits in lower case: `kafka.topics`, `kafka_topics` and `Kafka[topics]` become the
/// same.
fn plain(name: &str) -> Option<Vec<char>> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    Some(name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect())
}

/// How many letters must be inserted, deleted or exchanged, or neighbours swapped, to turn one into the
/// other.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut last = None;
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        let mut left = None;
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX / 2);
            let mut best = at(&row, j) + usize::from(x != y);
            best = best.min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            if j > 0 && last == Some(y) && left == Some(x) {
                best = best.min(at(&before, j - 1) + 1);
            }
            next.push(best);
            left = Some(y);
        }
        last = Some(x);
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys;
    use crate::config::settings::KEYS;

    fn far(a: &str, b: &str) -> usize {
        distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>())
    }

    #[test]
    fn distances() {
        assert_eq!(far("", ""), 0);
        assert_eq!(far("abc", ""), 3);
        assert_eq!(far("", "abc"), 3);
        assert_eq!(far("kitten", "sitting"), 3);
        assert_eq!(far("group", "gruop"), 1);
        assert_eq!(far("topics", "topic"), 1);
    }

    #[test]
    fn what_was_meant() {
        for (section, name, part) in [
            (keys::LOG, "kafka['topic']", "did you mean kafka['topics']?"),
            (keys::LOG, "kafka_topics", "did you mean kafka['topics']?"),
            (keys::LOG, "kafka.group", "did you mean kafka['group']?"),
            (keys::LOG, "topics", "did you mean kafka['topics']?"),
            (keys::LOG, "kafka", "kafka[…] takes topics, group, start"),
            (keys::LOG, "Broker_List", "did you mean broker_list?"),
            (keys::LOG, "broker_lists", "did you mean broker_list?"),
            (keys::LOG, "brokers", "there is no such key"),
            (keys::LOG, "broker", "did you mean broker_list?"),
            (keys::LOG, "kafka['colour']", "kafka[…] takes topics, group, start"),
            (keys::LOG, "redis_ar['host']", "belongs in [redis_env_section]"),
            (keys::LOG, "stop_timeot", "did you mean stop_timeout, which belongs in [daemon_section]?"),
            (keys::REDIS, "redis_ar['pasword']", "did you mean redis_ar['password']?"),
            (keys::SERVER, "max_proces_num", "did you mean max_process_num?"),
            (keys::DAEMON, "wholly_other", "remove it"),
        ] {
            let text = for_key(KEYS, section, name);
            assert!(text.contains(part), "{section} {name}: {text}");
        }
        assert!(for_orphan(KEYS, "broker_list").contains("belongs in [log_section]"));
        assert!(for_orphan(KEYS, "panda_process").contains("[log_section] or [clearCache_section] or "));
        assert!(for_section(KEYS, "log_sektion").contains("did you mean [log_section]?"));
        assert!(!for_section(KEYS, "mysql").contains("did you mean"));
    }
}
