//! Topics that are not read any more, what is not their own, and other pandads.

use super::*;
use crate::logfile::parts::TopicPath;

/// The file of a topic that is not read any more is brought to what the journal says once, and is left alone
/// from then on: another program may write it. If the topic comes back, its file is gone on with.
#[test]
fn the_file_of_a_topic_that_is_not_read_any_more_is_left_alone() {
    let mut topics = Topics::new();
    let mut open = topics.open(&[], 1).unwrap();
    TOPICS.iter().for_each(|topic| open.write(topic));
    open.settle();
    TOPICS.iter().for_each(|topic| open.write(topic));
    drop(open);
    fs::write(topics.path("a"), lines(1) + "li").unwrap();
    let mut open = topics.open_of(&["b"], 1);
    assert_eq!((topics.text("a"), open.open_files()), (lines(1), vec!["b".to_owned()]));
    open.write("b");
    drop(open);
    // If the topic is configured again, its lines are not missing before the next start.
    let (base, files) = (topics.dir.0.join("topics"), TOPICS.map(|topic| topics.path(topic)).to_vec());
    let of_a = TopicPath::all(&base, &TOPICS.map(str::to_owned), files).next().unwrap();
    let found = of_a.look(&(Arc::new(RealDisk) as Arc<dyn Disk>), 99).unwrap();
    let parts: Vec<_> = found.parts.iter().map(|part| (&part.path, part.bytes)).collect();
    assert_eq!(parts, [(&topics.path("a"), lines(1).len() as u64)]);
    let foreign = lines(1) + "another program's\nand it writes on";
    fs::write(topics.path("a"), &foreign).unwrap();
    // After a loss of power, and after a kill.
    for boot in [2, 2, 3] {
        let mut open = topics.open_of(&["b"], boot);
        assert_eq!(topics.text("a"), foreign, "boot {boot}");
        open.write("b");
        open.settle();
        open.write("b");
    }
    let mut open = topics.open(&[], 3).unwrap();
    assert_eq!((open.position("a"), open.refused.len()), (Some(1), 0));
    open.write("a");
    open.settle();
    assert_eq!(topics.text("a"), foreign + "\nline 1\n");
}

/// What cannot be examined of the file of a topic that is not read any more waits for a start that can.
#[test]
fn the_file_of_a_topic_that_is_not_read_any_more_is_not_forgotten_while_it_is_away() {
    for settles in [false, true] {
        let mut topics = Topics::new();
        let mut open = topics.open(&[], 1).unwrap();
        open.write("a");
        if settles {
            open.settle();
        }
        drop(open);
        topics.moves("a", "away");
        fs::write(topics.dir.0.join("a"), "no directory").unwrap();
        for _ in 0..2 {
            let mut open = topics.open_of(&["b"], 2);
            assert!(open.refused.is_empty(), "nobody waits for it: {:?}", open.refused);
            open.write("b");
            open.settle();
        }
        fs::remove_file(topics.dir.0.join("a")).unwrap();
        topics.moves("away", "a");
        fs::write(topics.path("a"), lines(1) + "line 1\nli").unwrap();
        let open = topics.open(&[], 2).unwrap();
        assert_eq!((open.position("a"), topics.text("a")), (Some(1), lines(1)), "{settles}");
    }
}

/// A journal that accepts no entry.
#[derive(Debug, Default)]
struct FullJournal(std::sync::atomic::AtomicBool);

impl Faults for FullJournal {
    fn write_at(&self, file: &FaultyFile<Self>, bytes: &[u8], at: u64) -> io::Result<()> {
        if self.0.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(rustix::io::Errno::NOSPC.into());
        }
        file.inner.write_at(bytes, at)
    }
}

/// The journal may be on another disk than the file: the text names the one that is full.
#[test]
fn a_refusal_of_the_journal_names_the_journal() {
    let mut topics = Topics::new();
    let full = Arc::new(FullJournal::default());
    let mut open = topics.open_on(&disk_with(&full), &[], 1).unwrap();
    open.write("a");
    full.0.store(true, std::sync::atomic::Ordering::SeqCst);
    let (index, position) = open.ledger.written(&of("a")).unwrap();
    let (bytes, mut crc) = (&b"line 1\n"[..], crc32fast::Hasher::new());
    crc.update(bytes);
    let change = PositionChange { index, position: position + 1, last: None };
    let refused = open.files[0].1.append(&[Piece { bytes, crc: &crc }], &[change]);
    let Err(crate::logfile::AppendError::Retry(why)) = refused else { panic!("{refused:?}") };
    assert!(why.to_string().contains("topics.journal: "), "{why}");
}

/// A second pandad is kept off a topic's file, also if the file never had a journal of its own.
#[test]
fn a_topics_file_cannot_be_opened_by_another_pandad() {
    let topics = Topics::new();
    let opened = crate::logfile::open_topics(&topics.options(), Vec::new(), &mut RestartMemory::default());
    let opened = opened.unwrap();
    let other = crate::logfile::open(&topics.path("a"), &options(true), &mut RestartMemory::default());
    assert!(other.is_err(), "two pandads write one file");
    drop(opened);
}

/// With other placeholders in the path, the same journal may have had files of periods, which are to be moved
/// when these are complete.
#[test]
fn the_files_of_periods_are_not_those_of_topics_that_are_not_read_any_more() {
    let mut topics = Topics::new();
    let open = topics.open(&[], 1).unwrap();
    let at = |name: &str| {
        fs::write(topics.dir.0.join(name), "").unwrap();
        let file = RealDisk.stat(&topics.dir.0.join(name)).unwrap().id;
        FilePlace { file, end: 0, before: 0, head: None }
    };
    let named = |path: &str, until| NamedFile { path: path.into(), until, scope: RouteScope::default() };
    let files = vec![(named("day.log", Some(1)), at("day.log")), (named("c.log", None), at("c.log"))];
    open.ledger.begin_files(files).unwrap();
    drop(open);
    let open = topics.open(&[], 1).unwrap();
    let known =
        ["day.log", "c.log", "a/out.log"].map(|path| open.ledger.number_of(Path::new(path)).is_some());
    assert_eq!(known, [true, false, true]);
}
