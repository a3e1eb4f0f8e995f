//! What depends on the clock: when a file is rotated by the hour, and when a refused rotation is tried
//! again.

use std::cell::Cell;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use log::Level::{Info, Warn};

use super::faulty_disk::{Faults, disk_with};
use super::*;
use crate::logfile::disk::RealDisk;
use crate::test_log::lines_of;

const HOUR: i64 = 3_600_000;
/// 2026-11-24, 15:30.
const NOW: i64 = 1_795_534_200_123;

thread_local! { static CLOCK: Cell<i64> = const { Cell::new(NOW) }; }

/// A disk on which no name can be changed.
#[derive(Debug, Default)]
struct FixedNames {
    is_fixed: AtomicBool,
}

impl Faults for FixedNames {
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.is_fixed.load(Relaxed) && !from.ends_with("out.log.journal.new") {
            return Err(rustix::io::Errno::ROFS.into());
        }
        RealDisk.rename(from, to)
    }
}

fn open_at(dir: &Dir, disk: &Arc<FixedNames>, rotation: Rotation) -> LogFile {
    let lock = Lock::take(&dir.log()).unwrap();
    let (half, mut memory) = (super::super::journal::HALF_BYTES_MIN, RestartMemory::default());
    let options =
        LogFileOptions { job: "test", sync: true, rotation: Rotation { now: || CLOCK.get(), ..rotation } };
    let (writer, settler, ledger) =
        open_with(&disk_with(disk), &dir.log(), &options, half, Some(1), &mut memory).unwrap();
    let log = LogFile { writer, settler, ledger, lock };
    if log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap().position.is_none() {
        log.ledger.set_position(&partition(), 0).unwrap();
    }
    log
}

fn rotated(dir: &Dir) -> usize {
    let names = fs::read_dir(&dir.0).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_str().unwrap().starts_with("out.log-")).count()
}

fn set_modified(dir: &Dir, time: i64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(time as u64);
    OpenOptions::new().append(true).open(dir.log()).unwrap().set_modified(time).unwrap();
}

/// Once a minute, and with one line in the log however long it lasts.
#[test]
fn a_refused_rotation_is_tried_again_each_minute() {
    let (dir, disk) = (Dir::new(), Arc::<FixedNames>::default());
    CLOCK.set(NOW);
    let mut log = open_at(&dir, &disk, Rotation { size: Some(20), ..Rotation::off() });
    let mut next = 0;
    let mut write = |at: i64, is_fixed: bool| {
        CLOCK.set(at);
        disk.is_fixed.store(is_fixed, Relaxed);
        let told = lines_of(|| append(&mut log, next, next + 3));
        next += 3;
        let levels: Vec<_> = told.into_iter().map(|(level, _)| level).collect();
        (rotated(&dir), levels)
    };
    assert_eq!(write(NOW, true), (0, vec![]));
    assert_eq!(write(NOW, true), (0, vec![Warn]));
    assert_eq!(write(NOW + 59_999, false), (0, vec![]), "not yet");
    assert_eq!(write(NOW + 60_000, true), (0, vec![]), "tried in vain");
    assert_eq!(write(NOW + 119_999, false), (0, vec![]), "not yet");
    assert_eq!(write(NOW + 120_000, false), (1, vec![Info]));
    // The next refusal is another one, and the clock is set back while it lasts.
    assert_eq!(write(NOW + 120_000, true), (1, vec![Warn]));
    assert_eq!(write(NOW - HOUR, false), (2, vec![Info]));
}

/// A stop does not begin a new hour: the time of the last line counts, which is that of the file.
#[test]
fn the_hour_of_a_file_is_known_at_a_start() {
    let hourly = Rotation { every: Some(RotationInterval::Hour), ..Rotation::off() };
    for (age, files) in [(0, 0), (HOUR, 1)] {
        let (dir, disk) = (Dir::new(), Arc::<FixedNames>::default());
        CLOCK.set(NOW);
        let mut log = open_at(&dir, &disk, hourly.clone());
        append(&mut log, 0, 3);
        drop(log);
        set_modified(&dir, NOW - age);
        let mut log = open_at(&dir, &disk, hourly.clone());
        log.writer.tick().unwrap();
        assert_eq!(rotated(&dir), files, "{age} ms old");
        // Another program puts a file of that age at the path.
        fs::rename(dir.log(), dir.0.join("out.log.1")).unwrap();
        fs::write(dir.log(), "theirs\n").unwrap();
        set_modified(&dir, NOW - age);
        append(&mut log, 3, 5);
        assert_eq!(rotated(&dir), files * 2, "{age} ms old");
    }
}
