//! Decides what to ask next, and what follows from the replies. Pure: the caller has the clock and the
//! connection.

mod replies;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::canary_probe::{CanaryProbe, CanaryReport};
use super::deadlines::{DEADLINE_HORIZON, Deadlines, Learned};
use super::denied_commands::{DeniedCommands, ProbeCommand};
use super::lateness::Lateness;
use super::packet::{NewCanary, ProbePacket, ProbedKey};
use super::sweep::Sweep;
use crate::expiry::changed_keys::KeyChange;
use crate::expiry::command_reply::CommandReply;
use crate::expiry::context::{ExpiryContext, QUEUE_MEMORY_DIVISOR, Reconciliation};
use crate::expiry::deadline_handoff::KeyDeadline;
use crate::expiry::server_clock::ClockSteps;

/// The most keys in one packet. The server needs less than a millisecond for this many.
const PACKET_KEYS_MAX: usize = 256;
/// Redis treats a key as expired only one millisecond after its deadline.
const DEADLINE_MARGIN: Duration = Duration::from_millis(1);
/// The server's clock is asked for at least this often.
const CLOCK_INTERVAL: Duration = Duration::from_secs(1);
/// If the server's clock was set back by more than this in all, deadlines are learned anew: they could be too
/// far apart to be compared.
const CLOCK_BACK_MAX: Duration = Duration::from_secs(4 * 3600);
/// The reply to PTTL for a key that is gone, or has expired.
const KEY_GONE: i64 = -2;
/// The longest wait for something to do.
const IDLE_WAIT_MAX: Duration = Duration::from_secs(5);

/// When TIME was asked for, and when its reply came.
#[derive(Clone, Copy)]
pub(super) struct TimeAsked {
    pub(super) sent: Instant,
    pub(super) received: Instant,
}

/// See the module.
pub(super) struct ProbeSchedule {
    context: Arc<ExpiryContext>,
    deadlines: Deadlines,
    sweep: Sweep,
    canary: CanaryProbe,
    /// Keys that a sweep has found, to be asked for their deadlines.
    scanned: VecDeque<Vec<u8>>,
    /// Keys of a packet that had no reply, to be asked again.
    unanswered: Vec<ProbedKey>,
    /// Whether the sweep under way asks for every key, because deadlines may have changed while nobody
    /// listened. Otherwise it asks only for keys without a known deadline.
    probe_all: bool,
    /// Whether the sweep after that must ask for every key, too.
    probe_all_again: bool,
    /// The number of the last canary by whose proof awaited keys were settled.
    proof_used: u64,
    /// The steps of the server's clock that were looked at.
    steps: ClockSteps,
    /// By how much the clock was set back since the deadlines were begun, in microseconds.
    clock_back: u64,
    /// When the server's clock was last asked for.
    clock_asked: Instant,
    denied: DeniedCommands,
    lateness: Lateness,
}

impl ProbeSchedule {
    pub(super) fn new(context: &Arc<ExpiryContext>, now: Instant) -> Self {
        Self {
            deadlines: Deadlines::new(context.memory),
            sweep: Sweep::new(now),
            canary: CanaryProbe::new(context.canary.clone(), now),
            scanned: VecDeque::new(),
            unanswered: Vec::new(),
            probe_all: false,
            probe_all_again: false,
            proof_used: 0,
            steps: context.clock.steps(),
            clock_back: 0,
            clock_asked: now,
            denied: DeniedCommands::new(format!("{}: {}", context.job, context.expire.server)),
            lateness: Lateness::new(now),
            context: Arc::clone(context),
        }
    }

    /// Begins again, after a new subscription.
    pub(super) fn restart(&mut self, now: Instant) {
        self.probe_all = true;
        self.sweep.restart(now);
        self.canary.restart(now);
        self.context.awaited.restart();
    }

    /// Asks for a sweep and for the awaited keys, after keys were lost inside pandad.
    pub(super) fn recover(&mut self) {
        self.sweep.request();
        self.context.awaited.restart();
    }

