//! The thread that touches keys when they are due, so that the server notices that they
//! have expired: everything it asks goes in packets, the due keys first, no more a second
//! than it may.
//!
//! A key is touched by PTTL, which makes the server delete what has expired, and says of
//! what has not when it will: learning a deadline and touching a key are one question.
//! Deadlines are kept by our own clock, counted from the answer, so that it does not
//! matter what the server's clock shows.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, select};

use super::canary_probe::{CanaryProbe, CanaryReport};
use super::changed_keys::ChangedKeys;
use super::command_reply::{self, CommandReply};
use super::deadline_handoff::DeadlineHandoff;
use super::deadlines::{DEADLINE_HORIZON, Deadlines, Learned};
use super::denied_commands::{DeniedCommands, ProbeCommand};
use super::key_filter::KeyFilter;
use super::lateness::Lateness;
use super::listen_state::ListenState;
use super::listener::is_closed;
use super::rate_limiter::RateLimiter;
use super::server_clock::{ServerClock, millis};
use super::sweep::{self, SCAN_COUNT, Sweep};
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::redis::{Link, Requests, cmd};
use crate::report::Counters;
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
    pub(super) job: &'static str,
    pub(super) server: String,
    pub(super) link: Link,
    pub(super) filter: KeyFilter,
    pub(super) changed_keys: ChangedKeys,
    pub(super) listen_state: ListenState,
    pub(super) clock: ServerClock,
    pub(super) rate: Arc<Mutex<RateLimiter>>,
    pub(super) deadlines: Deadlines,
    pub(super) sweep: Sweep,
    pub(super) canary_probe: CanaryProbe,
    pub(super) canary: Vec<u8>,
    /// Deadlines that are to be remembered elsewhere too.
    pub(super) remember: Option<DeadlineHandoff>,
    pub(super) counters: Arc<Counters>,
    pub(super) gone: Receiver<()>,
    pub(super) state: ProbeState,
}

/// What it has in mind beside the deadlines.
pub(super) struct ProbeState {
    /// The subscription that it works for.
    subscription: Option<u64>,
    /// What a sweep has found and nobody knows.
    found: VecDeque<Vec<u8>>,
    /// Taken from elsewhere, and not asked for want of an answer.
    unasked: Vec<ProbedKey>,
    /// Every key is asked, known or not: deadlines may have changed unheard.
    ask_all: bool,
    denied: DeniedCommands,
    late: Lateness,
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
}

impl ProbeState {
    /// `about` opens the log lines of what is refused.
    pub(super) fn new(about: String, now: Instant) -> Self {
        Self {
            subscription: None,
            found: VecDeque::new(),
            unasked: Vec::new(),
            ask_all: false,
            denied: DeniedCommands::new(about),
            late: Lateness::new(now),
        }
    }
}

impl ExpireProbe {
    /// Until its owner is gone.
    pub(super) fn run(mut self) {
        let mut backoff = Backoff::new(RETRY_PAUSE_MIN, RETRY_PAUSE_MAX);
        while !is_closed(&self.gone) {
            let turn = threads::contain(|| self.turn());
            match turn {
                Ok(Ok(())) => backoff.reset(),
                Ok(Err(_told)) => {
                    let _alone = self.gone.recv_timeout(backoff.pause());
                }
                Err(panic) => {
                    log::error!("{}: a fault of our own while touching keys: {panic}", self.job);
                    self.sweep.request();
                    let _alone = self.gone.recv_timeout(RETRY_PAUSE_MAX);
                }
            }
        }
        // What is left of it is gone within a second anyway.
        let _gone = self.link.once(|connection| connection.ask(cmd("DEL").arg(&self.canary)));
    }

