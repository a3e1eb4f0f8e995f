//! Compresses rotated files if the configuration says so, and deletes the oldest. A separate thread does
//! this at low priority, because nothing waits for it.
//!
//! The compressed copy is written under another name, synced and renamed; only then is the plain file
//! deleted. If a pass is interrupted anywhere, the next pass finishes its work.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::disk::{Disk, FileKind, FileReader, Handle, OWNER_MODE, OpenMode, directory_of, with_suffix};
use super::label::LogLabel;
use super::options::LogFileOptions;
use super::rotation::{Rotation, stamp_of};
use crate::threads::{self, lower_priority};

/// Bytes that are compressed before the thread checks again whether it should end.
pub(super) const COMPRESS_PIECE_BYTES: usize = 256 * 1024;

/// How often the archive thread looks for files that are older than the days to keep.
const KEEP_DAYS_INTERVAL: Duration = Duration::from_secs(3600);
const DAY_MILLIS: i64 = 24 * 3_600_000;

/// Sends requests to the archive thread. When this is dropped, the thread ends after the piece that it is
/// compressing.
#[derive(Debug)]
pub(super) struct Archive {
    ask: Sender<()>,
    /// The time in the name of the newest rotated file that the journal no longer needs. A file that was
    /// rotated later may hold lines that are not settled, so it keeps its name and its inode.
    settled: Arc<AtomicI64>,
}

impl Archive {
    /// Starts the thread. It first finishes what an earlier run left undone. All files that are there
    /// now must be settled.
    ///
    /// # Errors
    /// The system refuses a thread, or the directory cannot be read.
    pub(super) fn start(disk: Arc<dyn Disk>, path: &Path, options: &LogFileOptions) -> io::Result<Self> {
        let (ask, asked) = bounded(1);
        let label = LogLabel::new(options.job, path);
        let (path, rotation) = (path.to_owned(), options.rotation.clone());
        let target = disk.target(&path);
        let there = disk.list(directory_of(&target))?;
        let newest = there.iter().filter_map(|file| stamp_of(&target, file)).map(|(time, _)| time).max();
        let settled = Arc::new(AtomicI64::new(newest.unwrap_or(i64::MIN)));
        let upto = Arc::clone(&settled);
        threads::spawn("log-archive", move || {
            lower_priority();
            let alone = || is_closed(&asked);
            let interval = rotation.keep_days.map(|_| KEEP_DAYS_INTERVAL);
            serve(&asked, &upto, interval, |upto| {
                report(&label, tidy(&*disk, &path, &rotation, upto, &alone), &alone);
            });
        })?;
        Ok(Self { ask, settled })
    }

    /// Tells the thread that the file with this time in its name was rotated, and that everything in it is
    /// settled.
    pub(super) fn tidy(&self, stamp: i64) {
        self.settled.fetch_max(stamp, SeqCst);
        // A full channel means that a request is waiting already.
        let _asked = self.ask.try_send(());
    }
}

