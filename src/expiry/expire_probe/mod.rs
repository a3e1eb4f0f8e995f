//! The thread that probes keys when they are due. At the probe Redis notices that the key has expired,
//! deletes it and announces it. The thread sends its commands in packets, at a bounded rate.
//!
//! The probe is PTTL: Redis deletes a key that has expired; for any other key its reply says when the key
//! will expire. So learning a deadline and probing a key are the same command. Deadlines are kept by
//! the server's clock, which every packet asks for: that clock may be set, and this machine may be
//! suspended.
//!
//! `schedule` decides what to ask next, and is the file to read first; this file sends the commands.

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
use self::schedule::{ProbeSchedule, TimeAsked};
use super::command_reply;
use super::context::ExpiryContext;
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::redis::{Link, cmd};
use crate::threads;

/// The time between two checks whether there is a subscription.
const LISTEN_POLL_INTERVAL: Duration = Duration::from_millis(200);
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(50);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct ExpireProbe {
    context: Arc<ExpiryContext>,
    link: Link,
    schedule: ProbeSchedule,
    /// The number of the subscription that the schedule was begun for.
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

    /// Runs until the watch ends.
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
                    log::error!(
                        "{}: internal error in the expire probe: {panic}; a sweep follows",
                        self.context.job
                    );
                    self.schedule.recover();
                    self.context.pause(RETRY_PAUSE_MAX);
                }
            }
        }
        // If this fails, the key expires within a second anyway.
        let canary = self.context.canary.name(self.context.canary.number());
        let _deleted = self.link.once(|connection| connection.ask(cmd("DEL").arg(&canary)));
    }

    /// Sends one packet, or waits for the next.
    fn turn(&mut self) -> Result<(), Fault> {
        let Some(subscription) = self.context.listen_state.subscription() else {
            // If there is no subscription, a probe would cause an event that nobody receives.
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

    /// Waits until that moment, the next changed key, or the end of the watch.
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
        // TIME is the first command, and a server may answer it long before the others.
        let mut asked = (Instant::now(), None);
        let replies = self.link.doing("probe").with_retry(|connection| {
            asked = (Instant::now(), None);
            let mut replies = Vec::with_capacity(requests.len());
            connection.ask_each(&requests, |reply| {
                asked.1.get_or_insert_with(Instant::now);
                replies.push(reply);
            })?;
            command_reply::classify(replies).inspect_err(|error| {
                if error.has_code("READONLY") {
                    // This reply comes from a replica, although the server was a master when the listener
                    // connected.
                    listen_state.request_reconnect();
                }
            })
        });
        let now = Instant::now();
        match replies {
            Ok(replies) => {
                let time = TimeAsked { sent: asked.0, received: asked.1.unwrap_or(now) };
                self.schedule.record_replies(packet, replies, time, now);
            }
            Err(fault) => {
                self.schedule.record_unanswered(packet, now);
                return Err(fault);
            }
        }
        Ok(())
    }
}
