//! The journals that files had before they shared one: what the shared journal takes over, and what becomes
//! of the old ones.

mod several;
mod tokens;

use super::super::inspect;
use super::*;
use crate::logfile::file_set::{
    FileSetOptions, FileWriters, LeftFiles, RoutedPieces, TakenFile, leave_later, recover as set_recover,
    take_over as take_over_on,
};
use crate::logfile::journal::{HALF_BYTES_MIN, JournalFile, JournalRead, JournalState, OlderPandad};
use crate::logfile::label::LogLabel;
use crate::logfile::opening::{begin_ledger, read_journal};
use crate::record::Token;
use crate::test_log::lines_of;

const JOURNALS: [(u16, &[u8]); 3] = [
    (1, include_bytes!("../journals/v1.journal")),
    (2, include_bytes!("../journals/v2.journal")),
    (3, include_bytes!("../journals/v3.journal")),
];

fn base(dir: &Dir) -> PathBuf {
    dir.0.join("{topic}.log")
}

fn old_journal(dir: &Dir) -> PathBuf {
    dir.0.join("out.log.journal")
}

/// The shared journal, which has taken over nothing yet.
fn open_shared(dir: &Dir) -> Ledger {
    open_shared_at(dir, 1)
}

fn open_shared_at(dir: &Dir, boot: u128) -> Ledger {
    let disk: Arc<dyn Disk> = Arc::new(disk::RealDisk);
    let (base, mut memory) = (base(dir), RestartMemory::default());
    let label = LogLabel::new("test", &base);
    let mut found = read_journal(&disk, &base, &label, Some(boot), &mut memory).unwrap();
    let mut left = LeftFiles::default();
    leave_later(&disk, &dir.0, &mut found.replayed.state, &mut left).unwrap();
    let boots = (found.boot, Some(boot));
    set_recover((&*disk, &dir.0), &mut found.replayed, boots, (&label, &mut memory), &mut left).unwrap();
    begin_ledger(&disk, &base, found, HALF_BYTES_MIN, label).unwrap()
}

/// Takes over the journal of a file in the directory.
fn try_take(dir: &Dir, ledger: &Ledger, name: &str, topic: &str) -> Result<bool, OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(disk::RealDisk);
    let path = dir.0.join(name);
    let file = TakenFile { root: &dir.0, path: &path, topic };
    let label = LogLabel::new("test", &base(dir));
    take_over_on(&disk, ledger, file, Some(1), (&label, &mut RestartMemory::default()))
}

fn take(dir: &Dir, ledger: &Ledger) -> bool {
    try_take(dir, ledger, "out.log", "t").unwrap()
}

/// Opens the shared journal and takes over that of the one file.
fn shared(dir: &Dir) -> (Ledger, bool) {
    let ledger = open_shared(dir);
    let is_taken = take(dir, &ledger);
    (ledger, is_taken)
}

/// Appends lines to the file and settles.
fn append_shared(dir: &Dir, ledger: &Ledger, from: i64, next: i64) {
    let disk: Arc<dyn Disk> = Arc::new(disk::RealDisk);
    let log_file = options(true);
    let set = FileSetOptions {
        base: base(dir),
        log_file,
        complete_dir: None,
        complete_gzip: false,
        open_max: 8,
        new_max: 8,
    };
    let mut writers = FileWriters::new(disk, &dir.0, ledger.clone(), &set);
    let lines: String = (from..next).map(|n| format!("line {n}\n")).collect();
    let mut crc = crc32fast::Hasher::new();
    crc.update(lines.as_bytes());
    let (index, written) = ledger.written(&partition()).unwrap();
    assert_eq!(written, from);
    let path = dir.log();
    let pieces = vec![Piece { bytes: lines.as_bytes(), crc: &crc }];
    let change = PositionChange { index, position: next, last: None };
    writers
        .append(0, &[RoutedPieces { path: &path, until: None, scope: &EVERY_PARTITION, pieces }], &[change])
        .unwrap();
    let mut settler = Settler { ledger: ledger.clone(), sync: true };
    settler.settle(ledger.checkpoint()).unwrap();
}

/// Where the partition goes on, if the group has this offset with this text beside it.
fn resume(ledger: &Ledger, partition: &TopicPartition, group: Option<(i64, String)>) -> Option<i64> {
    let (offset, text) = group.map_or((None, String::new()), |(offset, text)| (Some(offset), text));
    ledger.resume(partition, offset, &OffsetMetadata::Text(text)).unwrap().position
}

fn position(ledger: &Ledger) -> Option<i64> {
    resume(ledger, &partition(), None)
}

