//! What the ledger journals, and what it says of partitions and files. No log file is written.

use std::path::PathBuf;

use super::super::disk::{Disk, FileId, OpenMode, RealDisk};
use super::super::journal::{HALF_BYTES_MIN, NamedFile, ONLY_FILE, RangePart, RouteScope};
use super::*;
use crate::record::TopicId;

const FILE: FileId = FileId { device: 1, inode: 2 };

/// A ledger with a journal of its own, which is removed at the end of the test.
struct Fresh {
    ledger: Ledger,
    path: PathBuf,
}

impl Fresh {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pandad-ledger-{name}-{}", std::process::id()));
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let state = began();
        let journal = JournalFile::create(&disk, &path, 7, HALF_BYTES_MIN, &state.snapshot()).unwrap();
        let ledger = Ledger::new(journal, state, LogLabel::new("test", &path), false);
        Self { ledger, path }
    }

    fn resume_at(&self, partition: &TopicPartition, position: i64) {
        self.ledger.resume(partition, None, &OffsetMetadata::Text(String::new())).unwrap();
        self.ledger.set_position(partition, position).unwrap();
    }

    /// A range of seven bytes is written.
    fn write(&self) {
        let range = range(self.ledger.next_sequence(), Vec::new());
        self.ledger.announce(&range).unwrap();
        let handle = RealDisk.open("/dev/null".as_ref(), OpenMode::Reading).unwrap();
        self.ledger.record_range(&range, &[(ONLY_FILE, &handle, place(7))]);
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).unwrap();
    }
}

/// A journal of one file, which is empty.
fn began() -> JournalState {
    let mut state = JournalState::default();
    state.apply(JournalEntry::Mark(Mark::of_only_file(0, place(0))), 0);
    state
}

fn place(end: u64) -> FilePlace {
    FilePlace { file: FILE, end, before: 0, head: None }
}

fn range(sequence: u64, changes: Vec<PositionChange>) -> Range {
    let part = RangePart { number: ONLY_FILE, file: FILE, from: 0, to: 7, crc: 0, before: 0 };
    Range { sequence, parts: vec![part], changes }
}

fn partition(number: i32) -> TopicPartition {
    TopicPartition::new("t", number)
}

fn named(path: &str, until: i64, topic: &str) -> NamedFile {
    let scope = RouteScope { topic: Some(topic.into()), partition: None };
    NamedFile { path: path.into(), until: Some(until), scope }
}

#[test]
fn a_partition_is_refused_until_the_group_takes_an_offset_of_it() {
    let fresh = Fresh::new("refused");
    let ledger = &fresh.ledger;
    let each = [partition(1), partition(2)];
    assert!(!ledger.group_lacks_any(), "nothing is assigned");
    each.iter().for_each(|one| fresh.resume_at(one, 10));
    assert!(each.iter().all(|one| !ledger.is_refused(one)) && ledger.group_lacks_any());
    ledger.record_refused(&each[..1]);
    assert_eq!(each.each_ref().map(|one| ledger.is_refused(one)), [true, false]);
    ledger.end_refusal_pauses();
    assert_eq!(ledger.take_commits().unwrap().len(), 2);
    ledger.record_committed(&each.each_ref().map(|one| (one.clone(), 10)));
    assert!(!ledger.is_refused(&each[0]) && !ledger.group_lacks_any());
    let (index, _) = ledger.written(&each[1]).unwrap();
    ledger.record_written(&[PositionChange { index, position: 11, last: None }]);
    assert!(ledger.group_lacks_any(), "it has a token, of an earlier position");
}

#[test]
fn the_topic_of_a_partition_is_journalled_when_it_changes() {
    let fresh = Fresh::new("topic");
    let (ledger, id) = (&fresh.ledger, |id| TopicId::new(id).unwrap());
    fresh.resume_at(&partition(1), 10);
    let bytes = || std::fs::read(&fresh.path).unwrap();
    for topic in [5, 6] {
        ledger.record_topic_id(&partition(1), id(topic)).unwrap();
        assert_eq!(ledger.topic_id(&partition(1)), Some(id(topic)));
        let before = bytes();
        ledger.record_topic_id(&partition(1), id(topic)).unwrap();
        assert!(bytes() == before, "an entry for nothing new");
    }
}

