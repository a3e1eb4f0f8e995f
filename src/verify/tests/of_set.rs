//! The files of a path with placeholders: written side by side by the job's own writer, and damaged.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::*;
use super::fake::*;
use crate::logfile::line::LineFormat::{self, Json, Original, Raw};
use crate::logfile::parts::{LogPath, SetPath};
use crate::logfile::{
    self, CompleteBefore, EVERY_PARTITION, FileSet, FileSetOptions, Landmark, LogFileOptions, Piece,
    PositionChange, RestartMemory, Rotation, RoutedPieces,
};
use crate::path_template::PathTemplate;
use crate::record::{OffsetMetadata, TopicPartition};

/// Records of each partition.
const RECORDS: i64 = 300;

/// Two partitions, each in files of 100 offsets, even and odd ones apart.
fn path_of(world: &World, partition: &TopicPartition, offset: i64) -> PathBuf {
    let key = if offset % 2 == 0 { "even" } else { "odd" };
    world.directory.join(format!("{}/{key}-{}.log", partition.partition, 2000 + offset / 100))
}

fn template(world: &World) -> PathTemplate {
    PathTemplate::parse(&world.directory, "{partition}/{key}-{%Y}.log").unwrap()
}

fn open(world: &World) -> FileSet {
    let template = template(world);
    let options = FileSetOptions {
        base: world.directory.join(template.journal_name()),
        log_file: LogFileOptions { job: "test", sync: false, rotation: Rotation::off() },
        complete_dir: Some(world.directory.join("done")),
        complete_gzip: false,
        open_max: 8,
        new_max: 1000,
    };
    logfile::open_set(&options, &mut RestartMemory::default()).unwrap()
}

/// Writes these records as one range, each to its file.
fn append(world: &World, set: &mut FileSet, partition: &TopicPartition, from: i64, next: i64) {
    let mut files: Vec<(PathBuf, i64, Vec<u8>)> = Vec::new();
    for offset in from..next {
        let path = path_of(world, partition, offset);
        if !files.iter().any(|(known, ..)| *known == path) {
            files.push((path.clone(), offset / 100, Vec::new()));
        }
        let lines = &mut files.iter_mut().find(|(known, ..)| *known == path).unwrap().2;
        world.format_line(partition, offset, lines);
    }
    let crcs: Vec<crc32fast::Hasher> = files
        .iter()
        .map(|(.., lines)| {
            let mut crc = crc32fast::Hasher::new();
            crc.update(lines);
            crc
        })
        .collect();
    let parts = files.iter().zip(&crcs).map(|((path, until, bytes), crc)| RoutedPieces {
        path,
        until: Some(*until),
        scope: &EVERY_PARTITION,
        pieces: vec![Piece { bytes, crc }],
    });
    let (index, _) = set.ledger.written(partition).unwrap();
    let last = Some(Landmark { offset: next - 1, fingerprint: 0 });
    let change = PositionChange { index, position: next, last };
    set.writers.append(0, &parts.collect::<Vec<_>>(), &[change]).unwrap();
}

/// The first hundred offsets are in files that are complete and were moved, the last ones in files that are
/// being written.
fn written(format: LineFormat) -> World {
    let (world, mut set) = settled(format);
    assert_eq!(set.writers.finish(&CompleteBefore::all(0)).unwrap(), 4);
    set.ledger.close().unwrap();
    world
}

/// Every record, settled, in files that are not complete.
fn settled(format: LineFormat) -> (World, FileSet) {
    let world = World::new(Topics::new(2, RECORDS), format, Rotation::off());
    let mut set = open(&world);
    for partition in world.topics.records.keys() {
        set.ledger.resume(partition, Some(0), &OffsetMetadata::Text(String::new())).unwrap();
    }
    for from in (0..RECORDS).step_by(10) {
        for partition in world.topics.records.keys() {
            append(&world, &mut set, partition, from, from + 10);
        }
    }
    set.settler.settle(set.ledger.checkpoint()).unwrap();
    (world, set)
}

fn verify(world: &World) -> Report {
    let done = world.directory.join("done");
    let path = LogPath::Set(SetPath::new(template(world), Vec::new(), Some(&done)));
    run(VerifyRequest { logs: vec![path], ..world.request(&std::sync::Arc::default()) }).unwrap()
}

fn has(report: &Report, text: &str) -> bool {
    report.lines.iter().any(|line| line.starts_with(text))
}

