//! A check that cannot fail says nothing. So each rule is broken once in a small tree that is made here,
//! and the breach must be found; code that only looks like a breach must pass.

use std::collections::{BTreeMap, BTreeSet};

use crate::judge::{Breach, judge};
use crate::rules::{APART, FLOORS, FUNCTION_LINES_MAX, MODULES, Rule};
use crate::tree::Tree;

/// A tree with the modules and floors of the rules and nothing in them.
fn house() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut library = String::new();
    for (name, _) in MODULES {
        if *name != "main" {
            library += &format!("pub mod {name};\n");
            files.insert(format!("src/{name}.rs"), String::new());
        }
    }
    files.insert("src/lib.rs".to_owned(), library);
    files.insert("src/main.rs".to_owned(), String::new());
    for of in APART {
        for child in ["one", "two"] {
            declare(&mut files, of, child);
        }
    }
    for (of, floors) in FLOORS {
        for child in floors.iter().flat_map(|floor| floor.split(' ')) {
            declare(&mut files, of, child);
        }
    }
    files
}

fn declare(files: &mut BTreeMap<String, String>, module: &str, child: &str) {
    *files.entry(format!("src/{module}.rs")).or_default() += &format!("pub mod {child};\n");
    files.insert(format!("src/{module}/{child}.rs"), String::new());
}

/// The breaches after code was appended to files of the small tree.
fn altered(code: &[(&str, &str)]) -> BTreeSet<Breach> {
    let mut files = house();
    for (file, code) in code {
        *files.entry((*file).to_owned()).or_default() += &format!("{code}\n");
    }
    judge(&Tree::of(files))
}

/// The rule that must be found broken, a part of the breach's text, and the code that is appended to files.
/// The first of these files breaks the rule.
type Case<'a> = (Rule, &'a str, &'a [(&'a str, &'a str)]);

