//! Goal: rotation by pandad or by others loses no line and puts none into two files, and
//! `pandad reopen` returns when the file that was moved away is complete.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::run::run;
use crate::support::servers::{Store, kafka};
use crate::support::wait::seconds;
use crate::support::{check, unique, wait};
use rustix::process::Signal;
use std::path::PathBuf;
use std::process::Command;

/// A stream that comes in, and a daemon that rotates as `keys` say.
fn streaming(records: u64, keys: &[(&str, &str)]) -> (Daemon, crate::support::produce::Producing) {
    let kafka = kafka("3.9.1");
    let topic = unique("rotation");
    kafka.create(&topic, 2);
    let produce = Produce::seq(&kafka, &topic, records).with("--partitions", 2).with("--rate", 2000);
    let inv = keys
        .iter()
        .fold(Inv::log(&kafka, &topic, &unique("rotation")), |inv, (key, value)| inv.job(key, value));
    (Daemon::new(&inv), produce.start())
}

#[test]
fn rotation_by_size_compresses_and_deletes() {
    let tested = kafka("3.9.1").tested("rotation by size: compressed, the oldest deleted");
    let keys = [
        ("log_file['rotate_size']", "64K"),
        ("log_file['rotate_gzip']", "yes"),
        ("log_file['rotate_keep']", "1000"),
    ];
    let (mut daemon, producing) = streaming(16_000, &keys);
    daemon.start();
    producing.finish();
    // Lines move from plain into compressed files during the wait, so only the last count is right.
    wait::until("everything is written", seconds(60), || {
        let started = daemon.log_lines(" behind");
        !started.is_empty() && total_lines(&daemon) == 16_000
    });
    daemon.stop();
    daemon.start_and_wait();
    wait::until("all are compressed", seconds(30), || daemon.files().len() == 1);
    daemon.stop();
    let zipped = beside(&daemon, ".gz");
    assert!(zipped.len() > 5, "{zipped:?}");
    assert!(beside(&daemon, ".part").is_empty());
    let mut files = Vec::new();
    for file in zipped {
        assert!(Command::new("gzip").args(["-dk", file.to_str().unwrap()]).status().unwrap().success());
        files.push(file.with_extension(""));
        assert!(std::fs::metadata(files.last().unwrap()).unwrap().len() <= 64 << 10);
    }
    files.push(daemon.file.clone());
    let report = check::files(&[8000, 8000], &files).unwrap();
    assert!(report.whole(), "{report}");
    keeps_only_the_newest(daemon);
    tested.passed("16000 records");
}

/// The same directory, and fewer files to be kept.
fn keeps_only_the_newest(mut daemon: Daemon) {
    let inv = daemon.dir.join("test.inv");
    let text = std::fs::read_to_string(&inv).unwrap();
    std::fs::write(&inv, text.replace("'1000'", "'3'")).unwrap();
    let mut before = beside(&daemon, ".gz");
    daemon.start_and_wait();
    wait::until("three are left", seconds(30), || beside(&daemon, ".gz").len() == 3);
    daemon.stop();
    assert_eq!(beside(&daemon, ".gz"), before.split_off(before.len() - 3), "not the newest were kept");
}

fn total_lines(daemon: &Daemon) -> usize {
    let plain = daemon.files().into_iter().map(|file| std::fs::read(file).unwrap_or_default());
    let zipped = beside(daemon, ".gz")
        .into_iter()
        .map(|file| Command::new("gzip").args(["-dc", file.to_str().unwrap()]).output().unwrap().stdout);
    plain.chain(zipped).map(|bytes| bytes.iter().filter(|byte| **byte == b'\n').count()).sum()
}

fn beside(daemon: &Daemon, end: &str) -> Vec<PathBuf> {
    let all = daemon.dir.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = all.filter(|path| path.to_str().unwrap().ends_with(end)).collect();
    found.sort();
    found
}

/// As logrotate does it, again and again: move the file away, tell pandad, and then find the file complete.
#[test]
fn moved_file_is_reopened() {
    let tested = kafka("3.9.1").tested("the file is moved away and reopened, by command and by signal");
    let (mut daemon, producing) = streaming(24_000, &[]);
    let inv = daemon.dir.join("test.inv").display().to_string();
    daemon.start();
    daemon.wait_written_at_least(500, seconds(30));
    for round in 0..6u32 {
        let moved = PathBuf::from(format!("{}-2026112{round}T000000.000Z", daemon.file.display()));
        std::fs::rename(&daemon.file, &moved).unwrap();
        match round % 3 {
            0 => drop(run(&["reopen", &inv]).expect(0).says("reopened")),
            1 => daemon.signal(Signal::HUP),
            // Nobody tells pandad: it notices the move before the next write.
            _ => {}
        }
        let length = std::fs::metadata(&moved).unwrap().len();
        std::thread::sleep(wait::millis(700));
        if round % 3 == 0 {
            assert_eq!(std::fs::metadata(&moved).unwrap().len(), length, "written to after the reopening");
        }
        wait::until("a new file is there", seconds(10), || daemon.file.exists());
    }
    producing.finish();
    daemon.finish(&[12_000, 12_000], seconds(60));
    assert_eq!(daemon.files().len(), 7);
    run(&["reopen", &inv]).expect(0).says("nothing to do");
    tested.passed("24000 records");
}

