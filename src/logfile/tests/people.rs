//! A person or another program at the log file, between two writes and in the middle of one: where the
//! lines go, and what is logged.

use std::io::IoSlice;
use std::sync::atomic::{AtomicBool, AtomicU64};

use log::Level::{self, Error, Info, Warn};

use super::faulty_disk::{Faults, FaultyFile, disk_with};
use super::*;
use crate::logfile::disk::{FileStat, RealDisk};
use crate::test_log::lines_of;

/// A disk that takes only so many bytes more for the log file, and then is full.
#[derive(Debug)]
struct FullDisk {
    room: AtomicU64,
    /// Whether the path cannot be looked at.
    is_hidden: AtomicBool,
}

impl Faults for FullDisk {
    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        if self.is_hidden.load(Relaxed) { Err(rustix::io::Errno::IO.into()) } else { RealDisk.stat(path) }
    }

    fn append(&self, file: &FaultyFile<Self>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        let room = self.room.load(Relaxed);
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        self.room.store(room - taken as u64, Relaxed);
        file.inner.append_all(&bytes[..taken])?;
        Ok(taken)
    }
}

/// The first three lines are written and settled.
fn begun() -> (Dir, Arc<FullDisk>, LogFile) {
    let (dir, disk) = (Dir::new(), Arc::new(FullDisk { room: u64::MAX.into(), is_hidden: false.into() }));
    let lock = Lock::take(&dir.log()).unwrap();
    let (shared, half) = (disk_with(&disk), super::super::journal::HALF_BYTES_MIN);
    let mut memory = RestartMemory::default();
    let (writer, settler, ledger) =
        open_with(&shared, &dir.log(), &options(true), half, Some(1), &mut memory).unwrap();
    let mut log = LogFile { writer, settler, ledger, lock };
    log.ledger.set_position(&partition(), 0).unwrap();
    append(&mut log, 0, 3);
    settle(&mut log);
    (dir, disk, log)
}

type Act = fn(&Dir);

fn moved(dir: &Dir) -> PathBuf {
    dir.0.join("out.log.1")
}

fn rename(dir: &Dir) {
    fs::rename(dir.log(), moved(dir)).unwrap();
}

fn remove(dir: &Dir) {
    fs::remove_file(dir.log()).unwrap();
}

fn empty(dir: &Dir) {
    set_len(dir, 0);
}

fn set_len(dir: &Dir, length: u64) {
    OpenOptions::new().write(true).open(dir.log()).unwrap().set_len(length).unwrap();
}

fn note(dir: &Dir) {
    OpenOptions::new().append(true).open(dir.log()).unwrap().write_all(b"a note\n").unwrap();
}

fn lines_from(from: i64, to: i64) -> String {
    (from..to).map(|n| format!("line {n}\n")).collect()
}

/// What is logged of the log file at the path, without the path.
fn said(dir: &Dir, act: impl FnOnce()) -> Vec<(Level, String)> {
    let label = format!("test: {}: ", dir.log().display());
    lines_of(act).into_iter().map(|(level, line)| (level, line.replace(&label, ""))).collect()
}

const GOING_ON: &str = "going on at the end of the file that is at this path now";

/// Nobody is in the middle of a write.
#[test]
fn what_somebody_did_between_two_writes_is_named() {
    let cases: [(Act, &str, &str); 3] = [
        (rename, "was moved away", ""),
        (remove, "was removed", ""),
        (empty, "another program has changed it", ""),
    ];
    for (act, what, left) in cases {
        let (dir, _, mut log) = begun();
        act(&dir);
        let told = said(&dir, || append(&mut log, 3, 5));
        assert_eq!(told, [(Info, format!("{what}; {GOING_ON}"))]);
        assert_eq!(dir.content(), left.to_owned() + &lines_from(3, 5), "{what}");
        drop(log);
        assert_eq!(again(&dir, None).1, 5, "{what}");
    }
}

