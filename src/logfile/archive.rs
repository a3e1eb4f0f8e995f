//! Compresses rotated files if the configuration says so, and deletes the oldest. This happens in a
//! thread of its own at low priority, because nothing waits for it.
//!
//! The compressed copy is written under another name, synced and renamed; only then is the plain
//! file deleted. If that is interrupted anywhere, the next pass finishes it.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::disk::with_suffix;
use super::disk::{Disk, FileReader, Handle, OpenMode, directory_of};
use super::label::LogLabel;
use super::options::LogFileOptions;
use super::rotation::{Rotation, stamp_of};
use crate::threads;

/// Bytes that are compressed before the thread checks again whether it should end.
const COMPRESS_PIECE_BYTES: usize = 256 * 1024;

/// Sends requests to the archive thread. When this is dropped, the thread ends within one piece.
#[derive(Debug)]
pub(super) struct Archive {
    ask: Sender<()>,
}

impl Archive {
    /// Starts the thread. It first finishes what an earlier run left undone.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(super) fn start(disk: Arc<dyn Disk>, path: &Path, options: &LogFileOptions) -> io::Result<Self> {
        let (ask, asked) = bounded(1);
        let label = LogLabel::new(options.job, path);
        let (path, rotation) = (path.to_owned(), options.rotation.clone());
        threads::spawn("log-archive", move || {
            if let Err(error) = rustix::process::nice(19) {
                log::debug!("{label}: the archive thread keeps its priority: {error}");
            }
            let alone = || is_closed(&asked);
            loop {
                if let Err(error) = tidy(&*disk, &path, &rotation, &alone) {
                    log::warn!(
                        "{label}: rotated files cannot be compressed or deleted: {error}; trying again at \
                         the next rotation"
                    );
                }
                if asked.recv().is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { ask })
    }

    /// A file was rotated.
    pub(super) fn tidy(&self) {
        // A full channel means that a request is waiting already.
        let _asked = self.ask.try_send(());
    }
}

fn is_closed(asked: &Receiver<()>) -> bool {
    // A request that is taken here is served by the pass under way or by the next one.
    asked.try_recv().is_err_and(|error| error.is_disconnected())
}

/// Compresses and deletes rotated files. Ends early if `stop` says so.
pub(super) fn tidy(
    disk: &dyn Disk,
    path: &Path,
    rotation: &Rotation,
    stop: &dyn Fn() -> bool,
) -> io::Result<()> {
    let mut rotated = Vec::new();
    for file in disk.list(directory_of(path))? {
        match stamp_of(path, &file) {
            Some((time, "" | ".gz")) => rotated.push((time, file)),
            // An interrupted pass has left this.
            Some((_, ".gz.part")) => disk.remove(&file)?,
            _ => {}
        }
    }
    rotated.sort();
    let mut stamps: Vec<i64> = rotated.iter().map(|(time, _)| *time).collect();
    stamps.dedup();
    let oldest = stamps.len().checked_sub(rotation.keep).and_then(|gone| stamps.get(gone)).copied();
    let (gone, kept): (Vec<_>, Vec<_>) =
        rotated.into_iter().partition(|(time, _)| match (rotation.keep, oldest) {
            (0, _) => true,
            (_, Some(oldest)) => *time < oldest,
            (_, None) => false,
        });
    for (_, file) in gone {
        disk.remove(&file)?;
    }
    if rotation.gzip {
        for (_, file) in kept.iter().filter(|(_, file)| file.extension().is_none_or(|end| end != "gz")) {
            if stop() {
                return Ok(());
            }
            compress(disk, file, stop)?;
        }
    }
    Ok(())
}

fn compress(disk: &dyn Disk, file: &Path, stop: &dyn Fn() -> bool) -> io::Result<()> {
    let (done, part) = (with_suffix(file, ".gz"), with_suffix(file, ".gz.part"));
    // The compressed file gets its final name only when it is complete and durable.
    if disk.stat(&done).is_err() {
        let plain = disk.open(file, OpenMode::Existing)?;
        let out = disk.open(&part, OpenMode::Truncate)?;
        let mut encoder = GzEncoder::new(FileWriter { file: out, at: 0 }, Compression::default());
        let mut reader = FileReader { file: &*plain, at: 0 };
        let mut piece = vec![0; COMPRESS_PIECE_BYTES];
        loop {
            let count = reader.read(&mut piece)?;
            if count == 0 {
                break;
            }
            if stop() {
                return Ok(());
            }
            encoder.write_all(piece.get(..count).unwrap_or_default())?;
        }
        encoder.finish()?.file.sync()?;
        disk.rename(&part, &done)?;
        disk.sync_names(directory_of(file))?;
    }
    disk.remove(file)
}

struct FileWriter {
    file: Handle,
    at: u64,
}

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
