//! Waiting with a deadline. If what a test waits for does not come, the failure names it.
//! No test sleeps in the hope that the time was long enough.

use std::time::{Duration, Instant};

pub const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Waits until `so` is true; false if the time is over before.
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

/// Waits until `so` is true, or fails the test and names what it waited for.
#[track_caller]
pub fn until(what: &str, limit: Duration, so: impl FnMut() -> bool) {
    assert!(within(limit, so), "waited {limit:?} in vain: {what}");
}
