//! Compresses complete files, one after the other, in a thread of its own: nothing waits for it. The thread
//! makes a compressed file beside the complete one; whoever publishes the file gives it its final name.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, unbounded};

use super::part_file::{CompressedFile, part_of, remove_if_there};
use crate::logfile::archive::{begin_compressed, compress_to};
use crate::logfile::disk::{Disk, OpenMode, directory_of};
use crate::threads::{self, lower_priority};

/// How long a file waits that could not be compressed.
const REFUSAL_PAUSE: Duration = Duration::from_secs(60);

/// See the module. When this is dropped, the thread ends after the piece that it is compressing.
#[derive(Debug)]
pub(super) struct Compressor {
    disk: Arc<dyn Disk>,
    /// The job that writes the files.
    job: &'static str,
    running: Option<RunningCompressor>,
    /// Whether the thread has files that it has not answered for.
    is_busy: bool,
    /// These files.
    asked: BTreeSet<PathBuf>,
    made: BTreeMap<PathBuf, CompressedFile>,
    /// The files that could not be compressed, and when that is tried again.
    refused: BTreeMap<PathBuf, Instant>,
    refusal_pause: Duration,
    /// For simulators: there is no thread, and whoever asks waits.
    #[cfg(test)]
    is_at_once: bool,
}

#[derive(Debug)]
struct RunningCompressor {
    ask: Sender<Vec<PathBuf>>,
    answers: Receiver<CompressorAnswer>,
    is_over: RunIsOver,
}

#[derive(Debug)]
enum CompressorAnswer {
    Of(PathBuf, io::Result<CompressedFile>),
    /// For the files that were asked for and not answered, nothing will come.
    Idle,
}

/// Whether the run has ended. Whoever makes or removes a file holds the lock, so the next run never meets a
/// thread of this one that does so.
#[derive(Debug, Clone, Default)]
struct RunIsOver(Arc<Mutex<bool>>);

impl RunIsOver {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RunningCompressor {
    fn drop(&mut self) {
        *self.is_over.lock() = true;
    }
}

impl Compressor {
    pub(super) fn new(disk: Arc<dyn Disk>, job: &'static str) -> Self {
        Self {
            disk,
            job,
            running: None,
            is_busy: false,
            asked: BTreeSet::new(),
            made: BTreeMap::new(),
            refused: BTreeMap::new(),
            refusal_pause: REFUSAL_PAUSE,
            #[cfg(test)]
            is_at_once: false,
        }
    }

    /// Tries again at once; also compresses at once, without a thread.
    #[cfg(test)]
    pub(super) fn set_at_once(&mut self, is_all_at_once: bool) {
        (self.is_at_once, self.refusal_pause) = (is_all_at_once, Duration::ZERO);
    }

    /// Whether the thread may be making or removing the part of this file.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        self.asked.contains(path)
    }

    /// The compressed file that was made of this one.
    pub(super) fn made_of(&self, path: &Path) -> Option<&CompressedFile> {
        self.made.get(path)
    }

    /// Has these files compressed, unless the thread has enough to do. What was made of them before is of no
    /// use any more.
    pub(super) fn ask(&mut self, files: Vec<PathBuf>) {
        let now = Instant::now();
        let is_due = |path: &PathBuf| self.refused.get(path).is_none_or(|again| now >= *again);
        let mut files: Vec<PathBuf> = files.into_iter().filter(is_due).collect();
        // Those that were refused come last, or they would be in the way of the others.
        files.sort_by_key(|path| self.refused.get(path).copied());
        if self.is_busy || files.is_empty() {
            return;
        }
        self.made.retain(|path, _| !files.contains(path));
        self.asked = files.iter().cloned().collect();
        self.is_busy = true;
        #[cfg(test)]
        if self.is_at_once {
            let (answer, answers) = unbounded();
            compress_all(&*self.disk, files, &answer, &RunIsOver::default());
            answers.try_iter().for_each(|answer| self.take(answer));
            return;
        }
        let running = match self.running.take() {
            Some(running) => Ok(running),
            None => RunningCompressor::start(&self.disk),
        };
        match running {
            // A thread that has ended does not answer.
            Ok(running) => drop(self.running.insert(running).ask.try_send(files)),
            Err(error) => self.refuse_asked(&error),
        }
    }

