//! What is left of a time limit.

use std::io;
use std::time::{Duration, Instant};

/// The time that is left until a limit: never zero, which sockets refuse as a timeout.
///
/// # Errors
/// `TimedOut` if nothing is left.
pub fn time_left(until: Instant) -> io::Result<Duration> {
    left_at(Instant::now(), until)
}

fn left_at(now: Instant, until: Instant) -> io::Result<Duration> {
    let left = until.checked_duration_since(now).filter(|left| !left.is_zero());
    left.ok_or_else(|| io::ErrorKind::TimedOut.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_at_the_limit() {
        let (now, moment) = (Instant::now(), Duration::from_nanos(1));
        assert_eq!(left_at(now, now + moment).unwrap(), moment);
        for late in [now, now + moment] {
            assert_eq!(left_at(late, now).unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
    }
}
