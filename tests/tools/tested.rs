//! A tool for scripts/test: `tested table` makes docs/tested.md from the lines that the tests wrote
//! (support/tested.rs), `tested part` says which tests are in a part of a run. The same results give the
//! same bytes, in whatever order they came.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a tool of the tests"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::process::ExitCode;

const USAGE: &str = "usage: tested table HEAD RESULTS OUTPUT SERVER...
       tested part K N DURATIONS < NAMES

table  prints docs/tested.md; exit status 1 if a test failed or a server has no result
  HEAD       which pandad was tested
  RESULTS    the lines that the tests wrote
  OUTPUT     what cargo test printed
  SERVER     Kafka-VERSION or Redis-VERSION, in the order of the columns
part   prints the tests of the K-th of N parts, each of about the same duration
  DURATIONS  a file of lines: seconds, how names begin; the longest beginning counts
  NAMES      lines of cargo test -- --list";

/// The jobs, each with the servers that it is tested on.
const JOBS: [(&str, &str); 3] =
    [("kafka_to_file", "Kafka"), ("expired_to_list", "Redis"), ("list_to_hash", "Redis")];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_else(|why| panic!("{path}: {why}"));
    match words[..] {
        ["table", head, results, output, ref servers @ ..] => {
            let (text, good) = table(head, &read(results), &read(output), servers);
            print!("{text}");
            if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        ["part", part, parts, durations] => {
            let (part, parts) = (part.parse::<usize>(), parts.parse::<usize>());
            let (Ok(part @ 1..), Ok(parts)) = (part, parts) else { return usage() };
            let names = std::io::read_to_string(std::io::stdin()).unwrap();
            if let Some(tests) = split(&names, &read(durations), parts).get(part - 1) {
                tests.iter().for_each(|test| println!("{test}"));
                return ExitCode::SUCCESS;
            }
            usage()
        }
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

// ---- The table

/// What was shown: the job, the file of the test, and the words of the test.
type Subject<'a> = (&'a str, &'a str, &'a str);

/// The outcome on one server.
#[derive(Default)]
struct Outcome {
    begun: u32,
    passed: u32,
}

impl Outcome {
    fn is_good(&self) -> bool {
        self.begun > 0 && self.begun == self.passed
    }
}

#[derive(Default)]
struct Row<'a> {
    on: BTreeMap<&'a str, Outcome>,
    amounts: BTreeSet<&'a str>,
}

fn rows(results: &str) -> BTreeMap<Subject<'_>, Row<'_>> {
    let mut rows = BTreeMap::<Subject<'_>, Row<'_>>::new();
    for line in results.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [file, server, job, what, outcome, amount] = fields[..] else { panic!("not a result: {line:?}") };
        let row = rows.entry((job, file, what)).or_default();
        let on = row.on.entry(server).or_default();
        match outcome {
            "begun" => on.begun += 1,
            "passed" => {
                on.passed += 1;
                row.amounts.insert(amount);
            }
            _ => panic!("not an outcome: {line:?}"),
        }
    }
    rows
}

/// The page, and whether no test failed and every server was tested.
fn table(head: &str, results: &str, output: &str, servers: &[&str]) -> (String, bool) {
    let rows = rows(results);
    let (passed, failed) = counts(output);
    let mut text = format!(
        "# What was tested\n\n\
         Written by `scripts/test --all` from what the tests noted while they ran.\n\
         Tested: {head}. Tests: {passed} passed, {failed} failed.\n\n\
         Each row is what one test shows, each column a server. `–` is a server on which the test\n\
         does not run. Amounts are those of one server. The last column names the file under `tests/`.\n"
    );
    let mut good = failed == 0 && passed > 0;
    for (job, kind) in JOBS {
        let versions: Vec<(&str, &str)> = servers
            .iter()
            .filter_map(|server| server.split_once('-'))
            .filter(|(of, _)| *of == kind)
            .collect();
        writeln!(text, "\n## {job} on {kind}\n").unwrap();
        let head: Vec<&str> = versions.iter().map(|(_, version)| *version).collect();
        writeln!(text, "| what | how much | {} | test |", head.join(" | ")).unwrap();
        writeln!(text, "|---|---|{}---|", "---|".repeat(versions.len())).unwrap();
        for ((_, file, what), row) in rows.iter().filter(|((of, ..), _)| *of == job) {
            let amounts: Vec<&str> = row.amounts.iter().copied().collect();
            let cells: Vec<&str> = versions
                .iter()
                .map(|(kind, version)| row.on.get(format!("{kind} {version}").as_str()))
                .map(|outcome| match outcome {
                    None => "–",
                    Some(outcome) if outcome.is_good() => "passed",
                    Some(_) => "**FAILED**",
                })
                .collect();
            good &= !cells.contains(&"**FAILED**");
            writeln!(text, "| {what} | {} | {} | {file} |", amounts.join("; "), cells.join(" | ")).unwrap();
        }
        let is_tested = |(kind, version): &(&str, &str)| {
            let server = format!("{kind} {version}");
            rows.iter().any(|((of, ..), row)| *of == job && row.on.contains_key(server.as_str()))
        };
        good &= versions.iter().all(is_tested);
    }
    (text, good)
}

/// How many tests passed and failed, according to the last output of cargo test about each.
fn counts(output: &str) -> (usize, usize) {
    let mut last = BTreeMap::new();
    for line in output.lines() {
        let test = line.strip_prefix("test ").and_then(|line| line.rsplit_once(" ... "));
        if let Some((name, outcome @ ("ok" | "FAILED"))) = test {
            last.insert(name, outcome == "ok");
        }
    }
    let passed = last.values().filter(|passed| **passed).count();
    (passed, last.len() - passed)
}

