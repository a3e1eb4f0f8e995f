//! The effects of an error when a log file is opened: at the start, and in a later run.

use std::io::Write;

use super::*;
use crate::config::Config;
use crate::jobs::Job;
use crate::jobs::kafka_to_file::KafkaToFile;
use crate::logfile::{Piece, PositionChange};
use crate::test_log::lines_of;

fn job(directory: &std::path::Path) -> KafkaToFile {
    job_with(directory, "")
}

fn job_with(directory: &std::path::Path, keys: &str) -> KafkaToFile {
    let text = format!(
        "[log_section]\nbroker_list = '127.0.0.1:1'\nkafka['topics'] = 't'\nkafka['group'] = 'g'\n\
         log_file['path'] = '{}'\n{keys}",
        directory.join("out.log").display()
    );
    let config = Config::parse(&text, std::path::Path::new("test.inv")).unwrap();
    KafkaToFile::new(config.kafka_to_file.unwrap(), config.daemon.memory, "test.inv".to_owned())
}

/// The directory is missing for a while after the start, like an unmounted disk.
#[test]
fn a_directory_that_is_gone_ends_a_start_and_is_waited_for_later() {
    let directory = std::env::temp_dir().join(format!("pandad-openings-{}", std::process::id()));
    let away = directory.with_extension("away");
    let faults = job(&directory).prepare().unwrap_err();
    assert!(faults[0].expected.contains("No such file"), "{faults:?}");

    std::fs::create_dir_all(&directory).unwrap();
    let mut job = job(&directory);
    job.prepare().unwrap();
    drop(job.take_log().unwrap());
    std::fs::rename(&directory, &away).unwrap();
    let (_handle, stop) = shutdown::pair();
    for _ in 0..2 {
        assert_eq!(job.run(&stop), Err(Fault::RetryLogged));
        assert!(job.counters().health.is_down());
    }
    std::fs::rename(&away, &directory).unwrap();
    assert!(job.take_log().is_ok());

    // Waiting does not help against another pandad's lock.
    let options = LogFileOptions { job: "test", sync: true, rotation: Rotation::off() };
    let other = logfile::open(&directory.join("out.log"), &options, &mut RestartMemory::default()).unwrap();
    assert!(matches!(job.run(&stop), Err(Fault::Fatal(why)) if why.contains("another pandad")));
    drop(other);
    std::fs::remove_dir_all(&directory).unwrap();
}

/// A member that has left its group because of its disk joins again only when the disk takes writes.
#[test]
fn a_member_that_has_left_tries_its_disk_before_it_joins() {
    let directory = std::env::temp_dir().join(format!("pandad-left-{}", std::process::id()));
    std::fs::create_dir_all(directory.join("out.log.probe")).unwrap();
    let mut job = job(&directory);
    // A run that began would end at once.
    let (handle, stop) = shutdown::pair();
    drop(handle);
    assert_eq!(job.conclude(Err(RunError::LeftGroup)), Err(Fault::RetryLogged));
    let refused = job.run(&stop);
    assert!(
        matches!(&refused, Err(Fault::Retry(why)) if why.starts_with("cannot write beside ")),
        "{refused:?}"
    );
    assert!(!directory.join("out.log").exists());
    std::fs::remove_dir(directory.join("out.log.probe")).unwrap();
    assert_eq!(job.try_disk(), Ok(()));
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn only_a_member_of_its_group_has_a_name_there() {
    let directory = std::env::temp_dir().join(format!("pandad-named-{}", std::process::id()));
    for (keys, is_member) in [("", true), ("kafka['membership'] = 'alone'\n", false)] {
        std::fs::create_dir_all(&directory).unwrap();
        let mut job = job_with(&directory, keys);
        assert_eq!((job.is_member(), job.name()), (is_member, "kafka_to_file"));
        let log = job.take_log().unwrap();
        let ledger = log.ledger.clone();
        let (_handle, stop) = shutdown::pair();
        drop(job.assemble(log, &stop).unwrap());
        let name = format!("pandad-{:032x}", ledger.identity());
        assert_eq!(job.instance, is_member.then_some(name));
        std::fs::remove_dir_all(&directory).unwrap();
    }
}

/// A restart after a failed sync compares the whole file with the journal: a line that the journal does not
/// know may be one of pandad's own whose entry was lost.
#[test]
fn lost_writes_are_remembered_for_the_next_run() {
    let directory = std::env::temp_dir().join(format!("pandad-lost-run-{}", std::process::id()));
    let lost = || Err(RunError::Fault(Fault::Restart("lost".to_owned())));
    for (ended, left) in [(Ok(()), "line 0\nline 1\n"), (lost(), "line 0\n")] {
        std::fs::create_dir_all(&directory).unwrap();
        let (mut job, path) = (job(&directory), directory.join("out.log"));
        let mut log = job.take_log().unwrap();
        let ledger = log.ledger.clone();
        ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap();
        ledger.set_position(&partition(), 0).unwrap();
        let (line, mut crc) = (&b"line 0\n"[..], crc32fast::Hasher::new());
        crc.update(line);
        let change =
            PositionChange { index: ledger.written(&partition()).unwrap().0, position: 1, last: None };
        let FileEnd::One(writer) = &mut log.files[0].end else { panic!("one file") };
        writer.append(&[Piece { bytes: line, crc: &crc }], &[change]).unwrap();
        job.close(&ledger, &[]);
        let _fault = job.conclude(ended);
        drop(log);
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"line 1\n").unwrap();
        drop(job.take_log().unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), left);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}

#[test]
fn a_start_is_logged_with_its_topics_and_its_file() {
    let directory = std::path::Path::new("/var/log");
    let job = job(directory);
    let text = "kafka_to_file: running, reads t into /var/log/out.log".to_owned();
    assert_eq!(lines_of(|| job.log_start()), [(log::Level::Info, text)]);
    job.counters().health.down(crate::report::Stage::Opening, "full");
    assert_eq!(lines_of(|| job.log_start()), [], "the same start, tried again");
}

/// A configuration fault, unlike a fault of the run, names the key to look at.
#[test]
fn a_fenced_member_is_a_fault_of_the_configuration() {
    let directory = std::env::temp_dir().join(format!("pandad-fenced-{}", std::process::id()));
    let mut job = job(&directory);
    for (ended, expected) in [
        (Err(RunError::Fault(Fault::Retry("down".to_owned()))), None),
        (Err(RunError::Fenced("a copy runs elsewhere".to_owned())), Some("a copy runs elsewhere")),
        (Ok(()), None),
    ] {
        let _fault = job.conclude(ended);
        let fault = job.config_fault();
        assert_eq!(fault.as_ref().map(|fault| fault.expected.as_str()), expected);
        assert!(fault.is_none_or(|fault| fault.key == "log_file['path']" && fault.file == "test.inv"));
    }
}