    /// Takes what the thread has done meanwhile.
    pub(super) fn take_answers(&mut self) {
        let Some(running) = &self.running else { return };
        let (mut answers, mut has_ended) = (Vec::new(), false);
        loop {
            match running.answers.try_recv() {
                Ok(answer) => answers.push(answer),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    has_ended = true;
                    break;
                }
            }
        }
        answers.into_iter().for_each(|answer| self.take(answer));
        if has_ended {
            self.running = None;
            self.refuse_asked(&io::Error::other("internal error: the thread that compresses has ended"));
        }
    }

    fn take(&mut self, answer: CompressorAnswer) {
        match answer {
            CompressorAnswer::Idle => {
                self.is_busy = false;
                self.asked.clear();
            }
            CompressorAnswer::Of(path, made) => {
                self.asked.remove(&path);
                self.take_made(path, made);
            }
        }
    }

    fn take_made(&mut self, path: PathBuf, made: io::Result<CompressedFile>) {
        match made {
            // Somebody has taken the file away, as whoever publishes it will see.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.refuse(path, &error),
            Ok(made) => {
                self.end_refusal(&path);
                self.made.insert(path, made);
            }
        }
    }

    fn refuse_asked(&mut self, error: &io::Error) {
        self.is_busy = false;
        std::mem::take(&mut self.asked).into_iter().for_each(|path| self.refuse(path, error));
    }

    fn refuse(&mut self, path: PathBuf, error: &io::Error) {
        if self.refused.is_empty() {
            log::warn!(
                "{}: {}: is complete and cannot be compressed: {error}; complete files stay where they are \
                 until that is possible, and it is tried again each minute",
                self.job,
                path.display()
            );
        }
        self.refused.insert(path, Instant::now() + self.refusal_pause);
    }

    fn end_refusal(&mut self, path: &Path) {
        if self.refused.remove(path).is_some() && self.refused.is_empty() {
            log::info!("{}: complete files are compressed again", self.job);
        }
    }

    /// The file is published, or somebody has taken it away.
    pub(super) fn forget(&mut self, path: &Path) {
        self.made.remove(path);
        self.end_refusal(path);
    }
}

impl RunningCompressor {
    fn start(disk: &Arc<dyn Disk>) -> io::Result<Self> {
        let (ask, asked) = bounded::<Vec<PathBuf>>(1);
        let (answer, answers) = unbounded();
        let is_over = RunIsOver::default();
        let (disk, over) = (Arc::clone(disk), is_over.clone());
        threads::spawn("log-compress", move || {
            lower_priority();
            asked.into_iter().for_each(|files| compress_all(&*disk, files, &answer, &over));
        })?;
        Ok(Self { ask, answers, is_over })
    }
}

/// Compresses the files up to the first that fails. Then the others are asked for again soon: what is wrong
/// with one file does not hold up the others, and a full disk is not tried once for each of them.
fn compress_all(
    disk: &dyn Disk,
    files: Vec<PathBuf>,
    answer: &Sender<CompressorAnswer>,
    is_over: &RunIsOver,
) {
    for path in files {
        let made = match compress(disk, &path, is_over) {
            Ok(None) => return,
            Ok(Some(made)) => Ok(made),
            Err(error) => Err(error),
        };
        let has_failed = made.is_err();
        if answer.send(CompressorAnswer::Of(path, made)).is_err() || has_failed {
            break;
        }
    }
    // Nobody listens to a run that is over.
    let _is_heard = answer.send(CompressorAnswer::Idle);
}

/// `None`: the run is over.
fn compress(disk: &dyn Disk, path: &Path, is_over: &RunIsOver) -> io::Result<Option<CompressedFile>> {
    let (plain, part) = (disk.open(path, OpenMode::Existing)?, part_of(path));
    let out = {
        let over = is_over.lock();
        if *over {
            return Ok(None);
        }
        // A run that was interrupted has left it.
        remove_if_there(disk, &part)?;
        begin_compressed(disk, &plain, &part)?
    };
    let made = compress_to(&plain, &out, &|| *is_over.lock()).and_then(|bytes| {
        let Some(plain_bytes) = bytes else { return Ok(None) };
        // By its name it is known, after an interruption, that the file was published.
        #[cfg(test)]
        let is_skipped = PART_WITHOUT_SYNC.get();
        #[cfg(not(test))]
        let is_skipped = false;
        if !is_skipped {
            disk.sync_names(directory_of(&part))?;
        }
        Ok(Some(CompressedFile { id: out.stat()?.id, plain: plain.stat()?.id, plain_bytes }))
    });
    let over = is_over.lock();
    if made.is_err() && !*over {
        // Others need the room.
        remove_part(disk, path);
    }
    drop(over);
    made
}

fn remove_part(disk: &dyn Disk, path: &Path) {
    if let Err(error) = remove_if_there(disk, &part_of(path)) {
        // It is removed before the file is compressed again.
        log::debug!("{}: its compressed part stays: {error}", path.display());
    }
}

#[cfg(test)]
type Mistake = std::cell::Cell<bool>;
#[cfg(test)]
thread_local! {
    /// A mistake that a test makes to show that the simulator notices it.
    pub(in crate::logfile) static PART_WITHOUT_SYNC: Mistake = const { Mistake::new(false) };
}
