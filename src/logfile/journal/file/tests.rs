//! The journal's file: what it takes, what it refuses, and how large it becomes.

use std::path::PathBuf;

use super::*;
use crate::logfile::disk::{FileId, RealDisk};
use crate::logfile::journal::{FilePlace, Mark, MarkedCommit, MemberIdentity};

/// The path of a journal, which is removed at the end of the test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("pandad-journal-{name}-{}", std::process::id())))
    }

    fn length(&self) -> u64 {
        std::fs::metadata(&self.0).unwrap().len()
    }

    fn entries(&self) -> Vec<JournalEntry> {
        let Ok(JournalRead::Journal { contents, .. }) = JournalFile::read(&disk(), &self.0) else {
            panic!("unreadable")
        };
        assert!(contents.is_whole());
        contents.newest.entries.into_iter().map(|(_, entry)| entry).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

/// An entry of 18 bytes and this many.
fn member(length: u64) -> JournalEntry {
    JournalEntry::Member(MemberIdentity { id: "m".repeat(length as usize), silent: true })
}

fn mark(commits: Vec<MarkedCommit>) -> JournalEntry {
    let place = FilePlace { file: FileId { device: 1, inode: 2 }, end: 0, before: 0, head: None };
    JournalEntry::Mark(Mark { commits, ..Mark::of_only_file(1, place) })
}

/// The format cannot express a negative offset; a reader would take it for no offset.
#[test]
fn an_entry_that_cannot_be_read_back_is_not_written() {
    let place = Place::new("negative");
    let first = member(1);
    let mut journal = JournalFile::create(&disk(), &place.0, 7, 4096, std::slice::from_ref(&first)).unwrap();
    let bad = mark(vec![MarkedCommit { index: 0, acknowledged: None, value: Some(-2) }]);
    let before = std::fs::read(&place.0).unwrap();
    let refused = journal.append(&bad);
    assert!(matches!(refused, Err(EntryRefused::Io(error)) if error.kind() == io::ErrorKind::InvalidData));
    assert!(journal.rewrite(&[bad], None).is_err());
    assert_eq!(std::fs::read(&place.0).unwrap(), before, "nothing was written");
    journal.append(&first).unwrap();
    assert_eq!(place.entries(), [first.clone(), first]);
}

/// An entry that fits to the last byte is taken. The next one is not, and afterwards there is room for it,
/// however long it is; a larger file is begun only if that is necessary.
#[test]
fn a_half_is_used_to_its_end() {
    let place = Place::new("full");
    let mut journal = JournalFile::create(&disk(), &place.0, 7, 4096, &[member(1)]).unwrap();
    for half in 0..3 {
        let at = journal.at;
        assert_eq!(at, 128 + 19, "{half}");
        assert!(matches!(journal.append(&member(4096 - at - 17)), Err(EntryRefused::Full)));
        let fits = member(4096 - at - 18);
        assert_eq!(journal.append(&fits).unwrap(), at);
        assert_eq!(place.entries(), [member(1), fits]);
        assert!(matches!(journal.append(&member(0)), Err(EntryRefused::Full)));
        journal.rewrite(&[member(1)], Some(&member(0))).unwrap();
        assert_eq!((place.length(), place.entries()), (2 * 4096, vec![member(1)]), "{half}");
    }
    // Half of the room is kept for what comes, and a larger file is at least twice as large.
    for (length, half) in [(1947, 4096), (1948, 8192), (3996, 16_384), (20_000, 40_960)] {
        journal.rewrite(&[member(1)], Some(&member(length))).unwrap();
        assert_eq!(place.length(), 2 * half, "{length}");
        assert_eq!(journal.append(&member(length)).unwrap(), 128 + 19);
        assert_eq!(place.entries(), [member(1), member(length)]);
    }
    journal.rewrite(&[member(1), member(30_000)], None).unwrap();
    assert_eq!(place.entries(), [member(1), member(30_000)]);
    assert!(place.length() >= 4 * 30_000, "as much again fits in");
}

/// A copy of a journal gets a file of its own for a snapshot of any size.
#[test]
fn a_new_file_has_room_for_more_than_its_snapshot() {
    let place = Place::new("large");
    let snapshot = [mark(Vec::new()), member(50_000)];
    let mut journal = JournalFile::create(&disk(), &place.0, 7, 4096, &snapshot).unwrap();
    assert_eq!(place.entries(), snapshot);
    assert!((4 * 50_000..16 * 50_000).contains(&place.length()), "{}", place.length());
    journal.append(&member(40_000)).unwrap();
    assert_eq!(place.entries().len(), 3);
}

/// The marks that are noted reach back one page behind the last one, so that a later mark makes up for a lost
/// page; the snapshot reaches back for ever.
#[test]
fn marks_repeat_what_a_lost_page_may_have_held() {
    let place = Place::new("marks");
    let mut journal = JournalFile::create(&disk(), &place.0, 7, 65_536, &[mark(Vec::new())]).unwrap();
    assert_eq!(journal.repeated_since(), journal.at, "the snapshot's mark says all");
    let mut places = vec![journal.at];
    for _ in 0..60 {
        journal.append(&member(700)).unwrap();
        places.push(journal.append(&mark(Vec::new())).unwrap());
        let last = *places.last().unwrap();
        let since = places.iter().rev().find(|place| **place + 4096 <= last).unwrap_or(&places[0]);
        assert_eq!(journal.repeated_since(), *since);
    }
    // What is durable is known as soon as it was synced.
    let (before, sync) = (journal.synced_to(), journal.to_sync());
    assert_eq!(before, places[0]);
    journal.append(&member(1)).unwrap();
    sync.sync().unwrap();
    assert_eq!(journal.synced_to(), journal.at - 19, "what came later may be lost");
}
