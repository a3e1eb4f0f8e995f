//! The verdict says neither more nor less than what is known.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::super::*;
use super::fake::*;
use crate::logfile::line::LineFormat::{Json, Original, Raw};
use crate::logfile::parts::LogPath;
use crate::logfile::{LogFile, Rotation};
use crate::record::{OffsetMetadata, TopicPartition};

fn has(report: &Report, text: &str) -> bool {
    report.lines.iter().any(|line| line.starts_with(text))
}

/// Adds the first line of the file once more.
fn double_first_line(path: &std::path::Path) {
    let text = read(path);
    let end = memchr::memchr(b'\n', &text).unwrap() + 1;
    write(path, &[&text[..end], &text[..]].concat());
}

fn reset(log: &mut LogFile, partition: &TopicPartition, to: i64) {
    log.ledger.resume(partition, Some(to), &OffsetMetadata::Text("somebody".to_owned())).unwrap();
}

#[test]
fn a_partition_that_no_journal_knows_is_not_whole() {
    let mut world = World::usual(Json);
    for choice in [PartitionChoice::Number(9), PartitionChoice::Named(TopicPartition::new("typo", 0))] {
        world.choice = Some(choice);
        let why = run(world.request(&Arc::default())).unwrap_err();
        assert!(why.contains("no journal knows"), "{why}");
    }
}

#[test]
fn a_doubled_line_of_the_chosen_partition_is_doubled() {
    let mut world = World::usual(Json);
    let oldest = world.files().remove(0);
    double_first_line(&oldest);
    world.choice = Some(PartitionChoice::Number(0));
    let report = world.verify();
    assert_eq!(report.verdict, FilesVerdict::Damaged, "{report:?}");
    assert!(has(&report, "doubled: t/0 offset 0"), "{report:?}");
}

#[test]
fn a_moment_that_no_broker_can_look_up_is_not_whole() {
    let mut world = World::usual(Json);
    world.since = Some(1100);
    let mut request = world.request(&Arc::default());
    let (all, asked) = (request.make_fetcher, AtomicU32::new(0));
    let mut gone = World::usual(Json);
    gone.topics.records.clear();
    let none = gone.request(&Arc::default()).make_fetcher;
    // The questions for the first offsets and the ends are answered, that for the moment is not.
    request.make_fetcher = Box::new(move || if asked.fetch_add(1, Relaxed) == 2 { none() } else { all() });
    let report = run(request).unwrap();
    assert_eq!(report.verdict, FilesVerdict::NotJudged, "{report:?}");
}

/// The topic was deleted and created anew while no pandad ran.
#[test]
fn the_lines_of_a_topic_that_was_created_anew_are_not_judged() {
    for format in [Json, Original, Raw] {
        let mut world = World::usual(format);
        let values = world.topics.records.get_mut(&TopicPartition::new("t", 0)).unwrap();
        values.truncate(300);
        values.iter_mut().for_each(|(_, value)| value.push('!'));
        let report = world.verify();
        assert_eq!(report.verdict, FilesVerdict::NotJudged, "{format:?}: {report:?}");
        assert!(
            has(&report, "not judged: t/0: offsets 0 to 400: the log ends at offset 300, before 400"),
            "{report:?}"
        );
    }
}

/// Keep rules delete the files of before a reset, and a part of what was read again.
#[test]
fn copies_of_before_a_reset_may_be_deleted() {
    for format in [Json, Original, Raw] {
        let mut world =
            World::new(Topics::new(1, 400), format, Rotation { size: Some(9_000), ..Rotation::off() });
        world.write_all();
        let before = world.files().len();
        let partition = TopicPartition::new("t", 0);
        let mut log = world.open(&world.log());
        reset(&mut log, &partition, 200);
        (200..400).step_by(10).for_each(|from| world.append(&mut log, &partition, from, from + 10));
        settle(&mut log);
        drop(log);
        assert_eq!(world.verify().verdict, FilesVerdict::Whole, "{format:?}");
        for file in &world.files()[..before] {
            std::fs::remove_file(file).unwrap();
        }
        world.may_be_deleted = true;
        let report = world.verify();
        assert_eq!(report.verdict, FilesVerdict::NotJudged, "{format:?}: {report:?}");
    }
}

