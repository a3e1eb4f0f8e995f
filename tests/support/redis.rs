//! Redis servers of a test's own: real ones of any version, each in a directory of its own, to be stopped,
//! killed, hung and started again. A server starts within a few hundredths of a second, so tests share
//! none.

use super::servers::variable;
use super::tested::Tested;
use super::{directory, wait};
use redis_crate::io::tcp::TcpSettings;
use redis_crate::{Client, Cmd, Connection, ConnectionAddr, FromRedisValue, IntoConnectionInfo};
use redis_crate::{Pipeline, RedisConnectionInfo, RedisResult, cmd};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashSet;
use std::fs::OpenOptions;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The version for tests that need only one.
pub const NEWEST: &str = "7.0.15";

/// Every version of this run: the oldest and the newest, or all that are known.
pub fn versions() -> Vec<String> {
    let versions: Vec<String> =
        variable("PANDAD_TEST_REDIS").split_whitespace().map(str::to_string).collect();
    assert!(!versions.is_empty(), "PANDAD_TEST_REDIS names no version");
    versions
}

/// The versions for tests that run on one version in the short form: the newest, or all.
pub fn newest() -> Vec<String> {
    if super::all() { versions() } else { vec![NEWEST.to_string()] }
}

/// A server, and its data for as long as the test has it.
pub struct Redis {
    pub version: String,
    pub port: u16,
    /// The password; empty if the server has none.
    pub password: String,
    dir: PathBuf,
    lines: Vec<String>,
    pub(super) is_sentinel: bool,
    child: Option<Child>,
    connection: Mutex<Option<Connection>>,
}

impl Redis {
    /// A server that is not started yet, so that lines can be added to its redis.conf.
    pub fn new(version: &str) -> Redis {
        let (dir, child) = (directory("redis"), None);
        let (port, password, lines) = (free_port(), String::new(), Vec::new());
        Redis {
            version: version.to_string(),
            port,
            password,
            dir,
            lines,
            is_sentinel: false,
            child,
            connection: Mutex::default(),
        }
    }

    /// An ordinary server that runs.
    #[track_caller]
    pub fn up(version: &str) -> Redis {
        Redis::new(version).started()
    }

    pub fn line(mut self, line: impl ToString) -> Redis {
        self.lines.push(line.to_string());
        self
    }

    /// Adds a line to redis.conf, for the next start.
    pub fn add_line(&mut self, line: &str) {
        self.lines.push(line.to_string());
    }

    pub fn with_password(mut self, password: &str) -> Redis {
        self.password = password.to_string();
        self.line(requirepass(password))
    }

    #[track_caller]
    pub fn started(mut self) -> Redis {
        // If a process outside the tests has the port, another one is tried.
        for _ in 0..5 {
            self.spawn();
            if self.ready() {
                return self;
            }
            assert!(self.log().contains("in use"), "Redis {} does not start:\n{}", self.version, self.log());
            self.port = free_port();
        }
        panic!("no port for Redis {}:\n{}", self.version, self.log());
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.join("socket")
    }

    /// A row of docs/tested.md, about this version.
    #[track_caller]
    pub fn tested(&self, job: &'static str, what: &str) -> Tested {
        Tested::begins(&format!("Redis {}", self.version), job, what)
    }

    // ---- Its life