/// Where the line of an offset of partition 1 is now.
fn file_of(world: &World, offset: i64) -> PathBuf {
    let path = path_of(world, &TopicPartition::new("t", 1), offset);
    if path.exists() {
        return path;
    }
    world.directory.join("done").join(path.strip_prefix(&world.directory).unwrap())
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
    let text = read(path);
    let mut lines: Vec<Vec<u8>> = text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    change(&mut lines);
    write(path, &lines.concat());
}

fn line_of(lines: &[Vec<u8>], offset: i64) -> usize {
    let value = format!("value {offset} of 1 ");
    lines.iter().position(|line| memchr::memmem::find(line, value.as_bytes()).is_some()).unwrap()
}

/// As gzip does it.
fn compress(path: &Path) -> PathBuf {
    let compressed = PathBuf::from(format!("{}.gz", path.display()));
    write(&compressed, &read(path));
    fs::remove_file(path).unwrap();
    compressed
}

const FORMATS: [LineFormat; 3] = [Json, Original, Raw];
/// An offset in a complete file, in one that is known, and in one that is compressed by hand.
const TARGETS: [i64; 3] = [42, 142, 242];

/// Damages each kind of file, and returns the reports with the offsets that were damaged.
fn sabotaged(format: LineFormat, change: impl Fn(&mut Vec<Vec<u8>>, i64)) -> Vec<(i64, Report)> {
    let sabotage = |offset: i64| {
        let world = written(format);
        let mut path = file_of(&world, offset);
        if offset == TARGETS[2] {
            path = compress(&path);
        }
        edit(&path, |lines| change(lines, offset));
        (offset, verify(&world))
    };
    // Where formats differ is shown by tests of files in a sequence.
    let targets = if format == Json { &TARGETS[..] } else { &TARGETS[1..2] };
    targets.iter().map(|offset| sabotage(*offset)).collect()
}

#[test]
fn a_set_that_nobody_has_touched_is_whole() {
    for format in FORMATS {
        let world = written(format);
        let report = verify(&world);
        assert_eq!(report.verdict, FilesVerdict::Whole, "{format:?}: {report:?}");
        assert!(
            has(&report, "t/1: 300 expected, 0 missing, 0 doubled, 0 torn, 0 out of order"),
            "{report:?}"
        );
        assert!(has(&report, "whole: 600 records, 600 lines in 12 files"), "{report:?}");
        // Complete files are the users' own.
        compress(&file_of(&world, 42));
        fs::rename(file_of(&world, 43), file_of(&world, 43).with_extension("log.1")).unwrap();
        let report = verify(&world);
        assert_eq!(report.verdict, FilesVerdict::Whole, "{format:?}: {report:?}");
    }
}

#[test]
fn what_is_done_to_a_file_of_a_set_is_named() {
    for format in FORMATS {
        for (offset, report) in sabotaged(format, |lines, offset| drop(lines.remove(line_of(lines, offset))))
        {
            assert_eq!(report.verdict, FilesVerdict::Damaged, "{format:?} {offset}: {report:?}");
            assert!(
                has(&report, &format!("missing: t/1 offset {offset}")),
                "{format:?} {offset}: {report:?}"
            );
            assert!(has(&report, "t/1: 300 expected, 1 missing, 0 doubled, 0 torn, 0 out"), "{report:?}");
        }
        let doubled = |lines: &mut Vec<Vec<u8>>, offset| {
            let line = lines[line_of(lines, offset)].clone();
            lines.insert(0, line);
        };
        // What is appended to a file behind the last mark is not settled.
        for (offset, report) in sabotaged(format, doubled) {
            assert_eq!(report.verdict, FilesVerdict::Damaged, "{format:?} {offset}: {report:?}");
            assert!(
                has(&report, &format!("doubled: t/1 offset {offset}")),
                "{format:?} {offset}: {report:?}"
            );
        }
        let cut = |lines: &mut Vec<Vec<u8>>, offset| {
            let at = line_of(lines, offset);
            let half = lines[at].len() / 2;
            lines[at].truncate(half);
            lines[at].push(b'\n');
        };
        for (offset, report) in sabotaged(format, cut) {
            assert_eq!(report.verdict, FilesVerdict::Damaged, "{format:?} {offset}: {report:?}");
            assert!(has(&report, &format!("torn: t/1 offset {offset}")), "{report:?}");
        }
        for (offset, report) in sabotaged(format, |lines, _| lines.insert(3, b"foreign\n".to_vec())) {
            assert_eq!(report.verdict, FilesVerdict::NotJudged, "{format:?} {offset}: {report:?}");
            assert!(has(&report, "not judged: 1 line that no record has"), "{report:?}");
        }
    }
}

