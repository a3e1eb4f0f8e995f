//! What is done to a file is named.

use super::super::*;
use super::fake::*;
use crate::logfile::Rotation;
use crate::logfile::line::LineFormat::{self, Json, Original, Raw};
use crate::logfile::line::LineFormatter;
use crate::record::{OffsetMetadata, TopicPartition};

/// Changes the lines of a file. A line has its newline, or not.
fn edit(path: &std::path::Path, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
    let text = read(path);
    let mut lines: Vec<Vec<u8>> = text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    change(&mut lines);
    write(path, &lines.concat());
}

/// The line of a record of partition 1, whose value says it.
fn line_of(lines: &[Vec<u8>], offset: i64) -> usize {
    let value = format!("value {offset} of 1 ");
    lines.iter().position(|line| memchr::memmem::find(line, value.as_bytes()).is_some()).unwrap()
}

/// A compressed file, a rotated one and the log file itself, each with an offset of partition 1 in it.
fn targets(world: &World) -> Vec<(std::path::PathBuf, i64)> {
    let files = world.files();
    assert!(files.len() > 4 && files[0].extension().unwrap() == "gz", "{files:?}");
    let first = |path: &std::path::Path| {
        let text = String::from_utf8(read(path)).unwrap();
        let values =
            text.lines().filter_map(|line| line.split_once(" of 1 ")?.0.rsplit_once(' ')?.1.parse().ok());
        values.collect::<Vec<i64>>()
    };
    [1, files.len() - 2, files.len() - 1].map(|at| (files[at].clone(), first(&files[at])[3])).to_vec()
}

/// Does this to a file of each kind, and returns what was found, each time.
fn sabotaged(format: LineFormat, change: impl Fn(&mut Vec<Vec<u8>>, i64)) -> Vec<(i64, Report)> {
    (0..3)
        .map(|which| {
            let world = World::usual(format);
            let (path, offset) = targets(&world)[which].clone();
            edit(&path, |lines| change(lines, offset));
            (offset, world.verify())
        })
        .collect()
}

fn has(report: &Report, text: &str) -> bool {
    report.lines.iter().any(|line| line.starts_with(text))
}

const FORMATS: [LineFormat; 3] = [Json, Original, Raw];

#[test]
fn what_nobody_has_touched_is_whole() {
    for format in FORMATS {
        let world = World::usual(format);
        let report = world.verify();
        assert_eq!(report.verdict, FilesVerdict::Whole, "{format:?}: {report:?}");
        assert!(
            has(&report, "t/1: 400 expected, 0 missing, 0 doubled, 0 torn, 0 out of order"),
            "{report:?}"
        );
        assert!(has(&report, "whole: 800 records, 800 lines in"), "{report:?}");
    }
}

/// Records that the job drops are expected in no file, and lines by a template are compared as they are.
#[test]
fn filtered_records_are_not_missing() {
    let mut world = World::new(Topics::new(2, 400), Raw, Rotation::off());
    world.formatter = LineFormatter::filtering("{offset} {key} {value}", "even");
    world.write_all();
    let report = world.verify();
    assert_eq!(report.verdict, FilesVerdict::Whole, "{report:?}");
    assert!(has(&report, "t/1: 200 expected, 0 missing, 0 doubled, 0 torn"), "{report:?}");
    edit(&world.log(), |lines| drop(lines.remove(0)));
    let report = world.verify();
    assert_eq!(report.verdict, FilesVerdict::Damaged, "{report:?}");
    assert!(has(&report, "t/0: 200 expected, 1 missing"), "{report:?}");
}

#[test]
fn a_line_that_was_removed_is_missing() {
    for format in FORMATS {
        for (offset, report) in sabotaged(format, |lines, offset| drop(lines.remove(line_of(lines, offset))))
        {
            assert_eq!(report.verdict, FilesVerdict::Damaged, "{report:?}");
            assert!(has(&report, "t/1: 400 expected, 1 missing, 0 doubled, 0 torn, 0 out"), "{report:?}");
            assert!(has(&report, &format!("missing: t/1 offset {offset}")), "{format:?}: {report:?}");
        }
    }
}

#[test]
fn a_line_that_is_there_twice_is_doubled() {
    for format in FORMATS {
        for (offset, report) in sabotaged(format, |lines, offset| {
            let at = line_of(lines, offset);
            lines.insert(at + 5, lines[at].clone());
        }) {
            assert_eq!(report.verdict, FilesVerdict::Damaged, "{report:?}");
            assert!(has(&report, "t/1: 400 expected, 0 missing, 1 doubled, 0 torn, 0 out"), "{report:?}");
            assert!(has(&report, &format!("doubled: t/1 offset {offset}")), "{format:?}: {report:?}");
        }
    }
}

