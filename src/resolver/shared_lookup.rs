//! At most one question at a time to the system's resolver for each name: a resolver that hangs costs
//! one thread for each name, not one for each attempt.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::no_address;
use crate::threads;

/// The questions that are not answered yet.
pub(super) struct SharedLookups {
    by_name: Mutex<Option<HashMap<String, Lookup>>>,
}

/// One question. Clones wait for the same answer.
#[derive(Clone, Default)]
pub(super) struct Lookup {
    answer: Arc<(Mutex<Option<Answer>>, Condvar)>,
}

/// Addresses, or the kind and the text of the error. Several threads get the answer.
type Answer = Result<Vec<IpAddr>, (io::ErrorKind, String)>;

impl SharedLookups {
    pub(super) const fn new() -> Self {
        Self { by_name: Mutex::new(None) }
    }

    /// Joins the question for this name that is under way, or starts a thread that calls `lookup`.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn join(
        &'static self,
        name: &str,
        lookup: impl FnOnce(&str) -> io::Result<Vec<IpAddr>> + Send + 'static,
    ) -> io::Result<Lookup> {
        let mut by_name = lock(&self.by_name);
        let new = match by_name.get_or_insert_default().entry(name.to_owned()) {
            Entry::Occupied(under_way) => return Ok(under_way.get().clone()),
            Entry::Vacant(free) => free.insert(Lookup::default()).clone(),
        };
        let (asked, answered) = (name.to_owned(), new.clone());
        let started = threads::spawn("resolver", move || {
            let answer = threads::contain(|| lookup(&asked));
            let answer = answer.unwrap_or_else(|panic| Err(io::Error::other(panic)));
            let answer =
                answer.and_then(|found| if found.is_empty() { Err(no_address()) } else { Ok(found) });
            // The question is forgotten before it is answered, so that nobody joins an old answer.
            self.forget(&asked);
            answered.set(answer.map_err(|error| (error.kind(), error.to_string())));
        });
        if let Err(error) = started {
            drop(by_name);
            self.forget(name);
            return Err(error.into());
        }
        Ok(new)
    }

    fn forget(&self, name: &str) {
        if let Some(by_name) = lock(&self.by_name).as_mut() {
            by_name.remove(name);
        }
    }
}

impl Lookup {
    /// Waits for the answer, which has at least one address; `None` if no answer has come within the limit.
    pub(super) fn wait(&self, limit: Duration) -> Option<io::Result<Vec<IpAddr>>> {
        let (answer, answered) = &*self.answer;
        let waited = answered.wait_timeout_while(lock(answer), limit, |answer| answer.is_none());
        let (answer, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let answer = answer.clone()?;
        Some(answer.map_err(|(kind, text)| io::Error::new(kind, text)))
    }

    fn set(&self, answer: Answer) {
        *lock(&self.answer.0) = Some(answer);
        self.answer.1.notify_all();
    }
}

/// The lock may be taken after a panic: no code under it panics between two changes.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
