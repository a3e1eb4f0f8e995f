//! What is known of each partition that a job reads, for whoever looks at the running process.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionView {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number.
    pub partition: i32,
    /// The next offset after what is written to the file; `None` until the partition has a position.
    pub position: Option<i64>,
    /// The offset that the group holds; `None` if it holds none, or if this is not known.
    pub committed: Option<i64>,
    /// The next offset after the last record that can be read; `None` until a broker has said it.
    pub end: Option<i64>,
    /// The time of the last record that is written, in milliseconds since 1970.
    pub last_time: Option<i64>,
    /// Since when and why the partition cannot be read.
    pub blocked: Option<(Instant, String)>,
}

impl PartitionView {
    /// How many offsets are not written yet; `None` if nobody has said where the partition ends.
    pub fn lag(&self) -> Option<u64> {
        let behind = self.end?.saturating_sub(self.position?);
        Some(u64::try_from(behind).unwrap_or(0))
    }
}

type Look<T> = Arc<dyn Fn() -> T + Send + Sync>;

/// How to look at something that exists only while a run lasts. Nothing is kept up to date for nobody:
/// whoever looks asks the parts of the present run.
pub struct Glass<T>(Mutex<Option<Look<T>>>);

impl<T> Default for Glass<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Glass<T> {
    /// From now on `look` is asked.
    pub fn set(&self, look: impl Fn() -> T + Send + Sync + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(look));
    }

    /// The run has ended: there is nothing to see.
    pub fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What there is to see now; `None` between two runs.
    pub fn look(&self) -> Option<T> {
        let look = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        look.map(|look| look())
    }
}

impl<T> fmt::Debug for Glass<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Glass")
    }
}