/// Calls `pass` with the newest time that is settled: at first, at each request, and, if there is an
/// interval, after that at the latest. Ends when nobody can ask any more.
fn serve(asked: &Receiver<()>, upto: &AtomicI64, interval: Option<Duration>, mut pass: impl FnMut(i64)) {
    loop {
        let served = upto.load(SeqCst);
        pass(served);
        // The pass may have taken a request from the channel that came meanwhile, see `is_closed`.
        if upto.load(SeqCst) > served {
            continue;
        }
        let asked = match interval {
            Some(interval) => asked.recv_timeout(interval),
            None => asked.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        if asked == Err(RecvTimeoutError::Disconnected) {
            return;
        }
    }
}

/// Logs that a pass has failed. Once the run has ended, the next run's thread does the same work, meets what
/// lasts, and may be in the way of this one.
fn report(label: &LogLabel, tidied: io::Result<()>, is_alone: &dyn Fn() -> bool) {
    if let Err(error) = tidied
        && !is_alone()
    {
        log::warn!(
            "{label}: rotated files cannot be compressed or deleted: {error}; trying again at the next \
             rotation"
        );
    }
}

fn is_closed(asked: &Receiver<()>) -> bool {
    // The request that this takes from the channel is not lost: `serve` looks at the newest time again.
    asked.try_recv().is_err_and(|error| error.is_disconnected())
}

/// Compresses and deletes the files rotated up to the time `settled`. Ends early if `stop` says so.
pub(super) fn tidy(
    disk: &dyn Disk,
    path: &Path,
    rotation: &Rotation,
    settled: i64,
    stop: &dyn Fn() -> bool,
) -> io::Result<()> {
    let target = disk.target(path);
    for (_, file) in rotated(disk, &target, settled, &[".gz.part"])? {
        // An interrupted pass has left this file.
        disk.remove(&file)?;
    }
    let mut files = rotated(disk, &target, settled, &["", ".gz"])?;
    let mut stamps: Vec<i64> = files.iter().map(|(time, _)| *time).collect();
    stamps.dedup();
    let oldest = stamps.len().checked_sub(rotation.keep).and_then(|gone| stamps.get(gone)).copied();
    let kept_since = if rotation.keep == 0 { i64::MAX } else { oldest.unwrap_or(i64::MIN) };
    let now = (rotation.now)();
    let days = rotation.keep_days.map_or(i64::MIN, |days| now - i64::from(days) * DAY_MILLIS);
    delete_before(disk, &mut files, kept_since.max(days))?;
    // Files that cannot be compressed must not keep the others from being deleted.
    let compressed = if rotation.gzip { compress_all(disk, &files, stop) } else { Ok(()) };
    if let Some(limit) = rotation.keep_bytes {
        let mut files = rotated(disk, &target, settled, &["", ".gz"])?;
        let mut bytes = 0;
        let mut since = i64::MIN;
        for (time, file) in files.iter().rev() {
            bytes += disk.stat_link(file)?.len;
            if bytes > limit {
                since = *time + 1;
                break;
            }
        }
        delete_before(disk, &mut files, since)?;
    }
    compressed
}

/// The files rotated up to the time `settled` whose names end like this, in the order of rotation. Symbolic
/// links are left alone: a link may lead to the log file.
fn rotated(disk: &dyn Disk, target: &Path, settled: i64, ends: &[&str]) -> io::Result<Vec<(i64, PathBuf)>> {
    let mut rotated = Vec::new();
    for file in disk.list(directory_of(target))? {
        let Some((time, end)) = stamp_of(target, &file) else { continue };
        let is_meant = time <= settled && ends.contains(&end);
        if is_meant && disk.stat_link(&file)?.kind == FileKind::File {
            rotated.push((time, file));
        }
    }
    rotated.sort();
    Ok(rotated)
}

fn delete_before(disk: &dyn Disk, files: &mut Vec<(i64, PathBuf)>, time: i64) -> io::Result<()> {
    let gone = files.partition_point(|(rotated, _)| *rotated < time);
    files.drain(..gone).try_for_each(|(_, file)| disk.remove(&file))
}

fn compress_all(disk: &dyn Disk, files: &[(i64, PathBuf)], stop: &dyn Fn() -> bool) -> io::Result<()> {
    for (_, file) in files.iter().filter(|(_, file)| file.extension().is_none_or(|end| end != "gz")) {
        if stop() {
            return Ok(());
        }
        compress(disk, file, stop)?;
    }
    Ok(())
}

fn compress(disk: &dyn Disk, file: &Path, stop: &dyn Fn() -> bool) -> io::Result<()> {
    let (done, part) = (with_suffix(file, ".gz"), with_suffix(file, ".gz.part"));
    // The compressed file gets its final name only when it is complete and durable.
    if disk.stat(&done).is_err() {
        let plain = disk.open(file, OpenMode::Existing)?;
        // The thread of another run may have begun this file: then that thread's bytes stay as they are.
        let written = begin_compressed(disk, &plain, &part)?;
        if compress_to(&plain, &written, stop)?.is_none() {
            return Ok(());
        }
        // A sync may take so long that this run has ended, and that the next run's thread has removed this
        // thread's file and begun one of its own, which is not complete.
        if stop() || disk.stat_link(&part)?.id != written.stat()?.id {
            return Ok(());
        }
        disk.rename(&part, &done)?;
        disk.sync_names(directory_of(file))?;
    }
    disk.remove(file)
}

/// A new file of this name for what another one has, compressed. Whoever may use that one may use this one.
pub(super) fn begin_compressed(disk: &dyn Disk, plain: &Handle, part: &Path) -> io::Result<Handle> {
    let out = disk.open(part, OpenMode::New(OWNER_MODE))?;
    // If the owner cannot be kept, the mode is.
    let _is_ours = out.set_access(plain.access()?)?;
    Ok(out)
}

/// Compresses the whole file. Durable on return. Returns how many bytes the file had, unless `stop` has
/// ended that early.
pub(super) fn compress_to(plain: &Handle, out: &Handle, stop: &dyn Fn() -> bool) -> io::Result<Option<u64>> {
    let mut encoder = GzEncoder::new(FileWriter { file: out, at: 0 }, Compression::default());
    let mut reader = FileReader { file: &**plain, at: 0 };
    let mut piece = vec![0; COMPRESS_PIECE_BYTES];
    loop {
        let count = reader.read(&mut piece)?;
        if count == 0 {
            break;
        }
        if stop() {
            return Ok(None);
        }
        encoder.write_all(piece.get(..count).unwrap_or_default())?;
    }
    encoder.finish()?;
    #[cfg(test)]
    if COMPRESSED_WITHOUT_SYNC.get() {
        return Ok(Some(reader.at));
    }
    out.sync()?;
    Ok(Some(reader.at))
}

struct FileWriter<'a> {
    file: &'a Handle,
    at: u64,
}

impl Write for FileWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
type Mistake = std::cell::Cell<bool>;
#[cfg(test)]
thread_local! {
    /// A mistake that a test makes to show that the simulator notices it.
    pub(super) static COMPRESSED_WITHOUT_SYNC: Mistake = const { Mistake::new(false) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_log::lines_of;

    /// The last files of a burst of rotations would otherwise wait for the next rotation.
    #[test]
    fn a_rotation_during_a_pass_is_served_by_another_pass() {
        let (ask, asked) = bounded(1);
        let (upto, mut ask) = (AtomicI64::new(1), Some(ask));
        let mut passes = Vec::new();
        serve(&asked, &upto, None, |settled| {
            passes.push(settled);
            if settled == 1 {
                upto.store(2, SeqCst);
                ask.as_ref().unwrap().try_send(()).unwrap();
                assert!(!is_closed(&asked));
                drop(ask.take());
            }
        });
        assert_eq!(passes, [1, 2]);
    }

    #[test]
    fn a_failed_pass_is_logged_while_the_run_lasts() {
        let label = LogLabel::new("test", Path::new("/log/a"));
        let told = |failed: bool, is_alone: bool| {
            let tidied = if failed { Err(io::Error::other("no")) } else { Ok(()) };
            lines_of(|| report(&label, tidied, &|| is_alone))
        };
        let text = "test: /log/a: rotated files cannot be compressed or deleted: no; trying again at the \
                    next rotation";
        assert_eq!(told(true, false), [(log::Level::Warn, text.to_owned())]);
        assert_eq!([told(true, true), told(false, false)], [[], []]);
    }
}