/// Records beyond those that are kept one by one are not all from before the first line.
#[test]
fn missing_records_that_are_only_counted_stay_missing() {
    let bounds = bounds::Bounds::default();
    let record = verdict::WrongRecord { partition: 0, offset: 5, lines: 1, hash: 0 };
    for (last, left) in [(900, 3), (9, 0)] {
        let mut findings = verdict::Findings { missing: vec![record], ..verdict::Findings::default() };
        findings.missing_more.insert(0, (3, last));
        let deleted = findings.take_deleted(&bounds, &|_, _| Some(10));
        assert_eq!(deleted, [(0, 10, 4 - left)]);
        assert_eq!(findings.missing_more.get(&0).map_or(0, |(count, _)| *count), left);
    }
}

/// One of two hosts has begun later, and keep rules have deleted its oldest file.
#[test]
fn keep_rules_of_one_host_are_known_beside_another() {
    let rotation = Rotation { size: Some(9_000), ..Rotation::off() };
    let mut world = World::new(Topics::new(1, 400), Json, rotation);
    let first = World::new(world.topics.clone(), Json, Rotation::off());
    let partition = TopicPartition::new("t", 0);
    let text = OffsetMetadata::Text(String::new());
    let mut log = first.open(&first.log());
    log.ledger.resume(&partition, Some(0), &text).unwrap();
    first.append(&mut log, &partition, 0, 100);
    settle(&mut log);
    drop(log);
    let mut log = world.open(&world.log());
    log.ledger.resume(&partition, Some(100), &text).unwrap();
    (100..400).step_by(10).for_each(|from| world.append(&mut log, &partition, from, from + 10));
    settle(&mut log);
    drop(log);
    world.directories.push(first.directory.clone());
    assert_eq!(world.verify().verdict, FilesVerdict::Whole);
    std::fs::remove_file(&world.files()[0]).unwrap();
    world.may_be_deleted = true;
    let report = world.verify();
    assert_eq!(report.verdict, FilesVerdict::NotJudged, "{report:?}");
}

/// Copies of numbered files have times that say nothing of their order.
#[test]
fn files_of_other_programs_may_be_in_any_order() {
    let world = World::usual(Json);
    let files = world.files();
    let rotated = &files[..files.len() - 1];
    for (number, file) in rotated.iter().rev().enumerate() {
        let end = if file.extension().unwrap() == "gz" { ".gz" } else { "" };
        std::fs::rename(file, world.directory.join(format!("out.log.{}{end}", number + 1))).unwrap();
    }
    let report = world.verify();
    assert_eq!(report.verdict, FilesVerdict::Whole, "{report:?}");
}

/// Another program deletes a file between the look at the directory and the reading.
#[test]
fn a_file_that_cannot_be_opened_is_no_damage() {
    for format in [Json, Original, Raw] {
        let world = World::usual(format);
        let mut request = world.request(&Arc::default());
        let (make, oldest) = (request.make_fetcher, world.files()[1].clone());
        request.make_fetcher = Box::new(move || {
            let _ = std::fs::remove_file(&oldest);
            make()
        });
        let report = run(request).unwrap();
        assert_eq!(report.verdict, FilesVerdict::NotJudged, "{format:?}: {report:?}");
        assert!(has(&report, "not judged: "), "{report:?}");
    }
}

#[test]
fn the_own_directory_is_no_other_host() {
    let mut world = World::usual(Json);
    let whole = world.verify();
    world.directories.push(world.directory.join("."));
    assert_eq!(world.verify().lines, whole.lines);
}

