//! What becomes of rotated files: compressed if that is wanted, and the oldest deleted.
//! In a thread of its own and at low priority, since nobody waits for it.
//!
//! A file is compressed aside, synced, renamed, and only then is the plain one deleted:
//! stopped anywhere, the next tidying finishes it.

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

/// How much is compressed between two looks at whether to go on.
const COMPRESS_PIECE_BYTES: usize = 256 * 1024;

/// Asks the thread to tidy; dropping it ends the thread within one piece.
#[derive(Debug)]
pub(super) struct Archive {
    ask: Sender<()>,
}

impl Archive {
    /// Begins by tidying what an earlier run left.
    ///
    /// # Errors
    /// No thread can be had.
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
                        "{label}: rotated files cannot be compressed or deleted: {error}; trying again at the next rotation"
                    );
                }
                if asked.recv().is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { ask })
    }

    /// There is a new rotated file.
    pub(super) fn tidy(&self) {
        // Full means that it is asked already.
        let _asked = self.ask.try_send(());
    }
}

fn is_closed(asked: &Receiver<()>) -> bool {
    // What was asked meanwhile is done by this very round, or by the next.
    asked.try_recv().is_err_and(|error| error.is_disconnected())
}

/// Compresses and deletes; ends early if `stop` says so.
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
            // Left by a run that was stopped.
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
    // A compressed one has its name only when it is whole and durable.
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
