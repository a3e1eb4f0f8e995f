//! Runs tests/tools/produce.py, in the foreground or beside the test as a paced stream. The
//! producer checks each record's acknowledgement and offset; if a check fails, so does the test.

use super::servers::{Kafka, python};
use super::{directory, wait};
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The records to be produced.
pub struct Produce {
    command: Command,
    stem: PathBuf,
}

impl Produce {
    pub fn new(mode: &str, kafka: &Kafka, topic: &str, records: u64) -> Produce {
        let mut command = python("produce.py");
        command.args([mode, "--brokers", &kafka.address, "--version", &kafka.version, "--topic", topic]);
        command.args(["--records", &records.to_string()]);
        Produce { command, stem: directory("produce") }
    }

    pub fn seq(kafka: &Kafka, topic: &str, records: u64) -> Produce {
        Produce::new("seq", kafka, topic, records)
    }

    /// Adds one of produce.py's options.
    pub fn with(mut self, option: &str, value: impl ToString) -> Produce {
        self.command.args([option, &value.to_string()]);
        self
    }

    /// Produces, waits, and returns the report of produce.py.
    #[track_caller]
    pub fn run(self) -> serde_json::Value {
        self.start().finish()
    }

    /// Produces beside the test for as long as the test needs the stream: at least `least` records, at most
    /// the number given at the start. [`Producing::end`] ends the stream.
    pub fn stream(self, least: u64) -> Producing {
        self.with("--least", least).start()
    }

    /// Produces beside the test.
    pub fn start(mut self) -> Producing {
        let open = |name: &str| File::create(self.stem.join(name)).unwrap();
        self.command.stdin(Stdio::piped()).stdout(open("out")).stderr(open("err"));
        let child = self.command.spawn().unwrap();
        Producing { child, stem: self.stem }
    }
}

pub struct Producing {
    child: Child,
    stem: PathBuf,
}

impl Producing {
    /// Whether the producer still runs.
    pub fn running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends the stream when it has its least number of records, and returns how many each of its
    /// partitions got.
    #[track_caller]
    pub fn end(mut self) -> u64 {
        assert!(self.running(), "the stream ended before the test had done its part");
        drop(self.child.stdin.take());
        let report = self.finish();
        let each: Vec<u64> =
            report["each"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).collect();
        assert!(each.iter().all(|count| *count == each[0]), "{report}");
        each[0]
    }

    /// Waits for the last acknowledgement.
    #[track_caller]
    pub fn finish(self) -> serde_json::Value {
        self.finish_within(wait::seconds(300))
    }

    #[track_caller]
    pub fn finish_within(mut self, limit: Duration) -> serde_json::Value {
        let ended = wait::within(limit, || !self.running());
        let read = |name: &str| std::fs::read_to_string(self.stem.join(name)).unwrap();
        assert!(ended, "produce.py still runs after {limit:?}: {}", read("err"));
        let status = self.child.wait().unwrap();
        assert!(status.success(), "produce.py: {status}\n{}\n{}", read("out"), read("err"));
        serde_json::from_str(&read("out")).unwrap()
    }
}

impl Drop for Producing {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.stem);
    }
}
