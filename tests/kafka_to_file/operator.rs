//! Goal: what an operator does to the log file while a full disk holds a write up loses and tears
//! nothing, and resources that are used up for a while are waited out. Method: real disks are full in the
//! middle of a write, then the file is renamed, removed, emptied or overwritten; the limit of open files
//! is lowered while the file is to be opened anew.

use crate::support::check::{self, Report};
use crate::support::daemon::Daemon;
use crate::support::disk::Disk;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::servers::{Kafka, kafka};
use crate::support::wait::seconds;
use crate::support::{all, directory, unique, wait};
use rustix::process::Signal;
use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::Command;

const RECORDS: u64 = 6000;
const FOREIGN: &str = "a line of somebody else";

/// What the operator does to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Rename,
    Remove,
    Empty,
    /// Empties it and writes a line of his own, as `echo > FILE` does.
    Overwrite,
}

#[test]
fn operator_at_the_file_of_a_full_disk_loses_nothing() {
    let versions = if all() { &["1.1.1", "3.9.1", "4.1.0"][..] } else { &["3.9.1"] };
    for version in versions {
        let kafka = kafka(version);
        let tested = kafka.tested("a full disk, and the file is renamed, removed, emptied or overwritten");
        std::thread::scope(|scope| {
            let acts = [Act::Rename, Act::Remove, Act::Empty, Act::Overwrite];
            let kafka = &kafka;
            let each = acts.map(|act| scope.spawn(move || at_the_file(kafka, act)));
            assert!(each.map(|one| one.join().is_ok()).iter().all(|ok| *ok), "see above");
        });
        tested.passed(format_args!("4 acts, {} records", 4 * RECORDS));
    }
}

fn at_the_file(kafka: &Kafka, act: Act) {
    let topic = unique("operator");
    kafka.create(&topic, 2);
    let disk = Disk::mount(&directory("operator"), 6);
    let path = disk.inside.join("consumer.log");
    let inv = Inv::log(kafka, &topic, &unique("operator")).job("log_file['path']", path.to_str().unwrap());
    let file = disk.outside.join("consumer.log");
    let mut daemon = Daemon::new(&inv).behind(disk.prefix()).writes(file.clone());
    daemon.start();
    let producing = Produce::seq(kafka, &topic, RECORDS).with("--partitions", 2).with("--rate", 1500).start();
    daemon.wait_written_at_least(500, seconds(30));
    disk.fill();
    daemon.wait_log("cannot write", seconds(20));
    // What somebody has of the old file: the file itself, or a copy made just before.
    let old = if act == Act::Rename { disk.outside.join("moved") } else { daemon.dir.join("copy") };
    if act == Act::Rename {
        std::fs::rename(&file, &old).unwrap();
    } else {
        std::fs::copy(&file, &old).unwrap();
        match act {
            Act::Remove => std::fs::remove_file(&file).unwrap(),
            Act::Empty => drop(OpenOptions::new().write(true).truncate(true).open(&file).unwrap()),
            _ => std::fs::write(&file, format!("{FOREIGN}\n")).unwrap(),
        }
    }
    std::thread::sleep(seconds(2));
    disk.free();
    producing.finish();
    wait_for_all(&mut daemon, &[old.clone(), file.clone()]);
    daemon.stop();
    let whole = report(&[old.clone(), file.clone()]);
    let new = report(&[file]);
    println!("{act:?}: {whole}; the new file: {new}");
    assert_eq!(whole.missing, 0, "{act:?}: {whole}\n{}", whole.examples.join("\n"));
    if act == Act::Rename {
        assert!(whole.whole(), "{whole}\n{}", whole.examples.join("\n"));
        return;
    }
    // The copy ends in the middle of a write, perhaps of a line, and that write is repeated.
    let foreign = u64::from(act == Act::Overwrite);
    assert_eq!(
        (new.doubled, new.torn, new.disordered),
        (0, foreign, 0),
        "{act:?}: {}",
        new.examples.join("\n")
    );
    assert!(whole.torn <= 1 + foreign && whole.doubled < RECORDS / 4, "{act:?}: {whole}");
}

fn report(files: &[PathBuf]) -> Report {
    check::files(&[RECORDS / 2, RECORDS / 2], files).unwrap()
}

#[track_caller]
fn wait_for_all(daemon: &mut Daemon, files: &[PathBuf]) {
    wait::until("every record is in one of the files", seconds(60), || {
        assert!(daemon.running(), "the daemon ended");
        // The new file is begun with its first lines.
        files.iter().all(|file| file.exists()) && report(files).missing == 0
    });
}

/// Without descriptors the new file cannot be opened. What came meanwhile is in it when they are back.
#[test]
fn too_many_open_files_are_waited_out() {
    let kafka = kafka("3.9.1");
    let tested = kafka.tested("no more open files while the log file is opened anew");
    let topic = unique("descriptors");
    kafka.create(&topic, 2);
    let mut daemon = Daemon::new(&Inv::log(&kafka, &topic, &unique("descriptors")));
    daemon.start();
    let producing = Produce::seq(&kafka, &topic, 8000).with("--partitions", 2).with("--rate", 2000).start();
    daemon.wait_written_at_least(500, seconds(30));
    limit_open_files(&daemon, "1");
    let moved = PathBuf::from(format!("{}-20261127T000000.000Z", daemon.file.display()));
    std::fs::rename(&daemon.file, &moved).unwrap();
    daemon.signal(Signal::HUP);
    // The words for it differ between C libraries.
    daemon.wait_log("(os error 24)", seconds(20));
    std::thread::sleep(seconds(1));
    limit_open_files(&daemon, "1024");
    producing.finish();
    daemon.finish(&[4000, 4000], seconds(60));
    tested.passed("8000 records");
}

#[track_caller]
fn limit_open_files(daemon: &Daemon, most: &str) {
    let words = ["--pid", &daemon.id().to_string(), &format!("--nofile={most}:")];
    assert!(Command::new("prlimit").args(words).status().unwrap().success());
}
