//! Tries again and again to open log files that could not be opened, while others are written. A thread
//! does it, because opening waits for a disk for as long as the disk likes. A file belongs to the thread
//! until it is open: two openings at once would lock each other out.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use super::restart_memory::RestartMemory;
use crate::threads;

/// The pauses between two attempts for the same files: the first, and the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A log file that could not be opened.
#[derive(Debug)]
pub struct ClosedLog {
    /// Where it is to be.
    pub path: PathBuf,
    /// Whether its last sync has failed. Then the disk must first show that it accepts writes.
    pub sync_failed: bool,
    /// When it may be opened, if its syncs have failed several times.
    pub held_until: Option<Instant>,
}

/// See the module. `T` is an open log file.
#[derive(Debug)]
pub struct Reopener<T> {
    /// The thread ends when this is dropped.
    closed: Sender<ClosedLog>,
    opened: Receiver<(PathBuf, T)>,
    /// The files that the thread has.
    paths: Vec<PathBuf>,
}

impl<T: Send + 'static> Reopener<T> {
    /// Starts the thread. `open` makes one attempt.
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn start(
        open: impl Fn(&ClosedLog, &mut RestartMemory) -> Option<T> + Send + 'static,
    ) -> io::Result<Self> {
        let (closed, asked) = unbounded();
        let (done, opened) = unbounded();
        threads::spawn("log-reopen", move || reopen_all(&asked, &done, &open))?;
        Ok(Self { closed, opened, paths: Vec::new() })
    }

    /// Hands a file over to the thread.
    pub fn add(&mut self, file: ClosedLog) {
        self.paths.push(file.path.clone());
        // The thread lives for as long as this does.
        let _sent = self.closed.send(file);
    }

    /// Whether the thread has this file.
    pub fn has(&self, path: &Path) -> bool {
        self.paths.iter().any(|one| one == path)
    }

    /// A file that is open now.
    pub fn take(&mut self) -> Option<(PathBuf, T)> {
        let (path, log) = self.opened.try_recv().ok()?;
        self.paths.retain(|one| *one != path);
        Some((path, log))
    }

    /// Says whether a file is open now.
    pub fn watch(&self) -> impl Fn() -> bool + Send + use<T> {
        let opened = self.opened.clone();
        move || !opened.is_empty()
    }
}

fn reopen_all<T>(
    asked: &Receiver<ClosedLog>,
    done: &Sender<(PathBuf, T)>,
    open: &dyn Fn(&ClosedLog, &mut RestartMemory) -> Option<T>,
) {
    let mut closed: Vec<(ClosedLog, RestartMemory)> = Vec::new();
    let mut pause = PAUSE_FIRST;
    loop {
        let next = match closed.is_empty() {
            true => asked.recv().map_err(|_| RecvTimeoutError::Disconnected),
            false => asked.recv_timeout(pause),
        };
        match next {
            Ok(file) => {
                let mut memory = RestartMemory::default();
                memory.sync_failed = file.sync_failed;
                closed.push((file, memory));
                pause = PAUSE_FIRST;
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        pause = (pause * 2).min(PAUSE_MAX);
        let now = Instant::now();
        closed.retain_mut(|(file, memory)| {
            if file.held_until.is_some_and(|until| now < until) {
                return true;
            }
            match open(file, memory) {
                Some(log) => done.send((file.path.clone(), log)).is_err(),
                None => true,
            }
        });
    }
}
