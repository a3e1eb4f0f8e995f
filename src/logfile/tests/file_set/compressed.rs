//! Complete files that are compressed when they are moved.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use super::periods::Periods;
use super::*;
use crate::logfile::disk::Handle;
use crate::logfile::file_set::CompleteBefore;
use crate::test_log::lines_of;

/// Files of more than one piece of compression.
const MANY_LINES: usize = 60_000;

/// What the disk does, once it is set.
#[derive(Debug, Default)]
struct Obstacle {
    what: AtomicU32,
    /// How often it was met.
    met: AtomicU32,
    /// How often a file began to be compressed. The next one begins when the answer for the last is known.
    begun: AtomicU32,
}

const NONE: u32 = 0;
/// There is no room for compressed files.
const FULL: u32 = 1;
/// The compressed file of `1.log` cannot be written.
const BAD_FILE: u32 = 2;
/// The sync of a compressed file takes until this is set to something else.
const SLOW_SYNC: u32 = 3;
const LINK: u32 = 4;
const REMOVE_FILE: u32 = 5;
const REMOVE_PART: u32 = 6;
/// The thread that compresses panics.
const PANIC: u32 = 7;

fn ends(path: &Path, end: &str) -> bool {
    path.to_str().unwrap().ends_with(end)
}

impl Obstacle {
    fn set(&self, what: u32) {
        self.met.store(0, Relaxed);
        self.what.store(what, Relaxed);
    }

    fn meets(&self, what: u32) -> bool {
        let meets = self.what.load(Relaxed) == what;
        self.met.fetch_add(u32::from(meets), Relaxed);
        meets
    }

