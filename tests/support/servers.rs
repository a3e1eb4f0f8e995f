//! The real brokers that scripts/test brought up, handed over in environment variables. If one
//! is missing, the test that needs it fails: a test that is skipped in silence proves nothing.

use super::content::ClientKind;
use super::tested::Tested;
use super::{directory, repository};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

const REMEDY: &str = "run scripts/test, which brings the servers up and hands them over";

/// One broker.
#[derive(Debug, Clone)]
pub struct Kafka {
    pub version: String,
    pub address: String,
    pub zookeeper: bool,
    state: Option<PathBuf>,
}

/// Where a group's offsets are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    Kafka,
    Zookeeper,
}

impl Store {
    pub fn name(self) -> &'static str {
        match self {
            Store::Kafka => "kafka",
            Store::Zookeeper => "zookeeper",
        }
    }
}

pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: {REMEDY}"))
}

fn suffix(version: &str) -> String {
    version.replace('.', "_")
}

/// The broker of this version that all tests share. Nobody stops it.
pub fn kafka(version: &str) -> Kafka {
    let suffix = suffix(version);
    Kafka {
        version: version.to_string(),
        address: variable(&format!("PANDAD_KAFKA_{suffix}")),
        zookeeper: std::env::var(format!("PANDAD_ZOOKEEPER_{suffix}")).is_ok(),
        state: None,
    }
}

/// Every broker of this run.
pub fn brokers() -> Vec<Kafka> {
    let versions = variable("PANDAD_TEST_KAFKA");
    assert!(!versions.trim().is_empty(), "PANDAD_TEST_KAFKA names no broker: {REMEDY}");
    versions.split_whitespace().map(kafka).collect()
}

/// The brokers that the `kafka` crate can read from: all but 4.x.
pub fn readable() -> Vec<Kafka> {
    let mut all = brokers();
    all.retain(|kafka| !kafka.at_least(4, 0));
    all
}

/// A broker that one test at a time may stop, kill and hang. It runs again afterwards.
pub struct Victim {
    pub kafka: Kafka,
    _alone: MutexGuard<'static, ()>,
}

/// Waits until no other test uses this broker.
pub fn victim() -> Victim {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let state = PathBuf::from(variable("PANDAD_TEST_VICTIM_STATE"));
    let version = variable("PANDAD_TEST_VICTIM");
    let mut kafka = Kafka { address: String::new(), zookeeper: true, version, state: Some(state) };
    kafka.address = kafka.environment(&format!("PANDAD_KAFKA_{}", suffix(&kafka.version)));
    Victim { kafka, _alone: alone }
}

impl Victim {
    pub fn stop(&self) {
        self.kafka.script(&["stop", &self.broker()]);
    }

    pub fn start(&self) {
        self.kafka.script(&["start", &self.broker()]);
    }

    /// Sends KILL, as if the broker's machine had died.
    pub fn kill(&self) {
        self.kafka.script(&["kill", &self.broker()]);
    }

    /// Sends STOP: the broker holds its connections and answers nothing.
    pub fn hang(&self) {
        self.kafka.script(&["pause", &self.broker()]);
    }

    pub fn resume(&self) {
        self.kafka.script(&["resume", &self.broker()]);
    }

    /// The name of the broker, without its ZooKeeper.
    fn broker(&self) -> String {
        format!("kafka-{}/1", self.kafka.version)
    }
}

impl Drop for Victim {
    /// Starts the broker again, so that the next test finds it running.
    fn drop(&mut self) {
        self.resume();
        self.start();
    }
}

impl Kafka {
    /// A broker that scripts/test did not bring up and only one test uses.
    pub fn of_its_own(version: &str, address: &str, state: &Path) -> Kafka {
        let zookeeper = version < "3";
        Kafka {
            version: version.to_owned(),
            address: address.to_owned(),
            zookeeper,
            state: Some(state.to_owned()),
        }
    }

    /// Whether the version is at least this one.
    pub fn at_least(&self, major: u32, minor: u32) -> bool {
        let parts: Vec<u32> = self.version.split('.').map(|part| part.parse().unwrap()).collect();
        (parts[0], parts[1]) >= (major, minor)
    }

    /// Whether librdkafka creates topics there: from 0.10.2 on.
    fn creates_topics(&self) -> bool {
        !["0.9.", "0.10.0.", "0.10.1."].iter().any(|older| self.version.starts_with(older))
    }

    /// Whether the broker finds a record by its time: from 0.10.1 on. Earlier ones know times of segments.
    pub fn finds_times(&self) -> bool {
        !["0.9.", "0.10.0."].iter().any(|older| self.version.starts_with(older))
    }

    /// Which clients can read from this broker.
    pub fn clients(&self) -> Vec<ClientKind> {
        if self.at_least(4, 0) {
            vec![ClientKind::Native]
        } else {
            vec![ClientKind::Native, ClientKind::Crate]
        }
    }

    /// A row of docs/tested.md, about this version and kafka_to_file.
    #[track_caller]
    pub fn tested(&self, what: &str) -> Tested {
        Tested::begins(&format!("Kafka {}", self.version), "kafka_to_file", what)
    }

    /// A row about one kind of record, read by one of the two clients.
    #[track_caller]
    pub fn content(&self, client: &str, kind: &str) -> Tested {
        self.tested(&format!("records by the {client} client: {kind}"))
    }

