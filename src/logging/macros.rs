//! From the `log` macros into the queue: `env_logger` formats each line and writes it into the queue
//! instead of a file.

use std::cell::Cell;
use std::io::{self, Write};

use env_logger::{Builder, Logger, Target};
use jiff::Timestamp;
use log::{Level, LevelFilter};

use super::{ProcessLog, format_line};

thread_local! {
    /// The level and the time of the line that this thread is formatting.
    static LINE: Cell<Option<(Level, Timestamp)>> = const { Cell::new(None) };
}

/// A logger whose lines go to `log`.
pub(super) fn logger(log: &ProcessLog) -> Logger {
    Builder::new()
        // The macros know the level in force, which changes when the configuration is read.
        .filter_level(LevelFilter::Trace)
        .format(|out, record| {
            let at = Timestamp::now();
            LINE.set(Some((record.level(), at)));
            out.write_all(format_line(record.level(), at, &record.args().to_string()).as_bytes())
        })
        .target(Target::Pipe(Box::new(QueueWriter(log.clone()))))
        .build()
}

/// Takes each line whole, as `env_logger` writes it. Never waits.
struct QueueWriter(ProcessLog);

impl Write for QueueWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let (level, at) = LINE.take().unwrap_or((Level::Error, Timestamp::now()));
        self.0.push(level, String::from_utf8_lossy(line).into_owned(), at);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