// ---- The parts

/// The assumed duration of a test that is not in the table of durations, in seconds.
const UNKNOWN: u64 = 1;
/// How many tests run at the same time. Tests that measure time run alone.
const THREADS: u64 = 6;

/// The tests of each part. The longest tests come first, and each goes to the part that has the least so
/// far.
fn split<'a>(names: &'a str, durations: &str, parts: usize) -> Vec<BTreeSet<&'a str>> {
    let known: Vec<(&str, u64)> = durations
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .map(|(seconds, start)| (start.trim(), seconds.parse().unwrap()))
        .collect();
    let weight = |name: &str| {
        let found = known.iter().filter(|(start, _)| name.starts_with(start));
        let seconds = found.max_by_key(|(start, _)| start.len()).map_or(UNKNOWN, |(_, seconds)| *seconds);
        if name.contains("at_once") { seconds * THREADS } else { seconds }
    };
    let all: BTreeSet<&str> = names.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    let mut all: Vec<&str> = all.into_iter().collect();
    all.sort_by_key(|name| std::cmp::Reverse(weight(name)));
    let mut split = vec![BTreeSet::new(); parts];
    let mut weights = vec![0; parts];
    for name in all {
        let Some(least) = (0..parts).min_by_key(|part| weights[*part]) else { break };
        weights[least] += weight(name);
        split[least].insert(name);
    }
    split
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVERS: [&str; 3] = ["Kafka-0.9.0.1", "Kafka-4.1.0", "Redis-7.0.15"];
    const OUTPUT: &str = "test a ... ok\ntest b ... FAILED\ntest b ... ok\ntest result: ok. 2 passed\n";

    fn line(file: &str, server: &str, job: &str, what: &str, end: &str) -> String {
        format!("{file}\t{server}\t{job}\t{what}\t{end}\n")
    }

    fn good() -> String {
        let mut text = String::new();
        for (server, job) in [
            ("Kafka 4.1.0", "kafka_to_file"),
            ("Kafka 0.9.0.1", "kafka_to_file"),
            ("Redis 7.0.15", "expired_to_list"),
            ("Redis 7.0.15", "list_to_hash"),
        ] {
            text += &line("dir/file", server, job, "something", "begun\t");
            text += &line("dir/file", server, job, "something", "passed\t7 records");
        }
        text
    }

    #[test]
    fn each_test_has_one_row() {
        let (text, good) = table("pandad", &good(), OUTPUT, &SERVERS);
        assert!(good, "{text}");
        assert!(text.contains("\n| what | how much | 0.9.0.1 | 4.1.0 | test |\n"), "{text}");
        assert!(text.contains("\n| something | 7 records | passed | passed | dir/file |\n"), "{text}");
        assert!(text.contains("Tested: pandad. Tests: 2 passed, 0 failed.\n"), "{text}");
    }

    #[test]
    fn the_order_of_the_lines_does_not_matter() {
        let mut lines: Vec<&str> = Vec::new();
        let text = good();
        lines.extend(text.lines().rev());
        let turned = lines.join("\n");
        assert_eq!(table("x", &good(), OUTPUT, &SERVERS), table("x", &turned, OUTPUT, &SERVERS));
    }

    #[test]
    fn what_did_not_end_has_failed() {
        let begun = good() + &line("dir/file", "Kafka 4.1.0", "kafka_to_file", "something", "begun\t");
        let (text, good) = table("x", &begun, OUTPUT, &SERVERS);
        assert!(!good && text.contains("| passed | **FAILED** | dir/file |"), "{text}");
    }

    #[test]
    fn a_server_without_result_is_a_fault() {
        let (text, good) = table("x", &good(), OUTPUT, &["Kafka-4.1.0", "Kafka-5.0.0", "Redis-7.0.15"]);
        assert!(!good && text.contains("| passed | – |"), "{text}");
    }

    #[test]
    fn a_failed_test_is_a_fault() {
        assert!(!table("x", &good(), "test a ... ok\ntest b ... FAILED\n", &SERVERS).1);
        assert!(!table("x", &good(), "", &SERVERS).1, "no test ran");
    }

    const NAMES: &str = "cli::a: test\ncli::b: test\ncli::c_at_once: test\nunit::d: test\nunit::e: test\n\
                         cli::a: test\n\n5 tests, 0 benchmarks\n";

    #[test]
    fn parts_hold_each_test_once() {
        for parts in 1..7 {
            let split = split(NAMES, "# seconds, name\n100 unit::e\n", parts);
            let all: Vec<&str> = split.iter().flatten().copied().collect();
            let once: BTreeSet<&str> = all.iter().copied().collect();
            assert_eq!((split.len(), all.len(), once.len()), (parts, 5, 5), "{split:?}");
        }
    }

    /// The test of 120 seconds is alone; those of 100, 20, 20 and 1 are in the other part.
    #[test]
    fn parts_are_of_equal_duration() {
        let split = split(NAMES, "100 unit::e\n20 cli::\n", 2);
        assert_eq!(split[0], BTreeSet::from(["cli::c_at_once", "cli::b"]), "{split:?}");
        assert_eq!(split[1], BTreeSet::from(["cli::a", "unit::d", "unit::e"]), "{split:?}");
    }
}
