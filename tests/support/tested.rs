//! The results of which docs/tested.md is made. A test writes one line when it begins to show something on
//! a server, and a second line when it has shown it. If the second line is missing, the test has failed.
//! tests/tools/tested.rs makes the table.
//!
//! A line: file, server, job, what is shown, `begun` or `passed`, how much; tabs between them.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;
use std::panic::Location;

/// What a test shows on one server.
pub struct Tested {
    /// The first four fields.
    subject: String,
}

impl Tested {
    /// `server` is its kind and version, `job` the job's name. The file is that of the caller.
    #[track_caller]
    pub fn begins(server: &str, job: &str, what: &str) -> Tested {
        let file = Location::caller().file().trim_start_matches("tests/").trim_end_matches(".rs");
        let subject = [file, server, job, what].map(|field| field.replace(['\t', '\n', '|'], " ")).join("\t");
        println!("{server}: {what}");
        write(&format!("{subject}\tbegun\t"));
        Tested { subject }
    }

    /// Records that the test has shown it. `amount` says how much was tried, and must be the same in every
    /// run: figures that depend on chance or on the machine are printed instead.
    pub fn passed(self, amount: impl Display) {
        write(&format!("{}\tpassed\t{amount}", self.subject));
    }
}

/// The line is written in one piece, because tests run at the same time. Without the variable nobody wants
/// the results.
fn write(line: &str) {
    let Some(path) = std::env::var_os("PANDAD_TEST_RESULTS") else { return };
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}
