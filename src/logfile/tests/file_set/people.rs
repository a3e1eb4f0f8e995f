//! A person or another program at one of three files while a range with a part in each of them is being
//! written: where the lines go, what is logged, and what a kill leaves.

use log::Level::{self, Error, Info, Warn};

use super::*;
use crate::test_log::lines_of;

/// What somebody does to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Rename,
    Remove,
    Empty,
    Note,
    /// A note without the end of its line.
    OpenNote,
}

const ACTS: [Act; 5] = [Act::Rename, Act::Remove, Act::Empty, Act::Note, Act::OpenNote];

impl Act {
    fn act(self, path: &Path) {
        let add = |text: &[u8]| OpenOptions::new().append(true).open(path).unwrap().write_all(text).unwrap();
        match self {
            Self::Rename => fs::rename(path, moved(path)).unwrap(),
            Self::Remove => fs::remove_file(path).unwrap(),
            Self::Empty => OpenOptions::new().write(true).open(path).unwrap().set_len(0).unwrap(),
            Self::Note => add(b"a note\n"),
            Self::OpenNote => add(b"a note"),
        }
    }
}

fn moved(path: &Path) -> PathBuf {
    path.with_extension("log.1")
}

/// How the second range begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// In the run that wrote the first one.
    SameRun,
    /// In the next run.
    NextRun,
}

/// The first six lines are written and settled, and six more are begun: the disk takes so many bytes of
/// them. Each file gets 14 bytes.
fn begun(start: Start, room: u64) -> (Dir, Arc<FullDisk>, Set) {
    let (dir, faults) = (Dir::new(), FullDisk::new());
    let disk = disk_with(&faults);
    let (mut set, _) = open_set_on(&disk, &dir);
    set.append(0, 6);
    set.settle();
    if start == Start::NextRun {
        drop(set);
        set = open_set_on(&disk, &dir).0;
    }
    faults.room.store(room, Relaxed);
    let refused = set.try_append(6, 12);
    assert!(matches!(refused, Err(AppendError::Retry(_))), "{refused:?}");
    assert!(set.writers.is_pending(0));
    (dir, faults, set)
}

/// What is logged, without the directory.
fn said(dir: &Dir, act: impl FnOnce()) -> Vec<(Level, String)> {
    let label = format!("test: {}/", dir.0.display());
    lines_of(act).into_iter().map(|(level, line)| (level, line.replace(&label, ""))).collect()
}

/// One case: how many bytes of the second range the disk takes, and what somebody does to which file then.
#[derive(Debug, Clone, Copy)]
struct Case {
    start: Start,
    room: u64,
    act: Act,
    number: usize,
}

fn every_case() -> Vec<Case> {
    let all = std::env::var_os("PANDAD_TEST_ALL").is_some();
    let rooms: Vec<u64> = if all { (0..44).collect() } else { vec![0, 3, 7, 14, 18, 22, 29, 31, 36, 43] };
    let mut cases = Vec::new();
    for start in [Start::SameRun, Start::NextRun] {
        for act in ACTS {
            for number in 0..FILES.len() {
                cases.extend(rooms.iter().map(|room| Case { start, room: *room, act, number }));
            }
        }
    }
    cases
}

impl Case {
    /// What the file of the act held when somebody emptied or removed it.
    fn act(self, dir: &Dir) -> String {
        let path = file(dir, FILES[self.number]);
        let before = text(&path);
        self.act.act(&path);
        if matches!(self.act, Act::Remove | Act::Empty) { before } else { String::new() }
    }

    fn appends(self) -> bool {
        matches!(self.act, Act::Note | Act::OpenNote)
    }

    /// What is wrong with the files in the end. A line may be twice in the file of the act if `may_double`.
    fn faults(self, dir: &Dir, copy: &str, may_double: bool) -> Vec<String> {
        let mut faults = Vec::new();
        let mut notes = 0;
        for (number, name) in FILES.into_iter().enumerate() {
            let path = file(dir, name);
            let all = text(&moved(&path)) + &text(&path);
            for record in (0..12).filter(|record| *record as usize % 3 == number) {
                let line = format!("line {record}\n");
                let times = all.split_inclusive('\n').filter(|other| **other == line).count();
                let is_copied = number == self.number && copy.contains(&line);
                let twice = may_double && number == self.number && record >= 6;
                let good = times == 1 || times == 0 && is_copied && record < 6 || times == 2 && twice;
                if !good {
                    faults.push(format!("{name}: {times} times {line:?}"));
                }
            }
            let others: Vec<&str> = all.lines().filter(|line| !is_whole(line)).collect();
            notes += others.iter().filter(|line| line.ends_with("a note")).count();
            let torn = others.iter().filter(|line| **line != "a note").count();
            if torn > usize::from(self.appends() && number == self.number) {
                faults.push(format!("{name}: {others:?}"));
            }
        }
        if notes != usize::from(self.appends()) {
            faults.push(format!("{notes} notes"));
        }
        faults
    }
}

fn is_whole(line: &str) -> bool {
    line.strip_prefix("line ").is_some_and(|record| record.parse::<i64>().is_ok())
}

