//! Copies of a log file and its journal: what they hold, while a pandad writes the originals, too.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

use rustix::io::Errno;

use super::faulty_disk::{Faults, FaultyFile, disk_with};
use super::*;
use crate::logfile::backup::{copy, copy_on};
use crate::logfile::disk::{FileStat, Handle};
use crate::logfile::inspect::look;
use crate::test_log::lines_of;
use crate::threads;

/// Opens a copy as the next start does, and returns its position and its lines.
pub(super) fn opened(copy: &Dir) -> (i64, String) {
    let (log, position) = again(copy, None);
    drop(log);
    (position, copy.content())
}

#[test]
fn copy_ends_where_everything_was_settled() {
    let (dir, to) = (Dir::new(), Dir::new());
    let mut log = fresh(&dir);
    append(&mut log, 0, 3);
    settle(&mut log);
    append(&mut log, 3, 5);
    let said = copy(&dir.log(), &to.0).unwrap();
    assert!(said[0].ends_with(&format!("copied 21 bytes to {}", to.log().display())), "{said:?}");
    assert_eq!(to.content(), lines(3));
    let (copied, position) = again(&to, None);
    assert_eq!((position, to.content()), (3, lines(3)));
    assert_eq!(copied.ledger.identity(), log.ledger.identity(), "the group's tokens name it");
    // The original goes on.
    append(&mut log, 5, 6);
    drop(log);
    assert_eq!(opened(&dir), (6, lines(6)));
}

/// A copy of a file of which nothing was settled is empty, also where it has other numbers.
#[test]
fn copy_of_an_unsettled_file_is_empty() {
    let (dir, to, moved) = (Dir::new(), Dir::new(), Dir::new());
    let mut log = fresh(&dir);
    append(&mut log, 0, 3);
    copy(&dir.log(), &to.0).unwrap();
    for file in fs::read_dir(&to.0).unwrap().map(|file| file.unwrap().path()) {
        fs::copy(&file, moved.0.join(file.file_name().unwrap())).unwrap();
    }
    assert_eq!(opened(&moved), (0, String::new()));
}

/// All of pandad's bytes in the copy are before its mark. What is behind the mark is another program's, also
/// for a start on another machine.
#[test]
fn copy_keeps_what_another_program_appends_to_it() {
    let (dir, to) = (Dir::new(), Dir::new());
    let mut log = at_boot(&dir, 1);
    log.ledger.set_position(&partition(), 0).unwrap();
    append(&mut log, 0, 3);
    settle(&mut log);
    copy(&dir.log(), &to.0).unwrap();
    OpenOptions::new().append(true).open(to.log()).unwrap().write_all(b"a note\n").unwrap();
    drop(at_boot(&to, 2));
    assert_eq!(to.content(), lines(3) + "a note\n");
}

/// The journal has a small half, so that it begins anew all the time, and the file is rotated.
#[test]
fn copies_under_load_are_whole() {
    let dir = Dir::new();
    let rotation = Rotation { size: Some(10_000), keep: usize::MAX, ..Rotation::off() };
    let options = LogFileOptions { job: "test", sync: false, rotation };
    let disk: Arc<dyn Disk> = Arc::new(disk::RealDisk);
    let (writer, settler, ledger) =
        open_with(&disk, &dir.log(), &options, 4096, None, &mut RestartMemory::default()).unwrap();
    let mut log = LogFile { writer, settler, ledger, lock: Lock::take(&dir.log()).unwrap() };
    log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap();
    log.ledger.set_position(&partition(), 0).unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&is_over);
    let writing = threads::spawn("test-writer", move || {
        let mut next = 0;
        while !stop.load(SeqCst) {
            append(&mut log, next, next + 3);
            next += 3;
            if next % 2 == 0 {
                settle(&mut log);
            }
        }
    });
    for _ in 0..60 {
        let to = Dir::new();
        let said = copy(&dir.log(), &to.0).unwrap();
        let last = said
            .iter()
            .find_map(|line| line.strip_suffix(": is the last rotated file that belongs to the copy"));
        let mut files = archive_names(&dir);
        files.retain(|file| last.is_some_and(|last| file.to_str().unwrap() <= last));
        let (position, lines_of_copy) = opened(&to);
        let rotated: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        let (found, should) = (rotated + &lines_of_copy, lines(position));
        // Not `assert_eq`, which would print all of it.
        assert!(found == should, "{} bytes instead of {}", found.len(), should.len());
    }
    is_over.store(true, SeqCst);
    assert!(writing.unwrap().join().is_ok());
    assert!(archive_names(&dir).len() > 3, "rotated too seldom to show anything");
}