#[test]
fn positions_that_are_decided_together_are_durable_at_the_end() {
    let fresh = Fresh::new("together");
    let synced_to = || fresh.ledger.lock().journal.synced_to();
    let before = synced_to();
    let during = fresh.ledger.sync_once(|| {
        (1..4).for_each(|number| fresh.resume_at(&partition(number), 10));
        synced_to()
    });
    assert_eq!(during.unwrap(), before, "one sync follows all");
    let end = fresh.ledger.lock().journal.append(&JournalEntry::Cluster(String::new())).unwrap();
    assert_eq!(synced_to(), end);
    assert!(end > before);
}

/// A range of the partition is written after the take-over, and the marks that took the partition over are
/// damaged. A later one repeats these.
#[test]
fn a_range_after_a_take_over_counts_although_the_marks_of_that_are_lost() {
    let fresh = Fresh::new("taken");
    let elsewhere = Fresh::new("taken-from");
    elsewhere.resume_at(&partition(1), 5);
    let taken = elsewhere.ledger.lock().state.find(&partition(1)).unwrap().1.clone();
    fresh.ledger.take_in((named("a.log", 0, "t"), place(0)), vec![taken], None).unwrap();
    let (index, _) = fresh.ledger.lock().state.find(&partition(1)).unwrap();
    let range = range(1, vec![PositionChange { index, position: 9, last: None }]);
    fresh.ledger.announce(&range).unwrap();
    let inner = fresh.ledger.lock();
    let repeat = inner.state.repeat(&inner.state.settled_by(0, &[]), 0);
    let mut lost = began();
    lost.apply(JournalEntry::Range(range), 100);
    lost.apply(JournalEntry::Mark(Mark { repeat, ..Mark::default() }), 200);
    assert_eq!(lost.find(&partition(1)).unwrap().1.position, 5);
    lost.apply(JournalEntry::Mark(Mark::of_only_file(1, place(7))), 300);
    assert_eq!(lost.find(&partition(1)).unwrap().1.position, 9);
}

/// Two files of one topic are finished, and one of another.
#[test]
fn the_periods_of_every_finished_file_are_complete() {
    let fresh = Fresh::new("periods");
    let names = [named("1", 100, "t"), named("2", 200, "t"), named("3", 300, "u")];
    let scopes = [names[0].scope.clone(), names[2].scope.clone()];
    let files = names.into_iter().map(|name| (name, place(0))).collect();
    let numbers = fresh.ledger.begin_files(files).unwrap();
    assert_eq!(fresh.ledger.finish_files(&numbers).unwrap(), numbers);
    let [of_t, of_u] = scopes;
    assert_eq!(fresh.ledger.lock().state.all_complete(), [(of_t, 200), (of_u, 300)]);
}

#[test]
fn a_file_has_settled_when_a_mark_has_passed_its_ranges() {
    let fresh = Fresh::new("settled");
    let is_settled = || [ONLY_FILE, ONLY_FILE + 1].map(|number| fresh.ledger.is_settled(number));
    fresh.write();
    assert_eq!(is_settled(), [false, true]);
    fresh.ledger.mark(Mark::of_only_file(1, place(7))).unwrap();
    assert_eq!(is_settled(), [true, true]);
}

/// Its lines need not be durable.
#[test]
fn a_file_that_was_closed_unsynced_is_synced_by_no_checkpoint() {
    for closes in [false, true] {
        let fresh = Fresh::new("closed");
        fresh.write();
        if closes {
            fresh.ledger.close_unsynced(ONLY_FILE);
        }
        assert_eq!(fresh.ledger.checkpoint().has_bytes(), !closes);
    }
}

#[test]
fn only_a_file_whose_sync_failed_is_named_as_failed() {
    let fresh = Fresh::new("failed");
    fresh.write();
    assert!(fresh.ledger.failed_files().is_empty());
    drop(fresh.ledger.checkpoint().failed());
    assert_eq!(fresh.ledger.failed_files(), [ONLY_FILE]);
}