/// Fails if one of the cases is bad.
fn assert_good(count: usize, bad: &[String]) {
    assert!(count >= 300, "{count} are not every case");
    assert!(bad.is_empty(), "{} of {count}:\n{}", bad.len(), bad[..bad.len().min(12)].join("\n"));
}

#[test]
fn whatever_somebody_does_each_line_is_in_its_file_once() {
    let (cases, mut bad) = (every_case(), Vec::new());
    for case in &cases {
        let (dir, faults, mut set) = begun(case.start, case.room);
        let copy = case.act(&dir);
        faults.room.store(u64::MAX, Relaxed);
        let mut ended = Ok(());
        let told = said(&dir, || ended = set.try_append(6, 12));
        let mut found = case.faults(&dir, &copy, false);
        found.extend(ended.err().map(|error| format!("{error:?}")));
        let files = texts(&dir);
        let is_torn =
            files.iter().flat_map(|text| text.lines()).any(|line| line != "a note" && !is_whole(line));
        if is_torn != told.iter().any(|(level, _)| *level == Error) {
            found.push("a torn line and no error, or the other way about".to_owned());
        }
        drop(set);
        let (set, position) = open_set_on(&disk_with(&faults), &dir);
        drop(set);
        if position != 12 || texts(&dir) != files {
            found.push(format!("the next start goes on at {position}"));
        }
        if !found.is_empty() {
            bad.push(format!("{case:?}: {} {told:?} {:?}", found.join("; "), texts(&dir)));
        }
    }
    assert_good(cases.len(), &bad);
}

/// The disk is full again in the middle of the repeated write, and pandad is killed. The lines of the write
/// can come twice in a file to which somebody has appended.
#[test]
fn a_kill_after_somebody_has_acted_loses_no_line() {
    let (cases, mut bad) = (every_case(), Vec::new());
    for case in &cases {
        let (dir, faults, mut set) = begun(case.start, case.room);
        let copy = case.act(&dir);
        // Without room for the newline of another program's line, that line may be cut.
        faults.room.store(1 + case.room * 5 % 43, Relaxed);
        let mut found = Vec::new();
        if let Err(AppendError::Restart(error)) = set.try_append(6, 12) {
            found.push(format!("{error:?}"));
        }
        drop(set);
        faults.room.store(u64::MAX, Relaxed);
        let (mut set, position) = open_set_on(&disk_with(&faults), &dir);
        if position < 12 {
            set.append(position, 12);
        }
        found.extend(case.faults(&dir, &copy, case.appends()));
        if !found.is_empty() {
            bad.push(format!("{case:?}: {} {:?}", found.join("; "), texts(&dir)));
        }
    }
    assert_good(cases.len(), &bad);
}

const MOVED_BEFORE: (Level, &str) =
    (Info, "was moved away before a write; going on in the file that is at this path now");
const MOVED_AFTER: (Level, &str) =
    (Info, "was moved away in the middle of a write; the moved file gets the rest of the write");
const REMOVED: (Level, &str) =
    (Warn, "was removed in the middle of a write; the write is repeated in a new file");
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
    "the line at byte 21 stays torn, because another program changed this file in the middle of the \
     write; the line is written again, whole",
);

type Told = [(Level, &'static str)];

/// The first file has its lines already, the second one a part, and the third one none. What is logged
/// names the file that somebody has handled, and no other.
#[test]
fn what_somebody_did_to_one_of_the_files_is_named() {
    let expected: [(Act, [&Told; 3]); 5] = [
        (Act::Rename, [&[MOVED_AFTER], &[MOVED_AFTER], &[MOVED_BEFORE]]),
        (Act::Remove, [&[REMOVED], &[REMOVED], &[REMOVED]]),
        (Act::Empty, [&[SHORTENED], &[SHORTENED], &[SHORTENED]]),
        (Act::Note, [&[APPENDED], &[APPENDED, TORN], &[APPENDED]]),
        (Act::OpenNote, [&[APPENDED], &[APPENDED, TORN], &[APPENDED]]),
    ];
    for (act, of_files) in expected {
        for (name, expected) in FILES.into_iter().zip(of_files) {
            let (dir, faults, mut set) = begun(Start::SameRun, 24);
            act.act(&file(&dir, name));
            faults.room.store(u64::MAX, Relaxed);
            let told = said(&dir, || set.append(6, 12));
            let expected: Vec<_> =
                expected.iter().map(|(level, text)| (*level, format!("k/{name}.log: {text}"))).collect();
            assert_eq!(told, expected, "{act:?} {name}");
        }
    }
}

/// Nothing can be compared with lines that are gone with their directory: the records are fetched again.
#[test]
fn a_set_whose_directory_was_removed_is_begun_anew() {
    let dir = Dir::new();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let (mut set, _) = open_set_on(&disk, &dir);
    set.append(0, 6);
    drop(set);
    fs::remove_dir_all(dir.0.join("k")).unwrap();
    let (mut set, position) = open_set_on(&disk, &dir);
    assert_eq!(position, 0);
    set.append(0, 6);
    assert_eq!(texts(&dir), all_lines(0, 6));
}
