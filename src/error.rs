//! What can go wrong, sorted by what is to be done about it.
//!
//! [`Error`] ends a run and decides the exit status; [`Fault`] is met inside a
//! running job and says whether trying again can help.

use std::fmt;

/// Why the program ends. `main` turns each into an exit status.
#[derive(Debug)]
pub enum Error {
    /// The command line is wrong (exit status 2).
    Usage(String),
    /// The configuration or something local that it names is faulty: every fault found (exit status 78).
    Config(Vec<ConfigFault>),
    /// Every job has failed for good, or a fault of our own (exit status 1).
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

/// One fault in the configuration: where it is, what stands there, what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// The file as it was named on the command line.
    pub file: String,
    /// 1-based line; `None` for something that is missing altogether.
    pub line: Option<usize>,
    /// Section name without brackets; empty before the first section.
    pub section: String,
    /// Key as written, e.g. `redis_ar['port']`; empty when the fault is not about a key.
    pub key: String,
    /// Value as written; `None` when there is none or when it is a password.
    pub value: Option<String>,
    /// What is wrong and what would be right: a sentence to act on.
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

/// What a source, worker or sink meets while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The other side or the disk does not serve just now: wait and try again in place.
    Retry(String),
    /// The same, and whoever met it has logged it: nobody says it again.
    RetryLogged,
    /// What is held in memory cannot be believed any more: build everything anew.
    Restart(String),
    /// It can never succeed as things are configured: the job ends with this text.
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