#[test]
fn another_program_that_appends_is_named_once_for_each_file() {
    let (dir, _, mut log) = begun();
    let told = said(&dir, || {
        for next in 4..8 {
            note(&dir);
            append(&mut log, next - 1, next);
        }
    });
    let once = "another program also appends to this file; the lines of both are kept";
    assert_eq!(told, [(Info, once.to_owned())]);
    rename(&dir);
    append(&mut log, 7, 8);
    note(&dir);
    assert_eq!(said(&dir, || append(&mut log, 8, 9)), [(Info, once.to_owned())]);
}

/// The path cannot be looked at for a moment. That does not mean that the file was moved away.
#[test]
fn a_path_that_cannot_be_looked_at_is_waited_for() {
    let (dir, disk, mut log) = begun();
    disk.is_hidden.store(true, Relaxed);
    let told = said(&dir, || {
        assert!(matches!(try_append(&mut log, 3, 5), Err(AppendError::Retry(_))));
    });
    assert_eq!((told, dir.content()), (Vec::new(), lines(3)));
    disk.is_hidden.store(false, Relaxed);
    append(&mut log, 3, 5);
    assert_eq!(dir.content(), lines(5));
    // In the middle of a write the lines that were begun are completed, as there is nothing to decide.
    disk.room.store(10, Relaxed);
    try_append(&mut log, 5, 8).unwrap_err();
    disk.is_hidden.store(true, Relaxed);
    disk.room.store(u64::MAX, Relaxed);
    assert_eq!(said(&dir, || append(&mut log, 5, 8)), []);
    assert_eq!(dir.content(), lines(8));
}

