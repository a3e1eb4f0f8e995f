//! The thread that touches keys when they are due, so that the server notices that they
//! have expired: everything it asks goes in packets, the due keys first, no more a second
//! than it may.
//!
//! A key is touched by PTTL, which makes the server delete what has expired, and says of
//! what has not when it will: learning a deadline and touching a key are one question.
//! Deadlines are kept by our own clock, counted from the answer, so that it does not
//! matter what the server's clock shows.

mod canary_probe;
mod deadlines;
mod denied_commands;
mod lateness;
mod name_arena;
mod packet;
mod schedule;
mod sweep;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::select;

use self::packet::ProbePacket;
use self::schedule::ProbeSchedule;
use super::command_reply;
use super::context::ExpiryContext;
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::redis::{Link, cmd};
use crate::threads;

/// How often one with nothing to do looks whether it is its turn.
const LISTEN_POLL_INTERVAL: Duration = Duration::from_millis(200);
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(50);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct ExpireProbe {
    context: Arc<ExpiryContext>,
    link: Link,
    schedule: ProbeSchedule,
    /// The subscription that it works for.
    subscription: Option<u64>,
}

impl ExpireProbe {
    pub(super) fn new(context: &Arc<ExpiryContext>, now: Instant) -> Self {
        Self {
            context: Arc::clone(context),
            link: context.expire.link(),
            schedule: ProbeSchedule::new(context, now),
            subscription: None,
        }
    }

    /// Until its owner is gone.
    pub(super) fn run(mut self) {
        let mut backoff = Backoff::new(RETRY_PAUSE_MIN, RETRY_PAUSE_MAX);
        while !self.context.has_ended() {
            let turn = threads::contain(|| self.turn());
            match turn {
                Ok(Ok(())) => backoff.reset(),
                Ok(Err(_logged)) => {
                    self.context.pause(backoff.pause());
                }
                Err(panic) => {
                    log::error!("{}: a fault of our own while touching keys: {panic}", self.context.job);
                    self.schedule.request_sweep();
                    self.context.pause(RETRY_PAUSE_MAX);
                }
            }
        }
        // What is left of it is gone within a second anyway.
        let _gone = self.link.once(|connection| connection.ask(cmd("DEL").arg(self.context.canary.key())));
    }

    /// One packet, or a wait for the next.
    fn turn(&mut self) -> Result<(), Fault> {
        let Some(subscription) = self.context.listen_state.subscription() else {
            // What expires now is heard by nobody: it is not made to.
            self.context.pause(LISTEN_POLL_INTERVAL);
            return Ok(());
        };
        let now = Instant::now();
        if self.subscription != Some(subscription) {
            self.subscription = Some(subscription);
            self.schedule.restart(now);
        }
        let packet = self.schedule.compose(now);
        if packet.is_empty() {
            self.wait(self.schedule.next_wake(now));
            return Ok(());
        }
        self.exchange(packet)
    }

    /// Until something is due or new.
    fn wait(&self, until: Instant) {
        select! {
            recv(self.context.changed_keys.waker()) -> _ => {}
            recv(self.context.end) -> _ => {}
            default(until.saturating_duration_since(Instant::now())) => {}
        }
    }

    fn exchange(&mut self, packet: ProbePacket) -> Result<(), Fault> {
        let requests = packet.requests(&self.context);
        let listen_state = &self.context.listen_state;
        let replies = self.link.doing("probe").with_retry(|connection| {
            let answers = connection.ask_all(&requests)?;
            command_reply::sort(answers).inspect_err(|error| {
                if error.has_code("READONLY") {
                    // It was a master when the listener asked.
                    listen_state.request_reconnect();
                }
            })
        });
        let now = Instant::now();
        match replies {
            Ok(replies) => self.schedule.record_replies(packet, replies, now),
            Err(fault) => {
                self.schedule.record_unanswered(packet, now);
                return Err(fault);
            }
        }
        Ok(())
    }
}