/// Tries each case, and returns the rules that were found broken.
fn all_seen(cases: &[Case<'_>]) -> BTreeSet<Rule> {
    let mut seen = BTreeSet::new();
    let mut missed = Vec::new();
    for (rule, text, code) in cases {
        let breaches = altered(code);
        let file = code[0].0;
        match breaches.iter().any(|b| b.rule == *rule && b.file == file && b.text.contains(text)) {
            true => _ = seen.insert(*rule),
            false => missed.push(format!("{rule:?}: {text}: not seen in {code:?}, but {breaches:?}")),
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    seen
}

#[test]
fn an_empty_house_keeps_the_rules() {
    assert_eq!(altered(&[]), BTreeSet::new());
}

#[test]
fn each_way_to_name_a_module_is_seen() {
    let not = |text: &'static str, file: &'static str, code: &'static str| (text, file, code);
    let cases = [
        not("pipeline must not name kafka", "src/pipeline.rs", "use crate::kafka::Fetcher;"),
        not("pipeline must not name redis", "src/pipeline.rs", "use crate::{error::Fault, redis};"),
        not(
            "pipeline must not name logfile",
            "src/pipeline.rs",
            "fn f() { let _ = crate::logfile::line::X; }",
        ),
        not(
            "pipeline must not name record",
            "src/pipeline.rs",
            "use crate::{error::{self}, record::{Record}};",
        ),
        not("pipeline must not name config", "src/pipeline.rs", "fn f(_: super::config::Config) {}"),
        not(
            "pipeline must not name kafka",
            "src/pipeline.rs",
            "fn f() { log::info!(\"{}\", crate::kafka::x()); }",
        ),
        not(
            "kafka must not name pipeline",
            "src/kafka.rs",
            "mod deep { use super::super::pipeline::Source; }",
        ),
        not("kafka must not name logfile", "src/kafka.rs", "fn f() -> Vec<crate::logfile::X> { Vec::new() }"),
        not(
            "config must not name kafka",
            "src/config.rs",
            "use crate::{self as top}; fn f() { top::kafka::x() }",
        ),
        not("queue must not name expiry", "src/queue.rs", "use crate::expiry; fn f() { expiry::x() }"),
        not("main must not name jobs", "src/main.rs", "use pandad::{config::Config as C, jobs};"),
        not("error must not name record", "src/error.rs", "#[cfg(test)] mod tests { use crate::record::X; }"),
        not("jobs::one must not name jobs::two", "src/jobs/one.rs", "use crate::jobs::two::X;"),
        not("jobs::one must not name jobs::two", "src/jobs/one.rs", "use super::two;"),
        not(
            "jobs::two must not name jobs::one",
            "src/jobs/two.rs",
            "use crate::jobs; fn f() { jobs::one::x() }",
        ),
    ];
    for (text, file, code) in cases {
        all_seen(&[(Rule::Modules, text, &[(file, code)])]);
    }
    let no_row = [("src/elsewhere.rs", ""), ("src/lib.rs", "mod elsewhere;")];
    all_seen(&[(Rule::Modules, "elsewhere has no row", &no_row)]);
}

#[test]
fn tables_that_do_not_fit_are_seen() {
    let no_floor = [("src/kafka/attic.rs", ""), ("src/kafka.rs", "mod attic;")];
    all_seen(&[(Rule::Floors, "attic has no row", &no_floor)]);
    let gone = judge(&Tree::of(BTreeMap::from([("src/lib.rs".to_owned(), String::new())])));
    assert!(gone.iter().any(|breach| breach.text == "there is no module queue"), "{gone:?}");
}

#[test]
fn each_way_to_name_a_crate_is_seen() {
    all_seen(&[
        (
            Rule::Doors,
            "kafka_crate is named in",
            &[("src/kafka.rs", "use kafka_crate::client::KafkaClient;")],
        ),
        (Rule::Doors, "kafka_crate is named in", &[("src/jobs.rs", "fn f() { ::kafka_crate::x() }")]),
        (
            Rule::Doors,
            "kafka_protocol is named in tests",
            &[("src/kafka.rs", "extern crate kafka_protocol;")],
        ),
        (
            Rule::Doors,
            "redis_crate is named in",
            &[("src/queue.rs", "use redis_crate as r; fn f() { r::cmd() }")],
        ),
        (Rule::Doors, "redis_crate is named in", &[("src/queue.rs", "use redis_crate::*;")]),
        (Rule::Doors, "snap is named in", &[("src/jobs.rs", "#[cfg(not(test))] use snap::raw;")]),
        (Rule::Doors, "snap is named in", &[("src/jobs.rs", "#[cfg(any(test, unix))] use snap::raw;")]),
        (Rule::Doors, "snap is named in", &[("src/jobs.rs", "#[cfg(test)] mod a {} use snap::raw;")]),
    ]);
}

#[test]
fn what_only_looks_like_a_breach_passes() {
    for (file, code) in [
        ("src/pipeline.rs", "// use crate::kafka::Fetcher;"),
        ("src/pipeline.rs", "/* use crate::kafka::X; /* nested */ use snap::raw; */"),
        ("src/pipeline.rs", "const A: &str = \"crate::kafka::x \\\" snap::raw\";"),
        ("src/pipeline.rs", "const A: &str = r#\"crate::kafka::x \" crate::redis::x\"#;"),
        ("src/pipeline.rs", "#[cfg(all(test, unix))] mod tests { use snap::raw; }"),
        ("src/pipeline.rs", "fn f<'a>(_: &'a str) -> char { '\"' }"),
        ("src/jobs/two.rs", "use crate::redis; fn f() { redis::open() }"),
        ("src/jobs/two.rs", "use super::Job;"),
        ("src/config.rs", "struct Alpha; #[cfg(test)] mod tests { struct Alpha; }"),
    ] {
        assert_eq!(altered(&[(file, code)]), BTreeSet::new(), "{file}: {code}");
    }
}

#[test]
fn what_a_glob_brings_in_is_judged_where_it_is_imported() {
    let user = ("src/jobs/two.rs", "use crate::redis::Y; mod deep { use super::*; fn f() { Y::new() } }");
    let declared = ("src/redis.rs", "mod link { pub struct Y; } pub use link::Y;");
    assert_eq!(altered(&[user, declared]), BTreeSet::new());
}

#[test]
fn a_crate_is_named_where_its_name_is_given_on() {
    let link = ("src/redis.rs", "pub mod link { pub use redis_crate::Value; }");
    let user = ("src/queue.rs", "use crate::redis::link::Value; fn f() -> Value { Value::Nil }");
    let texts: Vec<String> = altered(&[link, user]).iter().map(|breach| breach.file.clone()).collect();
    assert_eq!(texts, ["src/redis.rs"]);
}

#[test]
fn every_other_rule_is_seen_when_broken() {
    let long = format!("// {}", "x".repeat(120));
    let function = format!("fn f() {{{}}}", "\n".repeat(FUNCTION_LINES_MAX));
    let file = "\n".repeat(500);
    let tests = format!("#[cfg(test)]\nmod tests {{{}}}", "\n".repeat(90));
    let seen = all_seen(&[
        (Rule::Parses, "cannot parse", &[("src/queue.rs", "fn f( {")]),
        (Rule::LineLength, "123 characters", &[("src/queue.rs", &long)]),
        (Rule::LineLength, "123 characters", &[("scripts/x", &long)]),
        (Rule::FunctionLength, "f has 71 lines", &[("src/queue.rs", &function)]),
        (Rule::FunctionLength, "f has 71 lines", &[("src/queue.rs", &format!("impl X {{ {function} }}"))]),
        (Rule::FileLength, "at most 400", &[("src/queue.rs", &file)]),
        (Rule::DeadFiles, "no module", &[("src/queue/forgotten.rs", "")]),
        (Rule::DeadFiles, "no module", &[("tests/forgotten.rs", "")]),
        (Rule::InlineTests, "92 lines", &[("src/queue.rs", &tests)]),
        (
            Rule::TypeNames,
            "also the name",
            &[("src/queue.rs", "struct Alpha;"), ("src/expiry.rs", "enum Alpha {}")],
        ),
        (
            Rule::Circles,
            "src/queue/a.rs src/queue/b.rs",
            &[
                ("src/queue/a.rs", "pub struct A(super::B);"),
                ("src/queue/b.rs", "use crate::queue::a; pub struct B(a::A);"),
                ("src/queue.rs", "mod a; mod b; pub use b::B;"),
            ],
        ),
        (
            Rule::Floors,
            "kafka::protocol stands below kafka::fetch",
            &[
                ("src/kafka/protocol.rs", "use super::Cursor;"),
                ("src/kafka/fetch.rs", "pub struct Cursor;"),
                ("src/kafka.rs", "pub use fetch::Cursor;"),
            ],
        ),
        (
            Rule::Floors,
            "logfile::journal stands below logfile::ledger",
            &[("src/logfile/journal.rs", "use crate::logfile::ledger::Ledger;")],
        ),
        (
            Rule::Floors,
            "logfile::recovery stands below logfile::resume or beside it",
            &[("src/logfile/recovery.rs", "use super::resume::decide;")],
        ),
    ]);
    assert_eq!(seen.len(), 9);
}
