//! The files of several topics on one journal. One that cannot be opened keeps its unsettled ranges until it
//! can be, and the others go on.

mod openings;
mod others;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::faulty_disk::{Faults, FaultyFile, disk_with};
use super::*;
use crate::logfile::disk::{Handle, OpenMode, RealDisk};
use crate::logfile::journal::{FilePlace, HALF_BYTES_MIN, NamedFile, RouteScope};
use crate::logfile::topic_files::{OpenTopics, OpeningEras, open_with};
use crate::logfile::{OpenError, TopicFilesOptions};

const TOPICS: [&str; 2] = ["a", "b"];

fn of(topic: &str) -> TopicPartition {
    TopicPartition::new(topic, 0)
}

/// Topics `a` and `b`, each with a file in a directory of its own.
struct Topics {
    dir: Dir,
    memory: RestartMemory,
}

impl Topics {
    fn new() -> Self {
        let dir = Dir::new();
        TOPICS.iter().for_each(|topic| fs::create_dir(dir.0.join(topic)).unwrap());
        Self { dir, memory: RestartMemory::default() }
    }

    fn path(&self, topic: &str) -> PathBuf {
        self.dir.0.join(topic).join("out.log")
    }

    fn options(&self) -> TopicFilesOptions {
        self.options_of(&TOPICS)
    }

    fn options_of(&self, topics: &[&str]) -> TopicFilesOptions {
        let paths = topics.iter().map(|topic| self.path(topic)).collect();
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        TopicFilesOptions { base: self.dir.0.join("topics"), paths, topics, log_file: options(true) }
    }

    fn open(&mut self, held_back: &[&str], boot: u128) -> Result<OpenTopics, OpenError> {
        self.open_on(&(Arc::new(RealDisk) as Arc<dyn Disk>), held_back, boot)
    }

    fn open_on(
        &mut self,
        disk: &Arc<dyn Disk>,
        held_back: &[&str],
        boot: u128,
    ) -> Result<OpenTopics, OpenError> {
        let held = |topic: &&str| (self.path(topic), OpenError::Retry("held back".to_owned()));
        let held = held_back.iter().map(held).collect();
        let eras = OpeningEras { set: Some(boot), file: &|_| Some(boot) };
        open_with(disk, &self.options(), held, HALF_BYTES_MIN, &eras, &mut self.memory)
    }

    /// Only these topics are read.
    fn open_of(&mut self, topics: &[&str], boot: u128) -> OpenTopics {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let eras = OpeningEras { set: Some(boot), file: &|_| Some(boot) };
        let options = self.options_of(topics);
        open_with(&disk, &options, Vec::new(), HALF_BYTES_MIN, &eras, &mut self.memory).unwrap()
    }

    /// The topics' files have this name.
    fn open_as(&mut self, name: &str, boot: u128) -> OpenTopics {
        let mut options = self.options();
        options.paths.iter_mut().for_each(|path| path.set_file_name(name));
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let eras = OpeningEras { set: Some(boot), file: &|_| Some(boot) };
        open_with(&disk, &options, Vec::new(), HALF_BYTES_MIN, &eras, &mut self.memory).unwrap()
    }

    fn text(&self, topic: &str) -> String {
        fs::read_to_string(self.path(topic)).unwrap_or_default()
    }

    /// The directory of a topic is away, or back.
    fn moves(&self, from: &str, to: &str) {
        fs::rename(self.dir.0.join(from), self.dir.0.join(to)).unwrap();
    }
}

impl OpenTopics {
    fn position(&self, topic: &str) -> Option<i64> {
        self.ledger.resume(&of(topic), None, &OffsetMetadata::Unsupported).unwrap().position
    }