#[test]
fn journal_is_shown_and_forgotten() {
    let tested = kafka("3.9.1").tested("pandad journal, with and without --forget");
    let (mut daemon, producing) = streaming(1000, &[]);
    daemon.start();
    producing.finish();
    daemon.finish(&[500, 500], seconds(30));
    let file = daemon.file.display().to_string();
    run(&["journal", &file]).expect(0).says("session").says("is at 500").says("bytes of file");
    daemon.start_and_wait();
    run(&["journal", &file, "--forget"]).expect(1).says("locked");
    daemon.stop();
    run(&["journal", &file, "--forget"]).expect(0).says("2 positions forgotten");
    daemon.start_and_wait();
    daemon.wait_log("reads 2 partitions of 1 topic, 0 records behind", seconds(30));
    daemon.stop();
    daemon.assert_whole(&[500, 500]);
    run(&["journal", "/nowhere/at/all.log"]).expect(1).says("there is none");
    tested.passed("1000 records");
}

/// Each topic in a file of its own, and one journal.
#[test]
fn each_topic_has_its_file() {
    let tested = kafka("3.9.1").tested("a file for each topic");
    let kafka = kafka("3.9.1");
    let (a, b) = (unique("topic-a"), unique("topic-b"));
    for topic in [&a, &b] {
        kafka.create(topic, 2);
    }
    let inv = Inv::log(&kafka, &format!("{a},{b}"), &unique("topics")).job("log_file['path']", "{topic}.log");
    let mut daemon = Daemon::new(&inv);
    for round in 1..=2u64 {
        for topic in [&a, &b] {
            let first = (round - 1) * 500;
            Produce::seq(&kafka, topic, 1000).with("--partitions", 2).with("--first", first).run();
        }
        daemon.start();
        for topic in [&a, &b] {
            let file = daemon.dir.join(format!("{topic}.log"));
            wait::until("all is written", seconds(30), || {
                std::fs::read(&file).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count() as u64
                    == round * 1000
            });
        }
        // The second start goes on where the kill left it.
        if round == 1 {
            daemon.kill9();
        } else {
            daemon.stop();
        }
    }
    for topic in [&a, &b] {
        let file = daemon.dir.join(format!("{topic}.log"));
        let report = check::files(&[1000, 1000], &[&file]).unwrap();
        assert!(report.whole(), "{topic}: {report}");
        let committed = kafka.committed(Store::Kafka, &group_of(&daemon), topic, 2);
        assert_eq!(committed, [1000, 1000], "{topic}");
    }
    tested.passed("2 topics");
}

/// One topic's file has a name that rotated files of the other one could have.
#[test]
fn each_topics_files_are_rotated_and_verified() {
    const EACH: u64 = 3000;
    let kafka = kafka("3.9.1");
    let tested = kafka.tested("a file for each topic, rotated, kill -9, verify");
    let a = unique("topic");
    let topics = [a.clone(), format!("{a}-2")];
    topics.iter().for_each(|topic| kafka.create(topic, 2));
    let inv = Inv::log(&kafka, &topics.join(","), &unique("topics"))
        .job("log_file['path']", "{topic}")
        .job("log_file['format']", "json")
        .job("log_file['rotate_size']", "64K")
        .job("log_file['rotate_keep']", "1000")
        .job("log_file['rotate_gzip']", "yes");
    let mut daemon = Daemon::new(&inv);
    daemon.start();
    let streams = topics.each_ref().map(|topic| {
        let produce = Produce::seq(&kafka, topic, EACH * 2).with("--partitions", 2);
        produce.with("--rate", 1500).start()
    });
    for _ in 0..2 {
        std::thread::sleep(seconds(1));
        daemon.kill9();
        daemon.start();
    }
    streams.into_iter().for_each(|stream| drop(stream.finish()));
    let group = group_of(&daemon);
    let committed = |topic: &String| kafka.committed(Store::Kafka, &group, topic, 2);
    wait::until("all is committed", seconds(60), || {
        assert!(daemon.running(), "the daemon ended");
        topics.iter().all(|topic| committed(topic) == [EACH as i64; 2])
    });
    let inv = daemon.dir.join("test.inv").display().to_string();
    let verify = || run(&["verify", &inv]);
    let mut ran = verify().expect(0);
    for topic in &topics {
        for partition in 0..2 {
            ran = ran.says(&format!("{topic}/{partition}: {EACH} expected, 0 missing, 0 doubled, 0 torn"));
        }
    }
    daemon.stop();
    let names = std::fs::read_dir(&daemon.dir).unwrap().map(|entry| entry.unwrap().path());
    let is_of = |path: &PathBuf| {
        path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{}-20", topics[1]))
    };
    let mut rotated: Vec<PathBuf> = names.filter(is_of).collect();
    rotated.sort();
    assert!(rotated.len() > 3, "{rotated:?}");
    let journals = std::fs::read_dir(&daemon.dir).unwrap().map(|entry| entry.unwrap().path());
    let journals: Vec<PathBuf> =
        journals.filter(|path| path.extension().is_some_and(|end| end == "journal")).collect();
    assert_eq!(journals, [daemon.dir.join("{topic}.journal")]);
    std::fs::remove_file(&rotated[1]).unwrap();
    verify()
        .expect(1)
        .says(&format!("missing: {}/", topics[1]))
        .says(&format!("{a}/0: {EACH} expected, 0 missing"));
    tested.passed(format_args!("{} records", EACH * 4));
}

fn group_of(daemon: &Daemon) -> String {
    let text = std::fs::read_to_string(daemon.dir.join("test.inv")).unwrap();
    let line = text.lines().find(|line| line.contains("kafka['group']")).unwrap();
    line.split('\'').nth(3).unwrap().to_string()
}
