//! Device and inode numbers change, files are copied, and other files have similar content: the content
//! decides which file is pandad's.

use super::*;

impl Dir {
    /// A copy of the whole directory: every file has other numbers.
    fn copied(&self) -> Self {
        let copy = Self::new();
        for file in fs::read_dir(&self.0).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), copy.0.join(file.file_name())).unwrap();
        }
        copy
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// A log file that was settled up to 2, then written up to 5, and killed.
fn killed() -> Dir {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 2);
    settle(&mut log);
    append(&mut log, 2, 5);
    dir
}

#[test]
fn a_copy_of_everything_goes_on_where_it_was() {
    let dir = killed().copied();
    assert_eq!(again(&dir, None).1, 5);
    assert_eq!(dir.content(), lines(5));
}

/// After another boot, with other numbers, pandad may still cut a torn rest.
#[test]
fn a_torn_rest_is_cut_under_other_numbers() {
    let first = Dir::new();
    let mut log = at_boot(&first, 1);
    log.ledger.set_position(&partition(), 0).unwrap();
    append(&mut log, 0, 2);
    settle(&mut log);
    append(&mut log, 2, 5);
    drop(log);
    let dir = first.copied();
    OpenOptions::new().write(true).open(dir.log()).unwrap().set_len(7 * 4 + 3).unwrap();
    let log = at_boot(&dir, 2);
    assert_eq!(
        log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap().position,
        Some(2)
    );
    assert_eq!(dir.content(), lines(2));
}

#[test]
fn a_renamed_file_is_found_under_other_numbers_and_a_copy_at_the_path_wins() {
    let dir = killed();
    fs::rename(dir.log(), dir.path("out.log.1")).unwrap();
    let moved = dir.copied();
    assert_eq!(again(&moved, None).1, 5);
    assert_eq!(moved.content(), "");
    let both = dir.copied();
    fs::copy(both.path("out.log.1"), both.log()).unwrap();
    assert_eq!(again(&both, None).1, 5);
    assert_eq!(both.content(), lines(5));
}

/// There is no file at the path, and two files beside it have the same content: the numbers decide; without
/// the numbers neither file is chosen.
#[test]
fn of_two_that_agree_the_one_with_the_numbers_is_ours() {
    let dir = killed();
    fs::rename(dir.log(), dir.path("out.log.2")).unwrap();
    fs::copy(dir.path("out.log.2"), dir.path("out.log.1")).unwrap();
    let neither = dir.copied();
    assert_eq!(again(&dir, None).1, 5);
    assert_eq!(again(&neither, None).1, 2, "positions are kept");
    for name in ["out.log.1", "out.log.2"] {
        assert_eq!(fs::read_to_string(neither.path(name)).unwrap(), lines(5), "nothing is cut");
    }
}

#[test]
fn compressed_files_are_never_ours() {
    let dir = killed();
    fs::rename(dir.log(), dir.path("out.log.gz")).unwrap();
    let dir = dir.copied();
    assert_eq!(again(&dir, None).1, 2);
    assert_eq!(fs::read_to_string(dir.path("out.log.gz")).unwrap(), lines(5));
}

/// The last 4 KiB are the same, ending at the very same byte, but the file begins differently.
#[test]
fn equal_tails_do_not_make_a_file_ours() {
    let dir = Dir::new();
    fs::write(dir.log(), format!("the first line\n{}", "x\n".repeat(5000))).unwrap();
    let mut log = fresh(&dir);
    settle(&mut log);
    drop(log);
    let look_alike = dir.path("out.log.1");
    let text = format!("another start!\n{}line 0\n", "x\n".repeat(5000));
    fs::write(&look_alike, &text).unwrap();
    // The other file even gets the log file's numbers, as after a copy: it is written in place.
    fs::write(dir.log(), &text).unwrap();
    let log = at_boot(&dir, 99);
    assert_eq!(
        log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap().position,
        Some(0)
    );
    drop(log);
    assert_eq!((fs::read_to_string(&look_alike).unwrap(), dir.content()), (text.clone(), text));
}

/// If the file was empty at the mark, a file with other numbers is pandad's only at the path, and only up
/// to the end of the ranges.
#[test]
fn an_empty_mark_takes_no_more_than_was_announced() {
    let start = || {
        let dir = Dir::new();
        let mut log = fresh(&dir);
        append(&mut log, 0, 3);
        drop(log);
        dir.copied()
    };
    let dir = start();
    assert_eq!(again(&dir, None).1, 3);
    let longer = start();
    let text = lines(3) + "what somebody put back\n";
    fs::write(longer.log(), &text).unwrap();
    let log = at_boot(&longer, 99);
    assert_eq!(
        log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap().position,
        Some(0)
    );
    drop(log);
    assert_eq!(longer.content(), text, "nothing is cut");
    let beside = start();
    fs::rename(beside.log(), beside.path("out.log.1")).unwrap();
    assert_eq!(again(&beside, None).1, 0);
    assert_eq!(fs::read_to_string(beside.path("out.log.1")).unwrap(), lines(3));
}

