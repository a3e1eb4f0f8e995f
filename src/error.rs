//! Errors, sorted by what to do about them.
//!
//! [`Error`] ends the program and decides the exit status. A [`Fault`] occurs inside a running job and says
//! whether trying again can help.

use std::fmt;

/// Why the program ends. `main` turns each into an exit status.
#[derive(Debug)]
pub enum Error {
    /// The command line is wrong (exit status 2).
    Usage(String),
    /// The configuration is faulty, or a local file that it names cannot be used. Holds all faults that
    /// were found (exit status 78).
    Config(Vec<ConfigFault>),
    /// Every job has failed for good, the stop was forced, or a command failed (exit status 1).
    Failed(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage(text) | Error::Failed(text) => f.write_str(text),
            Error::Config(faults) => {
                for (i, fault) in faults.iter().enumerate() {
                    if i > 0 {
                        f.write_str("\n")?;
                    }
                    write!(f, "{fault}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for Error {}

/// One fault in the configuration: its place, the value there, and what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// The file, as named on the command line.
    pub file: String,
    /// The line, from 1; `None` if something is missing.
    pub line: Option<usize>,
    /// The name of the section without brackets; empty before the first section.
    pub section: String,
    /// The key as written, e.g. `redis_ar['port']`; empty if the fault is not about a key.
    pub key: String,
    /// The value as written; `None` if there is none, or if it is a password.
    pub value: Option<String>,
    /// What is wrong, and what would be right.
    pub expected: String,
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        f.write_str(":")?;
        if !self.section.is_empty() {
            write!(f, " [{}]", self.section)?;
        }
        if !self.key.is_empty() {
            write!(f, " {}", self.key)?;
        }
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        write!(f, ": {}", self.expected)
    }
}

/// A fault of a source, worker or sink while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The server or the disk does not serve now: wait, and try again in place.
    Retry(String),
    /// As `Retry`, but the cause was logged already: do not log it again.
    RetryLogged,
    /// The state in memory may be wrong: end the run, and build everything again.
    Restart(String),
    /// Trying again can never succeed with this configuration: the job ends with this text.
    Fatal(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Retry(text) | Fault::Restart(text) | Fault::Fatal(text) => f.write_str(text),
            Fault::RetryLogged => f.write_str("as logged before"),
        }
    }
}

impl std::error::Error for Fault {}
