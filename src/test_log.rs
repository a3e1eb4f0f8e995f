//! What a test's own thread logs.

use std::cell::RefCell;

use log::{Level, LevelFilter, Log, Metadata, Record};

thread_local! { static LINES: RefCell<Option<Vec<(Level, String)>>> = const { RefCell::new(None) }; }

struct CapturingLog;

impl Log for CapturingLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info && LINES.with_borrow(Option::is_some)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = (record.level(), record.args().to_string());
            LINES.with_borrow_mut(|lines| lines.iter_mut().for_each(|lines| lines.push(line.clone())));
        }
    }

    fn flush(&self) {}
}

/// Runs `act`, and returns what this thread has logged meanwhile, from INFO on.
pub(crate) fn lines_of(act: impl FnOnce()) -> Vec<(Level, String)> {
    // Only the first test of a process installs the log.
    let _installed = log::set_logger(&CapturingLog);
    log::set_max_level(LevelFilter::Info);
    LINES.set(Some(Vec::new()));
    act();
    LINES.take().unwrap_or_default()
}