/// The rotated files, oldest first.
fn archive_names(dir: &Dir) -> Vec<PathBuf> {
    let all = fs::read_dir(&dir.0).unwrap().map(|file| file.unwrap().path());
    let mut rotated: Vec<_> = all.filter(|path| path.to_str().unwrap().contains("out.log-")).collect();
    rotated.sort();
    rotated
}

/// Nothing was written since, so pandad has not gone on in another file: nobody has begun one, or it is
/// empty.
#[test]
fn a_file_that_was_moved_away_is_copied_under_its_name() {
    for is_begun in [false, true] {
        let (dir, to) = (Dir::new(), Dir::new());
        let mut log = fresh(&dir);
        append(&mut log, 0, 3);
        settle(&mut log);
        fs::rename(dir.log(), dir.0.join("out.log.1")).unwrap();
        if is_begun {
            fs::write(dir.log(), "").unwrap();
        }
        copy(&dir.log(), &to.0).unwrap();
        assert_eq!(fs::read_to_string(to.0.join("out.log.1")).unwrap(), lines(3));
        assert_eq!(opened(&to), (3, String::new()));
    }
}

#[test]
fn copies_take_no_place_of_other_files() {
    let (dir, to) = (Dir::new(), Dir::new());
    let mut log = fresh(&dir);
    append(&mut log, 0, 3);
    settle(&mut log);
    let refused = |to: &Path, why: &str| {
        let said = copy(&dir.log(), to).unwrap_err();
        assert!(said.contains(why), "{said}");
    };
    refused(&dir.0, "the log file itself is in this directory");
    let link = to.0.join("link");
    symlink(&dir.0, &link).unwrap();
    refused(&link, "the log file itself is in this directory");
    refused(&to.0.join("missing"), "name a directory that is there");
    refused(&dir.log(), "not a directory");
    for name in ["out.log", "out.log.journal", "out.log.journal.new"] {
        fs::write(to.0.join(name), "theirs").unwrap();
        refused(&to.0, "is there already");
        assert_eq!(fs::read_to_string(to.0.join(name)).unwrap(), "theirs");
        fs::remove_file(to.0.join(name)).unwrap();
    }
    let names: Vec<_> = fs::read_dir(&to.0).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names, ["link"], "what was refused leaves nothing");
}

/// As soon as a copy has looked for the names that it needs, another copy begins a file under one of these
/// names.
#[derive(Debug)]
struct SharedDirectory(PathBuf);

impl Faults for SharedDirectory {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Handle> {
        if how == OpenMode::Reading && path.ends_with("out.log") {
            // Opened last to be copied from.
            fs::write(&self.0, "theirs").unwrap();
        }
        RealDisk.open(path, how)
    }

    fn stat_link(&self, path: &Path) -> io::Result<FileStat> {
        // Not there yet.
        if path == self.0 { Err(io::ErrorKind::NotFound.into()) } else { RealDisk.stat_link(path) }
    }
}

#[test]
fn two_copies_into_one_directory_empty_no_file_of_each_other() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 3);
    settle(&mut log);
    for name in ["out.log", "out.log.journal.new"] {
        let to = Dir::new();
        let theirs = to.0.join(name);
        let disk = disk_with(&Arc::new(SharedDirectory(theirs.clone())));
        let said = copy_on(&disk, &dir.log(), &to.0).unwrap_err();
        assert!(said.contains(&format!("{}: is there already", theirs.display())), "{said}");
        assert_eq!(fs::read_to_string(&theirs).unwrap(), "theirs");
        assert_eq!(fs::read_dir(&to.0).unwrap().count(), 1, "of what was refused nothing is left");
    }
}

