//! Rotation by pandad itself: what the new file inherits, what a refusal stops, what is deleted.

use std::cell::Cell;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

use super::*;
use crate::logfile::archive::tidy;
use crate::logfile::disk::RealDisk;

const DAY: i64 = 24 * 3_600_000;
/// 2026-11-24.
const NOW: i64 = 1_795_534_200_123;

fn rotating(size: u64) -> LogFileOptions {
    let rotation = Rotation { size: Some(size), keep: 100, now: || NOW, ..Rotation::off() };
    LogFileOptions { job: "test", sync: false, rotation }
}

fn begin(path: &Path) -> LogFile {
    let mut log = open(path, &rotating(20), &mut RestartMemory::default()).unwrap();
    // The tests compress and delete by themselves.
    log.writer.archive = None;
    if log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap().position.is_none() {
        log.ledger.set_position(&partition(), 0).unwrap();
    }
    log
}

/// The names in a directory that begin like this, sorted.
fn names(directory: &Path, start: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(start);
    let mut names: Vec<_> = all.filter(named).collect();
    names.sort();
    names
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// The access is kept even if a kill comes between the two steps of the rotation.
#[test]
fn rotation_keeps_mode_and_owner() {
    let dir = Dir::new();
    fs::write(dir.log(), "").unwrap();
    fs::set_permissions(dir.log(), fs::Permissions::from_mode(0o624)).unwrap();
    if is_root() {
        chown(dir.log(), Some(1), Some(4)).unwrap();
    }
    let access = |path: &Path| {
        let meta = fs::metadata(path).unwrap();
        (meta.mode() & 0o7777, meta.uid(), meta.gid())
    };
    let before = access(&dir.log());
    let mut log = begin(&dir.log());
    append(&mut log, 0, 3);
    append(&mut log, 3, 6);
    let rotated = names(&dir.0, "out.log-");
    assert_eq!(rotated.len(), 1);
    assert_eq!(access(&dir.log()), before);
    let rotation = Rotation { gzip: true, ..rotating(20).rotation };
    tidy(&RealDisk, &dir.log(), &rotation, i64::MAX, &|| false).unwrap();
    assert_eq!(access(&names(&dir.0, "out.log-")[0]), before, "compressed");
    drop(log);
    fs::rename(dir.log(), with_suffix(&dir.log(), "-20261124T153000.999Z")).unwrap();
    drop(begin(&dir.log()));
    assert_eq!(access(&dir.log()), before, "after a kill");
    for beside in [".journal", ".lock"] {
        assert_eq!(access(&with_suffix(&dir.log(), beside)).0 & !0o640, 0, "{beside}");
    }
}

#[test]
fn rotation_moves_the_target_of_a_link() {
    let (dir, other) = (Dir::new(), Dir::new());
    let target = other.0.join("real.log");
    // The log file is a relative link, which leads over a second link.
    symlink(&target, other.0.join("hop")).unwrap();
    symlink(format!("../{}/hop", other.0.file_name().unwrap().to_str().unwrap()), dir.log()).unwrap();
    let mut log = begin(&dir.log());
    append(&mut log, 0, 3);
    append(&mut log, 3, 6);
    assert!(fs::symlink_metadata(dir.log()).unwrap().is_symlink());
    let rotated = names(&other.0, "real.log-");
    assert_eq!(rotated.len(), 1);
    assert!(names(&dir.0, "out.log-").is_empty());
    assert_eq!(fs::read_to_string(&rotated[0]).unwrap() + &dir.content(), lines(6));
    // A kill between the steps: the file that the journal knows is found beside the target.
    drop(log);
    fs::rename(&target, other.0.join("real.log-20261124T153000.999Z")).unwrap();
    let (log, position) = again(&dir, None);
    assert_eq!((position, dir.content()), (6, String::new()));
    drop(log);
    // The archive does not touch a link that has the name of a rotated file.
    symlink(&target, other.0.join("real.log-20200101T000000.000Z")).unwrap();
    fs::write(&target, "kept").unwrap();
    let rotation = Rotation { gzip: true, keep: 1, ..rotating(20).rotation };
    tidy(&RealDisk, &dir.log(), &rotation, i64::MAX, &|| false).unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "kept");
    assert_eq!(names(&other.0, "real.log-").len(), 2, "the link and the newest");
}