    fn await_met(&self) {
        let limit = Instant::now() + Duration::from_secs(20);
        while self.met.load(Relaxed) == 0 {
            assert!(Instant::now() < limit, "never met");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Faults for Obstacle {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Handle> {
        self.begun.fetch_add(u32::from(ends(path, ".part")), Relaxed);
        RealDisk.open(path, how)
    }

    fn read_at(&self, file: &FaultyFile<Self>, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let is_thread = std::thread::current().name() == Some("log-compress");
        assert!(!(is_thread && self.meets(PANIC)), "as the test wants it");
        file.inner.read_at(buffer, at)
    }

    fn write_at(&self, file: &FaultyFile<Self>, bytes: &[u8], at: u64) -> io::Result<()> {
        if ends(&file.path, ".part") && self.meets(FULL) && at > 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if ends(&file.path, "/1.log.gz.part") && self.meets(BAD_FILE) {
            return Err(rustix::io::Errno::IO.into());
        }
        file.inner.write_at(bytes, at)
    }

    fn sync(&self, file: &FaultyFile<Self>) -> io::Result<()> {
        while ends(&file.path, ".part") && self.meets(SLOW_SYNC) {
            std::thread::sleep(Duration::from_millis(2));
        }
        file.inner.sync()
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.meets(LINK) { Err(io::ErrorKind::StorageFull.into()) } else { RealDisk.link(from, to) }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let is_refused =
            ends(path, ".log") && self.meets(REMOVE_FILE) || ends(path, ".part") && self.meets(REMOVE_PART);
        if is_refused { Err(io::ErrorKind::PermissionDenied.into()) } else { RealDisk.remove(path) }
    }
}

fn begin(disk: Arc<dyn Disk>) -> Periods {
    let mut periods = Periods::new(disk);
    periods.options.complete_gzip = true;
    periods.restart();
    periods.set().0.compress_at_once(false);
    periods
}

impl Periods {
    /// Finishes again and again until so many files are finished.
    fn finish_all(&mut self, before: i64, count: usize) {
        let (limit, mut finished) = (Instant::now() + Duration::from_secs(20), 0);
        while finished < count {
            assert!(Instant::now() < limit, "{finished} of {count} files, {:?}", self.files());
            finished += self.finish(before);
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!((finished, self.finish(before)), (count, 0));
    }

    /// Finishes again and again until the disk refuses something.
    fn finish_refused(&mut self, before: i64) {
        let limit = Instant::now() + Duration::from_secs(20);
        while self.set().0.finish(&CompleteBefore::all(before)).is_ok() {
            assert!(Instant::now() < limit, "nothing is refused");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What the compressed file holds.
    fn unpacked(&self, name: &str) -> String {
        let mut text = String::new();
        let file = fs::File::open(self.dir.0.join(name)).unwrap();
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
        text
    }

    /// The names of all files.
    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut directories = vec![self.dir.0.clone()];
        while let Some(directory) = directories.pop() {
            for path in directory.read_dir().unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    directories.push(path);
                    continue;
                }
                let name = path.strip_prefix(&self.dir.0).unwrap().display().to_string();
                names.extend(Some(name).filter(|name| !name.starts_with("all.")));
            }
        }
        names.sort();
        names
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.0.join(name)
    }
}

#[test]
fn a_complete_file_is_moved_compressed_with_its_mode_and_so_are_late_lines() {
    let mut periods = begin(Arc::new(RealDisk));
    periods.write("1.log", 1, "one");
    periods.write("x/2.log", 2, "two");
    periods.write("3.log", 3, "three");
    fs::set_permissions(periods.path("1.log"), fs::Permissions::from_mode(0o640)).unwrap();
    periods.finish_all(2, 2);
    periods.write("1.log", 1, "late");
    assert_eq!(periods.names(), ["1.log.late", "3.log", "done/1.log.gz", "done/x/2.log.gz"]);
    periods.finish_all(2, 1);
    assert_eq!(periods.names(), ["3.log", "done/1.log.gz", "done/1.log.late.gz", "done/x/2.log.gz"]);
    let texts = ["done/1.log.gz", "done/x/2.log.gz", "done/1.log.late.gz"].map(|name| periods.unpacked(name));
    assert_eq!(texts, ["one\n", "two\n", "late\n"]);
    let mode = fs::metadata(periods.path("done/1.log.gz")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
}

#[test]
fn a_name_that_is_taken_is_not_replaced() {
    let mut periods = begin(Arc::new(RealDisk));
    fs::create_dir(periods.path("done")).unwrap();
    periods.write("1.log", 1, "one");
    // Once before the file is about to be moved, and once when it is being compressed.
    fs::write(periods.path("done/1.log.gz"), "theirs").unwrap();
    assert_eq!(periods.finish(1), 0);
    fs::write(periods.path("done/1.log.1.gz"), "theirs, too").unwrap();
    periods.finish_all(1, 1);
    assert_eq!(periods.names(), ["done/1.log.1.gz", "done/1.log.2.gz", "done/1.log.gz"]);
    assert_eq!(periods.unpacked("done/1.log.2.gz"), "one\n");
    assert_eq!(fs::read_to_string(periods.path("done/1.log.1.gz")).unwrap(), "theirs, too");
}

/// The key changes between two runs. What was about to be moved is moved as it was journalled.
#[test]
fn whether_a_file_is_compressed_is_known_from_when_it_was_completed() {
    for is_first_compressed in [true, false] {
        let obstacle = Arc::<Obstacle>::default();
        let mut periods = begin(disk_with(&obstacle));
        periods.options.complete_gzip = is_first_compressed;
        periods.restart();
        periods.write("1.log.gz", 1, "one");
        periods.write("2.log", 2, "two");
        // The disk refuses the name when the compressed file is there.
        obstacle.set(LINK);
        periods.finish_refused(1);
        obstacle.set(NONE);
        periods.options.complete_gzip = !is_first_compressed;
        periods.restart();
        periods.finish_all(2, 2);
        let expected = match is_first_compressed {
            true => ["done/1.log.gz.gz", "done/2.log"],
            false => ["done/1.log.gz", "done/2.log.gz"],
        };
        assert_eq!(periods.names(), expected);
    }
}

/// Compressing fails again and again, once for want of room, once because of one file. Meanwhile lines are
/// written, and the other files are moved.
#[test]
fn what_cannot_be_compressed_stays_and_holds_up_nothing() {
    for (what, why) in [(FULL, "no storage space"), (BAD_FILE, "Input/output error (os error 5)")] {
        let obstacle = Arc::<Obstacle>::default();
        let mut periods = begin(disk_with(&obstacle));
        let long = "a long line\n".repeat(MANY_LINES);
        periods.write("1.log", 1, &long);
        periods.write("2.log", 2, "two");
        obstacle.set(what);
        let lines = lines_of(|| {
            let limit = Instant::now() + Duration::from_secs(20);
            let is_next_moved = |periods: &Periods| periods.path("done/2.log.gz").exists();
            while obstacle.begun.load(Relaxed) < 4 || what == BAD_FILE && !is_next_moved(&periods) {
                assert!(Instant::now() < limit, "{:?}", periods.names());
                periods.finish(2);
                periods.write("3.log", 3, "a line");
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let (level, text) = &lines[0];
        let begins =
            format!("test: {}: is complete and cannot be compressed: ", periods.path("1.log").display());
        assert!(*level == log::Level::Warn && text.starts_with(&begins) && text.contains(why), "{lines:?}");
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(periods.path("1.log").exists());
        assert_eq!(periods.path("done/2.log.gz").exists(), what == BAD_FILE, "{:?}", periods.names());
        obstacle.set(NONE);
        let left = if what == FULL { 2 } else { 1 };
        let lines = lines_of(|| periods.finish_all(2, left));
        assert_eq!(lines, [(log::Level::Info, "test: complete files are compressed again".to_owned())]);
        assert_eq!(periods.names(), ["3.log", "done/1.log.gz", "done/2.log.gz"]);
        assert_eq!(periods.unpacked("done/1.log.gz"), long + "\n");
    }
}

#[test]
fn a_full_disk_is_tried_again_later() {
    let obstacle = Arc::<Obstacle>::default();
    let mut periods = Periods::new(disk_with(&obstacle));
    periods.options.complete_gzip = true;
    periods.restart();
    periods.write("1.log", 1, "one");
    obstacle.set(BAD_FILE);
    periods.finish(1);
    obstacle.await_met();
    // One attempt meets the obstacle more than once, and the thread may still be in it.
    let is_quiet = (0..50).any(|_| {
        let before = obstacle.met.load(Relaxed);
        for _ in 0..20 {
            periods.finish(1);
            std::thread::sleep(Duration::from_millis(5));
        }
        obstacle.met.load(Relaxed) == before
    });
    assert!(is_quiet, "it is tried again and again: {} times", obstacle.met.load(Relaxed));
    assert_eq!(periods.names(), ["1.log"]);
}

/// A run ends while it compresses, and its thread goes on for a while beside that of the next one.
#[test]
fn a_restart_compresses_anew_what_was_being_compressed() {
    let obstacle = Arc::<Obstacle>::default();
    let mut periods = begin(disk_with(&obstacle));
    let long = "a long line\n".repeat(MANY_LINES);
    periods.write("1.log", 1, &long);
    obstacle.set(SLOW_SYNC);
    periods.finish(1);
    obstacle.await_met();
    let started = Instant::now();
    periods.restart();
    assert_eq!(periods.names(), ["1.log", "1.log.gz.part"]);
    periods.finish(i64::MIN);
    obstacle.set(NONE);
    assert!(started.elapsed() < Duration::from_secs(5), "nothing waits for the thread");
    // It is known to be complete from the journal alone.
    periods.finish_all(i64::MIN, 1);
    assert_eq!(periods.names(), ["done/1.log.gz"]);
    assert_eq!(periods.unpacked("done/1.log.gz"), long + "\n");
}

/// The compressed file is published, and then the disk refuses to remove the complete one, or the part.
/// Another program takes the compressed file away.
#[test]
fn what_was_taken_away_is_not_made_again() {
    for (what, is_restarted) in
        [(REMOVE_FILE, false), (REMOVE_FILE, true), (REMOVE_PART, false), (REMOVE_PART, true)]
    {
        let obstacle = Arc::<Obstacle>::default();
        let mut periods = begin(disk_with(&obstacle));
        fs::create_dir(periods.path("away")).unwrap();
        periods.write("1.log", 1, "one");
        if what == REMOVE_FILE {
            obstacle.set(what);
        }
        if what == REMOVE_PART {
            // The first removal is that of what an earlier run may have left.
            obstacle.set(SLOW_SYNC);
            periods.finish(1);
            obstacle.await_met();
            obstacle.set(what);
        }
        periods.finish_refused(1);
        fs::rename(periods.path("done/1.log.gz"), periods.path("away/1.log.gz")).unwrap();
        obstacle.set(NONE);
        if is_restarted {
            periods.restart();
        }
        periods.finish_all(1, 1);
        assert_eq!(periods.names(), ["away/1.log.gz"], "{what}, restarted {is_restarted}");
        assert_eq!(periods.unpacked("away/1.log.gz"), "one\n");
    }
}

/// Somebody appends to the complete file, or takes it away, when it was read and the compressed one is not
/// durable yet.
#[test]
fn a_complete_file_that_changes_while_it_is_compressed() {
    for is_removed in [false, true] {
        let obstacle = Arc::<Obstacle>::default();
        let mut periods = begin(disk_with(&obstacle));
        periods.write("1.log", 1, "one");
        obstacle.set(SLOW_SYNC);
        periods.finish(1);
        obstacle.await_met();
        match is_removed {
            true => fs::remove_file(periods.path("1.log")).unwrap(),
            false => fs::write(periods.path("1.log"), "one\na note\n").unwrap(),
        }
        assert_eq!(periods.finish(1), 0, "the thread is at it");
        obstacle.set(NONE);
        periods.finish_all(1, 1);
        let expected: &[&str] = if is_removed { &[] } else { &["done/1.log.gz"] };
        assert_eq!(periods.names(), expected);
        if !is_removed {
            assert_eq!(periods.unpacked("done/1.log.gz"), "one\na note\n");
        }
    }
}

#[test]
fn a_thread_that_has_died_is_logged_and_started_again() {
    let obstacle = Arc::<Obstacle>::default();
    let mut periods = begin(disk_with(&obstacle));
    periods.write("1.log", 1, "one");
    obstacle.set(PANIC);
    periods.finish(1);
    obstacle.await_met();
    obstacle.set(NONE);
    let lines = lines_of(|| periods.finish_all(1, 1));
    assert!(lines[0].1.contains("internal error: the thread that compresses has ended"), "{lines:?}");
    assert_eq!((lines.len(), periods.names()), (2, vec!["done/1.log.gz".to_owned()]), "{lines:?}");
}

/// The configuration moves complete files no more: what was about to be moved stays where it is.
#[test]
fn a_file_that_is_not_moved_any_more_stays_uncompressed() {
    let obstacle = Arc::<Obstacle>::default();
    let mut periods = begin(disk_with(&obstacle));
    periods.write("1.log", 1, "one");
    obstacle.set(LINK);
    periods.finish_refused(1);
    (periods.options.complete_dir, periods.options.complete_gzip) = (None, false);
    periods.restart();
    periods.finish_all(1, 1);
    assert_eq!(periods.names(), ["1.log"]);
}