#[test]
fn lines_are_in_order_within_each_file_of_a_set() {
    let swapped = |lines: &mut Vec<Vec<u8>>, offset| {
        let at = line_of(lines, offset);
        lines.swap(at, at + 1);
    };
    for (offset, report) in sabotaged(Json, swapped) {
        assert_eq!(report.verdict, FilesVerdict::Damaged, "{report:?}");
        let text = format!("out of order: t/1 offset {offset} stands behind offset {}: ", offset + 2);
        assert!(has(&report, &text), "{report:?}");
        assert!(
            has(&report, "t/1: 300 expected, 0 missing, 0 doubled, 0 torn, 1 out of order"),
            "{report:?}"
        );
    }
}

#[test]
fn a_file_of_a_set_that_was_deleted_is_missing() {
    for (offset, files) in [(42, 11), (142, 11)] {
        let mut world = written(Json);
        fs::remove_file(file_of(&world, offset)).unwrap();
        let report = verify(&world);
        assert_eq!(report.verdict, FilesVerdict::Damaged, "{report:?}");
        assert!(has(&report, "t/1: 300 expected, 50 missing, 0 doubled, 0 torn, 0 out"), "{report:?}");
        assert!(has(&report, &format!("missing: t/1 offset {offset}")), "{report:?}");
        assert!(has(&report, &format!("damaged: 600 records, 550 lines in {files} files")), "{report:?}");
        world.choice = Some(PartitionChoice::Number(0));
        let report = verify(&world);
        assert!(has(&report, "t/0: 300 expected, 0 missing, 0 doubled, 0 torn, 0 out"), "{report:?}");
        // The records' timestamps are their offsets and a thousand.
        world.choice = None;
        world.since = Some(1200);
        let report = verify(&world);
        assert!(has(&report, "t/1: 100 expected, 0 missing, 0 doubled, 0 torn, 0 out"), "{report:?}");
    }
}

/// A shipper has taken complete files away.
#[test]
fn an_archive_elsewhere_belongs_to_the_set() {
    let mut world = written(Json);
    let away = World::new(Topics::default(), Json, Rotation::off());
    fs::create_dir(away.directory.join("1")).unwrap();
    let file = file_of(&world, 42);
    fs::rename(&file, away.directory.join("1").join(file.file_name().unwrap())).unwrap();
    fs::copy(file_of(&world, 43), away.directory.join("1/odd-2000.log")).unwrap();
    assert_eq!(verify(&world).verdict, FilesVerdict::Damaged);
    world.directories.push(away.directory.clone());
    let report = verify(&world);
    assert_eq!(report.verdict, FilesVerdict::Whole, "{report:?}");
    // The files of another host, which has read the same records.
    let (other, set) = settled(Json);
    drop(set);
    world.directories.push(other.directory.clone());
    let report = verify(&world);
    assert!(has(&report, "t/1: 600 expected, 0 missing, 0 doubled, 0 torn, 0 out"), "{report:?}");
}

/// What was read again after a reset is in every file twice, behind the first time.
#[test]
fn a_reset_explains_that_offsets_fall_in_each_file() {
    let world = written(Json);
    let mut set = open(&world);
    let (one, other) = (TopicPartition::new("t", 0), TopicPartition::new("t", 1));
    set.ledger.resume(&one, Some(110), &OffsetMetadata::Text("somebody".to_owned())).unwrap();
    set.ledger.resume(&other, Some(RECORDS), &OffsetMetadata::Text(String::new())).unwrap();
    (110..RECORDS).step_by(10).for_each(|from| append(&world, &mut set, &one, from, from + 10));
    set.settler.settle(set.ledger.checkpoint()).unwrap();
    drop(set);
    let report = verify(&world);
    assert_eq!(report.verdict, FilesVerdict::Whole, "{report:?}");
    assert!(has(&report, "t/0: 490 expected, 0 missing, 0 doubled, 0 torn, 0 out of order"), "{report:?}");
}
