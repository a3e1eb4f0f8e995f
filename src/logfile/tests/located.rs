//! Where a start looks for the file of its journal, and what it takes for that file.

use std::os::unix::fs::symlink;

use super::faulty_disk::{Faults, FaultyFile, disk_with};
use super::*;
use crate::logfile::disk::{FileId, RealDisk};
use crate::logfile::journal::{FileHead, FilePlace, ONLY_FILE, RangePart};
use crate::logfile::locate::{Located, WantedFile, head, is_part_in, locate, tail};
use crate::test_log::lines_of;

/// Three lines, all settled.
fn settled() -> Dir {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 3);
    settle(&mut log);
    dir
}

/// The first thing that a start says.
fn said(dir: &Dir) -> String {
    let told = lines_of(|| drop(open(&dir.log(), &options(true), &mut RestartMemory::default()).unwrap()));
    told.into_iter().next().map_or(String::new(), |(_, text)| text.replace(dir.0.to_str().unwrap(), ""))
}

const GONE: &str = "is not the file that the journal describes, and that file is not in this directory";

#[test]
fn a_file_that_ends_with_its_mark_is_found_by_its_content() {
    let dir = settled();
    fs::rename(dir.log(), dir.0.join("out.log.2")).unwrap();
    fs::copy(dir.0.join("out.log.2"), dir.0.join("out.log.1")).unwrap();
    fs::remove_file(dir.0.join("out.log.2")).unwrap();
    assert!(said(&dir).ends_with("was moved to /out.log.1 while pandad did not run"));
}

/// Other programs put a rotated file beside the link, and pandad puts it beside the link's target.
#[test]
fn a_moved_file_is_looked_for_beside_the_link_and_beside_its_target() {
    for is_beside_link in [true, false] {
        let (dir, other) = (settled(), Dir::new());
        let target = other.0.join("real.log");
        fs::rename(dir.log(), &target).unwrap();
        symlink(&target, dir.log()).unwrap();
        let moved = if is_beside_link { dir.0.join("out.log.1") } else { other.0.join("real.log.1") };
        fs::rename(&target, &moved).unwrap();
        let told = said(&dir);
        assert!(told.ends_with("1 while pandad did not run"), "{is_beside_link}: {told}");
    }
}

/// What a link leads to may be anywhere, and may be another pandad's.
#[test]
fn a_link_beside_the_log_is_not_looked_into() {
    let (dir, other) = (settled(), Dir::new());
    let elsewhere = other.0.join("a-name-that-is-longer-than-three-lines");
    fs::rename(dir.log(), &elsewhere).unwrap();
    symlink(&elsewhere, dir.0.join("out.log.1")).unwrap();
    assert!(said(&dir).contains(GONE));
}

/// The disk cannot read one file.
#[derive(Debug)]
struct Unreadable(PathBuf);

impl Faults for Unreadable {
    fn read_at(&self, file: &FaultyFile<Self>, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        if self.0 == file.path { Err(rustix::io::Errno::IO.into()) } else { file.inner.read_at(buffer, at) }
    }
}

/// By its numbers it is ours: without reading it, nobody knows which lines it holds.
#[test]
fn a_moved_file_that_cannot_be_read_is_waited_for() {
    let dir = settled();
    let moved = dir.0.join("out.log.1");
    fs::rename(dir.log(), &moved).unwrap();
    let disk = disk_with(&Arc::new(Unreadable(moved.clone())));
    let (half, mut memory) = (super::super::journal::HALF_BYTES_MIN, RestartMemory::default());
    let refused = open_with(&disk, &dir.log(), &options(true), half, Some(1), &mut memory);
    assert!(matches!(refused, Err(OpenError::Retry(_))), "{refused:?}");
}