#[test]
fn a_file_that_was_edited_is_not_copied() {
    let (dir, to) = (Dir::new(), Dir::new());
    let mut log = fresh(&dir);
    append(&mut log, 0, 3);
    settle(&mut log);
    fs::write(dir.log(), lines(3).replace("line 1", "LINE 1")).unwrap();
    let said = copy(&dir.log(), &to.0).unwrap_err();
    assert!(said.contains("is not the file that the journal knows"), "{said}");
    assert_eq!(fs::read_dir(&to.0).unwrap().count(), 0, "nothing is left");
}

/// A log file that is a symbolic link is found where it leads, at a start and by a copy.
#[test]
fn what_a_link_leads_to_is_the_log_file() {
    let (dir, target, to) = (Dir::new(), Dir::new(), Dir::new());
    symlink(target.log(), dir.log()).unwrap();
    let mut log = fresh(&dir);
    append(&mut log, 0, 3);
    settle(&mut log);
    copy(&dir.log(), &to.0).unwrap();
    assert_eq!(opened(&to), (3, lines(3)));
    drop(log);
    assert_eq!(opened(&dir), (3, lines(3)));
}

/// The journal is read so many times in the middle of a change.
#[derive(Debug)]
struct ChangingJournal {
    /// What is read then.
    changing: PathBuf,
    times: AtomicU32,
}

impl Faults for ChangingJournal {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Handle> {
        let is_journal = path.extension().is_some_and(|end| end == "journal") && how == OpenMode::Reading;
        let is_changing = || self.times.fetch_update(SeqCst, SeqCst, |times| times.checked_sub(1)).is_ok();
        RealDisk.open(if is_journal && is_changing() { &self.changing } else { path }, how)
    }
}

#[test]
fn a_journal_that_is_read_in_the_middle_of_a_change_is_read_again() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 3);
    settle(&mut log);
    let mut bytes = fs::read(dir.0.join("out.log.journal")).unwrap();
    let half = bytes.len() / 2;
    for start in [0, half] {
        // Behind both copies of the header.
        bytes[start + 128..start + half].fill(0);
    }
    let changing = dir.0.join("changing");
    fs::write(&changing, &bytes).unwrap();
    let copied = |times: u32| {
        let to = Dir::new();
        let times = AtomicU32::new(times);
        let disk = disk_with(&Arc::new(ChangingJournal { changing: changing.clone(), times }));
        copy_on(&disk, &dir.log(), &to.0).map(|_| opened(&to))
    };
    assert_eq!(copied(5), Ok((3, lines(3))));
    let said = copied(u32::MAX).unwrap_err();
    assert!(said.contains("not a journal that can be read"), "{said}");
}

/// The same, where most of the journal can be read: what is damaged may be what was written last.
#[test]
fn a_journal_with_holes_is_read_again() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 3);
    settle(&mut log);
    append(&mut log, 3, 5);
    let mut bytes = fs::read(dir.0.join("out.log.journal")).unwrap();
    let half = bytes.len() / 2;
    for start in [0, half] {
        // In the first entry of either half.
        bytes[start + 140] ^= 1;
    }
    let changing = dir.0.join("changing");
    fs::write(&changing, &bytes).unwrap();
    for (times, is_whole) in [(0, true), (5, true), (u32::MAX, false)] {
        let times = AtomicU32::new(times);
        let disk = disk_with(&Arc::new(ChangingJournal { changing: changing.clone(), times }));
        let (_, contents) = look(&disk, &dir.log()).unwrap();
        assert_eq!(contents.is_whole(), is_whole);
    }
}

