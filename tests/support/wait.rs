//! Waiting with a deadline: what is awaited is said when it does not come.
//! Nothing in the tests sleeps in the hope that it was long enough.

use std::time::{Duration, Instant};

pub const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Until it is so; false when the time is over.
pub fn within(limit: Duration, mut so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if so() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(millis(10));
    }
}

/// Until it is so, or the test fails and says what it waited for.
#[track_caller]
pub fn until(what: &str, limit: Duration, so: impl FnMut() -> bool) {
    assert!(within(limit, so), "waited {limit:?} in vain: {what}");
}