/// The file was empty at the last mark; then it got a range, was moved away, and somebody appended to it.
#[test]
fn a_moved_file_that_begins_with_the_first_range_is_ours() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 3);
    drop(log);
    let moved = dir.0.join("out.log.1");
    fs::rename(dir.log(), &moved).unwrap();
    OpenOptions::new().append(true).open(&moved).unwrap().write_all(b"a note\n").unwrap();
    assert_eq!(again(&dir, None).1, 3);
    assert_eq!(fs::read_to_string(moved).unwrap(), lines(3) + "a note\n");
}

/// A file of these bytes, and the place at its end.
fn placed(bytes: &[u8], has_head: bool) -> (Dir, FilePlace) {
    let dir = Dir::new();
    fs::write(dir.log(), bytes).unwrap();
    let file = RealDisk.open(&dir.log(), OpenMode::Reading).unwrap();
    let (end, id) = (bytes.len() as u64, file.stat().unwrap().id);
    let before = crc32fast::hash(&tail(&file, end).unwrap());
    let head = has_head.then(|| head(&file, end).unwrap());
    (dir, FilePlace { file: id, end, before, head })
}

fn located(dir: &Dir, place: &FilePlace) -> Located {
    let file = RealDisk.open(&dir.log(), OpenMode::Reading).unwrap();
    locate(&RealDisk, (&dir.log(), Some(&file)), WantedFile::only(place, &Default::default())).unwrap()
}

/// A mark of an older pandad has no head. Then other numbers are believed only if the bytes before the mark
/// are the whole file.
#[test]
fn without_a_head_the_numbers_must_agree() {
    let other = FileId { device: 77, inode: 88 };
    for (length, has_head, is_ours) in [
        (100, false, true),
        (4096, false, true),
        (4097, false, false),
        (4097, true, true),
        (9000, true, true),
    ] {
        let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let (dir, place) = placed(&bytes, has_head);
        assert_eq!(located(&dir, &place), Located::AtPath, "{length}");
        let elsewhere = FilePlace { file: other, ..place };
        let expected = if is_ours { Located::AtPath } else { Located::Nowhere };
        assert_eq!(located(&dir, &elsewhere), expected, "{length}");
        let moved = dir.0.join("out.log.1");
        fs::rename(dir.log(), &moved).unwrap();
        fs::write(dir.log(), "").unwrap();
        assert_eq!(located(&dir, &place), Located::Beside(moved.clone()), "{length}");
        let expected = if is_ours { Located::Beside(moved) } else { Located::Nowhere };
        assert_eq!(located(&dir, &elsewhere), expected, "{length}");
    }
}

/// A head that is longer than the mark belongs to no such file, and cannot be read of it either.
#[test]
fn a_head_beyond_the_mark_is_another_files() {
    let (dir, place) = placed(b"12345678\n", true);
    for length in [8, 10, 4096] {
        let place = FilePlace { head: Some(FileHead { length, crc: 5 }), ..place };
        assert_eq!(located(&dir, &place), Located::Changed(dir.log()), "{length}");
    }
}

/// Ranges are read in pieces.
#[test]
fn a_long_range_is_compared_to_its_last_byte() {
    let (from, length) = (9, 600_000);
    let mut bytes = b"in front\n".to_vec();
    bytes.extend((0..length).map(|at| (at % 251) as u8));
    let (dir, place) = placed(&bytes, true);
    let crc = crc32fast::hash(&bytes[from..]);
    let (number, file, to) = (ONLY_FILE, place.file, bytes.len() as u64);
    let part = RangePart { number, file, from: from as u64, to, crc, before: 0 };
    let is_in = |bytes: &[u8]| {
        fs::write(dir.log(), bytes).unwrap();
        is_part_in(&RealDisk.open(&dir.log(), OpenMode::Reading).unwrap(), &part)
    };
    assert!(is_in(&bytes).unwrap());
    assert!(is_in(&[&bytes[..], b"more"].concat()).unwrap());
    for at in [0, from, from + 262_143, from + 262_144, from + 524_288, bytes.len() - 1] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert_eq!(is_in(&changed).unwrap(), at < from, "{at}");
    }
    assert_eq!(is_in(&bytes[..bytes.len() - 1]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}
