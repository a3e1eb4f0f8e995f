//! Goal: `pandad reopen` reaches the pandad that holds the log file, and no other process, whatever number
//! the lock file names. No test here needs a broker: a pandad that waits for its broker holds its log file.

use crate::support::run::run;
use crate::support::servers::binary;
use crate::support::wait::seconds;
use crate::support::{directory, wait};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The .inv of a job that waits for its broker, and the path of one of its log files.
fn waiting_for_a_broker() -> (String, PathBuf) {
    let dir = directory("reopen");
    let inv = dir.join("test.inv");
    let text = "[log_section]\nbroker_list='127.0.0.1:1'\nkafka['topics']='a,b'\n\
        log_file['path']='{topic}.log'\n[daemon_section]\nstop_timeout='3'\n";
    std::fs::write(&inv, text).unwrap();
    (inv.display().to_string(), dir.join("a.log"))
}

struct Running(Child);

impl Running {
    fn start(mut command: Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

/// A process that a signal would end.
fn bystander() -> Running {
    let mut command = Command::new("sleep");
    command.arg("60");
    Running::start(command)
}

/// The lock of all files.
fn lock_of_all(log_file: &Path) -> PathBuf {
    log_file.with_file_name("{topic}.log.lock")
}

/// The lock that older pandads have beside each file.
fn lock_of(log_file: &Path) -> PathBuf {
    PathBuf::from(format!("{}.lock", log_file.display()))
}

/// The lock file names the number of another process, as it does for a pandad in a container: outside of
/// the container the number means another process.
#[test]
fn reopen_signals_no_process() {
    let (inv, log) = waiting_for_a_broker();
    let mut command = Command::new(binary());
    command.arg(&inv);
    let _pandad = Running::start(command);
    let lock = lock_of_all(&log);
    // The files are opened in this order.
    wait::until("the log files are open", seconds(20), || log.with_file_name("b.log").exists());
    let mut bystander = bystander();
    let text = std::fs::read_to_string(&lock).unwrap();
    let rest = text.split_once('\n').unwrap().1.to_owned();
    // The process aligns its number in the same way.
    let aligned = if text.starts_with(' ') {
        format!("{:>10}", bystander.0.id())
    } else {
        format!("{:<10}", bystander.0.id())
    };
    std::fs::write(&lock, format!("{aligned}\n{rest}")).unwrap();
    let moved = log.with_extension("moved");
    std::fs::rename(&log, &moved).unwrap();
    run(&["reopen", &inv]).expect(0).says("{topic}.log: reopened");
    assert!(log.exists(), "no new file was begun");
    assert!(bystander.is_alive(), "a process that has nothing to do with it was signalled");
    // Several commands run at once, and once more after that.
    let commands: Vec<_> =
        (0..4).map(|_| Command::new(binary()).args(["reopen", &inv]).spawn().unwrap()).collect();
    for mut command in commands {
        assert_eq!(command.wait().unwrap().code(), Some(0));
    }
}

/// An older pandad writes its number and a count, and serves no requests.
#[test]
fn reopen_beside_an_older_pandad_says_so() {
    let (inv, log) = waiting_for_a_broker();
    let mut bystander = bystander();
    std::fs::write(lock_of(&log), format!("{:10}\n{:20}\n", bystander.0.id(), 0)).unwrap();
    let held = File::open(lock_of(&log)).unwrap();
    flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
    let number = bystander.0.id().to_string();
    run(&["reopen", &inv]).expect(1).says("older than").says(&number).says("b.log: no pandad has it open");
    assert!(bystander.is_alive(), "the process was signalled");
    // A lock file on a disk that had no room for the header.
    std::fs::write(lock_of(&log), "").unwrap();
    run(&["reopen", &inv]).expect(1).says("lock file");
}