    /// Starts the process and does not wait until it is ready.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let dir = self.dir.display();
        // Synced after each command: what the server has acknowledged survives a kill.
        let fixed = format!(
            "bind 127.0.0.1\nport {}\nunixsocket {dir}/socket\ndir {dir}\nsave \"\"\nappendonly yes\n\
             appendfsync always\n",
            self.port
        );
        std::fs::write(self.dir.join("redis.conf"), fixed + &self.lines.join("\n") + "\n").unwrap();
        let log = || OpenOptions::new().create(true).append(true).open(self.dir.join("log")).unwrap();
        let program = variable(&format!("PANDAD_REDIS_SERVER_{}", self.version.replace('.', "_")));
        let mut command = Command::new(program);
        command.arg(self.dir.join("redis.conf"));
        command
            .args(self.is_sentinel.then_some("--sentinel"))
            .stdin(Stdio::null())
            .stdout(log())
            .stderr(log());
        self.child = Some(command.spawn().unwrap());
    }

    /// Waits until the server is ready; false if it ended instead.
    fn ready(&mut self) -> bool {
        let mut ended = false;
        let answered = wait::within(wait::seconds(30), || {
            ended = self.child.as_mut().unwrap().try_wait().unwrap().is_some();
            ended
                || self.try_connect(0).is_ok_and(|mut redis| cmd("PING").query::<String>(&mut redis).is_ok())
        });
        assert!(answered, "Redis {} does not answer:\n{}", self.version, self.log());
        if ended {
            self.child = None;
        }
        !ended
    }

    /// Starts the server again, with the same port and data.
    #[track_caller]
    pub fn start(&mut self) {
        self.spawn();
        self.wait_ready();
    }

    /// Waits until the server is ready, after [`Redis::spawn`].
    #[track_caller]
    pub fn wait_ready(&mut self) {
        assert!(self.ready(), "Redis {} does not start:\n{}", self.version, self.log());
    }

    /// Sends TERM; the process has ended when this returns.
    pub fn stop(&mut self) {
        self.end(Signal::TERM);
    }

    /// Sends KILL, as if the server's machine had died.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    /// Deletes the data of a server that is not running, as when its disk was lost.
    pub fn forget_data(&self) {
        assert!(self.child.is_none(), "it runs");
        for data in ["appendonly.aof", "appendonlydir"].map(|name| self.dir.join(name)) {
            if data.is_dir() {
                std::fs::remove_dir_all(data).unwrap();
            } else if data.exists() {
                std::fs::remove_file(data).unwrap();
            }
        }
    }

    fn end(&mut self, signal: Signal) {
        *self.held() = None;
        self.signal(signal);
        self.child.take().unwrap().wait().unwrap();
    }

    /// Sends STOP: the server holds its connections and answers nothing.
    pub fn hang(&self) {
        self.signal(Signal::STOP);
    }

    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.as_ref().expect("it runs").id();
        kill_process(Pid::from_raw(id as i32).unwrap(), signal).unwrap();
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.dir.join("log")).unwrap_or_default()).into_owned()
    }

    // ---- Talking to it

    /// A connection of the caller's own.
    #[track_caller]
    pub fn connect(&self) -> Connection {
        self.connect_to(0)
    }

    #[track_caller]
    pub fn connect_to(&self, database: i64) -> Connection {
        self.try_connect(database).unwrap_or_else(|why| panic!("Redis on {}: {why}", self.address()))
    }

    fn try_connect(&self, database: i64) -> RedisResult<Connection> {
        let mut who = RedisConnectionInfo::default().set_db(database).set_skip_set_lib_name();
        if !self.password.is_empty() {
            who = who.set_password(&self.password);
        }
        let tcp = TcpSettings::default().set_nodelay(true);
        let address = ConnectionAddr::Tcp("127.0.0.1".to_string(), self.port).into_connection_info()?;
        let client = Client::open(address.set_redis_settings(who).set_tcp_settings(tcp))?;
        let connection = client.get_connection_with_timeout(Duration::from_secs(5))?;
        // The socket has no time limit. If the machine is paused and resumed, a socket with a limit ends
        // its wait, and nobody knows whether the command was carried out.
        Ok(connection)
    }

    fn held(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, ask: impl FnOnce(&mut Connection) -> RedisResult<T>) -> RedisResult<T> {
        let mut held = self.held();
        if held.is_none() {
            *held = Some(self.try_connect(0)?);
        }
        let answer = ask(held.as_mut().unwrap());
        if answer.as_ref().is_err_and(|why| why.is_connection_dropped() || why.is_io_error()) {
            *held = None;
        }
        answer
    }

    pub fn try_run<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        self.with(|redis| command.query(redis))
    }

    #[track_caller]
    pub fn run<T: FromRedisValue>(&self, command: &Cmd) -> T {
        self.try_run(command).unwrap_or_else(|why| panic!("Redis on {}: {why}", self.address()))
    }

    /// A command in words.
    #[track_caller]
    pub fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words).unwrap_or_else(|why| panic!("Redis on {}: {words:?}: {why}", self.address()))
    }

    pub fn try_ask<T: FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        self.try_run(cmd(words[0]).arg(&words[1..]))
    }

    #[track_caller]
    pub fn run_all(&self, commands: &Pipeline) {
        self.with(|redis| commands.exec(redis)).unwrap_or_else(|why| panic!("{}: {why}", self.address()));
    }

    // ---- What it holds

    pub fn len(&self, list: &str) -> u64 {
        self.ask(&["LLEN", list])
    }

    /// The items of a list, in the order in which they are taken.
    pub fn items(&self, list: &str) -> Vec<Vec<u8>> {
        let mut items: Vec<Vec<u8>> = self.ask(&["LRANGE", list, "0", "-1"]);
        items.reverse();
        items
    }

    pub fn push(&self, list: &str, item: &(impl AsRef<[u8]> + ?Sized)) {
        self.run::<u64>(cmd("LPUSH").arg(list).arg(item.as_ref()));
    }

    pub fn exists(&self, key: &str) -> bool {
        self.ask::<u64>(&["EXISTS", key]) == 1
    }

    pub fn keys(&self, pattern: &str) -> Vec<String> {
        let mut keys: Vec<String> = self.ask(&["KEYS", pattern]);
        keys.sort();
        keys
    }

    /// A setting of the running server.
    pub fn setting(&self, name: &str) -> String {
        self.ask::<Vec<String>>(&["CONFIG", "GET", name]).pop().unwrap()
    }

    #[track_caller]
    pub fn set(&self, name: &str, value: &str) {
        self.ask::<String>(&["CONFIG", "SET", name, value]);
    }

    /// Sets another password; an empty text means none.
    #[track_caller]
    pub fn protect(&mut self, password: &str) {
        self.set("requirepass", password);
        self.password = password.to_string();
        *self.held() = None;
        self.lines.retain(|line| !line.starts_with("requirepass "));
        self.lines.push(requirepass(password));
    }

    /// A figure of INFO.
    pub fn figure(&self, section: &str, name: &str) -> Option<String> {
        let info: String = self.ask(&["INFO", section]);
        let start = format!("{name}:");
        info.lines().find_map(|line| line.strip_prefix(&start)).map(str::to_string)
    }

    /// How often the server has carried out a command.
    pub fn calls(&self, command: &str) -> u64 {
        let figure = self.figure("commandstats", &format!("cmdstat_{command}"));
        let calls = figure.as_deref().and_then(|figure| figure.strip_prefix("calls=")?.split(',').next());
        calls.map_or(0, |calls| calls.parse().unwrap())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            println!("---- Redis {} on {}\n{}", self.version, self.address(), tail(&self.log()));
        } else {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

fn requirepass(password: &str) -> String {
    format!("requirepass \"{}\"", password.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The last lines, for a failing test.
fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// A port that no other server of these tests has, below the range of ports for outgoing connections: a
/// stopped server's port must still be free when it starts again.
pub fn free_port() -> u16 {
    static TAKEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = taken.get_or_insert_default();
    loop {
        let port = fastrand::u16(10_000..20_000);
        if !taken.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            taken.insert(port);
            return port;
        }
    }
}

/// A path as it stands in an .inv.
pub fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}