    /// Writes the next line of this topic.
    fn write(&mut self, topic: &str) {
        if self.ledger.written(&of(topic)).is_none() && self.position(topic).is_none() {
            self.ledger.set_position(&of(topic), 0).unwrap();
        }
        let (index, position) = self.ledger.written(&of(topic)).unwrap();
        let line = format!("line {position}\n");
        let mut crc = crc32fast::Hasher::new();
        crc.update(line.as_bytes());
        let is_of = |path: &Path| path.parent().is_some_and(|parent| parent.ends_with(topic));
        let (_, writer) = self.files.iter_mut().find(|(path, _)| is_of(path)).unwrap();
        let last = Some(Landmark { offset: position, fingerprint: 0 });
        let change = PositionChange { index, position: position + 1, last };
        writer.append(&[Piece { bytes: line.as_bytes(), crc: &crc }], &[change]).unwrap();
    }

    fn settle(&mut self) {
        self.settler.settle(self.ledger.checkpoint()).unwrap();
    }

    fn open_files(&self) -> Vec<String> {
        let topic = |path: &Path| path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        self.files.iter().map(|(path, _)| topic(path)).collect()
    }
}

#[test]
fn the_topics_files_go_on_where_they_ended() {
    let mut topics = Topics::new();
    for round in 0..4 {
        let mut open = topics.open(&[], 1).unwrap();
        assert_eq!((open.open_files(), open.refused.len()), (vec!["a".to_owned(), "b".to_owned()], 0));
        for topic in TOPICS {
            let expected = if round == 0 { None } else { Some(2 * round) };
            assert_eq!(open.position(topic), expected);
            open.write(topic);
        }
        open.settle();
        TOPICS.iter().for_each(|topic| open.write(topic));
        if round == 2 {
            open.ledger.close().unwrap();
        }
    }
    assert_eq!(TOPICS.map(|topic| topics.text(topic)), [lines(8), lines(8)]);
    let names: Vec<_> =
        fs::read_dir(topics.dir.0.join("a")).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert_eq!(names, ["out.log"], "the journal is elsewhere");
}

/// One topic's directory is away when its range is not settled; the other one is written, settled and the
/// journal is rewritten and read several times meanwhile. Its line was written, or cut, or only begun.
#[test]
fn ranges_of_a_file_that_is_away_wait_for_it() {
    for (left, expected) in
        [("line 0\nline 1\nline 2\n", 3), ("line 0\nline 1\n", 2), ("line 0\nline 1\nli", 2)]
    {
        for is_held in [false, true] {
            let mut topics = Topics::new();
            let mut open = topics.open(&[], 1).unwrap();
            open.write("a");
            open.write("a");
            open.settle();
            open.write("a");
            open.write("b");
            drop(open);
            fs::write(topics.path("a"), left).unwrap();
            for round in 0..3 {
                let held: &[&str] = if is_held { &["a"] } else { &[] };
                if !is_held {
                    topics.moves("a", "away");
                    fs::write(topics.dir.0.join("a"), "no directory").unwrap();
                }
                let mut open = topics.open(held, 1).unwrap();
                assert_eq!((open.open_files(), open.refused.len()), (vec!["b".to_owned()], 1));
                assert!(open.ledger.has_settled(), "the ranges of a are not waited for");
                // Also a mark that settles nothing new leaves these as they are.
                open.ledger.take_commits().unwrap();
                assert_eq!(open.position("b"), Some(1 + round * 2));
                open.write("b");
                open.settle();
                assert!(open.ledger.has_settled());
                open.write("b");
                assert!(!open.ledger.has_settled());
                if round == 1 {
                    open.settle();
                    open.ledger.close().unwrap();
                }
                drop(open);
                if !is_held {
                    fs::remove_file(topics.dir.0.join("a")).unwrap();
                    topics.moves("away", "a");
                }
            }
            let mut open = topics.open(&[], 1).unwrap();
            assert_eq!((open.position("a"), open.position("b")), (Some(expected), Some(7)));
            assert_eq!(
                TOPICS.map(|topic| topics.text(topic)),
                [lines(expected), lines(7)],
                "{left}, {is_held}"
            );
            TOPICS.iter().for_each(|topic| open.write(topic));
            open.settle();
            assert_eq!(topics.text("a"), lines(expected + 1));
        }
    }
}