    /// One packet, or a wait for the next.
    fn turn(&mut self) -> Result<(), Fault> {
        let Some(subscription) = self.listen_state.subscription() else {
            // What expires now is heard by nobody: it is not made to.
            let _alone = self.gone.recv_timeout(LISTEN_POLL_INTERVAL);
            return Ok(());
        };
        let now = Instant::now();
        if self.state.subscription != Some(subscription) {
            self.state.subscription = Some(subscription);
            self.state.ask_all = true;
            self.sweep.restart(now);
            self.canary_probe.restart(now);
        }
        if self.changed_keys.take_missed() || self.remember.as_ref().is_some_and(DeadlineHandoff::has_missed)
        {
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
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        let room = rate.room(PACKET_KEYS_MAX, now);
        let mut packet = ProbePacket { canary: false, keys: Vec::new(), scan: None };
        if self.state.denied.is_denied(ProbeCommand::Pttl, now) {
            // Deadlines that pass meanwhile are the server's own business.
            while self.deadlines.pop(now).is_some() {}
            self.changed_keys.take(usize::MAX);
            self.state.found.clear();
            self.state.unasked.clear();
            self.state.denied.deny_unlogged(ProbeCommand::Scan, now);
        }
        if room > 0 {
            packet.canary = self.canary_probe.is_due_to_set(now)
                && !self.state.denied.is_denied(ProbeCommand::SetCanary, now);
            packet.keys.append(&mut self.state.unasked);
            while packet.keys.len() < room
                && let Some((key, due)) = self.deadlines.pop(now)
            {
                packet.keys.push(ProbedKey { key, due: Some(due) });
            }
            let left = room.saturating_sub(packet.keys.len());
            packet
                .keys
                .extend(self.changed_keys.take(left).into_iter().map(|key| ProbedKey { key, due: None }));
            let left = room.saturating_sub(packet.keys.len()).min(self.state.found.len());
            packet.keys.extend(self.state.found.drain(..left).map(|key| ProbedKey { key, due: None }));
            // Whatever else there is comes first.
            if packet.keys.len() < room
                && self.state.found.is_empty()
                && !self.state.denied.is_denied(ProbeCommand::Scan, now)
            {
                packet.scan = self.sweep.next_step(now);
            }
        }
        let scanned = if packet.scan.is_some() { SCAN_COUNT } else { 0 };
        rate.take(packet.keys.len() + usize::from(packet.canary) + scanned);
        packet
    }

    /// Until something is due or new.
    fn wait(&self, now: Instant) {
        let room = self.rate.lock().unwrap_or_else(PoisonError::into_inner).room(1, now) > 0;
        let mut until = now + IDLE_WAIT_MAX;
        let mut due = |moment: Option<Instant>| until = moment.map_or(until, |moment| until.min(moment));
        due(self.deadlines.next());
        if !self.state.denied.is_denied(ProbeCommand::SetCanary, now) {
            due(self.canary_probe.next());
        }
        if !self.state.denied.is_denied(ProbeCommand::Scan, now) {
            // One that is under way goes on at once.
            due(self.sweep.due().or(Some(now)));
        }
        if !self.changed_keys.is_empty() || !self.state.found.is_empty() || !self.state.unasked.is_empty() {
            until = now;
        }
        if !room {
            let next = self.rate.lock().unwrap_or_else(PoisonError::into_inner).next(now);
            until = until.max(next);
        }
        select! {
            recv(self.changed_keys.waker()) -> _ => {}
            recv(self.gone) -> _ => {}
            default(until.saturating_duration_since(Instant::now())) => {}
        }
    }

    fn exchange(&mut self, packet: ProbePacket) -> Result<(), Fault> {
        let mut requests = Requests::default();
        requests.add(&cmd("TIME"));
        if packet.canary {
            let mut set = cmd("SET");
            requests.add(set.arg(&self.canary).arg("").arg("PX").arg(millis(self.canary_probe.life())));
        }
        for asked in &packet.keys {
            requests.add(cmd("PTTL").arg(&asked.key));
        }
        if let Some(cursor) = &packet.scan {
            requests.add(&sweep::command(cursor, &self.filter.prefix));
        }
        let listen_state = self.listen_state.clone();
        let answers = self.link.doing("touch").with_retry(|connection| {
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
            Err(told) => {
                self.state.unasked = packet.keys;
                self.canary_probe.restart(now);
                return Err(told);
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
        self.counters.late_us.store(self.state.late.worst(now, self.sweep.lateness()), Relaxed);
        Ok(())
    }

    fn on_time_reply(&self, answer: Option<&CommandReply>, now: Instant) {
        if let Some(CommandReply::Values(time)) = answer
            && let Some(millis) = command_reply::time(time)
        {
            self.clock.set(now, millis);
        }
    }

    fn on_set_reply(&mut self, answer: Option<CommandReply>, now: Instant) {
        if let Some(CommandReply::No(why)) = answer {
            self.canary_probe.record_denied(now);
            self.state.denied.deny(
                ProbeCommand::SetCanary,
                now,
                &format!("the key {} may not be set", self.canary.escape_ascii()),
                &why,
            );
            return;
        }
        let due = self.canary_probe.record_set(now);
        self.deadlines.learn_always(&self.canary, due);
    }

    fn on_pttl_reply(&mut self, asked: ProbedKey, answer: Option<CommandReply>, now: Instant) {
        let left = match answer {
            Some(CommandReply::Number(left)) => left,
            Some(CommandReply::No(why)) => {
                return self.state.denied.deny(
                    ProbeCommand::Pttl,
                    now,
                    "keys may not be asked when they expire",
                    &why,
                );
            }
            _ => return,
        };
        if let Some(due) = asked.due {
            self.state.late.record(now.saturating_duration_since(due));
        }
        let Ok(left) = u64::try_from(left) else {
            // It has expired by now, was deleted, or has no deadline any more.
            self.deadlines.forget(&asked.key);
            if asked.key == self.canary {
                self.canary_probe.record_deleted(now, self.listen_state.announced());
            }
            return;
        };
        let due = now + Duration::from_millis(left).min(DEADLINE_HORIZON) + DEADLINE_MARGIN;
        if asked.key == self.canary {
            return self.deadlines.learn_always(&asked.key, due);
        }
        let learned = self.deadlines.learn(&asked.key, due);
        if learned == Learned::Full {
            self.sweep.record_spill();
        }
        if let Some(memory) = &self.remember
            && (learned != Learned::AlreadyKnown || memory.has_missed())
        {
            memory.put(asked.key, self.clock.at(now).saturating_add(left));
        }
    }

    fn on_scan_reply(&mut self, answer: Option<CommandReply>, now: Instant) {
        match answer {
            Some(CommandReply::Values(values)) => {
                let Some((cursor, keys)) = command_reply::scanned(values) else { return };
                self.found(keys);
                if self.sweep.record_step(&cursor, now) {
                    self.state.ask_all = false;
                    self.remember.iter().for_each(DeadlineHandoff::record_sweep);
                }
            }
            Some(CommandReply::No(why)) => self.state.denied.deny(
                ProbeCommand::Scan,
                now,
                "SCAN may not be used: deadlines of before are not known",
                &why,
            ),
            _ => {}
        }
    }

    /// A step of a sweep has found them.
    fn found(&mut self, keys: Vec<Vec<u8>>) {
        let room = self.deadlines.has_room();
        let all = self.state.ask_all || self.remember.as_ref().is_some_and(DeadlineHandoff::has_missed);
        for key in keys.into_iter().filter(|key| self.filter.wants(key)) {
            if room && (all || !self.deadlines.knows(&key)) {
                self.state.found.push_back(key);
            } else if !room && !self.deadlines.knows(&key) {
                self.sweep.record_spill();
            }
        }
    }

    fn check_canary(&mut self, now: Instant) {
        let seen = self.canary_probe.check(now, self.listen_state.announced());
        match seen {
            CanaryReport::Nothing => {}
            CanaryReport::Received(late) => self.state.late.record(late),
            CanaryReport::ReceivedAgain(after) => log::warn!(
                "{}: {}: keys that expire are heard of again after {:.1} s",
                self.job,
                self.server,
                after.as_secs_f64()
            ),
            CanaryReport::Silent => {
                log::error!(
                    "{}: {}: keys that expire are not heard of: {} was deleted and not announced; connecting anew",
                    self.job,
                    self.server,
                    self.canary.escape_ascii()
                );
                self.listen_state.request_reconnect();
            }
            CanaryReport::StillSilent => self.listen_state.request_reconnect(),
        }
        self.state.late.record(self.canary_probe.lateness(now));
    }
}
