//! Tries again and again whether log files can be opened that could not be, while others are written. A
//! thread does it, because a disk may take as long as it likes.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

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

/// See the module. `T` is what an attempt gives that succeeds.
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
    pub(super) fn start(open: impl Fn(&ClosedLog) -> Option<T> + Send + 'static) -> io::Result<Self> {
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
    open: &dyn Fn(&ClosedLog) -> Option<T>,
) {
    let mut closed: Vec<ClosedLog> = Vec::new();
    let mut pause = PAUSE_FIRST;
    loop {
        let next = match closed.is_empty() {
            true => asked.recv().map_err(|_| RecvTimeoutError::Disconnected),
            false => asked.recv_timeout(pause),
        };
        match next {
            Ok(file) => {
                closed.push(file);
                pause = PAUSE_FIRST;
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        pause = (pause * 2).min(PAUSE_MAX);
        let now = Instant::now();
        closed.retain(|file| {
            if file.held_until.is_some_and(|until| now < until) {
                return true;
            }
            match open(file) {
                Some(log) => done.send((file.path.clone(), log)).is_err(),
                None => true,
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Each attempt: the file, and whether a sync of it had failed.
    type Attempts = std::sync::Arc<Mutex<Vec<(PathBuf, bool, Instant)>>>;

    fn closed(path: &str, sync_failed: bool, held_until: Option<Instant>) -> ClosedLog {
        ClosedLog { path: path.into(), sync_failed, held_until }
    }

    fn until(mut is_true: impl FnMut() -> bool) {
        let limit = Instant::now() + Duration::from_secs(20);
        while !is_true() {
            assert!(Instant::now() < limit, "too late");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn files_are_tried_until_they_are_open() {
        let attempts = Attempts::default();
        let seen = std::sync::Arc::clone(&attempts);
        let begun = Instant::now();
        let mut reopener = Reopener::start(move |file| {
            let mut seen = seen.lock().unwrap();
            seen.push((file.path.clone(), file.sync_failed, Instant::now()));
            let tried = seen.iter().filter(|(path, ..)| *path == file.path).count();
            // The first file opens at the second attempt, the other ones at once.
            (file.path != Path::new("a") || tried == 2).then_some(tried)
        })
        .unwrap();
        let held_until = begun + Duration::from_millis(700);
        reopener.add(closed("a", false, None));
        reopener.add(closed("b", true, None));
        reopener.add(closed("c", false, Some(held_until)));
        let is_open = reopener.watch();
        assert!(["a", "b", "c"].iter().all(|path| reopener.has(Path::new(path))) && !is_open());
        assert!(reopener.take().is_none());
        until(&is_open);
        assert_eq!(reopener.take(), Some((PathBuf::from("b"), 1)));
        assert!(!reopener.has(Path::new("b")) && reopener.has(Path::new("a")));
        let mut opened = Vec::new();
        until(|| {
            opened.extend(reopener.take());
            opened.len() == 2
        });
        opened.sort();
        assert_eq!(opened, [(PathBuf::from("a"), 2), (PathBuf::from("c"), 1)]);
        let attempts = attempts.lock().unwrap();
        let of = |path: &str| -> Vec<_> {
            attempts.iter().filter(|(tried, ..)| tried == Path::new(path)).cloned().collect()
        };
        assert_eq!(of("a").iter().map(|(_, failed, _)| *failed).collect::<Vec<_>>(), [false; 2]);
        assert_eq!(of("b").iter().map(|(_, failed, _)| *failed).collect::<Vec<_>>(), [true]);
        assert!(of("c")[0].2 >= held_until, "not earlier");
        // A disk that fails is not asked all the time: the pauses grow.
        let pauses = [of("a")[0].2 - begun, of("a")[1].2 - of("a")[0].2];
        assert!(pauses[0] >= PAUSE_FIRST && pauses[1] >= 2 * PAUSE_FIRST, "{pauses:?}");
    }
}
