//! What TESTED.md is made of: a test says on which server it begins to show what,
//! and, if it comes to its end, how much of it there was. One that does not come
//! to its end has failed; scripts/test makes the table.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;

/// One line of the table. Dropped before it has an outcome, it is a line that failed.
pub struct Tested {
    subject: String,
    ended: bool,
}

impl Tested {
    /// `server` is its kind and version, `job` the job's name.
    pub fn begins(server: &str, job: &str, what: &str) -> Tested {
        let subject = [server, job, what].map(|field| field.replace(['\t', '\n', '|'], " ")).join("\t");
        println!("{server}: {what}");
        write(&format!("{subject}\tbegun\t"));
        Tested { subject, ended: false }
    }

    /// It was as it should be; `figures` says how much was tried.
    pub fn passed(self, figures: impl Display) {
        self.ends("passed", figures);
    }

    fn ends(mut self, outcome: &str, figures: impl Display) {
        self.ended = true;
        write(&format!("{}\t{outcome}\t{figures}", self.subject));
    }
}

impl Drop for Tested {
    fn drop(&mut self) {
        if !self.ended {
            write(&format!("{}\tfailed\t", self.subject));
        }
    }
}

/// In one piece, since tests run side by side. Without the variable nobody asked.
fn write(line: &str) {
    let Some(path) = std::env::var_os("PANDAD_TEST_RESULTS") else { return };
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}