#[test]
fn a_line_that_was_cut_is_torn() {
    let cuts: [fn(&mut Vec<u8>); 4] = [
        |line| drop(line.drain(line.len() / 2..line.len() - 1)),
        |line| drop(line.drain(..line.len() / 3)),
        // A newline in its middle.
        |line| line.insert(line.len() / 2, b'\n'),
        // Bytes of it are others.
        |line| line.iter_mut().rev().skip(10).take(9).for_each(|byte| *byte = 0),
    ];
    for format in FORMATS {
        // Without offsets in the lines nobody can tell what a line was of which bytes are others.
        for cut in &cuts[..if format == Json { 4 } else { 3 }] {
            for (offset, report) in sabotaged(format, |lines, offset| {
                let at = line_of(lines, offset);
                cut(&mut lines[at]);
            }) {
                assert_eq!(report.verdict, FilesVerdict::Damaged, "{report:?}");
                assert!(has(&report, "t/1: 400 expected, 0 missing, 0 doubled, 1 torn, 0 out"), "{report:?}");
                assert!(has(&report, &format!("torn: t/1 offset {offset}: ")), "{format:?}: {report:?}");
            }
        }
    }
}

#[test]
fn two_lines_that_changed_places_are_out_of_order() {
    for (offset, report) in sabotaged(Json, |lines, offset| {
        let (one, next) = (line_of(lines, offset), line_of(lines, offset + 1));
        lines.swap(one, next);
    }) {
        assert_eq!(report.verdict, FilesVerdict::Damaged, "{report:?}");
        assert!(has(&report, "t/1: 400 expected, 0 missing, 0 doubled, 0 torn, 1 out"), "{report:?}");
        let text = format!("out of order: t/1 offset {offset} stands behind offset {}: ", offset + 1);
        assert!(has(&report, &text), "{report:?}");
    }
    // Raw lines have no order.
    for (_, report) in sabotaged(Raw, |lines, offset| {
        let (one, next) = (line_of(lines, offset), line_of(lines, offset + 1));
        lines.swap(one, next);
    }) {
        assert!(report.verdict != FilesVerdict::Damaged, "{report:?}");
    }
}

#[test]
fn a_line_of_somebody_else_is_not_judged() {
    for format in FORMATS {
        for (_, report) in sabotaged(format, |lines, _| lines.insert(1, b"not of this topic\n".to_vec())) {
            assert_eq!(report.verdict, FilesVerdict::NotJudged, "{report:?}");
            assert!(has(&report, "not judged: 1 line that no record has (not ours"), "{report:?}");
            assert!(has(&report, "t/1: 400 expected, 0 missing, 0 doubled, 0 torn, 0 out"), "{report:?}");
        }
    }
    for (_, report) in sabotaged(Json, |lines, _| {
        lines.insert(1, b"{\"topic\":\"t\",\"partition\":0,\"offset\":7777,\"key\":null}\n".to_vec());
    }) {
        assert_eq!(report.verdict, FilesVerdict::NotJudged, "{report:?}");
    }
}

/// The last file of a log that is not there any more.
#[test]
fn a_rotated_file_that_is_gone_is_missing_line_by_line() {
    for format in FORMATS {
        let mut world = World::usual(format);
        let files = world.files();
        let gone = read(&files[2]).split(|byte| *byte == b'\n').count() - 1;
        std::fs::remove_file(&files[2]).unwrap();
        let report = world.verify();
        assert_eq!(report.verdict, FilesVerdict::Damaged, "{report:?}");
        let of = |partition: &str| -> usize {
            let line = report.lines.iter().find(|line| line.starts_with(partition)).unwrap();
            line.split_once("expected, ").unwrap().1.split_once(' ').unwrap().0.parse().unwrap()
        };
        assert_eq!(of("t/0: ") + of("t/1: "), gone, "{report:?}");
        // With less room both sides are read several times, and the result is the same.
        world.exact_lines = 250;
        assert_eq!(world.verify().lines, report.lines);
        // With far too little there are at least so many.
        world.exact_lines = 4;
        let report = world.verify();
        assert!(has(&report, "not judged: at least "), "{report:?}");
        assert_eq!(report.verdict, FilesVerdict::Damaged, "{report:?}");
    }
}

