//! The real binary, run from outside as people run it: an .inv in a directory of its own, signals, its log,
//! its exit status and its figures in /proc. A failing test prints all of these.

use super::inv::Inv;
use super::servers::binary;
use super::{check, directory, tail, tail::Tail, wait};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How many bytes of a log a failing test shows, from the end of the log.
const SHOWN: usize = 64 << 10;

/// The line that each job logs when it has started, and the section that configures the job.
const RUNNING: [(&str, &str); 3] = [
    ("[log_section]", "kafka_to_file: running, "),
    ("[clearCache_section]", "expired_to_list: running, "),
    ("[panda_server_section]", "list_to_hash: running, "),
];

/// The line that the listener logs when it receives the events of every key that expires.
pub const LISTENING: &str = "expired_to_list: listening on __keyevent@";

/// A daemon and its directory. Dropping it kills it.
pub struct Daemon {
    pub dir: PathBuf,
    pub file: PathBuf,
    program: PathBuf,
    prefix: Vec<String>,
    arguments: Vec<String>,
    /// The lines that its jobs log when they have started.
    running: Vec<&'static str>,
    child: Option<Child>,
    /// Where in the log the present run begins.
    from: usize,
}

impl Daemon {
    pub fn new(inv: &Inv) -> Daemon {
        Daemon::with_text(&inv.text())
    }

    pub fn with_text(inv: &str) -> Daemon {
        let dir = directory("daemon");
        std::fs::write(dir.join("test.inv"), inv).unwrap();
        let file = dir.join("consumer.log");
        let asked = |section: &&(&str, &str)| inv.lines().any(|line| line.trim() == section.0);
        let running = RUNNING.iter().filter(asked).map(|section| section.1).collect();
        let (program, prefix, arguments) = (binary(), Vec::new(), Vec::new());
        Daemon { dir, file, program, prefix, arguments, running, child: None, from: 0 }
    }

    /// Replaces the configuration, from the next start on.
    pub fn configure(&self, inv: &Inv) {
        std::fs::write(self.dir.join("test.inv"), inv.text()).unwrap();
    }

    /// Starts the daemon by another command that becomes it (`exec`).
    pub fn behind(mut self, prefix: Vec<String>) -> Daemon {
        self.prefix = prefix;
        self
    }

    /// Another program than the binary under test.
    pub fn program(mut self, program: PathBuf) -> Daemon {
        self.program = program;
        self
    }

    /// The path of the log file for the test, if the file is not in the daemon's directory.
    pub fn writes(mut self, file: PathBuf) -> Daemon {
        self.file = file;
        self
    }

    /// Sets the flags before the .inv.
    pub fn flags(mut self, flags: &[&str]) -> Daemon {
        self.arguments = flags.iter().map(ToString::to_string).collect();
        self
    }

    /// Runs only this job, although the .inv may configure more.
    pub fn only(mut self, job: &str) -> Daemon {
        self.arguments = vec!["--only".to_string(), job.to_string()];
        self.running.retain(|running| running.starts_with(job));
        self
    }

    // ---- Its life

    pub fn start(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        self.from = self.whole_log().len();
        let append =
            |name: &str| OpenOptions::new().create(true).append(true).open(self.dir.join(name)).unwrap();
        let mut words = self.prefix.clone();
        words.push(self.program.display().to_string());
        words.extend(self.arguments.clone());
        words.push(self.dir.join("test.inv").display().to_string());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(&self.dir).stdin(Stdio::null());
        command.stdout(append("stdout")).stderr(append("stderr"));
        self.child = Some(command.spawn().unwrap());
    }

    /// Starts the daemon and waits until each of its jobs logs that it runs.
    #[track_caller]
    pub fn start_and_wait(&mut self) {
        self.start();
        self.wait_running();
    }

    /// Waits until each of its jobs logs that it runs.
    #[track_caller]
    pub fn wait_running(&mut self) {
        for running in self.running.clone() {
            self.wait_log(running, wait::seconds(30));
        }
    }

    /// Starts the daemon and waits until it receives the events of every key that expires.
    #[track_caller]
    pub fn start_and_listen(&mut self) {
        self.start_and_wait();
        self.wait_log(LISTENING, wait::seconds(30));
    }

    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    pub fn is_started(&self) -> bool {
        self.child.is_some()
    }

