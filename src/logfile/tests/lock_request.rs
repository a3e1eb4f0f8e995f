//! Requests in the lock file, and who answers them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crate::logfile::disk::with_suffix;
use crate::logfile::{Lock, LockRequest, PendingRequest, RequestOutcome};

/// The path of a log file in a directory of its own, without the file.
fn log_file(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("pandad-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    directory.join("out.log")
}

fn begin(path: &Path) -> PendingRequest {
    PendingRequest::begin(path, LockRequest::Reopen).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(60)
}

fn answer(lock: &Lock) {
    lock.record_reopened(&lock.requests().unwrap());
}

#[test]
fn request_is_answered_only_after_it_came() {
    let path = log_file("request");
    let lock = Lock::take(&path).unwrap();
    assert_eq!(lock.requests().unwrap().requests, []);
    let first = begin(&path);
    let seen = lock.requests().unwrap();
    assert_eq!(seen.requests, [LockRequest::Reopen]);
    // The second request comes while the first is being served, so the answer to the first does not answer
    // the second.
    let second = begin(&path);
    lock.record_reopened(&seen);
    assert_eq!(first.wait(soon()).unwrap(), RequestOutcome::Done);
    assert_eq!(second.wait(soon()).unwrap(), RequestOutcome::TimedOut);
    assert_eq!(lock.requests().unwrap().requests, [LockRequest::Reopen]);
    answer(&lock);
    assert_eq!(lock.requests().unwrap().requests, []);
    // An older pandad, which has sent a signal, waits for this count.
    let text = std::fs::read_to_string(with_suffix(&path, ".lock")).unwrap();
    assert_eq!(text.lines().nth(1).map(str::trim), Some("2"));
    drop(lock);
    assert_eq!(begin(&path).wait(soon()).unwrap(), RequestOutcome::Nobody);
}

#[test]
fn request_goes_to_the_pandad_that_follows() {
    let path = log_file("follows");
    let lock = Lock::take(&path).unwrap();
    answer(&lock);
    let waiting = begin(&path);
    drop(lock);
    let lock = Lock::take(&path).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || waiting.wait(deadline).unwrap());
        while lock.requests().unwrap().requests.is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        answer(&lock);
        assert_eq!(waiting.join().unwrap(), RequestOutcome::Done);
    });
}

#[test]
fn pandad_that_does_not_look_is_named() {
    let path = log_file("older");
    let lock = Lock::take(&path).unwrap();
    let at = with_suffix(&path, ".lock");
    let answers = |text: &str| {
        std::fs::write(&at, text).unwrap();
        match begin(&path).wait(soon()).unwrap() {
            RequestOutcome::NotHeard(who) => who,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(answers(&format!("{:10}\n{:20}\n", 17, 4)), "a pandad older than 0.1.0, process 17");
    let later = format!("{:<10}\n{:20}\n{:<20}\n{:20}\n{:<53}\n", 17, 4, "9.0.0", 128, "reload status");
    assert_eq!(answers(&later), "pandad 9.0.0, process 17");
    assert!(answers("").starts_with("a pandad whose name is not in the lock file"));
    // In kill(2) this number means every process.
    assert_eq!(answers("        -1\n                   0\n"), answers(""));
    drop(lock);
}

/// A lock file that somebody made a terabyte long costs no memory, and who asks is served all the same.
#[test]
fn lock_file_of_any_length_is_served() {
    let path = log_file("long");
    let lock = Lock::take(&path).unwrap();
    let at = with_suffix(&path, ".lock");
    std::fs::OpenOptions::new().write(true).open(&at).unwrap().set_len(1 << 40).unwrap();
    let asked = begin(&path);
    assert_eq!(lock.requests().unwrap().requests, [LockRequest::Reopen]);
    answer(&lock);
    assert_eq!(asked.wait(soon()).unwrap(), RequestOutcome::Done);
    assert_eq!(lock.requests().unwrap().requests, []);
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

/// A command that asks whether a pandad is there holds the lock for a moment. A pandad that starts then
/// waits.
#[test]
fn lock_that_is_held_for_a_moment_is_waited_for() {
    let path = log_file("moment");
    let mut taken = 0;
    // On a busy machine the moment may be too long.
    for _ in 0..20 {
        let (held, is_begun) = (Lock::take(&path).unwrap(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let taking = scope.spawn(|| {
                is_begun.store(true, SeqCst);
                Lock::take(&path)
            });
            while !is_begun.load(SeqCst) {
                std::thread::yield_now();
            }
            std::thread::sleep(Duration::from_millis(10));
            drop(held);
            taken += u32::from(taking.join().unwrap().is_ok());
        });
        if taken > 0 {
            break;
        }
    }
    assert!(taken > 0);
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

/// What is no lock file is not asked, and nothing is appended to it.
#[test]
fn lock_file_that_is_a_link_is_refused() {
    let path = log_file("link");
    let target = path.with_file_name("precious");
    std::fs::write(&target, "precious").unwrap();
    std::os::unix::fs::symlink(&target, with_suffix(&path, ".lock")).unwrap();
    let refused = PendingRequest::begin(&path, LockRequest::Reopen).unwrap_err();
    assert!(refused.to_string().contains("a symbolic link"), "{refused}");
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "precious");
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
}
