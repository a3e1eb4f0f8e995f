//! Runs the binary to its end, for commands that need no running job.

use super::servers::binary;
use super::wait;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;

/// Runs the binary in the tests' own directory.
#[track_caller]
pub fn run(arguments: &[&str]) -> Ran {
    run_in(Path::new("."), arguments)
}

/// Runs the binary in a directory.
#[track_caller]
pub fn run_in(dir: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new(binary());
    command
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A thread reads each stream: a full pipe would block the process.
    let (out, err) = (reader(child.stdout.take()), reader(child.stderr.take()));
    let ended = wait::within(wait::seconds(20), || child.try_wait().unwrap().is_some());
    if !ended {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    let output = Output { status, stdout: out.join().unwrap(), stderr: err.join().unwrap() };
    let ran = Ran::new(arguments, &output);
    assert!(ended, "it still ran after 20 s: {ran:?}");
    ran
}

fn reader(from: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    let mut from = from.unwrap();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// Status and output. A failing test shows all of it.
#[derive(Debug)]
pub struct Ran {
    pub arguments: String,
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    fn new(arguments: &[&str], output: &Output) -> Ran {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        Ran { arguments: arguments.join(" "), status: output.status.code(), out, err }
    }

    #[track_caller]
    pub fn expect(self, status: i32) -> Ran {
        let Ran { arguments, out, err, .. } = &self;
        assert_eq!(self.status, Some(status), "pandad {arguments}\n---- stdout\n{out}\n---- stderr\n{err}");
        self
    }

    /// Checks that one of the two streams holds this text.
    #[track_caller]
    pub fn says(self, text: &str) -> Ran {
        let Ran { arguments, out, err, .. } = &self;
        let there = out.contains(text) || err.contains(text);
        assert!(there, "pandad {arguments} does not say {text:?}\n---- stdout\n{out}\n---- stderr\n{err}");
        self
    }
}