    /// The packet to send now, within the rate: first keys that are due, because every delay makes these
    /// later, then keys that changed, then those of a sweep.
    pub(super) fn compose(&mut self, now: Instant) -> ProbePacket {
        if self.context.changed_keys.take_missed() || self.context.handoff.has_missed() {
            self.sweep.request();
        }
        self.check_canary(now);
        if self.denied.is_denied(ProbeCommand::Pttl, now) {
            self.discard(now);
        }
        let context = Arc::clone(&self.context);
        let mut rate = context.rate();
        let keys_max = rate.available(PACKET_KEYS_MAX, now);
        let asks_time = !self.denied.is_denied(ProbeCommand::Time, now);
        let is_time_due = asks_time && now >= self.clock_asked + CLOCK_INTERVAL;
        let mut packet = ProbePacket { asks_time, is_time_due, ..ProbePacket::default() };
        if keys_max > 0 {
            if !self.denied.is_denied(ProbeCommand::SetCanary, now) && self.canary.is_due_to_set(now) {
                let life = self.canary.life();
                packet.canary = Some(NewCanary { name: context.canary.begin_next(), life });
            }
            self.add_keys(&mut packet, keys_max, now);
            let may_lead = !self.denied.is_denied(ProbeCommand::LeadingWrite, now);
            packet.leading_write =
                (may_lead && !packet.keys.is_empty()).then(|| context.canary.leading_write());
            // A sweep goes on only when there are no other keys to ask for.
            if packet.keys.len() < keys_max && self.scanned.is_empty() && self.may_sweep(now) {
                let begins = self.sweep.next_due().is_some();
                packet.scan = self.sweep.next_step(now);
                if begins && packet.scan.is_some() {
                    self.deadlines.begin_sweep();
                    // If the server does not show its clock, only this finds out that it was set.
                    self.probe_all |= !asks_time;
                }
            }
        }
        rate.spend(packet.cost());
        packet
    }

    /// Adds the keys to ask for, the most urgent first.
    fn add_keys(&mut self, packet: &mut ProbePacket, keys_max: usize, now: Instant) {
        self.lend_memory();
        let context = &self.context;
        let (may_await, server_now) = (self.may_await(now), context.clock.at(now));
        packet.keys.append(&mut self.unanswered);
        while packet.keys.len() < keys_max
            && let Some((key, due)) = self.deadlines.pop(server_now)
        {
            let is_awaited = may_await && !context.canary.is_any(&key);
            if is_awaited {
                context.awaited.begin(&key, Some(due));
            }
            packet.keys.push(ProbedKey { key, due: Some(due), is_awaited });
        }
        let left = |packet: &ProbePacket| keys_max.saturating_sub(packet.keys.len());
        let probed = |key, is_awaited| ProbedKey { key, due: None, is_awaited };
        let again = context.awaited.take_again(left(packet));
        packet.keys.extend(again.into_iter().map(|key| probed(key, true)));
        for (key, change) in context.changed_keys.take(left(packet)) {
            match change {
                KeyChange::Deadline => packet.keys.push(probed(key, false)),
                KeyChange::Gone => {
                    self.deadlines.forget(&key);
                    context.awaited.settle(&key);
                    if context.remembers() {
                        context.handoff.put(KeyDeadline { key, deadline_ms: None });
                    }
                }
                KeyChange::Evicted => {
                    let is_due = self.deadlines.is_due(&key, server_now);
                    self.deadlines.forget(&key);
                    let was_due = context.awaited.settle_evicted(&key);
                    // The server has deleted it in the moment between its deadline and its expiry. Without
                    // reconcile only expired keys are pushed; a key before its deadline is found there.
                    if (is_due || was_due) && context.reconciliation == Reconciliation::On {
                        context.inbox.put(&key);
                    }
                }
            }
        }
        let scanned = self.scanned.drain(..left(packet).min(self.scanned.len()));
        packet.keys.extend(scanned.map(|key| probed(key, false)));
    }

    /// Lends what the deadlines leave of their memory to the keys that leave these: first they are awaited,
    /// then they wait to be pushed. What is lent and in use is no room for deadlines.
    fn lend_memory(&mut self) {
        let context = &self.context;
        self.deadlines.give_memory_back();
        let own = context.memory / QUEUE_MEMORY_DIVISOR;
        let (awaited, inbox) = (context.awaited.bytes().saturating_sub(own), context.inbox.borrowed());
        self.deadlines.set_lent(awaited + inbox);
        let free = self.deadlines.free_bytes();
        context.awaited.set_limit(own + awaited + free / 4);
        // Keys that find no room are lost, unless reconcile finds these again.
        let may_be_lost = context.reconciliation != Reconciliation::On;
        context.inbox.set_extra(if may_be_lost { inbox + free / 4 * 3 } else { 0 });
    }

    /// Whether keys whose events were not received are awaited. Without the write at the beginning of a
    /// packet, or without a canary, nothing would ever settle these.
    fn may_await(&self, now: Instant) -> bool {
        let needed = [ProbeCommand::LeadingWrite, ProbeCommand::SetCanary];
        needed.iter().all(|command| !self.denied.is_denied(*command, now))
    }

