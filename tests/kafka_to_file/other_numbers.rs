//! Goal: whatever device and inode numbers a file has at a start, no line is missing, doubled or
//! torn. Method: pandad is killed between a write and its sync, then the file system is mounted with
//! other numbers or copied, or the files beside the log are made to look like it.

use crate::support::disk::{Disk, FileSystem};
use crate::support::unsettled::{STEP, Unsettled};
use crate::support::{all, check, directory};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const ADOPTED: &str = "adopted the unsettled writes";
/// A run after a kill adopts what was written before, and the files are whole.
#[track_caller]
fn finish(to: &mut Unsettled, files: &[PathBuf], after: &str) {
    to.write();
    let adopted = to.daemon.log_lines(ADOPTED);
    assert_eq!(adopted.len(), 1, "{after}: one line about what was adopted: {}", to.daemon.log());
    to.daemon.stop();
    to.assert_whole(files, after);
}

/// Killed with nothing settled at first, later with something settled.
#[test]
fn other_numbers_of_each_file_system_mislead_nobody() {
    for kind in FileSystem::ALL {
        if all() || matches!(kind, FileSystem::Tmpfs | FileSystem::Overlay) {
            mounted_again(kind);
        }
    }
}

fn mounted_again(kind: FileSystem) {
    let disk = match Disk::of(&directory("numbers"), kind) {
        Ok(disk) => disk,
        Err(why) => return println!("NO {} HERE: {why}", format!("{kind:?}").to_uppercase()),
    };
    let what = format!("other device and inode numbers after a kill -9, {kind:?}");
    let mut to = Unsettled::new(&what, (&disk.inside, &disk.outside), disk.prefix());
    let rounds = if all() { 10 } else { 2 };
    for _ in 0..rounds {
        to.kill();
        disk.renumber(kind);
        finish(&mut to, &[disk.outside.join("consumer.log")], "with other numbers");
    }
    to.passed(format_args!("{rounds} kills"));
}

/// What somebody does to the log file in its directory while pandad does not run, and the names of the
/// files that hold the lines then.
type Act = (&'static str, fn(&Path), &'static [&'static str]);

const HERE: &[&str] = &["consumer.log"];
const ROTATED: &[&str] = &["consumer.log.1", "consumer.log"];

#[rustfmt::skip]
const ACTS: [Act; 10] = [
    ("restored by a copy into new files", |at| {
        renew(at, "consumer.log");
        renew(at, "consumer.log.journal");
    }, HERE),
    ("the numbers are those of another log beside it", |at| {
        fs::rename(at.join("consumer.log"), at.join("other.log")).unwrap();
        fs::copy(at.join("other.log"), at.join("consumer.log")).unwrap();
        fs::write(at.join("other.log"), vec![b'x'; 100_000]).unwrap();
    }, HERE),
    ("copied beside itself", |at| {
        renew(at, "consumer.log");
        copy(at, "consumer.log", "consumer.log.bak");
    }, HERE),
    ("rotated and compressed", |at| {
        rotate(at);
        copy(at, "consumer.log.1", "consumer.log.1.gz");
    }, ROTATED),
    ("rotated, a new file in its place", |at| {
        rotate(at);
        fs::write(at.join("consumer.log"), "").unwrap();
    }, ROTATED),
    ("rotated, with a hard link to it", |at| {
        rotate(at);
        fs::hard_link(at.join("consumer.log.1"), at.join("consumer.log.kept")).unwrap();
    }, ROTATED),
    ("rotated, beside a file with the same end", |at| {
        rotate(at);
        let mut bytes = fs::read(at.join("consumer.log.1")).unwrap();
        bytes[10] ^= 1;
        fs::write(at.join("consumer.log.0"), bytes).unwrap();
    }, ROTATED),
    ("rotated and copied, with the same numbers", |at| {
        fs::rename(at.join("consumer.log"), at.join("consumer.log.1")).unwrap();
        copy(at, "consumer.log.1", "consumer.log.0");
    }, ROTATED),
    ("moved behind a symbolic link", |at| {
        fs::create_dir(at.join("elsewhere")).unwrap();
        fs::rename(at.join("consumer.log"), at.join("elsewhere/real.log")).unwrap();
        symlink("elsewhere/real.log", at.join("consumer.log")).unwrap();
    }, HERE),
    ("torn at its end, restored by a copy", |at| {
        let file = OpenOptions::new().write(true).open(at.join("consumer.log")).unwrap();
        file.set_len(file.metadata().unwrap().len() - 7).unwrap();
        renew(at, "consumer.log");
    }, HERE),
];

fn copy(at: &Path, from: &str, to: &str) {
    fs::copy(at.join(from), at.join(to)).unwrap();
}

/// The same bytes in another inode.
fn renew(at: &Path, name: &str) {
    let aside = at.join("aside");
    fs::copy(at.join(name), &aside).unwrap();
    fs::rename(&aside, at.join(name)).unwrap();
}

/// As log rotation does it, with other numbers. The old numbers stay in use, or a copy would get them.
fn rotate(at: &Path) {
    fs::create_dir(at.join("kept")).unwrap();
    fs::hard_link(at.join("consumer.log"), at.join("kept/consumer.log")).unwrap();
    fs::rename(at.join("consumer.log"), at.join("consumer.log.1")).unwrap();
    renew(at, "consumer.log.1");
}

#[test]
fn copies_and_look_alikes_mislead_nobody() {
    for (what, act, files) in ACTS {
        let (at, mut to) = Unsettled::in_a_directory(&format!("the log file was {what}"));
        to.settle();
        to.kill();
        act(&at);
        let files: Vec<PathBuf> = files.iter().map(|name| at.join(name)).collect();
        finish(&mut to, &files, what);
        to.passed("1 kill");
        fs::remove_dir_all(&at).unwrap();
    }
}

/// Nothing tells which of two equal copies is ours: nothing is adopted or cut, and one ERROR names both.
#[test]
fn two_equal_copies_are_left_alone() {
    let (at, mut to) = Unsettled::in_a_directory("two copies of the log file, none at its place");
    to.settle();
    to.kill();
    rotate(&at);
    copy(&at, "consumer.log.1", "consumer.log.2");
    let before = fs::read(at.join("consumer.log.1")).unwrap();
    to.write();
    let errors = to.daemon.log_lines("both have the content that the journal describes");
    assert!(errors.len() == 1 && errors[0].contains("ERROR"), "{errors:?}");
    to.daemon.stop();
    for copy in ["consumer.log.1", "consumer.log.2"] {
        assert!(fs::read(at.join(copy)).unwrap() == before, "{copy} was changed");
    }
    let files = ROTATED.iter().map(|name| at.join(name)).collect::<Vec<_>>();
    let report = check::files(&[to.produced], &files).unwrap();
    assert_eq!((report.missing, report.torn), (0, 0), "{report}");
    assert!((1..to.produced - 2 * STEP).contains(&report.doubled), "only what had not settled: {report}");
    to.passed("1 kill");
    fs::remove_dir_all(&at).unwrap();
}