    /// Sends a signal. After STOP, this returns when every thread has stopped: on a busy machine some
    /// threads go on for a while, until the kernel has reached all of them.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.id() as i32).unwrap(), signal).unwrap();
        if signal == Signal::STOP {
            wait::until("all threads stand still", wait::seconds(20), || self.stands_still());
        }
    }

    fn stands_still(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.id())).unwrap();
        threads.map(|thread| thread.unwrap().path().join("stat")).all(|stat| {
            // A thread that has ended in between counts as stopped.
            let text = std::fs::read_to_string(stat).unwrap_or_else(|_| ") T".to_owned());
            text.rsplit(')').next().unwrap().trim_start().starts_with('T')
        })
    }

    /// Sends KILL; the process has ended when this returns.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// Waits for the end of the process.
    #[track_caller]
    pub fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        wait::until("the daemon ends", limit, || !self.running());
        self.child.take().expect("it was started").wait().unwrap()
    }

    /// Sends TERM; the daemon must end with 0 within its deadline.
    #[track_caller]
    pub fn stop(&mut self) -> Duration {
        let began = Instant::now();
        self.signal(Signal::TERM);
        let status = self.wait_exit(wait::seconds(25));
        assert_eq!(status.code(), Some(0), "exit status after TERM");
        began.elapsed()
    }

    // ---- What it says

    fn whole_log(&self) -> String {
        let bytes = std::fs::read(self.dir.join("stderr")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The log of the present run, or of the last one.
    pub fn log(&self) -> String {
        self.whole_log().split_off(self.from)
    }

    pub fn log_lines(&self, phrase: &str) -> Vec<String> {
        self.log().lines().filter(|line| line.contains(phrase)).map(str::to_string).collect()
    }

    /// Waits for a log line of the present run.
    #[track_caller]
    pub fn wait_log(&mut self, phrase: &str, limit: Duration) {
        wait::until(&format!("a log line with {phrase:?}"), limit, || {
            let there = self.log().contains(phrase);
            assert!(there || self.running(), "the daemon ended before it logged {phrase:?}");
            there
        });
    }

    /// Checks that `job` has logged one outage of `server`, with one line at its begin and one at its end.
    /// The parts of the job do not all try at the same time, so the second line may be late by some
    /// seconds.
    #[track_caller]
    pub fn assert_waited_once(&self, job: &str, server: &str) {
        let mut of_both = Vec::new();
        let mut both = (0, 0);
        wait::within(wait::seconds(10), || {
            of_both = self.log_lines(&format!("{job}: {server} "));
            let is_down = |line: &&String| line.contains("WARN") && line.ends_with("; waiting");
            let is_up = |line: &&String| line.contains("INFO") && line.contains("back after ");
            both = (of_both.iter().filter(is_down).count(), of_both.iter().filter(is_up).count());
            both.1 >= 1
        });
        assert_eq!(both, (1, 1), "one line down and one up: {of_both:#?}");
        println!("{}", of_both.join("\n"));
    }

    // ---- What it did

    /// Waits until each partition's last record is in the file. Whether the file is whole is not
    /// checked here.
    #[track_caller]
    pub fn wait_written(&mut self, each: &[u64], limit: Duration) {
        let mut tail = Tail::new(&self.file, each.len());
        let total: u64 = each.iter().sum();
        let written = wait::within(limit, || {
            assert!(self.running(), "the daemon ended");
            tail.read() >= total && tail.next == each
        });
        if !written {
            let report = check::files(each, &self.files()).unwrap();
            panic!("after {limit:?} not all is there: {report}\n{}", report.examples.join("\n"));
        }
    }

    /// Waits until the file holds this many records, of any partitions.
    #[track_caller]
    pub fn wait_written_at_least(&mut self, records: u64, limit: Duration) {
        let mut tail = Tail::new(&self.file, 0);
        wait::until(&format!("{records} records in the file"), limit, || {
            assert!(self.running(), "the daemon ended");
            tail.read() >= records
        });
    }

    /// The log file and its rotated files, oldest first.
    pub fn files(&self) -> Vec<PathBuf> {
        tail::files(&self.file)
    }

    /// Fails unless the checker finds the files whole.
    #[track_caller]
    pub fn assert_whole(&self, each: &[u64]) {
        let report = check::files(each, &self.files()).unwrap();
        assert!(report.whole(), "{report}\n{}", report.examples.join("\n"));
    }

    /// Waits until all records are written, stops the daemon with 0, and checks that the file is whole.
    #[track_caller]
    pub fn finish(&mut self, each: &[u64], limit: Duration) {
        self.wait_written(each, limit);
        self.stop();
        self.assert_whole(each);
    }

    // ---- What it costs

    /// User and system time so far.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        // The name in the second field may hold blanks; what follows its bracket does not.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        // Linux shows 100 ticks a second to programs, whatever it counts inside.
        wait::millis(ticks * 10)
    }

    /// How many files, sockets and the like it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.id())).unwrap().count()
    }

    /// Resident memory in KiB.
    pub fn memory(&self) -> u64 {
        self.kibibytes("VmRSS:")
    }

    /// The most resident memory that it has had, in KiB.
    pub fn memory_max(&self) -> u64 {
        self.kibibytes("VmHWM:")
    }

    fn kibibytes(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The program that runs, as /proc knows it.
    pub fn executable(&self) -> PathBuf {
        std::fs::read_link(format!("/proc/{}/exe", self.id())).unwrap()
    }

    fn print_all(&self) {
        for name in ["test.inv", "stdout", "stderr"] {
            let bytes = std::fs::read(self.dir.join(name)).unwrap_or_default();
            let shown = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(SHOWN)..]).into_owned();
            println!("---- {} ({} bytes)\n{shown}", self.dir.join(name).display(), bytes.len());
        }
        println!("---- files beside {}", self.file.display());
        for entry in self.file.parent().and_then(|dir| dir.read_dir().ok()).into_iter().flatten().flatten() {
            println!("{:>12} {}", entry.metadata().map_or(0, |data| data.len()), entry.path().display());
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let state = if self.running() { "running" } else { "not running" };
            println!("---- the daemon is {state} as the test fails");
            self.print_all();
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        // The files of a failed test are kept for whoever looks into the failure.
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}