/// After a loss of power a file may hold lines whose ranges are lost. If it is away at that start, it is
/// compared with the journal when it is back, whatever runs were between.
#[test]
fn a_file_that_was_away_after_a_loss_of_power_is_compared_when_it_is_back() {
    for is_compared in [true, false] {
        let mut topics = Topics::new();
        let mut open = topics.open(&[], 1).unwrap();
        TOPICS.iter().for_each(|topic| open.write(topic));
        open.settle();
        drop(open);
        // The range of this line did not reach the disk, or another program has written it.
        let mut file = fs::OpenOptions::new().append(true).open(topics.path("a")).unwrap();
        file.write_all(b"line 1\n").unwrap();
        let boot = if is_compared { 2 } else { 1 };
        for round in 0..4 {
            let mut open = topics.open(&["a"], boot).unwrap();
            if round == 3 {
                // A run that writes no mark but that of its snapshot.
                continue;
            }
            open.write("b");
            open.settle();
            open.ledger.close().unwrap();
        }
        let mut open = topics.open(&[], boot).unwrap();
        assert_eq!(topics.text("a"), if is_compared { lines(1) } else { lines(2) });
        assert_eq!((open.position("a"), open.position("b")), (Some(1), Some(4)));
        open.ledger.close().unwrap();
        drop(open);
        // Once it was compared, it is known.
        file.write_all(b"another program's\n").unwrap();
        drop(topics.open(&[], boot).unwrap());
        assert!(topics.text("a").ends_with("another program's\n"));
        open = topics.open(&[], boot).unwrap();
        open.write("b");
        assert_eq!(topics.text("b"), lines(5));
    }
}

/// The name of a file that begins is in the journal before its first line, and a file that was moved away is
/// found beside it.
#[test]
fn a_topics_file_that_was_moved_is_finished_and_begun_anew() {
    let mut topics = Topics::new();
    let mut open = topics.open(&[], 1).unwrap();
    TOPICS.iter().for_each(|topic| open.write(topic));
    open.settle();
    open.write("a");
    drop(open);
    fs::rename(topics.path("a"), topics.dir.0.join("a/out.log.1")).unwrap();
    let mut open = topics.open(&[], 1).unwrap();
    assert_eq!(open.position("a"), Some(2), "its range is whole in the moved file");
    open.write("a");
    open.settle();
    assert_eq!(topics.text("a"), "line 2\n");
    assert_eq!(fs::read_to_string(topics.dir.0.join("a/out.log.1")).unwrap(), lines(2));
}

