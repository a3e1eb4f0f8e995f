//! Two archive threads at once: that of a run which has ended, and that of the next run.

use std::io::Read;

use super::faulty_disk::{Faults, FaultyFile, disk_with};
use super::*;
use crate::logfile::archive::{Archive, COMPRESS_PIECE_BYTES, tidy};

/// While a compressed file is synced, the next run's archive thread begins the same rotated file and is
/// stopped after its first piece.
#[derive(Debug)]
struct SlowSync;

const ROTATED: &str = "out.log-20261124T153000.123Z";

fn gzip() -> Rotation {
    Rotation { gzip: true, ..Rotation::off() }
}

impl Faults for SlowSync {
    fn sync(&self, file: &FaultyFile<Self>) -> io::Result<()> {
        let asked = AtomicU32::new(0);
        let stop = || asked.fetch_add(1, Relaxed) >= 2;
        tidy(&RealDisk, &file.path.with_file_name("out.log"), &gzip(), i64::MAX, &stop)?;
        assert!(asked.load(Relaxed) > 2, "the next thread has compressed a piece");
        file.inner.sync()
    }
}

/// A directory with a rotated file of several pieces, and the file's lines.
fn with_rotated_file() -> (Dir, String) {
    let dir = Dir::new();
    fs::write(dir.log(), "").unwrap();
    let mut dice = fastrand::Rng::with_seed(1);
    let lines: String = std::iter::repeat_with(|| format!("line {}\n", dice.u64(..))).take(60_000).collect();
    fs::write(dir.0.join(ROTATED), &lines).unwrap();
    (dir, lines)
}

/// What the compressed file holds, if it is there and whole.
fn unpacked(dir: &Dir) -> Option<String> {
    let file = fs::File::open(dir.0.join(ROTATED.to_owned() + ".gz")).ok()?;
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The archive thread of a run outlives the run, because the sync of its compressed file takes long.
#[test]
fn two_archive_threads_lose_no_rotated_file() {
    let (dir, lines) = with_rotated_file();
    // The earlier thread may fail: the later one has removed its compressed file.
    let earlier = tidy(&*disk_with(&Arc::new(SlowSync)), &dir.log(), &gzip(), i64::MAX, &|| false);
    let plain = fs::read_to_string(dir.0.join(ROTATED)).ok();
    let is_there = plain.as_ref() == Some(&lines) || unpacked(&dir).as_ref() == Some(&lines);
    assert!(is_there, "{earlier:?}; plain file: {}", plain.is_some());
    // The next pass completes what both have left.
    tidy(&RealDisk, &dir.log(), &gzip(), i64::MAX, &|| false).unwrap();
    assert!(unpacked(&dir) == Some(lines));
    assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 2, "the log file and the compressed file");
}

/// The run ends during the sync, which is before the last time that the thread asks.
#[test]
fn a_run_that_ends_during_a_sync_leaves_the_file_to_the_next_run() {
    let (dir, lines) = with_rotated_file();
    let pieces = u32::try_from(lines.len().div_ceil(COMPRESS_PIECE_BYTES)).unwrap();
    let asked = AtomicU32::new(0);
    let stop = || asked.fetch_add(1, Relaxed) > pieces;
    tidy(&RealDisk, &dir.log(), &gzip(), i64::MAX, &stop).unwrap();
    assert!(!dir.0.join(ROTATED.to_owned() + ".gz").exists());
    assert!(fs::read_to_string(dir.0.join(ROTATED)).unwrap() == lines);
    assert_eq!(asked.into_inner(), pieces + 2);
}

fn until(mut is_true: impl FnMut() -> bool) {
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !is_true() {
        assert!(std::time::Instant::now() < limit, "too late");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn is_gzipped(path: &Path) -> bool {
    with_suffix(path, ".gz").exists() && !path.exists()
}

/// The thread finishes what an earlier run left undone, then waits for rotations. What was rotated later than
/// the last settled file is left alone. The thread ends with the run.
#[test]
fn the_archive_thread_compresses_what_is_settled() {
    let dir = Dir::new();
    let rotated = |stamp: &str| with_suffix(&dir.log(), &format!("-20261124T{stamp}Z"));
    let (left, next, last) = (rotated("153000.123"), rotated("153000.124"), rotated("153000.125"));
    fs::write(&left, "left").unwrap();
    let options = LogFileOptions { rotation: gzip(), ..options(true) };
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let archive = Archive::start(Arc::clone(&disk), &dir.log(), &options).unwrap();
    until(|| is_gzipped(&left));
    fs::write(&next, "next").unwrap();
    fs::write(&last, "last").unwrap();
    let stamp = super::super::rotation::stamp_of(&dir.log(), &next).unwrap().0;
    archive.tidy(stamp);
    until(|| is_gzipped(&next));
    assert!(last.exists());
    // An earlier stamp takes nothing back.
    archive.tidy(stamp + 1);
    archive.tidy(stamp);
    until(|| is_gzipped(&last));
    drop(archive);
    until(|| Arc::strong_count(&disk) == 1);
}
