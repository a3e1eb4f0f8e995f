//! Journals of every format, as the pandad of their time wrote them: the present pandad reads each and goes
//! on with it.
//!
//! `PANDAD_TEST_EXAMPLE=DIRECTORY` makes the present pandad write its own journal there, for the next time
//! the format changes.

use super::super::inspect;
use super::*;

const LOG: &str = include_str!("journals/out.log");
const JOURNALS: [(u16, &[u8]); 3] = [
    (1, include_bytes!("journals/v1.journal")),
    (2, include_bytes!("journals/v2.journal")),
    (3, include_bytes!("journals/v3.journal")),
];

/// The run by which each of the journals was written: two partitions, one of them with a reset, settled and
/// unsettled writes and, from version 2 on, a member.
fn write_example(dir: &Dir) {
    let mut log = with(dir, true, 4096, Some(1));
    for (number, start) in [(0, 0), (1, 100)] {
        let partition = TopicPartition::new("t", number);
        log.ledger.resume(&partition, None, &OffsetMetadata::Unsupported).unwrap();
        log.ledger.set_position(&partition, start).unwrap();
    }
    log.ledger.set_position(&TopicPartition::new("t", 1), 50).unwrap();
    append(&mut log, 0, 3);
    settle(&mut log);
    log.ledger.record_member(MemberIdentity { id: "pandad-1-2".to_owned(), silent: false }).unwrap();
    append(&mut log, 3, 5);
    append(&mut log, 5, 9);
}

/// A directory with this journal and the log file, whose device and inode numbers differ from those in the
/// journal.
fn put(journal: &[u8]) -> Dir {
    let dir = Dir::new();
    fs::write(dir.log(), LOG).unwrap();
    fs::write(dir.0.join("out.log.journal"), journal).unwrap();
    dir
}

fn versions(dir: &Dir) -> [u16; 2] {
    let bytes = fs::read(dir.0.join("out.log.journal")).unwrap();
    [0, bytes.len() / 2].map(|at| u16::from_be_bytes([bytes[at + 8], bytes[at + 9]]))
}

#[test]
fn journals_of_every_format_are_read_and_taken_over() {
    assert_eq!(LOG, lines(9));
    for (version, journal) in JOURNALS {
        let dir = put(journal);
        assert!(versions(&dir).contains(&version), "version {version}: {:?}", versions(&dir));
        let shown = inspect::lines(&dir.log()).unwrap().join("\n");
        for line in
            ["t/0 is at 9, settled up to 3", "t/1 is at 50", "range 3: bytes 35 to 63", "mark 1: 21 bytes"]
        {
            assert!(shown.contains(line), "version {version}: {shown}");
        }
        assert_eq!(shown.contains("known to the group as pandad-1-2"), version >= 2, "{shown}");
        let mut log = with(&dir, true, 4096, Some(1));
        let resumed = log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap();
        assert_eq!(resumed.position, Some(9), "version {version}");
        let last: Vec<i64> = resumed.landmarks.iter().map(|landmark| landmark.offset).collect();
        assert_eq!(last, [2, 4, 8], "version {version}");
        append(&mut log, 9, 11);
        settle(&mut log);
        drop(log);
        let shown = inspect::lines(&dir.log()).unwrap().join("\n");
        assert!(shown.contains("holds 9.., and perhaps others of 0..9"), "version {version}: {shown}");
        // From the first start on, an older pandad finds a journal of a later version here.
        assert!(versions(&dir).contains(&3), "version {version}: {:?}", versions(&dir));
        let log = with(&dir, true, 4096, Some(2));
        let other = log.ledger.resume(&TopicPartition::new("t", 1), None, &OffsetMetadata::Unsupported);
        assert_eq!(other.unwrap().position, Some(50));
        assert_eq!((dir.content(), versions(&dir)), (lines(11), [3, 3]), "version {version}");
    }
}

#[test]
fn a_later_version_ends_the_start() {
    for (at, value) in [(9, 4), (49, 4)] {
        let (_, journal) = JOURNALS[2];
        let mut later = journal.to_vec();
        // Sets a later version, or an unknown feature, in both copies of both headers.
        for copy in [0, 64, later.len() / 2, later.len() / 2 + 64] {
            later[copy + at] = value;
            // A pandad that knows only the first two versions checks only the first of the two CRCs.
            for end in [34, 50] {
                let crc = crc32fast::hash(&later[copy..copy + end]).to_be_bytes();
                assert!(at < end || later[copy + end..copy + end + 4] == crc);
                later[copy + end..copy + end + 4].copy_from_slice(&crc);
            }
        }
        let dir = put(&later);
        let opened = open(&dir.log(), &options(true), &mut RestartMemory::default());
        assert!(matches!(opened, Err(OpenError::Fatal(why)) if why.contains("version 4")));
        assert_eq!(fs::read(dir.0.join("out.log.journal")).unwrap(), later, "nothing is written");
    }
}

#[test]
fn the_example_of_this_version_is_the_one_that_is_kept() {
    let dir = Dir::new();
    write_example(&dir);
    let written = inspect::lines(&dir.log()).unwrap();
    let kept = inspect::lines(&put(JOURNALS[2].1).log()).unwrap();
    let kinds = |lines: &[String]| -> Vec<String> {
        lines[1..].iter().map(|line| line.split(':').next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(kinds(&written), kinds(&kept));
    if let Some(to) = std::env::var_os("PANDAD_TEST_EXAMPLE") {
        fs::copy(dir.0.join("out.log.journal"), PathBuf::from(to).join("v3.journal")).unwrap();
    }
}

/// The half of the older pandad is told how long a half is, when the other half follows: a journal that then
/// loses unused bytes at its end is still read.
#[test]
fn a_journal_that_was_taken_over_may_lose_unused_bytes() {
    for (version, journal) in JOURNALS {
        let dir = put(journal);
        drop(with(&dir, true, 4096, Some(1)));
        let at = dir.0.join("out.log.journal");
        let length = fs::metadata(&at).unwrap().len();
        OpenOptions::new().write(true).open(&at).unwrap().set_len(length - 100).unwrap();
        let log = with(&dir, true, 4096, Some(1));
        let resumed = log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap();
        assert_eq!(resumed.position, Some(9), "version {version}");
    }
}
