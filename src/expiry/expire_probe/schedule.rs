//! What is to be asked next, and what follows from the answers. No connection: whoever
//! calls has the clock and the server.

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

/// Keys that are asked in one packet: so many take the server less than a millisecond.
const PACKET_KEYS_MAX: usize = 256;
/// A key expires in the millisecond after its deadline.
const DEADLINE_MARGIN: Duration = Duration::from_millis(1);
/// The longest wait for a deadline.
const IDLE_WAIT_MAX: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct ProbeSchedule {
    context: Arc<ExpiryContext>,
    deadlines: Deadlines,
    sweep: Sweep,
    canary: CanaryProbe,
    /// What a sweep has found and nobody knows.
    scanned: VecDeque<Vec<u8>>,
    /// Taken from elsewhere, and not asked for want of an answer.
    unanswered: Vec<ProbedKey>,
    /// Every key is asked, known or not: deadlines may have changed unheard.
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

    /// A new subscription has begun.
    pub(super) fn restart(&mut self, now: Instant) {
        self.probe_all = true;
        self.sweep.restart(now);
        self.canary.restart(now);
    }

    /// Keys were lost on the way: a sweep finds them.
    pub(super) fn request_sweep(&mut self) {
        self.sweep.request();
    }

    /// What is to be asked now, as far as the pace allows.
    pub(super) fn compose(&mut self, now: Instant) -> ProbePacket {
        if self.context.changed_keys.take_missed() || self.context.handoff.has_missed() {
            self.sweep.request();
        }
        self.check_canary(now);
        if self.denied.is_denied(ProbeCommand::Pttl, now) {
            self.discard(now);
        }
        let mut rate = self.context.rate();
        let room = rate.room(PACKET_KEYS_MAX, now);
        let mut packet = ProbePacket::default();
        if room > 0 {
            let may_set = !self.denied.is_denied(ProbeCommand::SetCanary, now);
            packet.canary_life = (may_set && self.canary.is_due_to_set(now)).then(|| self.canary.life());
            packet.keys.append(&mut self.unanswered);
            while packet.keys.len() < room
                && let Some((key, due)) = self.deadlines.pop(now)
            {
                packet.keys.push(ProbedKey { key, due: Some(due) });
            }
            let left = room.saturating_sub(packet.keys.len());
            packet.keys.extend(
                self.context.changed_keys.take(left).into_iter().map(|key| ProbedKey { key, due: None }),
            );
            let left = room.saturating_sub(packet.keys.len()).min(self.scanned.len());
            packet.keys.extend(self.scanned.drain(..left).map(|key| ProbedKey { key, due: None }));
            // Whatever else there is comes first.
            if packet.keys.len() < room
                && self.scanned.is_empty()
                && !self.denied.is_denied(ProbeCommand::Scan, now)
            {
                packet.scan = self.sweep.next_step(now);
            }
        }
        rate.take(packet.cost());
        packet
    }

    /// While keys may not be asked, deadlines that pass are the server's own business.
    fn discard(&mut self, now: Instant) {
        while self.deadlines.pop(now).is_some() {}
        self.context.changed_keys.take(usize::MAX);
        self.scanned.clear();
        self.unanswered.clear();
        self.denied.deny_unlogged(ProbeCommand::Scan, now);
    }

    /// When something is due, or may be asked again.
    pub(super) fn next_wake(&self, now: Instant) -> Instant {
        let mut until = now + IDLE_WAIT_MAX;
        let mut due = |moment: Option<Instant>| until = moment.map_or(until, |moment| until.min(moment));
        due(self.deadlines.next());
        if !self.denied.is_denied(ProbeCommand::SetCanary, now) {
            due(self.canary.next());
        }
        if !self.denied.is_denied(ProbeCommand::Scan, now) {
            // One that is under way goes on at once.
            due(self.sweep.due().or(Some(now)));
        }
        if !self.context.changed_keys.is_empty() || !self.scanned.is_empty() || !self.unanswered.is_empty() {
            until = now;
        }
        let mut rate = self.context.rate();
        if rate.room(1, now) > 0 { until } else { until.max(rate.next(now)) }
    }

    /// The packet had no answer: its keys are asked again.
    pub(super) fn record_unanswered(&mut self, packet: ProbePacket, now: Instant) {
        self.unanswered = packet.keys;
        self.canary.restart(now);
    }

    /// The server's answers to [`ProbePacket::requests`].
    pub(super) fn record_replies(&mut self, packet: ProbePacket, replies: Vec<CommandReply>, now: Instant) {
        let mut replies = replies.into_iter();
        self.on_time_reply(replies.next().as_ref(), now);
        if packet.canary_life.is_some() {
            self.on_set_reply(replies.next(), now);
        }
        for asked in packet.keys {
            self.on_pttl_reply(asked, replies.next(), now);
        }
        if packet.scan.is_some() {
            self.on_scan_reply(replies.next(), now);
        }
        self.context.counters.late_us.store(self.lateness.worst(now, self.sweep.lateness()), Relaxed);
    }

    fn on_time_reply(&self, answer: Option<&CommandReply>, now: Instant) {
        if let Some(CommandReply::Values(time)) = answer
            && let Some(millis) = command_reply::time(time)
        {
            self.context.clock.set(now, millis);
        }
    }

    fn on_set_reply(&mut self, answer: Option<CommandReply>, now: Instant) {
        if let Some(CommandReply::No(why)) = answer {
            self.canary.record_denied(now);
            self.denied.deny(
                ProbeCommand::SetCanary,
                now,
                &format!("the key {} may not be set", self.context.canary.key().escape_ascii()),
                &why,
            );
            return;
        }
        let due = self.canary.record_set(now);
        self.deadlines.learn_always(self.context.canary.key(), due);
    }

    fn on_pttl_reply(&mut self, asked: ProbedKey, answer: Option<CommandReply>, now: Instant) {
        let left = match answer {
            Some(CommandReply::Number(left)) => left,
            Some(CommandReply::No(why)) => {
                return self.denied.deny(
                    ProbeCommand::Pttl,
                    now,
                    "keys may not be asked when they expire",
                    &why,
                );
            }
            _ => return,
        };
        if let Some(due) = asked.due {
            self.lateness.record(now.saturating_duration_since(due));
        }
        let Ok(left) = u64::try_from(left) else {
            // It has expired by now, was deleted, or has no deadline any more.
            self.deadlines.forget(&asked.key);
            if self.context.canary.is(&asked.key) {
                self.canary.record_deleted(now, self.context.listen_state.announced());
            }
            return;
        };
        let due = now + Duration::from_millis(left).min(DEADLINE_HORIZON) + DEADLINE_MARGIN;
        if self.context.canary.is(&asked.key) {
            return self.deadlines.learn_always(&asked.key, due);
        }
        let learned = self.deadlines.learn(&asked.key, due);
        if learned == Learned::Full {
            self.sweep.record_spill();
        }
        let context = &self.context;
        if context.remembers() && (learned != Learned::AlreadyKnown || context.handoff.has_missed()) {
            let deadline_ms = context.clock.at(now).saturating_add(left);
            context.handoff.put(KeyDeadline { key: asked.key, deadline_ms });
        }
    }

    fn on_scan_reply(&mut self, answer: Option<CommandReply>, now: Instant) {
        match answer {
            Some(CommandReply::Values(values)) => {
                let Some((cursor, keys)) = command_reply::scanned(values) else { return };
                self.queue_scanned(keys);
                if self.sweep.record_step(&cursor, now) {
                    self.probe_all = false;
                    self.context.handoff.record_sweep();
                }
            }
            Some(CommandReply::No(why)) => self.denied.deny(
                ProbeCommand::Scan,
                now,
                "SCAN may not be used: deadlines of before are not known",
                &why,
            ),
            _ => {}
        }
    }

    /// A step of a sweep has found them.
    fn queue_scanned(&mut self, keys: Vec<Vec<u8>>) {
        let room = self.deadlines.has_room();
        let all = self.probe_all || self.context.handoff.has_missed();
        for key in keys.into_iter().filter(|key| self.context.filter.wants(key)) {
            if room && (all || !self.deadlines.knows(&key)) {
                self.scanned.push_back(key);
            } else if !room && !self.deadlines.knows(&key) {
                self.sweep.record_spill();
            }
        }
    }

    fn check_canary(&mut self, now: Instant) {
        let seen = self.canary.check(now, self.context.listen_state.announced());
        match seen {
            CanaryReport::Nothing => {}
            CanaryReport::Received(late) => self.lateness.record(late),
            CanaryReport::ReceivedAgain(after) => log::warn!(
                "{}: {}: keys that expire are heard of again after {:.1} s",
                self.context.job,
                self.context.expire.server,
                after.as_secs_f64()
            ),
            CanaryReport::Silent => {
                log::error!(
                    "{}: {}: keys that expire are not heard of: {} was deleted and not announced; connecting anew",
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
