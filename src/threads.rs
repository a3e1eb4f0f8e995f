//! The only place that starts threads: every thread has a name, and a panic in it becomes a
//! value for its owner.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::thread::{Builder, JoinHandle};
use std::{fmt, io};

use crate::error::Fault;

/// Linux shows at most 15 bytes of a thread's name; longer ones are cut.
const NAME_BYTES_MAX: usize = 15;

/// A running thread. When this value is dropped, the thread goes on by itself.
#[derive(Debug)]
pub struct Thread<T> {
    handle: JoinHandle<Result<T, String>>,
}

impl<T: Send + 'static> Thread<T> {
    /// Waits for the end of the thread. `Err` is the text of the panic that ended it.
    pub fn join(self) -> Result<T, String> {
        match self.handle.join() {
            Ok(result) => result,
            Err(panic) => Err(panic_text(panic.as_ref())),
        }
    }

    /// Whether the thread has ended, so that `join` would not wait.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }
}

/// The owner of a thread no longer receives what the thread sends, so the thread ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerGone;

/// The system refused to start a thread: there are too many, or memory is short.
#[derive(Debug)]
pub struct SpawnError {
    name: String,
    why: io::Error,
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, why } = self;
        write!(f, "cannot start the thread {name}: {why}; look at the limits of threads and memory")
    }
}

/// The fault is a `Retry`: the thread may start later.
impl From<SpawnError> for Fault {
    fn from(error: SpawnError) -> Self {
        Fault::Retry(error.to_string())
    }
}

impl From<SpawnError> for io::Error {
    fn from(error: SpawnError) -> Self {
        io::Error::new(error.why.kind(), error.to_string())
    }
}

/// Starts a thread called `name`.
///
/// # Errors
/// See [`SpawnError`].
#[allow(clippy::disallowed_methods, reason = "the door itself")]
pub fn spawn<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<Thread<T>, SpawnError> {
    let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
    match Builder::new().name(shown).spawn(move || contain(body)) {
        Ok(handle) => Ok(Thread { handle }),
        Err(why) => Err(SpawnError { name: name.to_owned(), why }),
    }
}

/// The calling thread does what nothing waits for: others come first.
pub fn lower_priority() {
    if let Err(error) = rustix::process::nice(19) {
        log::debug!("a thread in the background keeps its priority: {error}");
    }
}

/// Runs one unit of work and turns a panic in it into its text.
///
/// The caller must drop any state that the work may have left half changed.
///
/// # Errors
/// The text of the panic.
#[allow(clippy::disallowed_methods, reason = "the door itself")]
pub fn contain<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|panic| panic_text(panic.as_ref()))
}

/// The text of a panic.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a text".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_value() {
        let thread = spawn("a-name-longer-than-fifteen", || panic!("at {}", 7)).unwrap();
        assert_eq!(thread.join(), Err::<(), _>("at 7".to_owned()));
        assert_eq!(contain(|| 3), Ok(3));
    }
}