/// The log file may stand behind a symbolic link, at the first start and at every other.
#[test]
fn a_link_at_the_path_is_followed_at_each_start() {
    let dir = killed();
    let other = Dir::new();
    fs::rename(dir.log(), other.path("real.log")).unwrap();
    std::os::unix::fs::symlink(other.path("real.log"), dir.log()).unwrap();
    assert_eq!(again(&dir, None).1, 5);
    assert_eq!(dir.content(), lines(5));
    // Rotated beside the target.
    fs::rename(other.path("real.log"), other.path("real.log.1")).unwrap();
    assert_eq!(again(&dir, None).1, 5);
    assert_eq!(fs::read_to_string(other.path("real.log")).unwrap(), "");
}

/// A hard link is the same file, and not a second one that agrees.
#[test]
fn two_names_of_one_file_are_one_file() {
    let dir = killed().copied();
    fs::rename(dir.log(), dir.path("out.log.1")).unwrap();
    fs::hard_link(dir.path("out.log.1"), dir.path("out.log.kept")).unwrap();
    assert_eq!(again(&dir, None).1, 5);
}

/// The file was empty at the last mark, and the numbers are now those of something else.
#[test]
fn nothing_of_another_file_is_cut_for_its_numbers() {
    let text = "what is no pandad's\n".repeat(20);
    for has_journal in [false, true] {
        let dir = Dir::new();
        let mut log = at_boot(&dir, 1);
        log.ledger.set_position(&partition(), 0).unwrap();
        append(&mut log, 0, if has_journal { 90 } else { 3 });
        drop(log);
        let other = dir.path("other.log");
        fs::rename(dir.log(), &other).unwrap();
        fs::copy(&other, dir.log()).unwrap();
        fs::write(&other, &text).unwrap();
        if has_journal {
            fs::write(dir.path("other.log.journal"), "its own").unwrap();
        }
        let log = at_boot(&dir, 2);
        let resumed = log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap();
        drop(log);
        assert_eq!(fs::read_to_string(&other).unwrap(), text, "{has_journal}");
        assert_eq!(resumed.position, Some(if has_journal { 90 } else { 3 }));
    }
}

/// A mark that is not durable yet may be lost with the power, and then the file was empty at the last one.
#[test]
fn ranges_are_synced_until_a_mark_of_a_file_with_lines_is_durable() {
    use super::super::journal::{ONLY_FILE, Range, RangePart};
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 2);
    let mark = log.writer.checkpoint().0.mark;
    let place = mark.files[0].place;
    let announce = |from: u64| {
        let sequence = log.ledger.next_sequence();
        let (file, to, changes) = (place.file, from + 5, Vec::new());
        log.ledger
            .announce(&Range {
                sequence,
                parts: vec![RangePart { number: ONLY_FILE, file, from, to, crc: 0, before: 0 }],
                changes,
            })
            .unwrap()
    };
    let (_, sync) = log.ledger.mark(mark.clone()).unwrap();
    assert!(announce(place.end).is_some(), "the mark is not durable");
    sync.sync().unwrap();
    assert!(announce(place.end + 5).is_none(), "the mark is durable");
}

/// The file has its numbers and its length, and begins as before; but somebody has edited a line shortly
/// before the mark. Nothing behind an edit is adopted, and the positions of the mark are kept.
#[test]
fn an_edited_file_is_not_adopted() {
    for (edited, position) in [(false, 700), (true, 600)] {
        let dir = Dir::new();
        let mut log = fresh(&dir);
        append(&mut log, 0, 600);
        settle(&mut log);
        append(&mut log, 600, 700);
        drop(log);
        let mut text = dir.content();
        assert_eq!(text, lines(700));
        if edited {
            text = text.replace("line 599", "LINE 599");
            fs::write(dir.log(), &text).unwrap();
        }
        assert_eq!(again(&dir, None).1, position, "edited: {edited}");
        assert_eq!(dir.content(), text, "nothing is cut");
    }
}

/// What a power loss takes away is bound to a boot and to a mount.
#[test]
fn another_mount_is_another_era() {
    let (proc, sys) = (Path::new("/proc/out.log"), Path::new("/sys/out.log"));
    assert_eq!(era(proc), era(Path::new("/proc/other.log")), "the same boot and mount");
    if [proc, sys].iter().any(|path| disk::mount_id(directory_of(path)) == 0) {
        println!("THIS KERNEL HAS NO UNIQUE IDS OF MOUNTS (Linux 6.8 and later)");
        return;
    }
    assert_ne!(era(proc), era(sys));
    assert!(era(proc).is_some());
}