    /// Drops all keys that wait to be asked for. While PTTL is refused, deadlines are of no use: a key
    /// expires only when Redis notices that by itself.
    fn discard(&mut self, now: Instant) {
        while self.deadlines.pop(self.context.clock.at(now)).is_some() {}
        self.context.changed_keys.take(usize::MAX);
        self.scanned.clear();
        self.unanswered.clear();
        self.context.awaited.clear();
    }

    /// Whether sweeps may go on; a sweep is of no use if its keys may not be probed.
    fn may_sweep(&self, now: Instant) -> bool {
        [ProbeCommand::Pttl, ProbeCommand::Scan].iter().all(|command| !self.denied.is_denied(*command, now))
    }

    /// When the next packet is due, if no key changes before then.
    pub(super) fn next_wake(&self, now: Instant) -> Instant {
        let mut until = now + IDLE_WAIT_MAX;
        let mut due = |moment: Option<Instant>| until = moment.map_or(until, |moment| until.min(moment));
        due(self.deadlines.next_due().map(|shown| self.context.clock.moment_of(shown)));
        if !self.denied.is_denied(ProbeCommand::SetCanary, now) {
            due(self.canary.next_check());
        }
        if self.may_sweep(now) {
            // A sweep under way goes on at once.
            due(self.sweep.next_due().or(Some(now)));
        }
        let has_changed = !self.context.changed_keys.is_empty() || self.context.awaited.has_again();
        if has_changed || !self.scanned.is_empty() || !self.unanswered.is_empty() {
            until = now;
        }
        let mut rate = self.context.rate();
        let until = if rate.available(1, now) > 0 { until } else { until.max(rate.next(now)) };
        // The clock is asked for whatever the rate is: a sweep may have used that up for seconds.
        let asks_time = !self.denied.is_denied(ProbeCommand::Time, now);
        if asks_time { until.min(self.clock_asked + CLOCK_INTERVAL) } else { until }
    }

    /// Records that a packet had no reply: its keys are asked again.
    pub(super) fn record_unanswered(&mut self, packet: ProbePacket, now: Instant) {
        self.unanswered = packet.keys;
        self.canary.restart(now);
    }

    /// Records the replies to [`ProbePacket::requests`].
    pub(super) fn record_replies(
        &mut self,
        packet: ProbePacket,
        replies: Vec<CommandReply>,
        time: TimeAsked,
        now: Instant,
    ) {
        let mut replies = replies.into_iter();
        if packet.asks_time {
            self.on_time_reply(replies.next(), time, now);
        }
        if packet.leading_write.is_some() {
            self.on_write_reply(replies.next(), now);
        }
        if let Some(canary) = &packet.canary {
            self.on_set_reply(&canary.name, replies.next(), now);
        }
        for probed in packet.keys {
            self.on_pttl_reply(probed, replies.next(), now);
        }
        if let Some(asked) = &packet.scan {
            let reply = replies.next();
            // A sweep that was begun anew meanwhile does not go on where the one before was.
            if self.sweep.is_at(asked) {
                self.on_scan_reply(reply, now);
            }
        }
        self.lateness.record(Duration::from_micros(self.context.event_late_us.swap(0, Relaxed)));
        self.context.counters.late_us.store(self.lateness.worst(now, self.sweep.lateness()), Relaxed);
    }

    fn check_canary(&mut self, now: Instant) {
        if let Some(proof) = self.context.canary.proof()
            && proof.number > self.proof_used
        {
            self.proof_used = proof.number;
            self.context.awaited.record_proof(proof);
        }
        let unsettled = self.context.awaited.take_unsettled();
        self.context.counters.unsettled.fetch_add(unsettled, Relaxed);
        let report = self.canary.check(now, self.context.listen_state.announced());
        match report {
            CanaryReport::Nothing => {}
            CanaryReport::Received(late) => self.lateness.record(late),
            CanaryReport::ReceivedAgain(after) => log::warn!(
                "{}: {}: events of expired keys are received again after {:.1} s",
                self.context.job,
                self.context.expire.server,
                after.as_secs_f64()
            ),
            CanaryReport::Silent => {
                log::error!(
                    "{}: {}: no events of expired keys are received: {} expired and was not announced; \
                     connecting again",
                    self.context.job,
                    self.context.expire.server,
                    self.context.canary.name(self.context.canary.number()).escape_ascii()
                );
                self.context.listen_state.request_reconnect();
            }
            CanaryReport::StillSilent => self.context.listen_state.request_reconnect(),
        }
        self.lateness.record(self.canary.lateness(now));
    }
}

#[cfg(test)]
mod tests;
