//! The thread that touches keys when they are due, so that the server notices that they
//! have expired: everything it asks goes in packets, the due keys first, no more a second
//! than it may.
//!
//! A key is touched by PTTL, which makes the server delete what has expired, and says of
//! what has not when it will: learning a deadline and touching a key are one question.
//! Deadlines are kept by our own clock, counted from the answer, so that it does not
//! matter what the server's clock shows.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crossbeam_channel::select;

use super::canary_probe::{CanaryProbe, CanaryReport};
use super::command_reply::{self, CommandReply};
use super::context::ExpiryContext;
use super::deadline_handoff::KeyDeadline;
use super::deadlines::{DEADLINE_HORIZON, Deadlines, Learned};
use super::denied_commands::{DeniedCommands, ProbeCommand};
use super::lateness::Lateness;
use super::server_clock::millis;
use super::sweep::{self, SCAN_COUNT, Sweep};
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::redis::{Link, Requests, cmd};
use crate::threads;

/// Keys that are asked in one packet: so many take the server less than a millisecond.
const PACKET_KEYS_MAX: usize = 256;
/// A key expires in the millisecond after its deadline.
const DEADLINE_MARGIN: Duration = Duration::from_millis(1);
/// How often one with nothing to do looks whether it is its turn.
const LISTEN_POLL_INTERVAL: Duration = Duration::from_millis(200);
/// The longest wait for a deadline.
const IDLE_WAIT_MAX: Duration = Duration::from_secs(5);
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(50);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct ExpireProbe {
    context: Arc<ExpiryContext>,
    link: Link,
    deadlines: Deadlines,
    sweep: Sweep,
    canary: CanaryProbe,
    /// The subscription that it works for.
    subscription: Option<u64>,
    /// What a sweep has found and nobody knows.
    scanned: VecDeque<Vec<u8>>,
    /// Taken from elsewhere, and not asked for want of an answer.
    unanswered: Vec<ProbedKey>,
    /// Every key is asked, known or not: deadlines may have changed unheard.
    probe_all: bool,
    denied: DeniedCommands,
    lateness: Lateness,
}

/// A key that is asked when it expires.
struct ProbedKey {
    key: Vec<u8>,
    /// It is due since then.
    due: Option<Instant>,
}

/// One packet: what is asked in it, in this order.
struct ProbePacket {
    canary: bool,
    keys: Vec<ProbedKey>,
    /// The cursor of a sweep's step.
    scan: Option<Vec<u8>>,
}

impl ProbePacket {
    fn is_empty(&self) -> bool {
        !self.canary && self.keys.is_empty() && self.scan.is_none()
    }

    /// What it costs the server, in keys.
    fn cost(&self) -> usize {
        let scanned = if self.scan.is_some() { SCAN_COUNT } else { 0 };
        self.keys.len() + usize::from(self.canary) + scanned
    }

    /// The commands: TIME, and then what the packet holds, in the order of its fields.
    fn requests(&self, context: &ExpiryContext, canary_life: Duration) -> Requests {
        let mut requests = Requests::default();
        requests.add(&cmd("TIME"));
        if self.canary {
            let mut set = cmd("SET");
            requests.add(set.arg(context.canary.key()).arg("").arg("PX").arg(millis(canary_life)));
        }
        for asked in &self.keys {
            requests.add(cmd("PTTL").arg(&asked.key));
        }
        if let Some(cursor) = &self.scan {
            requests.add(&sweep::command(cursor, &context.filter.prefix));
        }
        requests
    }
}

impl ExpireProbe {
    pub(super) fn new(context: &Arc<ExpiryContext>, now: Instant) -> Self {
        Self {
            link: context.expire.link(),
            deadlines: Deadlines::new(context.memory, now),
            sweep: Sweep::new(now),
            canary: CanaryProbe::new(context.canary.clone(), now),
            subscription: None,
            scanned: VecDeque::new(),
            unanswered: Vec::new(),
            probe_all: false,
            denied: DeniedCommands::new(format!("{}: {}", context.job, context.expire.server)),
            lateness: Lateness::new(now),
            context: Arc::clone(context),
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
                    self.sweep.request();
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
            self.probe_all = true;
            self.sweep.restart(now);
            self.canary.restart(now);
        }
        if self.context.changed_keys.take_missed() || self.context.handoff.has_missed() {
            self.sweep.request();
        }
        self.check_canary(now);
        let packet = self.compose(now);
        if packet.is_empty() {
            self.wait(now);
            return Ok(());
        }
        self.exchange(packet)
    }