/// A journal that cannot be read or created is everybody's trouble, and a file is only its own.
#[test]
fn only_what_all_share_stops_all() {
    let mut topics = Topics::new();
    fs::create_dir(topics.path("a")).unwrap();
    let open = topics.open(&[], 1).unwrap();
    assert_eq!(open.open_files(), ["b"]);
    let (path, why) = &open.refused[0];
    assert_eq!((path, open.refused.len()), (&topics.path("a"), 1));
    assert!(matches!(why, OpenError::Mend(_)), "{why:?}");
    drop(open);
    let journal = topics.dir.0.join("topics.journal");
    fs::remove_file(&journal).unwrap();
    fs::create_dir(&journal).unwrap();
    assert!(topics.open(&[], 1).is_err());
    fs::remove_dir(&journal).unwrap();
    fs::set_permissions(topics.dir.0.join("a"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(topics.open(&[], 1).unwrap().open_files(), ["b"]);
}

/// What others have done to a file meanwhile is told, also if everything in it was settled.
#[test]
fn a_file_that_was_shortened_meanwhile_is_told_of() {
    let mut topics = Topics::new();
    let mut open = topics.open(&[], 1).unwrap();
    TOPICS.iter().for_each(|topic| open.write(topic));
    open.settle();
    open.ledger.close().unwrap();
    drop(open);
    fs::write(topics.path("a"), "line").unwrap();
    let logged = crate::test_log::lines_of(|| drop(topics.open(&[], 1).unwrap()));
    let is_told =
        |(_, text): &&(log::Level, String)| text.contains("another program has shortened this file");
    let told: Vec<_> = logged.iter().filter(is_told).collect();
    assert!(told.len() == 1 && told[0].1.contains("a/out.log"), "{logged:?}");
    assert_eq!(topics.open(&[], 1).unwrap().position("a"), Some(1));
}

/// A disk that opens no file of this name, or only for reading.
#[derive(Debug)]
struct Unopened {
    name: &'static str,
    may_read: bool,
}

impl Faults for Unopened {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Handle> {
        if path.ends_with(self.name) && !(self.may_read && how != OpenMode::Append) {
            return Err(rustix::io::Errno::IO.into());
        }
        RealDisk.open(path, how)
    }
}

/// The lines that are not settled are in the moved file, so nothing is begun in its place.
#[test]
fn a_topics_file_that_was_moved_and_cannot_be_opened_is_left() {
    for (may_read, settles, end) in
        [(true, true, ""), (false, true, "li"), (true, false, "li"), (false, false, "")]
    {
        let mut topics = Topics::new();
        let mut open = topics.open(&[], 1).unwrap();
        open.write("a");
        if settles {
            open.settle();
        }
        TOPICS.iter().for_each(|topic| open.write(topic));
        open.write("a");
        drop(open);
        fs::write(topics.path("a"), lines(2) + end).unwrap();
        let moved = topics.dir.0.join("a/out.log.1");
        fs::rename(topics.path("a"), &moved).unwrap();
        let disk = disk_with(&Arc::new(Unopened { name: "out.log.1", may_read }));
        for _ in 0..2 {
            let mut open = topics.open_on(&disk, &[], 1).unwrap();
            let refused: Vec<&Path> = open.refused.iter().map(|(path, _)| path.as_path()).collect();
            assert_eq!((open.open_files(), refused), (vec!["b".to_owned()], vec![&*topics.path("a")]));
            open.write("b");
            open.settle();
        }
        let mut open = topics.open(&[], 1).unwrap();
        assert_eq!((open.position("a"), open.position("b")), (Some(2), Some(3)));
        open.write("a");
        let texts = [fs::read_to_string(&moved).unwrap(), topics.text("a")];
        assert_eq!(texts, [lines(2), "line 2\n".to_owned()], "{may_read}, {settles}");
    }
}

/// The ranges that are kept do not follow each other: those of the other file between them did not count.
/// They are kept although what follows in the journal does not reach the disk.
#[test]
fn ranges_are_kept_behind_others_that_did_not_count() {
    for (left, expected, settles) in
        [(lines(3), 3, true), (lines(3), 3, false), (lines(2) + "li", 2, true), (lines(2) + "li", 2, false)]
    {
        let mut topics = Topics::new();
        let mut open = topics.open(&[], 1).unwrap();
        TOPICS.iter().for_each(|topic| open.write(topic));
        open.settle();
        ["b", "a", "b", "a"].iter().for_each(|topic| open.write(topic));
        drop(open);
        fs::write(topics.path("a"), &left).unwrap();
        fs::write(topics.path("b"), lines(1)).unwrap();
        let mut open = topics.open(&["a"], 1).unwrap();
        open.settle();
        open.write("b");
        if settles {
            open.settle();
        }
        let journal = topics.dir.0.join("topics.journal");
        let before = fs::read(&journal).unwrap();
        open.write("b");
        let mut after = fs::read(&journal).unwrap();
        let last = before.iter().zip(&after).rposition(|(before, after)| before != after).unwrap();
        after[last] ^= 1;
        fs::write(&journal, after).unwrap();
        drop(open);
        let open = topics.open(&[], 2).unwrap();
        assert_eq!((open.position("a"), open.position("b")), (Some(expected), Some(2)), "{left}, {settles}");
        assert_eq!(TOPICS.map(|topic| topics.text(topic)), [lines(expected), lines(2)]);
    }
}