#[test]
fn what_a_later_pandad_wrote_is_not_copied() {
    let (dir, to) = (Dir::new(), Dir::new());
    drop(fresh(&dir));
    let journal = dir.0.join("out.log.journal");
    let mut bytes = fs::read(&journal).unwrap();
    // The version in the first half's header, and both CRCs behind it.
    bytes[8..10].copy_from_slice(&9u16.to_be_bytes());
    for end in [34, 50] {
        let crc = crc32fast::hash(&bytes[..end]);
        bytes[end..end + 4].copy_from_slice(&crc.to_be_bytes());
    }
    fs::write(&journal, bytes).unwrap();
    let said = copy(&dir.log(), &to.0).unwrap_err();
    assert!(said.contains("of version 9, which a later pandad wrote; use that pandad"), "{said}");
}

/// The mark of a copy names the copied file, so that a twin of the copy is not taken for it.
#[test]
fn a_copy_is_known_by_its_numbers() {
    let (dir, to) = (Dir::new(), Dir::new());
    let mut log = fresh(&dir);
    append(&mut log, 0, 3);
    settle(&mut log);
    copy(&dir.log(), &to.0).unwrap();
    fs::rename(to.log(), to.0.join("out.log.2")).unwrap();
    fs::copy(to.0.join("out.log.2"), to.0.join("out.log.1")).unwrap();
    let told = lines_of(|| drop(again(&to, None)));
    assert!(told.iter().any(|(_, line)| line.contains("out.log.2 while pandad did not run")), "{told:?}");
}

/// A disk that refuses to read the log file, or to write its copy.
#[derive(Debug)]
struct RefusingDisk {
    of_original: Option<Errno>,
    of_copy: Option<Errno>,
}

impl Faults for RefusingDisk {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Handle> {
        match self.of_original {
            Some(error) if how == OpenMode::Reading && path.ends_with("out.log") => Err(error.into()),
            _ => RealDisk.open(path, how),
        }
    }

    fn write_at(&self, file: &FaultyFile<Self>, bytes: &[u8], at: u64) -> io::Result<()> {
        self.of_copy.map_or_else(|| file.inner.write_at(bytes, at), |error| Err(error.into()))
    }
}

#[test]
fn a_refused_copy_says_what_to_do_and_leaves_nothing() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 3);
    settle(&mut log);
    let cases = [
        (
            Some(Errno::ACCESS),
            None,
            "out.log: Permission denied (os error 13); copy as the user that pandad runs as",
        ),
        (Some(Errno::IO), None, "out.log: cannot be read: Input/output error (os error 5); look at its disk"),
        (None, Some(Errno::NOSPC), "make room there, or name another directory"),
        (None, Some(Errno::DQUOT), "make room there, or name another directory"),
        (None, Some(Errno::ACCESS), "name a directory in which this user may create files"),
        (None, Some(Errno::ROFS), "name a directory that can be written to"),
        (None, Some(Errno::IO), "look at its disk, or name another directory"),
    ];
    for (of_original, of_copy, what) in cases {
        let to = Dir::new();
        let disk = disk_with(&Arc::new(RefusingDisk { of_original, of_copy }));
        let said = copy_on(&disk, &dir.log(), &to.0).unwrap_err();
        assert!(said.ends_with(what), "{said}");
        assert_eq!(fs::read_dir(&to.0).unwrap().count(), 0, "{said}");
    }
}

/// The copy of a large file is made in pieces, and a copied journal of many partitions has room for all.
#[test]
fn large_files_and_many_partitions_are_copied_whole() {
    let (dir, to) = (Dir::new(), Dir::new());
    let mut log = fresh(&dir);
    for number in 0..1500 {
        log.ledger.set_position(&TopicPartition::new("x".repeat(200), number), i64::from(number)).unwrap();
    }
    OpenOptions::new().append(true).open(dir.log()).unwrap().write_all(&b"theirs\n".repeat(400_000)).unwrap();
    append(&mut log, 0, 5);
    settle(&mut log);
    copy(&dir.log(), &to.0).unwrap();
    assert!(fs::read(to.log()).unwrap() == fs::read(dir.log()).unwrap());
    let (copied, position) = again(&to, None);
    assert_eq!(position, 5);
    let last = TopicPartition::new("x".repeat(200), 1499);
    let resumed = copied.ledger.resume(&last, None, &OffsetMetadata::Unsupported).unwrap();
    assert_eq!(resumed.position, Some(1499));
}
