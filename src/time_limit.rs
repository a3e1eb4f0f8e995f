//! What is left of a time limit.

use std::io;
use std::time::{Duration, Instant};

/// The time that is left until a limit: never zero, which sockets refuse as a timeout.
///
/// # Errors
/// `TimedOut` if nothing is left.
pub fn time_left(until: Instant) -> io::Result<Duration> {
    let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
    left.ok_or_else(|| io::ErrorKind::TimedOut.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_at_the_limit() {
        let now = Instant::now();
        assert_eq!(time_left(now).unwrap_err().kind(), io::ErrorKind::TimedOut);
        let limit = Duration::from_secs(60);
        assert!(time_left(now + limit).is_ok_and(|left| !left.is_zero() && left <= limit));
    }
}
