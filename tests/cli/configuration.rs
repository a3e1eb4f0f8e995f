//! What a person uses first: help, the check of a configuration, and exit statuses. No test here needs a
//! broker. Method: run the binary to its end and compare status and output.

use crate::support::directory;
use crate::support::run::run;
use std::path::{Path, PathBuf};

/// An .inv in a directory of its own.
fn inv(text: &str) -> (PathBuf, String) {
    let dir = directory("command-line");
    let path = dir.join("test.inv");
    std::fs::write(&path, text).unwrap();
    (dir, path.display().to_string())
}

const GOOD: &str = "
    [log_section]
    broker_list ='127.0.0.1:1'
    kafka['topics'] = 'test'
    kafka['membership'] = 'alone'
    log_handler['worker_num']=5
";

const FAULTY: &str = "
    [log_section]
    broker_list ='127.0.0.1:1'
    log_handler['worker_num']=many
    kafka['topcis'] = 'test'
    log_file['format'] = 'xml'
    kafka['offsets'] = it's
";

#[test]
fn help_and_version() {
    let help = run(&["--help"]).expect(0);
    for word in ["--only", "-t", "-T", "--version", "pandad"] {
        assert!(help.out.contains(word), "--help does not name {word}:\n{}", help.out);
    }
    let version = run(&["--version"]).expect(0);
    assert_eq!(version.out.trim(), format!("pandad {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage_exits_2() {
    let (_dir, path) = inv(GOOD);
    run(&[]).expect(2);
    run(&["--no-such-flag", &path]).expect(2).says("--no-such-flag");
    run(&[&path, &path]).expect(2);
    run(&["--only"]).expect(2);
    run(&["--only", "kafka_to_fiel", &path]).expect(2).says("kafka_to_file");
}

#[test]
fn valid_configuration_is_ok() {
    let (_dir, path) = inv(GOOD);
    run(&["-t", &path]).expect(0).says("OK");
}

#[test]
fn missing_inv_exits_78() {
    run(&["-t", "/nowhere/at/all.inv"]).expect(78).says("/nowhere/at/all.inv");
    run(&["/nowhere/at/all.inv"]).expect(78).says("/nowhere/at/all.inv");
}

#[test]
fn every_error_names_its_line() {
    let (_dir, path) = inv(FAULTY);
    for flags in [&["-t"][..], &[]] {
        let ran = run(&[flags, &[&path]].concat()).expect(78);
        for (line, word) in [(4, "many"), (5, "topics"), (6, "xml"), (7, "it's")] {
            let start = format!("{path}:{line}:");
            let logged = ran
                .err
                .lines()
                .chain(ran.out.lines())
                .any(|said| said.contains(&start) && said.contains(word));
            assert!(logged, "no line with {start:?} and {word:?}:\n{}{}", ran.out, ran.err);
        }
    }
}

#[test]
fn printed_configuration_can_be_read_back() {
    let (_dir, path) = inv(GOOD);
    let first = run(&["-T", &path]).expect(0).out;
    let (_dir, again) = inv(&first);
    run(&["-t", &again]).expect(0).says("OK");
    assert_eq!(run(&["-T", &again]).expect(0).out, first);
    assert!(first.contains("127.0.0.1:1"), "{first}");
}

#[test]
fn password_mask_is_printed_and_refused() {
    let secret = "hunter2-and-more";
    let redis = "redis_kv_expire['host']='127.0.0.1'\nredis_list['host']='127.0.0.1'";
    let (_dir, path) = inv(&format!(
        "{GOOD}\n[clearCache_section]\n[redis_env_section]\n{redis}\nredis_list['password']='{secret}'\n"
    ));
    let shown = run(&["-T", &path]).expect(0);
    assert!(!shown.out.contains(secret) && !shown.err.contains(secret), "the password is shown");
    assert!(shown.out.contains("redis_list['password']"), "{}", shown.out);
    let (_dir, masked) = inv(&shown.out);
    run(&["-t", &masked]).expect(78).says("password");
    run(&[&masked]).expect(78).says("password");
}

/// The log directory is local, so a missing one ends the start.
#[test]
fn missing_log_directory_exits_78() {
    let (_dir, path) = inv(&format!("{GOOD}\n    log_file['path'] = '/nowhere/at/all/consumer.log'\n"));
    run(&[&path]).expect(78).says("/nowhere/at/all");
}

#[test]
fn shipped_inv_is_valid() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join(".inv");
    run(&["-t", &shipped.display().to_string()]).expect(0).says("OK");
}
