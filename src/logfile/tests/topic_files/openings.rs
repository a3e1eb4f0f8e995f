//! What is durable when the files are open, and which file is tried before it is opened.

use std::io::IoSlice;
use std::sync::Mutex;

use super::*;
use crate::logfile::disk::with_suffix;
use crate::logfile::topic_files::{try_topic_file, with_mounts};

/// Notes, in order, what was written and synced.
#[derive(Debug, Default)]
struct Noted(Mutex<Vec<(bool, PathBuf)>>);

impl Noted {
    fn note(&self, is_sync: bool, path: &Path) {
        self.0.lock().unwrap().push((is_sync, path.to_owned()));
    }

    fn last(&self, is_sync: bool, path: &Path) -> Option<usize> {
        self.0.lock().unwrap().iter().rposition(|(sync, of)| *sync == is_sync && of == path)
    }
}

impl Faults for Noted {
    fn append(&self, file: &FaultyFile<Self>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.note(false, &file.path);
        file.inner.append(slices)
    }

    fn write_at(&self, file: &FaultyFile<Self>, bytes: &[u8], at: u64) -> io::Result<()> {
        self.note(false, &file.path);
        file.inner.write_at(bytes, at)
    }

    fn sync(&self, file: &FaultyFile<Self>) -> io::Result<()> {
        self.note(true, &file.path);
        file.inner.sync()
    }
}

/// What a new file holds already, and then that pandad goes on behind it, is durable before the first line.
#[test]
fn what_a_file_holds_is_durable_before_it_is_gone_on_with() {
    for foreign in ["another program's\n", "torn"] {
        let mut topics = Topics::new();
        fs::write(topics.path("a"), foreign).unwrap();
        let noted = Arc::new(Noted::default());
        drop(topics.open_on(&disk_with(&noted), &[], 1).unwrap());
        let (file, journal) = (topics.path("a"), topics.dir.0.join("topics.journal.new"));
        let (synced, written) = (noted.last(true, &file), noted.last(false, &file));
        assert!(synced.is_some() && synced > written, "{foreign:?}");
        assert!(noted.last(true, &journal) > noted.last(false, &journal), "the journal's end is not durable");
        let before = noted.last(false, &journal);
        assert!(synced < before, "the journal names the place before the file is durable");
    }
}

/// The files that begin stand in the journal twice: whatever byte of it is damaged, a torn line of theirs is
/// cut.
#[test]
fn no_damaged_byte_makes_a_new_file_unknown() {
    let of_one = |flipped: Option<usize>| {
        let mut topics = Topics::new();
        let mut open = topics.open(&[], 1).unwrap();
        open.write("a");
        open.settle();
        drop(open);
        // The position is known, and the path is new.
        let mut open = topics.open_as("new.log", 1);
        let journal = topics.dir.0.join("topics.journal");
        let begun = fs::read(&journal).unwrap();
        open.write("a");
        drop(open);
        if let Some(at) = flipped {
            let mut bytes = fs::read(&journal).unwrap();
            bytes[at] ^= 0x10;
            fs::write(&journal, bytes).unwrap();
        }
        let file = topics.path("a").with_file_name("new.log");
        fs::write(&file, "li").unwrap();
        drop(topics.open_as("new.log", 2));
        (fs::read_to_string(file).unwrap(), begun)
    };
    let (text, begun) = of_one(None);
    assert_eq!(text, "");
    // The first half begins; the headers have tests of their own.
    let half = &begun[..begun.len().min(HALF_BYTES_MIN as usize)];
    let last = half.iter().rposition(|byte| *byte != 0xff).unwrap();
    assert!((100..2000).contains(&last), "{last}");
    for at in (128..=last).step_by(5) {
        assert_eq!(of_one(Some(at)).0, "", "byte {at} of {last}");
    }
}

/// A file is compared with the journal once after a failed sync, not at each later opening.
#[test]
fn a_failed_sync_is_done_with_when_the_files_are_open() {
    let mut topics = Topics::new();
    let mut open = topics.open(&[], 1).unwrap();
    TOPICS.iter().for_each(|topic| open.write(topic));
    open.settle();
    drop(open);
    topics.memory.sync_failed = true;
    drop(topics.open(&[], 1).unwrap());
    assert!(!topics.memory.sync_failed);
}

/// A disk that does not sync the first topic's file, nor its own journal.
#[derive(Debug)]
struct Unsynced;

impl Faults for Unsynced {
    fn sync(&self, file: &FaultyFile<Self>) -> io::Result<()> {
        if file.path.ends_with("a/out.log.journal") || file.path.ends_with("a/out.log") {
            return Err(rustix::io::Errno::IO.into());
        }
        file.inner.sync()
    }
}

