//! The shipped .inv and docs/configuration.md agree with the keys.

use std::path::Path;

use super::{ORIGINAL, SHIPPED, load};
use crate::config::{key::Usage, reference, settings::KEYS};

const DOCUMENT: &str = include_str!("../../../docs/configuration.md");

/// Compares a file with its expected content, or writes that content if `PANDAD_REGENERATE` is set.
fn is_up_to_date(file: &str, is: &str, should: &str) {
    if is == should {
        return;
    }
    let renew = "PANDAD_REGENERATE=1 cargo test --lib config::tests::generated";
    assert!(std::env::var_os("PANDAD_REGENERATE").is_some(), "{file} is stale; renew it with {renew}");
    std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(file), should).unwrap();
}

#[test]
fn shipped_inv_is_up_to_date() {
    is_up_to_date(".inv", SHIPPED, &reference::shipped_inv(ORIGINAL));
}

#[test]
fn documented_tables_are_up_to_date() {
    is_up_to_date("docs/configuration.md", DOCUMENT, &reference::with_tables(DOCUMENT));
}

#[test]
fn every_key_is_documented() {
    let document = reference::with_tables(DOCUMENT);
    for key in KEYS.iter() {
        let name = ["redis_kv_expire", "redis_list", "redis_ar"]
            .into_iter()
            .find_map(|server| key.name.strip_prefix(server))
            .map_or(key.name.to_owned(), |key| format!("X{key}"));
        let row = |name: &str| document.contains(&format!("\n| `{name}` |"));
        assert!(row(&name) || row(key.name), "{} has no row", key.name);
        assert!(!key.help.is_empty() && !key.help.ends_with('.'), "{}: {}", key.name, key.help);
        assert!(!format!("{}{}{}", key.help, key.more, key.values()).contains('|'), "{}", key.name);
    }
}

#[test]
fn every_example_is_a_good_configuration() {
    let examples: Vec<&str> =
        DOCUMENT.split("```ini\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 4, "{} examples", examples.len());
    for example in examples {
        assert_eq!(load(example).warnings, Vec::<String>::new(), "{example}");
    }
}

#[test]
fn a_refused_key_takes_its_default_only() {
    for key in KEYS.iter().filter(|key| matches!(key.usage, Usage::Refused(_))) {
        let text = |value: &str| {
            format!("[log_section]\nbroker_list=a\n[{}]\n{}='{value}'\n", key.section, key.name)
        };
        load(&text(key.default.unwrap_or_default()));
        let refused = crate::config::Config::parse(&text("x"), Path::new("t"));
        assert!(refused.unwrap_err().to_string().contains("not in this version"), "{}", key.name);
    }
}

#[test]
fn no_two_keys_are_alike() {
    let mut seen = std::collections::HashSet::new();
    for key in KEYS.iter() {
        assert!(seen.insert((key.section, key.name)), "[{}] {} is there twice", key.section, key.name);
    }
    let sections: Vec<_> = KEYS.sections().collect();
    let expected =
        ["log_section", "clearCache_section", "redis_env_section", "panda_server_section", "daemon_section"];
    assert_eq!(sections, expected);
}
