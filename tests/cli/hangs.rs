//! Goal: neither a standard error that nobody reads nor a disk that hangs keeps pandad from
//! ending in time. Method: full pipes and named pipes stand in for both; no server runs.

use crate::support::directory;
use crate::support::inv::Inv;
use crate::support::servers::binary;
use crate::support::stuck::{FullPipe, never_opens};
use crate::support::wait::{self, millis, seconds};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{PipeReader, Read, pipe};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A pandad that is killed with the test.
struct Pandad(Child);

impl Pandad {
    fn start(arguments: &[&str], err: impl Into<Stdio>) -> Pandad {
        let mut command = Command::new(binary());
        Pandad(command.args(arguments).stdin(Stdio::null()).stderr(err).spawn().unwrap())
    }

    /// Waits until the process takes TERM, which it does before anything else.
    #[track_caller]
    fn wait_signals(&self) {
        let status = format!("/proc/{}/status", self.0.id());
        wait::until("TERM is caught", seconds(20), || {
            let status = std::fs::read_to_string(&status).unwrap();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
            let caught = u64::from_str_radix(caught.trim(), 16).unwrap();
            caught & (1 << (Signal::TERM.as_raw() - 1)) != 0
        });
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.0.id() as i32).unwrap(), signal).unwrap();
    }

    /// The exit status of the process, within a time that pandad promises.
    #[track_caller]
    fn ends_in(&mut self, limit: Duration) -> ExitStatus {
        let began = Instant::now();
        let ended = wait::in_time(limit, || self.0.try_wait().unwrap().is_some());
        assert!(ended, "it still runs after {limit:?}");
        println!("it ended after {:?}", began.elapsed());
        self.0.wait().unwrap()
    }
}