    /// What is to be asked now, as far as the pace allows.
    fn compose(&mut self, now: Instant) -> ProbePacket {
        if self.denied.is_denied(ProbeCommand::Pttl, now) {
            self.discard(now);
        }
        let mut rate = self.context.rate();
        let room = rate.room(PACKET_KEYS_MAX, now);
        let mut packet = ProbePacket { canary: false, keys: Vec::new(), scan: None };
        if room > 0 {
            packet.canary =
                self.canary.is_due_to_set(now) && !self.denied.is_denied(ProbeCommand::SetCanary, now);
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

    /// Until something is due or new.
    fn wait(&self, now: Instant) {
        let room = self.context.rate().room(1, now) > 0;
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
        if !room {
            let next = self.context.rate().next(now);
            until = until.max(next);
        }
        select! {
            recv(self.context.changed_keys.waker()) -> _ => {}
            recv(self.context.end) -> _ => {}
            default(until.saturating_duration_since(Instant::now())) => {}
        }
    }

    fn exchange(&mut self, packet: ProbePacket) -> Result<(), Fault> {
        let requests = packet.requests(&self.context, self.canary.life());
        let listen_state = &self.context.listen_state;
        let answers = self.link.doing("probe").with_retry(|connection| {
            let answers = connection.ask_all(&requests)?;
            command_reply::sort(answers).inspect_err(|trouble| {
                if trouble.has_code("READONLY") {
                    // It was a master when the listener asked.
                    listen_state.request_reconnect();
                }
            })
        });
        let now = Instant::now();
        let mut answers = match answers {
            Ok(answers) => answers.into_iter(),
            Err(fault) => {
                self.unanswered = packet.keys;
                self.canary.restart(now);
                return Err(fault);
            }
        };
        self.on_time_reply(answers.next().as_ref(), now);
        if packet.canary {
            self.on_set_reply(answers.next(), now);
        }
        for asked in packet.keys {
            self.on_pttl_reply(asked, answers.next(), now);
        }
        if packet.scan.is_some() {
            self.on_scan_reply(answers.next(), now);
        }
        self.context.counters.late_us.store(self.lateness.worst(now, self.sweep.lateness()), Relaxed);
        Ok(())
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
mod tests {
    use super::super::context::{Reconciliation, tests::context};
    use super::*;

    fn names(packet: &ProbePacket) -> Vec<&[u8]> {
        packet.keys.iter().map(|asked| asked.key.as_slice()).collect()
    }

    fn asked(key: &str) -> ProbedKey {
        ProbedKey { key: key.as_bytes().to_vec(), due: None }
    }

    /// Keys that are due before keys that changed, those before keys of a sweep, and a sweep's
    /// next step only when nothing else is left.
    #[test]
    fn a_packet_holds_the_urgent_first() {
        let (context, _owner) = context(Reconciliation::Off);
        let now = Instant::now();
        let mut probe = ExpireProbe::new(&context, now);
        probe.on_pttl_reply(asked("k:due"), Some(CommandReply::Number(5)), now);
        probe.scanned.extend((0..99).map(|n| format!("k:scanned {n}").into_bytes()));
        context.changed_keys.put(b"k:changed");
        let later = now + Duration::from_secs(1);
        let packet = probe.compose(later);
        assert_eq!(names(&packet)[..2], [b"k:due".as_slice(), b"k:changed"]);
        assert!(packet.canary && packet.scan.is_none() && packet.keys[0].due.is_some());
        assert_eq!(packet.keys.len(), 100, "a tenth of a second's worth");
        assert!(probe.compose(later).is_empty(), "the rate is used up");
        let packet = probe.compose(later + Duration::from_secs(1));
        assert_eq!(packet.keys.len(), 1);
        assert_eq!(packet.scan.as_deref(), Some(b"0".as_slice()));
    }

    #[test]
    fn while_pttl_is_denied_nothing_is_asked() {
        let (context, _owner) = context(Reconciliation::Off);
        let now = Instant::now();
        let mut probe = ExpireProbe::new(&context, now);
        probe.on_pttl_reply(asked("k:a"), Some(CommandReply::No("NOPERM".to_owned())), now);
        context.changed_keys.put(b"k:b");
        let packet = probe.compose(now);
        assert!(packet.canary && packet.keys.is_empty() && packet.scan.is_none());
        context.changed_keys.put(b"k:c");
        let packet = probe.compose(now + Duration::from_secs(61));
        assert_eq!((names(&packet), packet.scan.is_some()), (vec![b"k:c".as_slice()], true));
    }

    #[test]
    fn a_deadline_that_is_learned_is_remembered_once() {
        let (context, _owner) = context(Reconciliation::On);
        let now = Instant::now();
        let mut probe = ExpireProbe::new(&context, now);
        context.clock.set(now, 1_000_000);
        for left in [5000, 6000] {
            probe.on_pttl_reply(asked("k:a"), Some(CommandReply::Number(left)), now);
        }
        let expected = KeyDeadline { key: b"k:a".to_vec(), deadline_ms: 1_005_000 };
        assert_eq!(context.handoff.take(Duration::ZERO), [expected]);
        probe.on_pttl_reply(asked("k:a"), Some(CommandReply::Number(-2)), now);
        assert!(!probe.deadlines.knows(b"k:a"));
    }

    /// After a new subscription every key is asked, and from the next sweep on unknown ones.
    #[test]
    fn a_sweep_asks_for_keys_that_are_not_known() {
        let (context, _owner) = context(Reconciliation::Off);
        let now = Instant::now();
        let mut probe = ExpireProbe::new(&context, now);
        probe.on_pttl_reply(asked("k:known"), Some(CommandReply::Number(5000)), now);
        let keys = || ["k:known", "k:new", "other"].map(|key| key.as_bytes().to_vec()).to_vec();
        probe.queue_scanned(keys());
        assert_eq!(probe.scanned, [b"k:new"]);
        (probe.probe_all, probe.scanned) = (true, VecDeque::new());
        probe.queue_scanned(keys());
        assert_eq!(probe.scanned, [b"k:known".as_slice(), b"k:new"]);
    }
}