/// After a failed sync the disk lacks ranges of a file's own journal whose lines are in the file: pandad's
/// own lines must not be taken for another program's.
#[test]
fn a_journal_whose_sync_failed_is_compared_when_it_is_taken_over() {
    for fails_at in ["take-over", "run"] {
        let mut topics = Topics::new();
        let (path, disk) = (topics.path("a"), Arc::new(RealDisk) as Arc<dyn Disk>);
        let memory = &mut RestartMemory::default();
        let old = crate::logfile::open_with(&disk, &path, &options(true), HALF_BYTES_MIN, Some(1), memory);
        let (mut writer, _settler, ledger) = old.unwrap();
        ledger.resume(&of("a"), None, &OffsetMetadata::Unsupported).unwrap();
        ledger.set_position(&of("a"), 0).unwrap();
        let mut append = |position: i64| {
            let (index, _) = ledger.written(&of("a")).unwrap();
            let line = format!("line {position}\n");
            let mut crc = crc32fast::Hasher::new();
            crc.update(line.as_bytes());
            let change = PositionChange { index, position: position + 1, last: None };
            writer.append(&[Piece { bytes: line.as_bytes(), crc: &crc }], &[change]).unwrap();
        };
        append(0);
        let journal = with_suffix(&path, ".journal");
        let before = fs::read(&journal).unwrap();
        append(1);
        drop(writer);
        topics.memory.sync_failed = fails_at == "run";
        if fails_at == "take-over" {
            let open = topics.open_on(&disk_with(&Arc::new(Unsynced)), &[], 1).unwrap();
            assert_eq!((open.open_files(), open.refused.len()), (vec!["b".to_owned()], 1));
        }
        fs::write(&journal, &before).unwrap();
        let mut open = topics.open(&[], 1).unwrap();
        assert_eq!(
            (open.position("a"), topics.text("a")),
            (Some(1), lines(1)),
            "a sync fails at the {fails_at}"
        );
        open.write("a");
        assert_eq!(topics.text("a"), lines(2));
        assert!(!topics.memory.sync_failed);
    }
}

#[test]
fn a_mount_that_is_made_anew_makes_another_era() {
    let of = |mounts: &[u64]| with_mounts(7, 1, mounts.iter().copied().collect());
    assert_eq!([of(&[]), of(&[1]), of(&[1, 1])], [7; 3]);
    let eras = [of(&[1]), of(&[2]), of(&[3]), of(&[2, 3]), of(&[1, 2, 4, 6])];
    let different: std::collections::BTreeSet<u128> = eras.into_iter().collect();
    assert_eq!(different.len(), eras.len(), "{eras:?}");
}

/// A file that refused is tried without a change to it. Where it is there and no sync has failed, it is not
/// probed with a file beside it.
#[test]
fn a_refused_file_is_tried_as_far_as_its_trouble_asks() {
    let mut topics = Topics::new();
    let (path, log_file) = (topics.path("a"), options(true));
    fs::create_dir(topics.dir.0.join("a/out.log.probe")).unwrap();
    let tried = |sync_failed| try_topic_file(&path, &log_file, sync_failed);
    assert!(tried(false).is_err(), "a file that is to be created is probed");
    fs::write(&path, "").unwrap();
    assert!(tried(false).is_ok());
    assert!(tried(true).is_err(), "after a failed sync the disk is probed");
    fs::remove_dir(topics.dir.0.join("a/out.log.probe")).unwrap();
    assert!(tried(true).is_ok());
    assert_eq!(fs::read_dir(topics.dir.0.join("a")).unwrap().count(), 1, "only the file");
    // Without this, all files would be opened anew each minute because of a journal that stays as it is.
    fs::create_dir(topics.dir.0.join("a/out.log.journal")).unwrap();
    assert!(tried(false).is_err(), "its own journal cannot be read");
    fs::remove_dir(topics.dir.0.join("a/out.log.journal")).unwrap();
    drop(topics.open(&[], 1).unwrap());
    fs::copy(topics.dir.0.join("topics.journal"), topics.dir.0.join("a/out.log.journal")).unwrap();
    assert!(tried(false).is_err(), "beside it is a journal of several files");
    fs::remove_file(topics.dir.0.join("a/out.log.journal")).unwrap();
    assert!(tried(false).is_ok());
    let long = topics.dir.0.join("a").join("n".repeat(250));
    fs::write(&long, "").unwrap();
    assert!(try_topic_file(&long, &log_file, false).is_err(), "its journal's name would be too long");
}

/// A file that cannot be opened is not one that is gone: its lines would be fetched and written again.
#[test]
fn the_range_of_a_file_that_cannot_be_read_waits() {
    let mut topics = Topics::new();
    let mut open = topics.open(&[], 1).unwrap();
    TOPICS.iter().for_each(|topic| open.write(topic));
    drop(open);
    let disk = disk_with(&Arc::new(Unopened { name: "a/out.log", may_read: false }));
    let open = topics.open_on(&disk, &[], 1).unwrap();
    assert_eq!((open.open_files(), open.refused.len()), (vec!["b".to_owned()], 1));
    drop(open);
    assert_eq!(topics.open(&[], 1).unwrap().position("a"), Some(1));
    assert_eq!(topics.text("a"), lines(1));
}

/// What a start tells of the files: how many writes it adopted, and which file is under another name.
#[test]
fn a_start_tells_what_it_adopted_and_which_file_was_moved() {
    for is_moved in [false, true] {
        let mut topics = Topics::new();
        let mut open = topics.open(&[], 1).unwrap();
        open.write("a");
        drop(open);
        if is_moved {
            fs::rename(topics.path("a"), topics.dir.0.join("a/out.log.1")).unwrap();
        }
        let logged = crate::test_log::lines_of(|| drop(topics.open(&[], 1).unwrap()));
        let told = |text: &str| logged.iter().filter(|(_, line)| line.contains(text)).count();
        assert_eq!((told("was moved to"), told(": 1 of 1")), (usize::from(is_moved), 1), "{logged:?}");
    }
}
