//! Waiting with a deadline. If a test waits in vain, the failure names what it waited for. No test sleeps
//! in the hope that the time was long enough.

use std::time::{Duration, Instant};

/// The limits in the tests are those of a calm machine; on a loaded machine a wait may take this many times
/// as long. What pandad promises within a time is checked by [`in_time`], without this factor.
const PATIENCE: u32 = 3;

/// The moment at which a wait with this limit is given up.
pub fn deadline(limit: Duration) -> Instant {
    Instant::now() + limit * PATIENCE
}

pub const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Waits until `so` is true, for something that pandad promises within this time: a loaded machine gets no
/// more time. False if the time is over first.
pub fn in_time(limit: Duration, so: impl FnMut() -> bool) -> bool {
    before(Instant::now() + limit, so)
}

/// Waits until `so` is true; false if the time is over first.
pub fn within(limit: Duration, so: impl FnMut() -> bool) -> bool {
    before(deadline(limit), so)
}

/// Waits until `so` is true; false if the deadline comes first.
pub fn before(deadline: Instant, mut so: impl FnMut() -> bool) -> bool {
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
    assert!(within(limit, so), "waited {PATIENCE} times {limit:?} in vain: {what}");
}

/// The median, which is printed beside the worst.
pub fn median(took: &mut [Duration]) -> Duration {
    took.sort();
    let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
    println!("{median:?} (median), {worst:?} (worst of {})", took.len());
    median
}