    /// Creates topics: each a name, a number of partitions and its settings.
    #[track_caller]
    pub fn create_with_settings(&self, topics: Vec<(&str, usize, Map<String, Value>)>) {
        if self.creates_topics() {
            let topics: Map<String, Value> = topics
                .into_iter()
                .map(|(name, partitions, settings)| (name.to_owned(), json!([partitions, settings])))
                .collect();
            self.ask(json!({"do": "create_all", "topics": topics}));
            return;
        }
        let set = format!("kafka-{}", self.version);
        for (name, partitions, settings) in topics {
            let settings = settings.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap()));
            let flags: Vec<String> = settings.flat_map(|setting| ["--config".to_owned(), setting]).collect();
            let count = partitions.to_string();
            let mut words = vec!["topic", &set, "create", name, &count];
            words.extend(flags.iter().map(String::as_str));
            self.script(&words);
        }
    }

    /// Creates a topic; returns when it has its leaders.
    pub fn create(&self, topic: &str, partitions: usize) {
        if self.creates_topics() {
            self.ask(json!({"do": "create", "topic": topic, "partitions": partitions}));
        } else {
            self.script(&[
                "topic",
                &format!("kafka-{}", self.version),
                "create",
                topic,
                &partitions.to_string(),
            ]);
        }
    }

    /// Deletes the topic and recreates it, empty, after `pause` seconds.
    pub fn remake(&self, topic: &str, partitions: usize, pause: u64) {
        self.ask(json!({"do": "remake", "topic": topic, "partitions": partitions, "pause": pause}));
    }

    /// What consumers with this client id may read, in bytes per second.
    pub fn limit_reading(&self, client_id: &str, bytes: u64) {
        self.script(&["quota", &format!("kafka-{}", self.version), client_id, &bytes.to_string()]);
    }

    /// Gives a topic more partitions.
    pub fn alter(&self, topic: &str, partitions: usize) {
        if self.at_least(1, 0) {
            self.ask(json!({"do": "alter", "topic": topic, "partitions": partitions}));
        } else {
            let (set, count) = (format!("kafka-{}", self.version), partitions.to_string());
            self.script(&["topic", &set, "alter", topic, "--partitions", &count]);
        }
    }

    /// The group's committed offsets; -1 where the group has none.
    pub fn committed(&self, store: Store, group: &str, topic: &str, partitions: usize) -> Vec<i64> {
        let (do_, store) = ("committed", store.name());
        let answer = self.ask(
            json!({"do": do_, "store": store, "group": group, "topic": topic, "partitions": partitions}),
        );
        answer["offsets"].as_array().unwrap().iter().map(|offset| offset.as_i64().unwrap()).collect()
    }

    /// Each partition's end offset.
    pub fn ends(&self, topic: &str, partitions: usize) -> Vec<u64> {
        let answer = self.ask(json!({"do": "ends", "topic": topic, "partitions": partitions}));
        serde_json::from_value(answer["ends"].clone()).unwrap()
    }

    /// Asks the helper process that stands by for this broker.
    #[track_caller]
    pub fn ask(&self, request: Value) -> Value {
        static HELPERS: OnceLock<Mutex<HashMap<String, Helper>>> = OnceLock::new();
        let helpers = HELPERS.get_or_init(Mutex::default);
        let mut helpers = helpers.lock().unwrap_or_else(PoisonError::into_inner);
        let helper = helpers.entry(self.address.clone()).or_insert_with(|| Helper::start(self));
        let answer = helper.ask(&request);
        assert!(answer.get("error").is_none(), "Kafka {}: {request}: {}", self.version, answer["error"]);
        answer
    }

    /// Runs scripts/servers on the servers that this broker belongs to.
    #[track_caller]
    fn script(&self, args: &[&str]) -> String {
        let mut command = Command::new(repository("scripts/servers"));
        command.args(args);
        if let Some(state) = &self.state {
            command.env("PANDAD_STATE", state);
        }
        let output = command.output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "scripts/servers {args:?}: {}\n{out}\n{err}", output.status);
        out.into_owned()
    }

    /// A variable of `scripts/servers env`.
    fn environment(&self, name: &str) -> String {
        let text = self.script(&["env"]);
        let start = format!("export {name}=");
        let found = text.lines().find_map(|line| line.strip_prefix(&start));
        let found = found.unwrap_or_else(|| panic!("scripts/servers env has no {name}: {REMEDY}\n{text}"));
        found.trim_matches(['\'', '"']).to_string()
    }
}

/// The Python with librdkafka and the directory of the tools.
pub fn python(tool: &str) -> Command {
    let mut command = Command::new(variable("PANDAD_PYTHON"));
    command.arg(repository(&format!("tests/tools/{tool}")));
    // Python must not write __pycache__ into the working tree.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// tests/tools/broker.py, which ends when its stdin does.
struct Helper {
    _child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    noise: PathBuf,
}

impl Helper {
    fn start(kafka: &Kafka) -> Helper {
        let noise = directory("broker-helper").join("stderr");
        let mut command = python("broker.py");
        command.args([&kafka.address, &kafka.version]).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(std::fs::File::create(&noise).unwrap());
        let mut child = command.spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Helper { _child: child, to, from, noise }
    }

    fn ask(&mut self, request: &Value) -> Value {
        writeln!(self.to, "{request}").unwrap();
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| {
            let noise = std::fs::read_to_string(&self.noise).unwrap_or_default();
            panic!("broker.py answered {line:?} to {request}\n{noise}")
        })
    }
}

/// The binary under test: the static one that scripts/test built, because that is what people run.
pub fn binary() -> PathBuf {
    std::env::var_os("PANDAD_BIN").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_pandad")), PathBuf::from)
}
