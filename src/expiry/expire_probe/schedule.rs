//! Decides what to ask next, and what follows from the replies. Pure: the caller has the clock and the
//! connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::canary_probe::{CanaryProbe, CanaryReport};
use super::deadlines::{DEADLINE_HORIZON, Deadlines, Learned};
use super::denied_commands::{DeniedCommands, ProbeCommand};
use super::lateness::Lateness;
use super::packet::{ProbePacket, ProbedKey};
use super::sweep::Sweep;
use crate::expiry::command_reply::{self, CommandReply};
use crate::expiry::context::ExpiryContext;
use crate::expiry::deadline_handoff::KeyDeadline;

/// The most keys in one packet. The server needs less than a millisecond for this many.
const PACKET_KEYS_MAX: usize = 256;
/// Redis treats a key as expired only one millisecond after its deadline.
const DEADLINE_MARGIN: Duration = Duration::from_millis(1);
/// The longest wait for something to do.
const IDLE_WAIT_MAX: Duration = Duration::from_secs(5);

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
    denied: DeniedCommands,
    lateness: Lateness,
}

impl ProbeSchedule {
    pub(super) fn new(context: &Arc<ExpiryContext>, now: Instant) -> Self {
        Self {
            deadlines: Deadlines::new(context.memory, now),
            sweep: Sweep::new(now),
            canary: CanaryProbe::new(context.canary.clone(), now),
            scanned: VecDeque::new(),
            unanswered: Vec::new(),
            probe_all: false,
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
    }

    /// Asks for a sweep, after keys were lost inside pandad.
    pub(super) fn request_sweep(&mut self) {
        self.sweep.request();
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
        let mut rate = self.context.rate();
        let keys_max = rate.available(PACKET_KEYS_MAX, now);
        let mut packet = ProbePacket::default();
        if keys_max > 0 {
            let may_set = !self.denied.is_denied(ProbeCommand::SetCanary, now);
            packet.canary_life = (may_set && self.canary.is_due_to_set(now)).then(|| self.canary.life());
            packet.keys.append(&mut self.unanswered);
            while packet.keys.len() < keys_max
                && let Some((key, due)) = self.deadlines.pop(now)
            {
                packet.keys.push(ProbedKey { key, due: Some(due) });
            }
            let left = keys_max.saturating_sub(packet.keys.len());
            packet.keys.extend(
                self.context.changed_keys.take(left).into_iter().map(|key| ProbedKey { key, due: None }),
            );
            let left = keys_max.saturating_sub(packet.keys.len()).min(self.scanned.len());
            packet.keys.extend(self.scanned.drain(..left).map(|key| ProbedKey { key, due: None }));
            // A sweep goes on only when there are no other keys to ask for.
            if packet.keys.len() < keys_max && self.scanned.is_empty() && self.may_sweep(now) {
                packet.scan = self.sweep.next_step(now);
            }
        }
        rate.spend(packet.cost());
        packet
    }

    /// Drops all keys that wait to be asked for. While PTTL is refused, deadlines are of no use: a key
    /// expires only when Redis notices that by itself.
    fn discard(&mut self, now: Instant) {
        while self.deadlines.pop(now).is_some() {}
        self.context.changed_keys.take(usize::MAX);
        self.scanned.clear();
        self.unanswered.clear();
    }

    /// Whether sweeps may go on; a sweep is of no use if its keys may not be probed.
    fn may_sweep(&self, now: Instant) -> bool {
        [ProbeCommand::Pttl, ProbeCommand::Scan].iter().all(|command| !self.denied.is_denied(*command, now))
    }

    /// When the next packet is due, if no key changes before then.
    pub(super) fn next_wake(&self, now: Instant) -> Instant {
        let mut until = now + IDLE_WAIT_MAX;
        let mut due = |moment: Option<Instant>| until = moment.map_or(until, |moment| until.min(moment));
        due(self.deadlines.next_due());
        if !self.denied.is_denied(ProbeCommand::SetCanary, now) {
            due(self.canary.next_check());
        }
        if self.may_sweep(now) {
            // A sweep under way goes on at once.
            due(self.sweep.next_due().or(Some(now)));
        }
        if !self.context.changed_keys.is_empty() || !self.scanned.is_empty() || !self.unanswered.is_empty() {
            until = now;
        }
        let mut rate = self.context.rate();
        if rate.available(1, now) > 0 { until } else { until.max(rate.next(now)) }
    }

    /// Records that a packet had no reply: its keys are asked again.
    pub(super) fn record_unanswered(&mut self, packet: ProbePacket, now: Instant) {
        self.unanswered = packet.keys;
        self.canary.restart(now);
    }

    /// Records the replies to [`ProbePacket::requests`].
    pub(super) fn record_replies(&mut self, packet: ProbePacket, replies: Vec<CommandReply>, now: Instant) {
        let mut replies = replies.into_iter();
        self.on_time_reply(replies.next().as_ref(), now);
        if packet.canary_life.is_some() {
            self.on_set_reply(replies.next(), now);
        }
        for probed in packet.keys {
            self.on_pttl_reply(probed, replies.next(), now);
        }
        if packet.scan.is_some() {
            self.on_scan_reply(replies.next(), now);
        }
        self.context.counters.late_us.store(self.lateness.worst(now, self.sweep.lateness()), Relaxed);
    }

    fn on_time_reply(&self, reply: Option<&CommandReply>, now: Instant) {
        if let Some(CommandReply::Array(time)) = reply
            && let Some(millis) = command_reply::time_ms(time)
        {
            self.context.clock.set(now, millis);
        }
    }

    fn on_set_reply(&mut self, reply: Option<CommandReply>, now: Instant) {
        if let Some(CommandReply::Refused(why)) = reply {
            self.canary.record_denied(now);
            self.denied.deny(
                ProbeCommand::SetCanary,
                now,
                &format!(
                    "cannot set the canary {}, so a broken subscription may stay unnoticed",
                    self.context.canary.key().escape_ascii()
                ),
                &why,
            );
            return;
        }
        let due = self.canary.record_set(now);
        self.deadlines.learn_always(self.context.canary.key(), due);
    }

    fn on_pttl_reply(&mut self, probed: ProbedKey, reply: Option<CommandReply>, now: Instant) {
        let left = match reply {
            Some(CommandReply::Integer(left)) => left,
            Some(CommandReply::Refused(why)) => {
                return self.denied.deny(
                    ProbeCommand::Pttl,
                    now,
                    "PTTL is refused, so expired keys may be pushed late",
                    &why,
                );
            }
            _ => return,
        };
        if let Some(due) = probed.due {
            self.lateness.record(now.saturating_duration_since(due));
        }
        let Ok(left) = u64::try_from(left) else {
            // The key has expired, was deleted, or has no deadline any more.
            self.deadlines.forget(&probed.key);
            if self.context.canary.is(&probed.key) {
                self.canary.record_deleted(now, self.context.listen_state.announced());
            }
            return;
        };
        let due = now + Duration::from_millis(left).min(DEADLINE_HORIZON) + DEADLINE_MARGIN;
        if self.context.canary.is(&probed.key) {
            return self.deadlines.learn_always(&probed.key, due);
        }
        let learned = self.deadlines.learn(&probed.key, due);
        if learned == Learned::Full {
            self.sweep.record_overflow();
        }
        let context = &self.context;
        if context.remembers() && (learned != Learned::AlreadyKnown || context.handoff.has_missed()) {
            let deadline_ms = context.clock.at(now).saturating_add(left);
            context.handoff.put(KeyDeadline { key: probed.key, deadline_ms });
        }
    }

    fn on_scan_reply(&mut self, reply: Option<CommandReply>, now: Instant) {
        match reply {
            Some(CommandReply::Array(values)) => {
                let Some((cursor, keys)) = command_reply::scan_step(values) else { return };
                self.keep_scanned(keys);
                if self.sweep.record_step(&cursor, now) {
                    self.probe_all = false;
                    self.context.handoff.record_sweep();
                }
            }
            Some(CommandReply::Refused(why)) => self.denied.deny(
                ProbeCommand::Scan,
                now,
                "SCAN is refused, so keys whose deadlines were not announced may be late",
                &why,
            ),
            _ => {}
        }
    }

    /// Keeps the keys of a sweep whose deadlines must be asked for.
    fn keep_scanned(&mut self, keys: Vec<Vec<u8>>) {
        let has_room = self.deadlines.has_room();
        let all = self.probe_all || self.context.handoff.has_missed();
        for key in keys.into_iter().filter(|key| self.context.filter.wants(key)) {
            if has_room && (all || !self.deadlines.knows(&key)) {
                self.scanned.push_back(key);
            } else if !has_room && !self.deadlines.knows(&key) {
                self.sweep.record_overflow();
            }
        }
    }

    fn check_canary(&mut self, now: Instant) {
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
                    self.context.canary.key().escape_ascii()
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