/// The identity of the journal at this path, and the path of the file.
fn identity_of(at: &Path) -> u128 {
    let disk: Arc<dyn Disk> = Arc::new(disk::RealDisk);
    match JournalFile::look(&disk, at).unwrap() {
        JournalRead::Journal { journal, .. } => journal.identity(),
        other => panic!("{other:?}"),
    }
}

/// A directory with a journal of the one file: records up to 3 have settled, and up to 5 are written.
fn with_old() -> (Dir, u128) {
    let dir = Dir::new();
    let mut log = with(&dir, true, 4096, Some(1));
    log.ledger.set_position(&partition(), 0).unwrap();
    append(&mut log, 0, 3);
    settle(&mut log);
    append(&mut log, 3, 5);
    let identity = log.ledger.identity();
    (dir, identity)
}

#[test]
fn journals_of_every_format_are_taken_over_and_refused_by_the_pandads_of_then() {
    for (version, journal) in JOURNALS {
        let dir = Dir::new();
        fs::write(dir.log(), lines(9)).unwrap();
        fs::write(old_journal(&dir), journal).unwrap();
        let identity = identity_of(&old_journal(&dir));
        let (ledger, is_taken) = shared(&dir);
        assert!(is_taken, "version {version}");
        let bytes = fs::read(old_journal(&dir)).unwrap();
        assert_eq!(bytes.len(), journal.len());
        for pandad in version..=3 {
            assert!(matches!(OlderPandad::meets(pandad, journal), OlderPandad::Opens(_)));
            assert_eq!(OlderPandad::meets(pandad, &bytes), OlderPandad::Refuses, "{version}, {pandad}");
        }
        let resumed = ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap();
        assert_eq!(resumed.position, Some(9), "version {version}");
        let last: Vec<i64> = resumed.landmarks.iter().map(|landmark| landmark.offset).collect();
        assert_eq!(last, [2, 4, 8], "version {version}");
        assert_eq!(resume(&ledger, &TopicPartition::new("t", 1), None), Some(50));
        let member = ledger.member().map(|member| member.id);
        assert_eq!(member, (version >= 2).then(|| "pandad-1-2".to_owned()), "version {version}");
        append_shared(&dir, &ledger, 9, 11);
        drop(ledger);
        let shown = inspect::lines(&base(&dir)).unwrap().join("\n");
        for line in ["t/0 is at 11".to_owned(), format!("taken over from {identity:032x}")] {
            assert!(shown.contains(&line), "version {version}: {shown}");
        }
        let known = state_of(&dir);
        let held = known.find(&partition()).and_then(|(_, state)| state.held.clone()).unwrap();
        assert_eq!(held.unsure(), Some((0, 9)), "version {version}: no journal of then says what it holds");
        let (ledger, is_taken) = shared(&dir);
        assert_eq!((position(&ledger), is_taken, dir.content()), (Some(11), false, lines(11)));
    }
}

#[test]
fn a_file_without_a_journal_is_left_as_it_is() {
    let dir = Dir::new();
    fs::write(dir.log(), "somebody's").unwrap();
    let (ledger, is_taken) = shared(&dir);
    assert_eq!((is_taken, position(&ledger), dir.content()), (false, None, "somebody's".to_owned()));
    assert!(!old_journal(&dir).exists());
}

/// What is in the old journal is brought into the file as every start does it, with the same findings.
#[test]
fn the_file_is_brought_to_what_its_journal_says() {
    let (dir, _) = with_old();
    let torn = lines(5).len() as u64 - 3;
    OpenOptions::new().write(true).open(dir.log()).unwrap().set_len(torn).unwrap();
    let mut found = None;
    let told = lines_of(|| found = Some(shared(&dir)));
    let (ledger, _) = found.unwrap();
    let told: Vec<String> = told.into_iter().map(|(_, text)| text).collect();
    let log = dir.log();
    assert_eq!(
        told,
        [
            format!(
                "test: {}: adopted the unsettled writes that the file holds whole: 0 of 1",
                log.display()
            ),
            format!(
                "test: {}: cut 11 bytes of a write that was not complete; its records are fetched again",
                log.display()
            ),
            format!(
                "test: {}: {}.journal has taken over 1 position from this file's own journal",
                log.display(),
                base(&dir).display()
            ),
        ]
    );
    assert_eq!((position(&ledger), dir.content()), (Some(3), lines(3)));
}

