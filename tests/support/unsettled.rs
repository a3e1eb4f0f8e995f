//! A daemon that is killed between a write and its sync, again and again, and the check that nothing of
//! what it wrote is missing, doubled or torn.

use super::check;
use super::daemon::Daemon;
use super::inv::Inv;
use super::produce::Produce;
use super::servers::{Kafka, binary, kafka};
use super::tail::Tail;
use super::tested::Tested;
use super::wait::{self, seconds};
use super::{directory, unique};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Records of each step.
pub const STEP: u64 = 300;
/// How often a kill is tried. Most of them come before the sync.
const KILLS_MAX: u32 = 40;

/// One daemon, its topic of one partition, and how much of that was produced.
pub struct Unsettled {
    kafka: Kafka,
    topic: String,
    pub daemon: Daemon,
    pub produced: u64,
    tested: Option<Tested>,
}

impl Unsettled {
    /// Writes consumer.log in `inside`, which the test sees as `outside`.
    #[track_caller]
    pub fn new(what: &str, (inside, outside): (&Path, &Path), prefix: Vec<String>) -> Unsettled {
        let kafka = kafka("3.9.1");
        let tested = Some(kafka.tested(what));
        let topic = unique("unsettled");
        kafka.create(&topic, 1);
        let inv = Inv::log(&kafka, &topic, &unique("unsettled"))
            .job("log_file['path']", inside.join("consumer.log").to_str().unwrap())
            .job("log_file['settle_ms']", "60000");
        let daemon = Daemon::new(&inv).behind(prefix).writes(outside.join("consumer.log"));
        Unsettled { kafka, topic, daemon, produced: 0, tested }
    }

    /// In a directory of its own, which the caller removes.
    #[track_caller]
    pub fn in_a_directory(what: &str) -> (PathBuf, Unsettled) {
        let at = directory("unsettled");
        let unsettled = Unsettled::new(what, (&at, &at), Vec::new());
        (at, unsettled)
    }

    fn produce(&mut self) -> Produce {
        let first = self.produced;
        self.produced += STEP;
        Produce::seq(&self.kafka, &self.topic, STEP).with("--first", first)
    }

    fn ensure_running(&mut self) {
        if !self.daemon.running() {
            self.daemon.start();
        }
    }

    /// Starts the daemon if need be, and waits for the last record of another step.
    #[track_caller]
    pub fn write(&mut self) {
        self.produce().run();
        self.ensure_running();
        let mut tail = Tail::new(&self.daemon.file, 1);
        wait::until("the last record in the file", seconds(30), || {
            assert!(self.daemon.running(), "the daemon ended");
            tail.read();
            tail.next == [self.produced]
        });
    }

    /// Writes a step and stops, so that it settles.
    #[track_caller]
    pub fn settle(&mut self) {
        self.write();
        self.daemon.stop();
    }

    /// Kills the daemon in mid-stream, while some of what it wrote is not settled.
    #[track_caller]
    pub fn kill(&mut self) {
        for _ in 0..KILLS_MAX {
            let producing = self.produce().with("--rate", 2000).start();
            self.ensure_running();
            for _ in 0..fastrand::u32(1..6) {
                self.wait_grown();
            }
            self.daemon.kill9();
            producing.finish();
            if self.has_unsettled() {
                return;
            }
        }
        panic!("{KILLS_MAX} kills, and none of them between a write and its sync");
    }

    /// Returns as soon as the file has grown, or when it does not grow any more.
    fn wait_grown(&mut self) {
        let length = || std::fs::metadata(&self.daemon.file).map_or(0, |data| data.len());
        let before = length();
        let until = std::time::Instant::now() + seconds(3);
        while length() == before && std::time::Instant::now() < until {
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    /// By what the journal says.
    fn has_unsettled(&self) -> bool {
        let shown = Command::new(binary()).arg("journal").arg(&self.daemon.file).output().unwrap();
        let text = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.status.success(), "{text}{}", String::from_utf8_lossy(&shown.stderr));
        let last = text.lines().last().unwrap_or_default();
        assert!(last.contains("unsettled"), "the last line tells what is unsettled: {text}");
        last.split(' ').next().and_then(|count| count.parse::<u64>().ok()).expect("a count") > 0
    }

    /// Nothing is missing, doubled or torn in these files, which hold all that was produced.
    #[track_caller]
    pub fn assert_whole(&self, files: &[PathBuf], after: &str) {
        let report = check::files(&[self.produced], files).unwrap();
        assert!(report.whole(), "{after}: {report}\n{}\n{}", report.examples.join("\n"), self.daemon.log());
    }

    pub fn passed(&mut self, amount: impl std::fmt::Display) {
        self.tested.take().unwrap().passed(amount);
    }
}
