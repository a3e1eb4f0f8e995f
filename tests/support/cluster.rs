//! Several brokers of a test's own, which the test may stop, kill (SIGKILL) and hang (SIGSTOP)
//! one by one. A killed broker keeps its files: the machine under it never fails.

use super::servers::Kafka;
use super::{directory, repository};
use std::path::PathBuf;
use std::process::Command;

pub struct Cluster {
    pub version: String,
    /// Brokers count from 1: `addresses[0]` is that of broker 1.
    pub addresses: Vec<String>,
    state: PathBuf,
    heap: &'static str,
}

impl Cluster {
    /// Brings up this many brokers. Dropping the value ends them.
    #[track_caller]
    pub fn up(version: &str, brokers: usize) -> Cluster {
        Cluster::with_heap(version, brokers, "512m")
    }

    /// As [`Self::up`], with this much memory for each broker's heap.
    #[track_caller]
    pub fn with_heap(version: &str, brokers: usize, heap: &'static str) -> Cluster {
        let state = directory("cluster");
        let mut cluster = Cluster { version: version.to_owned(), addresses: Vec::new(), state, heap };
        cluster.script(&["up", &format!("kafka-{version}x{brokers}")]);
        let port = |number| {
            let file = cluster.state.join(format!("kafka-{version}/{number}/port"));
            std::fs::read_to_string(file).unwrap()
        };
        cluster.addresses =
            (1..=brokers).map(|number| format!("127.0.0.1:{}", port(number).trim())).collect();
        cluster
    }

    /// The number of the broker that listens at this address.
    #[track_caller]
    pub fn number(&self, address: &str) -> usize {
        let found = self.addresses.iter().position(|one| one == address);
        found.unwrap_or_else(|| panic!("{address} is none of {:?}", self.addresses)) + 1
    }

    /// Sends TERM: the broker hands its partitions over and ends.
    pub fn stop(&self, number: usize) {
        self.on("stop", number);
    }

    /// Sends KILL, as if the broker's machine had died.
    pub fn kill(&self, number: usize) {
        self.on("kill", number);
    }

    /// Sends STOP: the broker holds its connections and answers nothing.
    pub fn hang(&self, number: usize) {
        self.on("pause", number);
    }

    /// Ends what [`Self::hang`] began.
    pub fn resume(&self, number: usize) {
        self.on("resume", number);
    }

    /// Starts a broker that was killed or stopped.
    pub fn start(&self, number: usize) {
        self.on("start", number);
    }

    #[track_caller]
    pub fn create(&self, topic: &str, partitions: usize) {
        let (set, count) = (format!("kafka-{}", self.version), partitions.to_string());
        self.script(&["topic", &set, "create", topic, &count, "--replication-factor", "3"]);
    }

    /// Creates a topic whose partitions are each on these brokers, the leader first.
    #[track_caller]
    pub fn create_on(&self, topic: &str, brokers: &[&[usize]]) {
        let (set, count) = (format!("kafka-{}", self.version), brokers.len().to_string());
        let all: Vec<String> = brokers.iter().map(|one| joined(one)).collect();
        self.script(&["topic", &set, "create", topic, &count, "--replica-assignment", &all.join(",")]);
    }

    /// Moves each partition to these brokers; returns when that has begun.
    #[track_caller]
    pub fn relocate(&self, topic: &str, brokers: &[[usize; 2]]) {
        let set = format!("kafka-{}", self.version);
        let each = brokers.iter().enumerate().map(|(number, one)| format!("{number}={}", joined(one)));
        let each: Vec<String> = each.collect();
        let mut words = vec!["topic", &set, "move", topic];
        words.extend(each.iter().map(String::as_str));
        self.script(&words);
    }

    /// The cluster as one address list.
    pub fn kafka(&self) -> Kafka {
        Kafka::of_its_own(&self.version, &self.addresses.join(","), &self.state)
    }

    /// A part of the cluster as one address list.
    pub fn at(&self, addresses: &str) -> Kafka {
        Kafka::of_its_own(&self.version, addresses, &self.state)
    }

    /// A setting in a broker's configuration.
    pub fn setting(&self, number: usize, key: &str) -> String {
        let file = self.state.join(format!("kafka-{}/{number}/server.properties", self.version));
        let (text, key) = (std::fs::read_to_string(file).unwrap(), format!("{key}="));
        let found = text.lines().rev().find_map(|line| line.strip_prefix(&key));
        found.unwrap_or_else(|| panic!("no {key} in\n{text}")).to_owned()
    }

    /// Where a broker keeps its logs.
    pub fn data(&self, number: usize) -> PathBuf {
        self.state.join(format!("kafka-{}/{number}/data", self.version))
    }

    /// Adds lines to a broker's configuration, from its next start on.
    pub fn configure(&self, number: usize, lines: &str) {
        let file = self.state.join(format!("kafka-{}/{number}/server.properties", self.version));
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(file, format!("{text}{lines}\n")).unwrap();
    }

    /// Gives a topic more partitions.
    #[track_caller]
    pub fn alter(&self, topic: &str, partitions: usize) {
        let (set, count) = (format!("kafka-{}", self.version), partitions.to_string());
        self.script(&["topic", &set, "alter", topic, "--partitions", &count]);
    }

    #[track_caller]
    fn on(&self, what: &str, number: usize) {
        self.script(&[what, &format!("kafka-{}/{number}", self.version)]);
    }

    #[track_caller]
    fn script(&self, args: &[&str]) {
        let mut command = Command::new(repository("scripts/servers"));
        command.env("PANDAD_STATE", &self.state).env("PANDAD_BROKER_HEAP", self.heap);
        let output = command.args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "scripts/servers {args:?}: {}\n{said}", output.status);
    }
}

fn joined(brokers: &[usize]) -> String {
    brokers.iter().map(ToString::to_string).collect::<Vec<_>>().join(":")
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut down = Command::new(repository("scripts/servers"));
        let _ = down.arg("down").env("PANDAD_STATE", &self.state).output();
        let _ = std::fs::remove_dir_all(&self.state);
    }
}