#[test]
fn the_path_alone_is_refused_with_the_place_of_its_positions() {
    let dir = Dir::new();
    fs::create_dir(dir.0.join("sub")).unwrap();
    let path = dir.0.join("sub/out.log");
    drop(open(&path, &options(true), &mut RestartMemory::default()).unwrap());
    let ledger = open_shared(&dir);
    try_take(&dir, &ledger, "sub/out.log", "t").unwrap();
    let Err(OpenError::Fatal(why)) = open(&path, &options(true), &mut RestartMemory::default()) else {
        panic!("opened")
    };
    let expected = format!(
        "{}.journal: another journal ({}.journal, {:032x}) has taken over the positions of this file",
        path.display(),
        base(&dir).display(),
        ledger.identity()
    );
    assert!(
        why.starts_with(&expected) && why.ends_with("move this journal away: the group's offsets decide"),
        "{why}"
    );
    assert_eq!(inspect::lines(&path), Err(why.clone()));
    assert_eq!(inspect::forget(&path), Err(why));
}

/// The journal is ended in two steps. A start that finds only the first done does the other.
#[test]
fn a_take_over_that_was_not_finished_is_finished_by_the_next_start() {
    let (dir, _) = with_old();
    let before = fs::read(old_journal(&dir)).unwrap();
    let (ledger, is_taken) = shared(&dir);
    assert!(is_taken);
    drop(ledger);
    let ended = fs::read(old_journal(&dir)).unwrap();
    let half = before.len() / 2;
    for (undone, what) in
        [(0..before.len(), "nothing"), (0..half, "the second"), (half..2 * half, "the first")]
    {
        let mut bytes = ended.clone();
        bytes[undone.clone()].copy_from_slice(&before[undone]);
        fs::write(old_journal(&dir), &bytes).unwrap();
        fs::write(dir.log(), lines(5)).unwrap();
        let (ledger, is_taken) = shared(&dir);
        assert_eq!((is_taken, position(&ledger)), (false, Some(5)), "{what} was done");
        let bytes = fs::read(old_journal(&dir)).unwrap();
        for half in [&bytes[..half], &bytes[half..]] {
            assert_eq!(half[8..10], [0, 4], "{what} was done");
        }
        let Err(OpenError::Fatal(why)) = open(&dir.log(), &options(true), &mut RestartMemory::default())
        else {
            panic!("{what} was done")
        };
        assert!(why.contains("{topic}.log.journal, "), "{why}");
    }
}

/// What the shared journal says.
fn state_of(dir: &Dir) -> JournalState {
    let disk: Arc<dyn Disk> = Arc::new(disk::RealDisk);
    match JournalFile::look(&disk, &dir.0.join("{topic}.log.journal")).unwrap() {
        JournalRead::Journal { contents, .. } => contents.replay(None).unwrap().state,
        other => panic!("{other:?}"),
    }
}

/// The epoch of the partition in the shared journal.
fn ledger_epoch(dir: &Dir) -> u64 {
    state_of(dir).find(&partition()).unwrap().1.epoch
}

#[test]
fn what_cannot_be_taken_over_is_put_aside_or_refused() {
    let (dir, _) = with_old();
    fs::write(old_journal(&dir), "no journal").unwrap();
    let (ledger, is_taken) = shared(&dir);
    assert_eq!((is_taken, position(&ledger)), (false, None));
    assert!(dir.0.join("out.log.journal.unreadable").exists() && !old_journal(&dir).exists());
    let mut later = JOURNALS[2].1.to_vec();
    for copy in [0, later.len() / 2] {
        later[copy + 9] = 5;
        for end in [34, 50] {
            let crc = crc32fast::hash(&later[copy..copy + end]).to_be_bytes();
            later[copy + end..copy + end + 4].copy_from_slice(&crc);
        }
    }
    fs::write(old_journal(&dir), &later).unwrap();
    let refused = try_take(&dir, &ledger, "out.log", "t");
    assert!(matches!(refused, Err(OpenError::Fatal(why)) if why.contains("version 5")));
    assert_eq!(fs::read(old_journal(&dir)).unwrap(), later);
    // The journal of another set, as if a topic had the name of its path.
    append_first(&dir, &ledger);
    drop(ledger);
    fs::copy(dir.0.join("{topic}.log.journal"), dir.0.join("b.log.journal")).unwrap();
    let refused = try_take(&dir, &open_shared(&dir), "b.log", "b");
    assert!(matches!(refused, Err(OpenError::Fatal(why)) if why.contains("the journal of several files")));
}

fn append_first(dir: &Dir, ledger: &Ledger) {
    ledger.set_position(&partition(), 5).unwrap();
    fs::remove_file(old_journal(dir)).unwrap();
    append_shared(dir, ledger, 5, 6);
}