impl Drop for Pandad {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// A job that waits, because its servers are not there.
pub fn waiting() -> Inv {
    let inv = Inv::default().set("panda_server_section", "max_process_num", "1");
    ["redis_list", "redis_ar"]
        .into_iter()
        .fold(inv, |inv, name| inv.server(name, "host", "127.0.0.1").server(name, "port", "1"))
}

fn written(dir: &Path, inv: &Inv) -> String {
    let path = dir.join("test.inv");
    std::fs::write(&path, inv.text()).unwrap();
    path.display().to_string()
}

/// What a pandad writes, up to this phrase.
fn read_until(reader: &mut PipeReader, phrase: &str) -> String {
    let (mut text, mut bytes) = (String::new(), [0; 4096]);
    while !text.contains(phrase) {
        let count = reader.read(&mut bytes).unwrap();
        assert!(count > 0, "it ended before it said {phrase:?}: {text}");
        text += std::str::from_utf8(&bytes[..count]).unwrap();
    }
    text
}

/// One TERM ends pandad with 0 even if standard error is full; what was written before is whole.
#[test]
fn full_stderr_delays_no_stop() {
    let dir = directory("hangs");
    for second in [false, true] {
        let full = FullPipe::new();
        let mut pandad = Pandad::start(&[&written(&dir, &waiting())], full.end());
        pandad.wait_signals();
        pandad.signal(Signal::TERM);
        if second {
            std::thread::sleep(millis(400));
            pandad.signal(Signal::TERM);
        }
        // A clean end waits for its log for a second; the second signal ends that wait.
        let status = pandad.ends_in(if second { seconds(1) } else { seconds(3) });
        // With two signals the job may have ended before the second one.
        assert!(status.code() == Some(0) || second && status.code() == Some(1), "{status}");
        let text = full.read();
        assert!(text.is_empty(), "nothing fitted: {text}");
    }
}

/// When a reader comes back, the lines that waited are written, whole and in order.
#[test]
fn lines_wait_for_their_reader() {
    let dir = directory("hangs");
    let mut full = FullPipe::new();
    let mut pandad = Pandad::start(&[&written(&dir, &waiting())], full.end());
    pandad.wait_signals();
    let mut filling = vec![0; 64 << 10];
    full.reader.read_exact(&mut filling).unwrap();
    let mut text = read_until(&mut full.reader, "; waiting");
    pandad.signal(Signal::TERM);
    assert_eq!(pandad.ends_in(seconds(3)).code(), Some(0));
    text += &full.read();
    let at = |phrase: &str| text.find(phrase).unwrap_or_else(|| panic!("no {phrase:?} in {text}"));
    assert!(
        at("pandad 0.1.0 starts with") < at("signal 15: stopping")
            && at("signal 15") < at("list_to_hash: ended; ")
    );
    assert!(text.lines().all(|line| line.starts_with("[20")), "{text}");
}

/// Usage and configuration faults end a command although nobody reads them.
#[test]
fn full_stderr_holds_up_no_command() {
    let full = FullPipe::new();
    let mut check = Pandad::start(&["-t", "/nowhere/at/all.inv"], full.end());
    let mut usage = Pandad::start(&["--no-such-flag"], full.end());
    assert_eq!(check.ends_in(seconds(9)).code(), Some(78));
    assert_eq!(usage.ends_in(seconds(9)).code(), Some(2));
}

/// More faults than a pipe holds, into a pipe that does not block and is read slowly.
#[test]
fn faults_are_written_whole() {
    let dir = directory("hangs");
    let mut text = "[log_section]\n".to_string();
    for number in 0..900 {
        text += &format!("kafka['topcis{number:03}'] = 'x'\n");
    }
    std::fs::write(dir.join("test.inv"), text).unwrap();
    let (mut reader, writer) = pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let mut pandad = Pandad::start(&[dir.join("test.inv").to_str().unwrap()], writer);
    std::thread::sleep(millis(500));
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    assert_eq!(pandad.ends_in(seconds(5)).code(), Some(78));
    assert!(said.len() > 64 << 10, "more than a pipe holds: {}", said.len());
    for number in 0..900 {
        assert!(said.contains(&format!("topcis{number:03}")), "fault {number} is missing");
    }
    assert!(said.ends_with('\n') && said.lines().all(|line| line.starts_with("pandad: ")));
}

/// The configuration lies on a disk that hangs: the first signal ends pandad, because nothing has begun.
#[test]
fn hanging_configuration_delays_no_stop() {
    let dir = directory("hangs");
    let path = never_opens(&dir, "test.inv");
    let mut pandad = Pandad::start(&[path.to_str().unwrap()], Stdio::null());
    pandad.wait_signals();
    pandad.signal(Signal::TERM);
    assert_eq!(pandad.ends_in(seconds(2)).code(), Some(1), "a stop that was cut short");
}

/// If the disk hangs after the configuration was read, `stop_timeout` and a second signal still end pandad.
#[test]
fn hanging_start_is_left_by_the_deadline() {
    let dir = directory("hangs");
    let log = never_opens(&dir, "pandad.log");
    let inv = |timeout: &str| {
        let inv = waiting().set("daemon_section", "log", log.to_str().unwrap());
        written(&dir, &inv.set("daemon_section", "stop_timeout", timeout))
    };
    let mut pandad = Pandad::start(&[&inv("1")], Stdio::null());
    pandad.wait_signals();
    pandad.signal(Signal::TERM);
    assert_eq!(pandad.ends_in(seconds(3)).code(), Some(1));
    let mut pandad = Pandad::start(&[&inv("60")], Stdio::null());
    pandad.wait_signals();
    pandad.signal(Signal::TERM);
    std::thread::sleep(millis(400));
    pandad.signal(Signal::INT);
    assert_eq!(pandad.ends_in(seconds(2)).code(), Some(1));
}

/// A supervisor that signals the process and its group gives one order.
#[test]
fn two_signals_at_once_are_one_order() {
    let dir = directory("hangs");
    for _ in 0..5 {
        let (mut reader, writer) = pipe().unwrap();
        let mut pandad = Pandad::start(&[&written(&dir, &waiting())], writer);
        let mut said = read_until(&mut reader, "; waiting");
        pandad.signal(Signal::TERM);
        pandad.signal(Signal::INT);
        pandad.signal(Signal::QUIT);
        assert_eq!(pandad.ends_in(seconds(3)).code(), Some(0));
        reader.read_to_string(&mut said).unwrap();
        assert!(!said.contains("the second one"), "{said}");
    }
}

/// At the limit of a file's size the kernel sends XFSZ, which ends a process that does not take it; a write
/// that is refused is all that pandad needs.
#[test]
fn limit_of_file_sizes_ends_nothing() {
    let dir = directory("hangs");
    let (mut reader, writer) = pipe().unwrap();
    let mut pandad = Pandad::start(&[&written(&dir, &waiting())], writer);
    pandad.wait_signals();
    pandad.signal(Signal::XFSZ);
    let said = read_until(&mut reader, "; waiting");
    assert!(said.contains("starts with"), "{said}");
    pandad.signal(Signal::TERM);
    assert_eq!(pandad.ends_in(seconds(3)).code(), Some(0));
}