#[test]
fn values_with_newlines_are_several_lines() {
    let mut topics = Topics::new(1, 50);
    let partition = TopicPartition::new("t", 0);
    topics.records.get_mut(&partition).unwrap()[7].1 = "first\n\nthird\n".to_owned();
    let mut world = World::new(topics, Raw, Rotation::off());
    world.write_all();
    let report = world.verify();
    assert!(has(&report, "whole: 50 records, 53 lines"), "{report:?}");
    edit(&world.log(), |lines| lines.retain(|line| line != b"first\n" && line != b"third\n"));
    let report = world.verify();
    assert!(has(&report, "t/0: 50 expected, 1 missing"), "{report:?}");
    assert!(has(&report, "missing: t/0 offset 7"), "{report:?}");
}

/// Raw lines that are equal: doubled is only what is beyond the topic's.
#[test]
fn equal_raw_lines_are_counted() {
    let mut topics = Topics::new(1, 50);
    let values = topics.records.get_mut(&TopicPartition::new("t", 0)).unwrap();
    values.iter_mut().for_each(|(offset, value)| *value = format!("{}", *offset % 5));
    let mut world = World::new(topics, Raw, Rotation::off());
    world.write_all();
    assert_eq!(world.verify().verdict, FilesVerdict::Whole);
    edit(&world.log(), |lines| lines.push(b"3\n".to_vec()));
    // What comes behind the mark is not settled, and not looked at.
    assert_eq!(world.verify().verdict, FilesVerdict::Whole);
    edit(&world.log(), |lines| lines.insert(0, b"3\n".to_vec()));
    let report = world.verify();
    assert!(has(&report, "t/0: 50 expected, 0 missing, 2 doubled"), "{report:?}");
}

/// After a reset by an operator the records are there twice, and that is whole.
#[test]
fn what_was_read_again_after_a_reset_is_expected_twice() {
    for format in FORMATS {
        let mut world = World::usual(format);
        let (one, other) = (TopicPartition::new("t", 0), TopicPartition::new("t", 1));
        let mut log = world.open(&world.log());
        let stranger = OffsetMetadata::Text("somebody".to_owned());
        log.ledger.resume(&one, Some(250), &stranger).unwrap();
        log.ledger.resume(&other, Some(400), &stranger).unwrap();
        (250..400).step_by(10).for_each(|from| world.append(&mut log, &one, from, from + 10));
        settle(&mut log);
        drop(log);
        let report = world.verify();
        assert_eq!(report.verdict, FilesVerdict::Whole, "{format:?}: {report:?}");
        assert!(has(&report, "t/0: 550 expected, 0 missing, 0 doubled, 0 torn, 0 out"), "{report:?}");
        // One of the two lines is gone.
        let newest = world.files().len() - 2;
        edit(&world.files()[newest], |lines| {
            let at = lines.iter().position(|line| memchr::memmem::find(line, b" of 0 ").is_some()).unwrap();
            lines.remove(at);
        });
        let report = world.verify();
        assert!(has(&report, "t/0: 550 expected, 1 missing, 0 doubled, 0 torn, 0 out"), "{report:?}");
        world.choice = Some(PartitionChoice::Number(1));
        let report = world.verify();
        assert_ne!(report.verdict, FilesVerdict::Damaged, "{report:?}");
        assert!(!has(&report, "t/0"), "{report:?}");
    }
}

#[test]
fn what_the_broker_has_deleted_is_named() {
    for format in FORMATS {
        let mut world = World::usual(format);
        let partition = TopicPartition::new("t", 1);
        world.topics.starts.insert(partition.clone(), 100);
        world.topics.records.get_mut(&partition).unwrap().drain(..100);
        let report = world.verify();
        assert_eq!(report.verdict, FilesVerdict::NotJudged, "{report:?}");
        assert!(has(&report, "not judged: t/1: offsets 0 to 100: the broker has deleted them"), "{report:?}");
        assert!(has(&report, "t/1: 300 expected, 0 missing, 0 doubled"), "{report:?}");
        // A record of which the broker still knows is missing all the same.
        let (path, offset) = targets(&world)[1].clone();
        edit(&path, |lines| drop(lines.remove(line_of(lines, offset))));
        let report = world.verify();
        assert_eq!(report.verdict, FilesVerdict::Damaged, "{report:?}");
        assert!(has(&report, &format!("missing: t/1 offset {offset}")), "{report:?}");
        // Nobody answers for the topic any more.
        world.topics.records.clear();
        let report = world.verify();
        assert_eq!(report.verdict, FilesVerdict::NotJudged, "{report:?}");
        assert!(has(&report, "not judged: t/0: offsets 0 to 400: no broker answers"), "{report:?}");
    }
}

/// Compaction takes records out of the middle.
#[test]
fn lines_of_records_that_were_compacted_are_not_judged() {
    let mut world = World::usual(Json);
    world.topics.records.get_mut(&TopicPartition::new("t", 0)).unwrap().remove(30);
    let report = world.verify();
    assert_eq!(report.verdict, FilesVerdict::NotJudged, "{report:?}");
    assert!(has(&report, "t/0: 399 expected, 0 missing, 0 doubled, 0 torn"), "{report:?}");
}

