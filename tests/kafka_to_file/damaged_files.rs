//! Goal: pandad never cuts whole lines, ends torn ones, and two pandads never write one file.
//! Method: log file or journal are damaged while pandad is stopped.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::servers::{Kafka, kafka};
use crate::support::tested::Tested;
use crate::support::wait::seconds;
use crate::support::{check, unique};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

struct Case {
    kafka: Kafka,
    topic: String,
    daemon: Daemon,
    produced: u64,
    tested: Tested,
}

impl Case {
    /// A daemon that has written 1000 records and was stopped.
    fn new(what: &str) -> Case {
        let kafka = kafka("1.1.1");
        let tested = kafka.tested(what);
        let topic = unique("damage");
        kafka.create(&topic, 1);
        let daemon = Daemon::new(&Inv::log(&kafka, &topic, &unique("damage")));
        let mut case = Case { kafka, topic, daemon, produced: 0, tested };
        case.write_more();
        case.daemon.stop();
        case
    }

    /// Produces another 1000 records and waits until they are written.
    fn write_more(&mut self) {
        Produce::seq(&self.kafka, &self.topic, 1000).with("--first", self.produced).run();
        self.produced += 1000;
        if !self.daemon.running() {
            self.daemon.start();
        }
        self.daemon.wait_written(&[self.produced], seconds(30));
    }

    fn append(&self, text: &str) {
        let mut file = OpenOptions::new().append(true).open(&self.daemon.file).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// The journal, found by its name beside the file.
    fn journal(&self) -> PathBuf {
        let beside = self.daemon.dir.read_dir().unwrap().map(|entry| entry.unwrap().path());
        let mut found: Vec<PathBuf> =
            beside.filter(|path| path.to_string_lossy().contains("journal")).collect();
        assert_eq!(found.len(), 1, "one journal beside the file: {found:?}");
        found.remove(0)
    }
}

#[test]
fn missing_journal_cuts_nothing() {
    let mut case = Case::new("the journal is missing");
    let before = std::fs::read(&case.daemon.file).unwrap();
    std::fs::remove_file(case.journal()).unwrap();
    case.write_more();
    case.daemon.stop();
    let after = std::fs::read(&case.daemon.file).unwrap();
    assert!(after.starts_with(&before), "what was there has changed");
    case.daemon.assert_whole(&[2000]);
    case.tested.passed("2000 records");
}

#[test]
fn torn_line_without_journal_is_kept() {
    let mut case = Case::new("the journal is missing, the last line is torn");
    std::fs::remove_file(case.journal()).unwrap();
    case.append("{\"p\":0,\"i\":77,\"pad\":\"half a li");
    let before = std::fs::read(&case.daemon.file).unwrap();
    case.write_more();
    case.daemon.stop();
    let after = std::fs::read(&case.daemon.file).unwrap();
    assert!(after.starts_with(&before) && after[before.len()] == b'\n', "the torn line was not just ended");
    let report = check::files(&[2000], &[&case.daemon.file]).unwrap();
    let found = (report.missing, report.doubled, report.torn, report.disordered);
    assert_eq!(found, (0, 0, 1, 0), "only the torn line: {:#?}", report.examples);
    case.tested.passed("2000 records");
}

/// Another program wrote the bytes after the end that the journal knows: they are kept.
#[test]
fn foreign_bytes_are_kept() {
    let mut case = Case::new("foreign bytes at the end of the file");
    case.append("{\"p\":0,\"i\":1000,\"pad\":\"half a li");
    let before = std::fs::read(&case.daemon.file).unwrap();
    case.write_more();
    assert_eq!(case.daemon.log_lines("keeps 32 bytes at its end that another program wrote").len(), 1);
    case.daemon.stop();
    let after = std::fs::read(&case.daemon.file).unwrap();
    assert!(
        after.starts_with(&before) && after[before.len()] == b'\n',
        "the foreign line was not just ended"
    );
    let report = check::files(&[2000], &[&case.daemon.file]).unwrap();
    let found = (report.missing, report.doubled, report.torn, report.disordered);
    assert_eq!(found, (0, 0, 1, 0), "only the foreign line: {:#?}", report.examples);
    case.tested.passed("2000 records");
}

/// The journal of another file or of a bad disk proves nothing about this file.
#[test]
fn garbage_journal_cuts_nothing() {
    let mut case = Case::new("a journal of garbage");
    let before = std::fs::read(&case.daemon.file).unwrap();
    let journal = case.journal();
    let length = std::fs::metadata(&journal).unwrap().len() as usize;
    std::fs::write(&journal, vec![0xa5; length]).unwrap();
    case.write_more();
    case.daemon.stop();
    assert!(std::fs::read(&case.daemon.file).unwrap().starts_with(&before), "what was there has changed");
    case.daemon.assert_whole(&[2000]);
    case.tested.passed("2000 records");
}

#[test]
fn second_daemon_on_one_file_exits() {
    let mut case = Case::new("a second pandad on the file");
    case.daemon.start_and_wait();
    let group = unique("second");
    let path = case.daemon.file.display().to_string();
    let inv = Inv::log(&case.kafka, &case.topic, &group).job("log_file['path']", &path);
    let mut second = Daemon::new(&inv);
    second.start();
    let status = second.wait_exit(seconds(20));
    assert_eq!(status.code(), Some(78), "a local fault ends the start");
    assert!(second.log().contains("consumer.log"), "it does not say which file");
    println!("{}", second.log());
    case.write_more();
    case.daemon.stop();
    case.daemon.assert_whole(&[2000]);
    case.tested.passed("2000 records");
}