/// A copy is whole if the archive still has the same files.
#[test]
fn a_copied_rotated_file_is_read_once() {
    let mut world = World::usual(Json);
    let archive = world.directory.join("archive");
    std::fs::create_dir(&archive).unwrap();
    for file in &world.files()[..2] {
        std::fs::copy(file, archive.join(file.file_name().unwrap())).unwrap();
    }
    world.directories.push(archive);
    let report = world.verify();
    assert_eq!(report.verdict, FilesVerdict::Whole, "{report:?}");
}

/// The file of topic `out-2` is beside that of topic `out`, both without an extension.
#[test]
fn rotated_files_of_another_log_are_not_read() {
    let rotation = Rotation { size: Some(9_000), ..Rotation::off() };
    let world = World::new(Topics::new(1, 400), Json, rotation);
    let partition = TopicPartition::new("t", 0);
    for name in ["out", "out-2"] {
        let mut log = world.open(&world.directory.join(name));
        reset(&mut log, &partition, 0);
        (0..400).step_by(10).for_each(|from| world.append(&mut log, &partition, from, from + 10));
        settle(&mut log);
    }
    let mut request = world.request(&Arc::default());
    request.logs = vec![LogPath::File(world.directory.join("out"))];
    let report = run(request).unwrap();
    assert_eq!(report.verdict, FilesVerdict::Whole, "{report:?}");
}

/// A host that has read a partition again, beside one that has never read it.
#[test]
fn a_reset_of_a_partition_that_only_another_host_has_is_known() {
    let mut world = World::new(Topics::new(2, 100), Json, Rotation::off());
    let other = World::new(world.topics.clone(), Json, Rotation::off());
    let [one, two] = [0, 1].map(|number| TopicPartition::new("t", number));
    let mut log = world.open(&world.log());
    reset(&mut log, &one, 0);
    world.append(&mut log, &one, 0, 100);
    settle(&mut log);
    drop(log);
    let mut log = other.open(&other.log());
    reset(&mut log, &two, 0);
    other.append(&mut log, &two, 0, 100);
    reset(&mut log, &two, 50);
    other.append(&mut log, &two, 50, 100);
    settle(&mut log);
    drop(log);
    world.directories.push(other.directory.clone());
    let report = world.verify();
    assert_eq!(report.verdict, FilesVerdict::Whole, "{report:?}");
}

/// What `pandad journal LOGFILE --copy` makes has no rotated files.
#[test]
fn a_copy_of_a_rotated_log_is_no_damage() {
    let mut world = World::usual(Json);
    let copy = std::env::temp_dir().join(format!("pandad-verify-copy-{}", std::process::id()));
    std::fs::create_dir_all(&copy).unwrap();
    crate::logfile::backup::copy(&world.log(), &copy).unwrap();
    world.directories.push(copy.clone());
    let report = world.verify();
    let _ = std::fs::remove_dir_all(&copy);
    assert_eq!(report.verdict, FilesVerdict::NotJudged, "{report:?}");
    assert!(report.lines.iter().any(|line| line.contains("is a copy: verify it by itself")), "{report:?}");
    assert!(has(&report, "t/0: 400 expected, 0 missing"), "{report:?}");
}

/// A file that is gone has thousands of records in a row, which would hide everything else.
#[test]
fn records_in_a_row_are_named_together() {
    let mut world = World::new(Topics::new(1, 400), Raw, Rotation::off());
    world.write_all();
    let text = read(&world.log());
    let mut lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    lines.drain(100..350);
    lines.remove(50);
    lines.extend(lines[10..13].to_vec());
    write(&world.log(), &lines.concat());
    let report = world.verify();
    for line in [
        "t/0: 400 expected, 251 missing, 3 doubled",
        "missing: t/0 offset 50",
        "missing: t/0 offsets 100 to 349, 250 records",
        "doubled: t/0 offsets 10 to 12, 3 records",
    ] {
        assert!(has(&report, line), "{line}: {report:?}");
    }
    assert!(!has(&report, "missing: and"), "{report:?}");
}
