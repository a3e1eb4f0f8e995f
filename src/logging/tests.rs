//! The log as a whole: if its writer hangs, nobody waits for it, and missing lines are reported.

use super::output::LogOutput;
use super::*;
use crate::threads;
use log::{Log as _, Record};
use std::io::Read as _;
use std::os::fd::AsFd as _;

fn log_line(log: &ProcessLog, level: Level, text: &str) {
    macros::logger(log).log(&Record::builder().level(level).args(format_args!("{text}")).build());
}

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pandad-logging-{name}-{}", std::process::id()));
        let _old = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// Starts a thread that writes into the file, which may be a pipe's end in /proc.
fn start(log: &ProcessLog, path: &Path, reopened: impl Fn() + Send + Sync + 'static) {
    log::set_max_level(LevelFilter::Info);
    let output = LogOutput::File { path: path.to_owned(), file: None };
    let shared = Arc::clone(&log.shared);
    let reopened = Arc::new(reopened);
    let reopening = move || -> OnReopened {
        let reopened = Arc::clone(&reopened);
        Box::new(move || reopened())
    };
    let thread = LogThread { shared, output, reopening: Box::new(reopening), left_out: None };
    threads::spawn("log", move || thread.run()).unwrap();
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

#[test]
fn a_line_is_as_it_always_was() {
    let at = Timestamp::from_second(1_764_000_000).unwrap();
    assert_eq!(format_line(Level::Info, at, "a\nb"), "[2025-11-24T16:00:00Z INFO ] a\n    b\n");
    assert_eq!(format_line(Level::Error, at, "c"), "[2025-11-24T16:00:00Z ERROR] c\n");
}

/// While nobody reads, lines are accepted and nobody waits. Afterwards the gap is reported at its place,
/// every line is whole, and WARN lines are there although INFO lines before them were left out.
#[test]
fn a_blocked_writer_holds_nobody_up() {
    let (mut reader, writer) = io::pipe().unwrap();
    let log = ProcessLog::with_room(20_000);
    let path = PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer.as_fd())));
    start(&log, &path, || {});
    let began = Instant::now();
    let mut lines = 0;
    let line = |number: u64| {
        log_line(&log, Level::Info, &format!("line {number:5} {}", "x".repeat(100)));
    };
    while log.flush(Instant::now() + Duration::from_millis(50)) {
        line(lines);
        lines += 1;
    }
    for _ in 0..2000 {
        line(lines);
        lines += 1;
    }
    for number in 0..20 {
        log_line(&log, Level::Warn, &format!("warning {number:5}"));
    }
    assert!(began.elapsed() < Duration::from_secs(10));
    let reading = threads::spawn("reads", move || {
        let mut text = vec![0; 4096];
        let mut said = String::new();
        while !said.contains("the last") {
            let count = reader.read(&mut text).unwrap();
            said += std::str::from_utf8(&text[..count]).unwrap();
        }
        said
    });
    assert!(log.flush(soon()), "the reader reads again");
    log_line(&log, Level::Info, "the last");
    let said = reading.unwrap().join().unwrap();
    let mut next = 0;
    let mut gaps = 0;
    for line in said.lines().filter(|line| !line.contains("the last")) {
        let (_, text) = line.split_once("] ").unwrap();
        let words: Vec<&str> = text.split_whitespace().collect();
        match words[..] {
            ["line", number, end] => {
                assert_eq!((number, end.len()), (&*next.to_string(), 100), "in order and whole");
                next += 1;
            }
            [count, "lines", "left", "out", "since", _] => {
                next += count.parse::<u64>().unwrap();
                gaps += 1;
            }
            ["warning", number] => {
                assert_eq!(number, (next - lines).to_string());
                next += 1;
            }
            _ => panic!("{line}"),
        }
    }
    assert_eq!((next, gaps), (lines + 20, 1), "every line is there or counted");
}

#[test]
fn a_file_is_opened_again_on_request() {
    let dir = Directory::new("reopen");
    let path = dir.0.join("pandad.log");
    let log = ProcessLog::new();
    let (send, reopened) = crossbeam_channel::unbounded();
    start(&log, &path, move || send.send(()).unwrap());
    log_line(&log, Level::Info, "first");
    assert!(log.flush(soon()));
    let old = dir.0.join("pandad.log.1");
    #[allow(clippy::disallowed_methods, reason = "as logrotate does")]
    std::fs::rename(&path, &old).unwrap();
    log_line(&log, Level::Info, "second");
    assert!(log.flush(soon()));
    log.reopen();
    reopened.recv_timeout(Duration::from_secs(20)).unwrap();
    log_line(&log, Level::Info, "third");
    assert!(log.flush(soon()));
    let holds = |path: &Path| std::fs::read_to_string(path).unwrap();
    assert!(holds(&old).lines().count() == 2 && holds(&old).contains("second"));
    assert!(holds(&path).lines().count() == 1 && holds(&path).contains("third"));
}

/// The path is a directory that is missing when the log starts: lines wait and are written whole
/// when the directory is there.
#[test]
fn lines_wait_for_a_file_that_cannot_be_opened() {
    let dir = Directory::new("late");
    let path = dir.0.join("later").join("pandad.log");
    let log = ProcessLog::new();
    start(&log, &path, || {});
    log_line(&log, Level::Info, "first");
    log_line(&log, Level::Info, "second");
    assert!(!log.flush(Instant::now() + Duration::from_millis(50)));
    std::fs::create_dir(dir.0.join("later")).unwrap();
    assert!(log.flush(soon()));
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
}

#[test]
fn the_end_waits_for_the_log_within_a_limit() {
    let log = ProcessLog::new();
    log.shared.lock().target = Some(LogTarget::Stderr);
    let began = Instant::now();
    log.end(Some("nobody writes"));
    assert!(began.elapsed() >= END_FLUSH_MAX && began.elapsed() < END_FLUSH_MAX * 5);
    let signal = log.clone();
    let second = threads::spawn("second", move || {
        std::thread::sleep(FORCED_FLUSH_MAX);
        signal.force();
    });
    let began = Instant::now();
    log.end(None);
    assert!(began.elapsed() >= FORCED_FLUSH_MAX * 2 && began.elapsed() < END_FLUSH_MAX, "cut short");
    assert!(second.unwrap().join().is_ok());
    let began = Instant::now();
    log.end(None);
    assert!(began.elapsed() >= FORCED_FLUSH_MAX && began.elapsed() < END_FLUSH_MAX);
}