/// The name is too long for any file system, as with a long topic. The checks at the start are left out
/// here.
#[test]
fn refused_rotation_stops_no_lines() {
    let dir = Dir::new();
    let path = dir.0.join("t".repeat(235));
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let half = crate::logfile::journal::HALF_BYTES_MIN;
    let (writer, settler, ledger) =
        open_with(&disk, &path, &rotating(20), half, None, &mut RestartMemory::default()).unwrap();
    let mut log = LogFile { writer, settler, ledger, lock: Lock::take(&path).unwrap() };
    log.ledger.set_position(&partition(), 0).unwrap();
    append(&mut log, 0, 3);
    assert!(log.writer.room().is_some());
    append(&mut log, 3, 6);
    assert_eq!(log.writer.room(), None, "the size holds nothing back while the rotation is refused");
    log.writer.tick().unwrap();
    append(&mut log, 6, 9);
    assert_eq!(fs::read_to_string(&path).unwrap(), lines(9));
    // The start refuses such a name, and says what to do.
    drop(log);
    match open(&path, &rotating(20), &mut RestartMemory::default()) {
        Err(OpenError::Fatal(why)) => assert!(why.contains("names of 255: write a shorter one"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_beside_the_log_are_no_links() {
    let victim = Dir::new();
    let target = victim.0.join("passwords");
    for beside in [".journal", ".lock", ".journal.new"] {
        fs::write(&target, "precious").unwrap();
        let dir = Dir::new();
        symlink(&target, with_suffix(&dir.log(), beside)).unwrap();
        match open(&dir.log(), &options(true), &mut RestartMemory::default()) {
            Err(OpenError::Mend(why)) => assert!(why.contains("a symbolic link"), "{why}"),
            other => panic!("{beside}: {other:?}"),
        }
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious", "{beside}");
    }
    let dir = Dir::new();
    symlink(&target, with_suffix(&dir.log(), ".probe")).unwrap();
    try_disk(&dir.log()).unwrap_err();
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
}

/// Rotated files of 100 bytes, one a day until today, the two oldest compressed.
fn five_days() -> (Dir, Vec<PathBuf>) {
    let dir = Dir::new();
    let stamps =
        ["20T153000.123Z.gz", "21T153000.123Z.gz", "22T153000.123Z", "23T153000.124Z", "24T153000.122Z"];
    for stamp in stamps {
        fs::write(with_suffix(&dir.log(), &format!("-202611{stamp}")), [b'x'; 100]).unwrap();
    }
    let files = names(&dir.0, "out.log-");
    (dir, files)
}

#[test]
fn oldest_rotated_files_are_deleted_by_bytes_and_days() {
    let cases: [(Option<u64>, Option<u32>, usize); 7] = [
        (None, None, 5),
        (Some(500), None, 5),
        (Some(499), None, 4),
        (Some(100), Some(30), 1),
        (None, Some(1), 2),
        (None, Some(2), 3),
        (Some(1000), Some(3), 4),
    ];
    for (keep_bytes, keep_days, left) in cases {
        let (dir, files) = five_days();
        let rotation = Rotation { keep_bytes, keep_days, ..rotating(20).rotation };
        tidy(&RealDisk, &dir.log(), &rotation, i64::MAX, &|| false).unwrap();
        let expected = &files[files.len() - left..];
        assert_eq!(names(&dir.0, "out.log-"), expected, "{keep_bytes:?} {keep_days:?}");
    }
}

/// A file that was rotated after the last settled one keeps its name, whatever limits are configured.
#[test]
fn unsettled_rotated_files_are_left_alone() {
    let (dir, files) = five_days();
    let rotation =
        Rotation { keep: 1, gzip: true, keep_bytes: Some(1), keep_days: Some(1), ..rotating(20).rotation };
    tidy(&RealDisk, &dir.log(), &rotation, NOW - 2 * DAY, &|| false).unwrap();
    assert_eq!(names(&dir.0, "out.log-"), files[3..]);
}

/// A file and its compressed copy, from before a kill, count as one.
#[test]
fn as_many_rotated_files_are_kept_as_configured() {
    for keep in 0..=6 {
        let (dir, files) = five_days();
        let twin = with_suffix(&files[4], ".gz");
        fs::write(&twin, "x").unwrap();
        let rotation = Rotation { keep, ..rotating(20).rotation };
        tidy(&RealDisk, &dir.log(), &rotation, i64::MAX, &|| false).unwrap();
        let mut expected = files[5 - keep.min(5)..].to_vec();
        expected.extend((keep > 0).then_some(twin));
        assert_eq!(names(&dir.0, "out.log-"), expected, "{keep} are kept");
    }
}

/// A kill during the compression leaves a part, which would fill the disk: nothing else deletes it.
#[test]
fn a_part_that_an_interrupted_pass_left_is_deleted() {
    let (dir, files) = five_days();
    let part = with_suffix(&files[2], ".gz.part");
    let unsettled = with_suffix(&files[4], ".gz.part");
    for gzip in [false, true] {
        for one in [&part, &unsettled] {
            fs::write(one, "half of it").unwrap();
        }
        let rotation = Rotation { gzip, ..rotating(20).rotation };
        tidy(&RealDisk, &dir.log(), &rotation, NOW - DAY, &|| false).unwrap();
        assert!(!part.exists() && unsettled.exists(), "compressed: {gzip}");
    }
    assert!(with_suffix(&files[2], ".gz").exists() && !files[2].exists());
}

thread_local! { static CLOCK: Cell<i64> = const { Cell::new(NOW) }; }

/// A file is rotated when its hour is over: before the next line, or without any.
#[test]
fn each_hour_has_its_file() {
    const HOUR: i64 = 3_600_000;
    let dir = Dir::new();
    let rotation = Rotation { every: Some(RotationInterval::Hour), now: || CLOCK.get(), ..Rotation::off() };
    let options = LogFileOptions { job: "test", sync: false, rotation };
    let mut log = open(&dir.log(), &options, &mut RestartMemory::default()).unwrap();
    log.writer.archive = None;
    log.ledger.set_position(&partition(), 0).unwrap();
    let files = || -> Vec<String> {
        names(&dir.0, "out.log-").iter().map(|file| fs::read_to_string(file).unwrap()).collect()
    };
    let mut expected: Vec<String> = Vec::new();
    for hour in 0..4 {
        CLOCK.set(NOW + hour * HOUR);
        if hour % 2 == 0 {
            log.writer.tick().unwrap();
        }
        let line = |n: i64| format!("line {n}\n");
        append(&mut log, 2 * hour, 2 * hour + 1);
        // Within the hour, neither a line nor the clock rotates the file.
        CLOCK.set(NOW + hour * HOUR + 1000);
        log.writer.tick().unwrap();
        append(&mut log, 2 * hour + 1, 2 * hour + 2);
        assert_eq!(files(), expected);
        expected.push(line(2 * hour) + &line(2 * hour + 1));
        assert_eq!(dir.content(), expected[expected.len() - 1]);
    }
}

/// What may stand at the path of the new file after another program has moved the old one away.
#[test]
fn a_refused_reopening_is_tried_again() {
    let obstacles: [fn(&Path); 3] = [
        |path| fs::create_dir(path).unwrap(),
        |path| symlink(path, path).unwrap(),
        |path| symlink("no/such/directory/out.log", path).unwrap(),
    ];
    for (number, obstacle) in obstacles.into_iter().enumerate() {
        let dir = Dir::new();
        let mut log = fresh(&dir);
        append(&mut log, 0, 2);
        let moved = dir.0.join("out.log.1");
        fs::rename(dir.log(), &moved).unwrap();
        obstacle(&dir.log());
        for _ in 0..2 {
            let refused = log.writer.reopen();
            assert!(matches!(refused, Err(AppendError::Retry(_))), "{number}: {refused:?}");
        }
        assert!(!log.writer.is_pending());
        if fs::symlink_metadata(dir.log()).unwrap().is_dir() {
            fs::remove_dir(dir.log()).unwrap();
        } else {
            fs::remove_file(dir.log()).unwrap();
        }
        assert!(log.writer.reopen().unwrap());
        append(&mut log, 2, 3);
        assert_eq!((fs::read_to_string(&moved).unwrap(), dir.content()), (lines(2), "line 2\n".to_owned()));
        drop(log);
        assert_eq!(again(&dir, None).1, 3);
    }
}

/// The whole directory is away for a while, as while another disk is mounted.
#[test]
fn a_missing_directory_is_waited_for() {
    let (dir, elsewhere) = (Dir::new(), Dir::new());
    let mut log = fresh(&dir);
    append(&mut log, 0, 2);
    let away = elsewhere.0.join("away");
    fs::rename(&dir.0, &away).unwrap();
    let refused = log.writer.reopen();
    assert!(matches!(refused, Err(AppendError::Retry(_))), "{refused:?}");
    fs::rename(&away, &dir.0).unwrap();
    assert!(log.writer.reopen().unwrap());
    append(&mut log, 2, 3);
    assert_eq!(dir.content(), lines(3));
    drop(log);
    assert_eq!(again(&dir, None).1, 3);
}
