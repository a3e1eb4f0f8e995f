//! A journal of several files, as the pandad that wrote such journals first wrote it: the present pandad
//! reads it and goes on with it.
//!
//! `PANDAD_TEST_EXAMPLE=DIRECTORY` makes the present pandad write its own journal there.

use super::*;
use crate::logfile::inspect;
use crate::logfile::journal::ClosingFile;

const JOURNAL: &[u8] = include_bytes!("../journals/set-v3.journal");

/// The records of the run by which the journal was written, and those that have settled.
const RECORDS: i64 = 17;
const SETTLED: i64 = 14;

/// Which file a record is for. Two of the files have one each.
fn name_of(record: i64) -> String {
    match record {
        9 => "d".to_owned(),
        10 => "e".to_owned(),
        record => FILES[record as usize % 3].to_owned(),
    }
}

/// What a file has of the records in [from, to).
fn lines_of_file(name: &str, to: i64) -> String {
    (0..to).filter(|record| name_of(*record) == name).map(|record| format!("line {record}\n")).collect()
}

/// The run: one file is about to be moved, and one is finished.
fn write_example(dir: &Dir) {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let mut set = try_open_set(&disk, &set_options(dir, 100, 1000), 4096).unwrap();
    set.ledger.set_position(&partition(), 0).unwrap();
    set.try_append_by(0, 11, name_of).unwrap();
    set.settle();
    let number = |name: &str| {
        let path = PathBuf::from(format!("k/{name}.log"));
        set.ledger.numbered_files().into_iter().find(|(name, ..)| name.path == path).unwrap().1
    };
    let (moving, finished) = (number("d"), number("e"));
    set.ledger.close_files(vec![ClosingFile { number: moving, to: "done/d.log".into() }]).unwrap();
    assert_eq!(set.ledger.finish_files(&[finished]).unwrap(), [finished]);
    set.try_append_by(11, SETTLED, name_of).unwrap();
    set.settle();
    set.ledger.record_member(MemberIdentity { id: "pandad-1-2".to_owned(), silent: false }).unwrap();
    set.try_append_by(SETTLED, RECORDS, name_of).unwrap();
}

/// A directory with the journal and the files, whose device and inode numbers differ from those in the
/// journal.
fn put() -> Dir {
    let dir = Dir::new();
    fs::create_dir(dir.0.join("k")).unwrap();
    for name in ["a", "b", "c", "d"] {
        fs::write(file(&dir, name), lines_of_file(name, RECORDS)).unwrap();
    }
    fs::write(dir.0.join("all.journal"), JOURNAL).unwrap();
    dir
}

#[test]
fn a_journal_of_several_files_of_every_format_is_read() {
    let dir = put();
    let shown = inspect::lines(&dir.0.join("all")).unwrap().join("\n");
    for line in [
        "t/0 is at 17, settled up to 14",
        "known to the group as pandad-1-2",
        "k/a.log is settled up to 29 bytes",
        "k/d.log is settled up to 7 bytes, is about to be moved to done/d.log",
        "are finished",
        "1 unsettled write",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert!(!shown.contains("k/e.log is settled"), "{shown}");
    let (mut set, position) = open_set_on(&(Arc::new(RealDisk) as Arc<dyn Disk>), &dir);
    assert_eq!(position, RECORDS);
    let moving = set.ledger.numbered_files().into_iter().find_map(|(name, _, to)| Some((name.path, to?)));
    assert_eq!(moving, Some((PathBuf::from("k/d.log"), PathBuf::from("done/d.log"))));
    set.try_append_by(RECORDS, 23, name_of).unwrap();
    set.settle();
    drop(set);
    assert_eq!(open_set_on(&(Arc::new(RealDisk) as Arc<dyn Disk>), &dir).1, 23);
    for name in FILES {
        assert_eq!(text(&file(&dir, name)), lines_of_file(name, 23), "{name}");
    }
}

/// A part of the range that has not settled is torn: the range does not count in any file.
#[test]
fn a_range_of_a_kept_journal_counts_as_a_whole() {
    let dir = put();
    let b = lines_of_file("b", RECORDS);
    fs::write(file(&dir, "b"), &b[..b.len() - 2]).unwrap();
    let (_set, position) = open_set_on(&(Arc::new(RealDisk) as Arc<dyn Disk>), &dir);
    assert_eq!(position, SETTLED);
    for name in FILES {
        assert_eq!(text(&file(&dir, name)), lines_of_file(name, SETTLED), "{name}");
    }
}

#[test]
fn the_example_of_several_files_is_the_one_that_is_kept() {
    let dir = Dir::new();
    write_example(&dir);
    let kinds = |dir: &Dir| -> Vec<String> {
        let lines = inspect::lines(&dir.0.join("all")).unwrap();
        lines[1..].iter().map(|line| line.split(':').next().unwrap_or_default().to_owned()).collect()
    };
    if let Some(to) = std::env::var_os("PANDAD_TEST_EXAMPLE") {
        fs::copy(dir.0.join("all.journal"), PathBuf::from(to).join("set-v3.journal")).unwrap();
    }
    assert_eq!(kinds(&dir), kinds(&put()));
}
