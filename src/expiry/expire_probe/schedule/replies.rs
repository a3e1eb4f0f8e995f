//! What follows from each reply to a packet. Pure: the caller has the clock.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::{
    CLOCK_BACK_MAX, CommandReply, DEADLINE_HORIZON, DEADLINE_MARGIN, Deadlines, KEY_GONE, KeyDeadline,
    Learned, ProbeCommand, ProbeSchedule, ProbedKey, TimeAsked,
};
use crate::expiry::command_reply;
use crate::expiry::server_clock::{ClockSteps, micros};

impl ProbeSchedule {
    pub(super) fn on_time_reply(&mut self, reply: Option<CommandReply>, time: TimeAsked, now: Instant) {
        self.clock_asked = now;
        match reply {
            Some(CommandReply::Array(shown)) => {
                if let Some(micros) = command_reply::time_micros(&shown) {
                    self.context.clock.record(time.sent, time.received, micros);
                }
            }
            Some(CommandReply::Refused(why)) => self.denied.deny(
                ProbeCommand::Time,
                now,
                "TIME is refused, so keys may be pushed minutes late after a clock was set or this machine \
                 was suspended",
                &why,
            ),
            _ => {}
        }
        let steps = self.context.clock.steps();
        if steps != self.steps {
            self.on_clock_steps(steps, now);
        }
    }

    /// The server's clock was set, or this machine was suspended. Deadlines are kept by the server's clock,
    /// so these hold; but a key that was asked for in the same moment may have got a wrong one.
    fn on_clock_steps(&mut self, steps: ClockSteps, now: Instant) {
        self.clock_back = self.clock_back.saturating_add(steps.back.saturating_sub(self.steps.back));
        self.steps = steps;
        if self.clock_back > micros(CLOCK_BACK_MAX) {
            self.deadlines = Deadlines::new(self.context.memory);
            (self.clock_back, self.probe_all) = (0, false);
        }
        if self.probe_all && self.sweep.is_under_way() {
            // It goes on, and another one follows. If it began anew, a clock that is set again and again
            // would keep it from its end.
            self.probe_all_again = true;
            self.sweep.request();
        } else {
            self.probe_all = true;
            self.sweep.restart(now);
        }
        // The canary lives by the server's clock, too: for hours, if that was set back.
        self.canary.restart(now);
    }

    pub(super) fn on_write_reply(&mut self, reply: Option<CommandReply>, now: Instant) {
        if let Some(CommandReply::Refused(why)) = reply {
            self.denied.deny(
                ProbeCommand::LeadingWrite,
                now,
                "DEL is refused, so keys that expire while the server is paused may be pushed late",
                &why,
            );
        }
    }

    pub(super) fn on_set_reply(&mut self, name: &[u8], reply: Option<CommandReply>, now: Instant) {
        if let Some(CommandReply::Refused(why)) = reply {
            self.canary.record_denied(now);
            self.denied.deny(
                ProbeCommand::SetCanary,
                now,
                &format!(
                    "cannot set the canary {}, so a broken subscription may stay unnoticed, and reconcile \
                     finds nothing",
                    name.escape_ascii()
                ),
                &why,
            );
            return;
        }
        let due = self.canary.record_set(now);
        self.deadlines.learn_always(name, self.context.clock.at(due));
    }

    pub(super) fn on_pttl_reply(&mut self, probed: ProbedKey, reply: Option<CommandReply>, now: Instant) {
        let left = match reply {
            Some(CommandReply::Integer(left)) => left,
            Some(CommandReply::Refused(why)) => {
                self.context.awaited.settle(&probed.key);
                return self.denied.deny(
                    ProbeCommand::Pttl,
                    now,
                    "PTTL is refused, so expired keys may be pushed late",
                    &why,
                );
            }
            _ => {
                self.context.awaited.settle(&probed.key);
                return;
            }
        };
        // A key that is there was renewed, and did not expire.
        if let Some(due) = probed.due.filter(|_| left == KEY_GONE) {
            let late = self.context.clock.at(now).saturating_sub(due);
            self.lateness.record(Duration::from_micros(late));
        }
        let Ok(left) = u64::try_from(left) else { return self.on_gone(&probed, left, now) };
        let after = Duration::from_millis(left).min(DEADLINE_HORIZON) + DEADLINE_MARGIN;
        let due = self.context.clock.at(now).saturating_add(micros(after));
        if self.context.canary.is_any(&probed.key) {
            if self.context.canary.is_last(&probed.key) {
                self.deadlines.learn_always(&probed.key, due);
            }
            return;
        }
        self.context.awaited.settle(&probed.key);
        let learned = self.deadlines.learn(&probed.key, due);
        if learned == Learned::Full {
            self.sweep.record_overflow();
        }
        let context = &self.context;
        if context.remembers() && (learned != Learned::AlreadyKnown || context.handoff.has_missed()) {
            let deadline_ms = context.clock.at_ms(now).saturating_add(left);
            context.handoff.put(KeyDeadline { key: probed.key, deadline_ms: Some(deadline_ms) });
        }
    }

    /// The key has expired, was deleted, or has no deadline any more.
    fn on_gone(&mut self, probed: &ProbedKey, left: i64, now: Instant) {
        let ProbedKey { key, is_awaited, .. } = probed;
        let context = &self.context;
        self.deadlines.forget(key);
        if context.canary.is_any(key) {
            if context.canary.is_last(key) {
                self.canary.record_deleted(now, context.listen_state.announced());
            }
        } else if left == KEY_GONE && self.may_await(now) {
            if !is_awaited {
                context.awaited.begin(key, None);
            }
            context.awaited.record_gone(key, context.canary.number());
        } else {
            context.awaited.settle(key);
        }
    }

    pub(super) fn on_scan_reply(&mut self, reply: Option<CommandReply>, now: Instant) {
        match reply {
            Some(CommandReply::Array(values)) => {
                let Some((cursor, keys)) = command_reply::scan_step(values) else { return };
                self.keep_scanned(keys);
                if self.sweep.record_step(&cursor, now) {
                    self.probe_all = std::mem::take(&mut self.probe_all_again);
                    self.deadlines.record_seen(&self.context.canary.name(self.context.canary.number()));
                    self.deadlines.end_sweep();
                    self.context.handoff.record_sweep();
                    self.context.has_swept.store(true, Relaxed);
                }
            }
            Some(CommandReply::Refused(why)) => {
                self.context.has_swept.store(true, Relaxed);
                self.denied.deny(
                    ProbeCommand::Scan,
                    now,
                    "SCAN is refused, so keys whose deadlines were not announced may be late",
                    &why,
                );
            }
            _ => {}
        }
    }

    /// Keeps the keys of a sweep whose deadlines must be asked for.
    pub(super) fn keep_scanned(&mut self, keys: Vec<Vec<u8>>) {
        let has_room = self.deadlines.has_room();
        let all = self.probe_all || self.context.handoff.has_missed();
        for key in keys.into_iter().filter(|key| self.context.filter.wants(key)) {
            let is_known = self.deadlines.record_seen(&key);
            if has_room && (all || !is_known) {
                self.scanned.push_back(key);
            } else if !has_room && !is_known {
                self.sweep.record_overflow();
            }
        }
    }
}