/// How many bytes of a write the disk takes, what somebody does then, what is logged, and what the file at
/// the path and the one that was moved away hold in the end.
type Interruption = (u64, Act, Vec<(Level, &'static str)>, [String; 2]);

const BEFORE: (Level, &str) =
    (Info, "was moved away before a write; going on in the file that is at this path now");
const AFTER: (Level, &str) =
    (Info, "was moved away in the middle of a write; the moved file gets the rest of the write");
const REMOVED: (Level, &str) =
    (Warn, "was removed in the middle of a write; the write is repeated in a new file");
const GOES_ON: (Level, &str) =
    (Info, "another program changed this file in the middle of a write; the write goes on");
const SHORTENED: (Level, &str) = (
    Warn,
    "another program shortened this file in the middle of a write; the missing part of the write is \
     repeated",
);
const APPENDED: (Level, &str) = (
    Warn,
    "another program appended to this file in the middle of a write; the missing part of the write is \
     repeated",
);
const TORN: (Level, &str) = (
    Error,
    "the line at byte 28 stays torn, because another program changed this file in the middle of the \
     write; the line is written again, whole",
);

fn interruptions() -> Vec<Interruption> {
    let nothing = String::new;
    let rest = || lines_from(3, 6);
    vec![
        (0, rename, vec![BEFORE], [rest(), lines(3)]),
        (
            0,
            |dir| {
                note(dir);
                rename(dir);
            },
            vec![BEFORE],
            [rest(), lines(3) + "a note\n"],
        ),
        (0, remove, vec![REMOVED], [rest(), nothing()]),
        (10, rename, vec![AFTER], [nothing(), lines(6)]),
        (10, remove, vec![REMOVED], [rest(), nothing()]),
        (10, |dir| set_len(dir, 28), vec![GOES_ON], [lines(6), nothing()]),
        (10, empty, vec![SHORTENED], [rest(), nothing()]),
        (10, note, vec![APPENDED, TORN], [lines(4) + "lina note\n" + &lines_from(4, 6), nothing()]),
        (7, note, vec![APPENDED], [lines(4) + "a note\n" + &lines_from(4, 6), nothing()]),
        (0, note, vec![APPENDED], [lines(3) + "a note\n" + &rest(), nothing()]),
    ]
}

/// The disk takes a part of three lines of 7 bytes each and is full. Then somebody acts; then there is room.
#[test]
fn what_somebody_did_in_the_middle_of_a_write_is_named() {
    for (room, act, expected, files) in interruptions() {
        let (dir, disk, mut log) = begun();
        disk.room.store(room, Relaxed);
        assert!(matches!(try_append(&mut log, 3, 6), Err(AppendError::Retry(_))));
        assert!(log.writer.is_pending());
        act(&dir);
        disk.room.store(u64::MAX, Relaxed);
        let told = said(&dir, || append(&mut log, 3, 6));
        let expected: Vec<_> = expected.into_iter().map(|(level, line)| (level, line.to_owned())).collect();
        assert_eq!(told, expected, "after {room} bytes");
        assert!(!log.writer.is_pending());
        let of = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        assert_eq!([of(dir.log()), of(moved(&dir))], files, "after {room} bytes: {told:?}");
        // A kill, and nothing is to be done.
        drop(log);
        let (log, position) = again(&dir, None);
        drop(log);
        assert_eq!((position, [of(dir.log()), of(moved(&dir))]), (6, files), "after {room} bytes: {told:?}");
    }
}

/// The CRC of very many bytes would take long, so a mark passes them instead of a range. The lines of both
/// are kept either way.
#[test]
fn many_bytes_of_another_program_are_not_read() {
    let line = [&[b'x'; 1023][..], b"\n"].concat();
    for (kib, is_read) in [(2 * 1024, true), (16 * 1024, true), (16 * 1024 + 1, false)] {
        let (dir, _, mut log) = begun();
        let theirs = line.repeat(kib);
        OpenOptions::new().append(true).open(dir.log()).unwrap().write_all(&theirs).unwrap();
        append(&mut log, 3, 5);
        assert_eq!(log.writer.is_foreign_logged(), is_read, "{kib} KiB");
        append(&mut log, 5, 7);
        drop(log);
        assert_eq!(again(&dir, None).1, 7, "{kib} KiB");
        let content = fs::read(dir.log()).unwrap();
        let whole = [lines(3).as_bytes(), &theirs, lines_from(3, 7).as_bytes()].concat();
        assert!(content == whole, "{kib} KiB: {} bytes instead of {}", content.len(), whole.len());
    }
}

/// A write was announced, and nothing of it is written, when pandad is stopped.
#[test]
fn a_stop_in_front_of_a_write_takes_the_write_back() {
    let nobody: Act = |_| ();
    let torn: Act = |dir| {
        OpenOptions::new().append(true).open(dir.log()).unwrap().write_all(b"a note").unwrap();
    };
    let cases: [(Act, i64, [String; 2]); 6] = [
        (nobody, 5, [lines(5), String::new()]),
        (note, 5, [lines(5) + "a note\n", String::new()]),
        (torn, 5, [lines(5) + "a note\n", String::new()]),
        (empty, 5, [String::new(), String::new()]),
        (rename, 5, [String::new(), lines(5)]),
        // The lines that had not settled were in no file that is left.
        (remove, 3, [String::new(), String::new()]),
    ];
    for (number, (act, position, files)) in cases.into_iter().enumerate() {
        let (dir, disk, mut log) = begun();
        append(&mut log, 3, 5);
        disk.room.store(0, Relaxed);
        try_append(&mut log, 5, 8).unwrap_err();
        act(&dir);
        disk.room.store(u64::MAX, Relaxed);
        log.writer.end().unwrap();
        log.ledger.close().unwrap();
        drop(log);
        let (log, found) = again(&dir, None);
        drop(log);
        let of = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        assert_eq!((found, [of(dir.log()), of(moved(&dir))]), (position, files), "case {number}");
    }
}

/// What was begun is completed by the next start, which cuts it, or by nobody.
#[test]
fn a_stop_in_the_middle_of_a_write_takes_nothing_back() {
    let (dir, disk, mut log) = begun();
    disk.room.store(10, Relaxed);
    try_append(&mut log, 3, 6).unwrap_err();
    log.writer.end().unwrap();
    assert!(log.writer.is_pending());
    drop(log);
    assert_eq!((again(&dir, None).1, dir.content()), (3, lines(3)));
}

#[test]
fn another_program_may_write_the_first_line() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    note(&dir);
    append(&mut log, 0, 2);
    assert!(log.writer.is_foreign_logged());
    drop(log);
    assert_eq!((again(&dir, None).1, dir.content()), (2, "a note\n".to_owned() + &lines(2)));
}