#[test]
fn what_keep_rules_have_deleted_is_named() {
    for format in FORMATS {
        let mut world = World::usual(format);
        let oldest = world.files().remove(0);
        std::fs::remove_file(oldest).unwrap();
        assert_eq!(world.verify().verdict, FilesVerdict::Damaged, "no rule has deleted it");
        world.may_be_deleted = true;
        let report = world.verify();
        assert_eq!(report.verdict, FilesVerdict::NotJudged, "{format:?}: {report:?}");
        assert!(report.lines.iter().any(|line| line.contains("may have been deleted")), "{report:?}");
        let (path, offset) = targets(&world)[1].clone();
        edit(&path, |lines| drop(lines.remove(line_of(lines, offset))));
        let report = world.verify();
        assert_eq!(report.verdict, FilesVerdict::Damaged, "{report:?}");
        assert!(has(&report, &format!("missing: t/1 offset {offset}")), "{report:?}");
    }
}

/// Two hosts share the partitions; one of them has the first half of partition 1.
#[test]
fn files_of_other_hosts_belong_to_it() {
    let mut world = World::new(Topics::new(2, 100), Json, Rotation::off());
    let other = World::new(world.topics.clone(), Json, Rotation::off());
    let partition = TopicPartition::new("t", 1);
    let text = OffsetMetadata::Text(String::new());
    let mut log = other.open(&other.log());
    log.ledger.resume(&partition, Some(0), &text).unwrap();
    other.append(&mut log, &partition, 0, 50);
    settle(&mut log);
    drop(log);
    let mut log = world.open(&world.log());
    log.ledger.resume(&partition, Some(50), &text).unwrap();
    log.ledger.resume(&TopicPartition::new("t", 0), Some(0), &text).unwrap();
    world.append(&mut log, &TopicPartition::new("t", 0), 0, 100);
    world.append(&mut log, &partition, 50, 100);
    settle(&mut log);
    drop(log);
    let report = world.verify();
    assert!(has(&report, "t/1: 50 expected, 0 missing"), "{report:?}");
    world.directories.push(other.directory.clone());
    let report = world.verify();
    assert_eq!(report.verdict, FilesVerdict::Whole, "{report:?}");
    assert!(has(&report, "t/1: 100 expected, 0 missing"), "{report:?}");
    edit(&other.log(), |lines| drop(lines.remove(line_of(lines, 20))));
    let report = world.verify();
    assert!(has(&report, "missing: t/1 offset 20"), "{report:?}");
}

/// Rotated files that were moved to another directory.
#[test]
fn an_archive_elsewhere_belongs_to_it() {
    for format in FORMATS {
        let mut world = World::usual(format);
        let archive = world.directory.join("archive");
        std::fs::create_dir(&archive).unwrap();
        for file in &world.files()[..2] {
            std::fs::copy(file, archive.join(file.file_name().unwrap())).unwrap();
            std::fs::remove_file(file).unwrap();
        }
        assert_eq!(world.verify().verdict, FilesVerdict::Damaged);
        world.directories.push(archive);
        assert_eq!(world.verify().verdict, FilesVerdict::Whole, "{format:?}");
    }
}

#[test]
fn a_whole_log_is_read_once() {
    let world = World::usual(Json);
    let served = std::sync::Arc::default();
    run(world.request(&served)).unwrap();
    let once = *served.lock().unwrap();
    assert_eq!(once, 2 * 400_u64.div_ceil(70), "replies");
}

#[test]
fn only_what_came_since_a_moment_is_compared() {
    for format in FORMATS {
        let mut world = World::usual(format);
        // The records' timestamps are their offsets and a thousand.
        world.since = Some(1100);
        let (path, offset) = targets(&world)[0].clone();
        assert!(offset < 100, "{offset}");
        edit(&path, |lines| drop(lines.remove(line_of(lines, offset))));
        let report = world.verify();
        assert_ne!(report.verdict, FilesVerdict::Damaged, "{report:?}");
        assert_eq!(report.verdict == FilesVerdict::Whole, format != Raw && format != Original, "{report:?}");
        assert!(
            has(&report, "t/1: 300 expected, 0 missing, 0 doubled, 0 torn, 0 out of order"),
            "{report:?}"
        );
        let (path, offset) = targets(&world)[2].clone();
        edit(&path, |lines| drop(lines.remove(line_of(lines, offset))));
        assert!(has(&world.verify(), &format!("missing: t/1 offset {offset}")), "{format:?}");
    }
}
