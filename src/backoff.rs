//! How long to wait before the next attempt: doubling, capped, and with jitter. Without the jitter all
//! clients of a server that was down would return at once.

use std::time::Duration;

/// A growing pause. The caller sleeps, so no clock is needed here.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    next: Duration,
}

impl Backoff {
    /// Pauses from `first`, doubled each time, up to `cap`.
    pub fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap, next: first }
    }

    /// The next pause: a random part of the current step, between half and all of it.
    pub fn pause(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.cap);
        step.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// Starts with the shortest pause again, after a success.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_cap_and_starts_again() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(350));
        for step in [100, 200, 350, 350] {
            let pause = backoff.pause();
            assert!(pause >= ms(step) / 2 && pause <= ms(step), "{pause:?} for {step}");
        }
        backoff.reset();
        assert!(backoff.pause() <= ms(100));
    }
}
