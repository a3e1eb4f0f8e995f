//! Another program appends to the log file faster than pandad looks, or a file beside it cannot be read.

use std::io::IoSlice;
use std::sync::Arc;

use super::faulty_disk::{Faults, FaultyFile, disk_with};
use super::*;

/// What goes wrong.
#[derive(Debug, Default)]
struct Others {
    /// How often another program still appends a byte just after pandad has appended to the log file.
    bytes_left: AtomicU32,
    /// A file whose bytes cannot be read.
    unreadable: Option<PathBuf>,
}

impl Faults for Others {
    fn read_at(&self, file: &FaultyFile<Self>, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        if self.unreadable.as_ref() == Some(&file.path) {
            return Err(rustix::io::Errno::IO.into());
        }
        file.inner.read_at(buffer, at)
    }

    fn append(&self, file: &FaultyFile<Self>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let done = file.inner.append(slices);
        let takes_one = |left: u32| left.checked_sub(1);
        if file.path.ends_with("out.log") && self.bytes_left.fetch_update(Relaxed, Relaxed, takes_one).is_ok()
        {
            OpenOptions::new().append(true).open(&file.path)?.write_all(b"x")?;
        }
        done
    }
}

fn on(others: &Arc<Others>, dir: &Dir) -> Result<LogFile, OpenError> {
    let lock = Lock::take(&dir.log()).unwrap();
    let disk = disk_with(others);
    let mut memory = RestartMemory::default();
    let half = super::super::journal::HALF_BYTES_MIN;
    let (writer, settler, ledger) = open_with(&disk, &dir.log(), &options(true), half, Some(1), &mut memory)?;
    Ok(LogFile { writer, settler, ledger, lock })
}

/// More bytes than the file is looked at again for.
const MANY: u32 = 500;

#[test]
fn bytes_that_others_append_one_by_one_are_followed_for_a_while() {
    let (dir, disk) = (Dir::new(), Arc::<Others>::default());
    drop(fresh(&dir));
    let mut log = on(&disk, &dir).unwrap();
    log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap();
    append(&mut log, 0, 3);
    OpenOptions::new().append(true).open(dir.log()).unwrap().write_all(b"x").unwrap();
    disk.bytes_left.store(MANY, Relaxed);
    log.writer.reopen().unwrap();
    assert!(disk.bytes_left.load(Relaxed) > MANY - 50, "the writer goes on");
    disk.bytes_left.store(0, Relaxed);
    append(&mut log, 3, 5);
    let content = dir.content();
    let ours: String = content.lines().filter(|line| *line != "x").map(|line| format!("{line}\n")).collect();
    assert_eq!(ours, lines(5));
}

#[test]
fn bytes_that_others_append_into_a_write_are_followed_for_a_while() {
    let (dir, disk) = (Dir::new(), Arc::<Others>::default());
    drop(fresh(&dir));
    let mut log = on(&disk, &dir).unwrap();
    log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap();
    disk.bytes_left.store(MANY, Relaxed);
    let refused = try_append(&mut log, 0, 3);
    assert!(matches!(refused, Err(AppendError::Retry(why)) if why.to_string().contains("without ending")));
    assert!(disk.bytes_left.load(Relaxed) > MANY - 50, "the writer has waited");
    disk.bytes_left.store(0, Relaxed);
    append(&mut log, 0, 3);
    let content = dir.content();
    let ours: String = content.lines().filter(|line| *line != "x").map(|line| format!("{line}\n")).collect();
    assert_eq!(ours, lines(3), "{content:?}");
}

#[test]
fn an_unreadable_file_beside_a_log_that_was_moved_away_holds_up_no_start() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 5);
    settle(&mut log);
    drop(log);
    fs::rename(dir.log(), dir.0.join("out.log.1")).unwrap();
    fs::write(dir.0.join("another.log"), "y\n".repeat(5000)).unwrap();
    let unreadable = Some(dir.0.join("another.log"));
    let log = on(&Arc::new(Others { unreadable, ..Others::default() }), &dir).unwrap();
    let resumed = log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap();
    assert_eq!(resumed.position, Some(5));
}

/// Every second call is interrupted by a signal.
#[derive(Debug, Default)]
struct Interrupted {
    calls: AtomicU32,
}

impl Interrupted {
    fn call(&self) -> io::Result<()> {
        let is_second = self.calls.fetch_add(1, Relaxed) % 2 == 1;
        if is_second { Ok(()) } else { Err(io::ErrorKind::Interrupted.into()) }
    }
}

impl Faults for Interrupted {
    fn read_at(&self, file: &FaultyFile<Self>, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.call().and_then(|()| file.inner.read_at(buffer, at))
    }

    fn append(&self, file: &FaultyFile<Self>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.call().and_then(|()| file.inner.append(slices))
    }
}

#[test]
fn interrupted_calls_are_made_again() {
    let (dir, disk) = (Dir::new(), disk_with(&Arc::<Interrupted>::default()));
    for start in 0..3 {
        let (lock, half) = (Lock::take(&dir.log()).unwrap(), super::super::journal::HALF_BYTES_MIN);
        let mut memory = RestartMemory::default();
        let (writer, settler, ledger) =
            open_with(&disk, &dir.log(), &options(true), half, Some(1), &mut memory).unwrap();
        let mut log = LogFile { writer, settler, ledger, lock };
        let resumed = log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap();
        if resumed.position.is_none() {
            log.ledger.set_position(&partition(), 0).unwrap();
        }
        append(&mut log, start * 4, start * 4 + 2);
        settle(&mut log);
        OpenOptions::new().append(true).open(dir.log()).unwrap().write_all(b"a note").unwrap();
        append(&mut log, start * 4 + 2, start * 4 + 4);
    }
    assert_eq!(dir.content().replace("a note\n", ""), lines(12));
}
