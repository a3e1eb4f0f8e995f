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

use super::canary::{Rounds, Seen};
use super::deadlines::{Deadlines, HORIZON, Learned};
use super::gate::{Clock, Gate, millis};
use super::lateness::Lateness;
use super::listener::{Filter, is_closed};
use super::memory::Memory;
use super::news::News;
use super::pace::Pace;
use super::reply::{self, Answer};
use super::rights::{Right, Rights};
use super::sweep::{self, STEP, Sweep};
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::redis::{Link, Requests, cmd};
use crate::report::Counters;
use crate::threads;

/// Keys that are asked in one packet: so many take the server less than a millisecond.
const PACKET: usize = 256;
/// A key expires in the millisecond after its deadline.
const AFTER: Duration = Duration::from_millis(1);
/// How often one with nothing to do looks whether it is its turn.
const TURN: Duration = Duration::from_millis(200);
/// The longest wait for a deadline.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct Toucher {
    pub(super) job: &'static str,
    pub(super) server: String,
    pub(super) link: Link,
    pub(super) filter: Filter,
    pub(super) news: News,
    pub(super) gate: Gate,
    pub(super) clock: Clock,
    pub(super) pace: Arc<Mutex<Pace>>,
    pub(super) deadlines: Deadlines,
    pub(super) sweep: Sweep,
    pub(super) rounds: Rounds,
    pub(super) canary: Vec<u8>,
    /// Deadlines that are to be remembered elsewhere too.
    pub(super) remember: Option<Memory>,
    pub(super) counters: Arc<Counters>,
    pub(super) gone: Receiver<()>,
    pub(super) state: State,
}

/// What it has in mind beside the deadlines.
pub(super) struct State {
    /// The subscription that it works for.
    subscription: Option<u64>,
    /// What a sweep has found and nobody knows.
    found: VecDeque<Vec<u8>>,
    /// Taken from elsewhere, and not asked for want of an answer.
    unasked: Vec<Asked>,
    /// Every key is asked, known or not: deadlines may have changed unheard.
    ask_all: bool,
    rights: Rights,
    late: Lateness,
}

/// A key that is asked when it expires.
struct Asked {
    key: Vec<u8>,
    /// It is due since then.
    due: Option<Instant>,
}

/// One packet: what is asked in it, in this order.
struct Packet {
    canary: bool,
    keys: Vec<Asked>,
    /// The cursor of a sweep's step.
    scan: Option<Vec<u8>>,
}

impl Packet {
    fn is_empty(&self) -> bool {
        !self.canary && self.keys.is_empty() && self.scan.is_none()
    }
}

impl State {
    /// `about` opens the log lines of what is refused.
    pub(super) fn new(about: String, now: Instant) -> Self {
        Self {
            subscription: None,
            found: VecDeque::new(),
            unasked: Vec::new(),
            ask_all: false,
            rights: Rights::new(about),
            late: Lateness::new(now),
        }
    }
}

impl Toucher {
    /// Until its owner is gone.
    pub(super) fn run(mut self) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        while !is_closed(&self.gone) {
            let turn = threads::contain(|| self.turn());
            match turn {
                Ok(Ok(())) => backoff.reset(),
                Ok(Err(_told)) => {
                    let _alone = self.gone.recv_timeout(backoff.pause());
                }
                Err(panic) => {
                    log::error!("{}: a fault of our own while touching keys: {panic}", self.job);
                    self.sweep.missed();
                    let _alone = self.gone.recv_timeout(LONGEST_PAUSE);
                }
            }
        }
        // What is left of it is gone within a second anyway.
        let _gone = self.link.once(|connection| connection.ask(cmd("DEL").arg(&self.canary)));
    }

    /// One packet, or a wait for the next.
    fn turn(&mut self) -> Result<(), Fault> {
        let Some(subscription) = self.gate.listening() else {
            // What expires now is heard by nobody: it is not made to.
            let _alone = self.gone.recv_timeout(TURN);
            return Ok(());
        };
        let now = Instant::now();
        if self.state.subscription != Some(subscription) {
            self.state.subscription = Some(subscription);
            self.state.ask_all = true;
            self.sweep.restart(now);
            self.rounds.restart(now);
        }
        if self.news.missed() || self.remember.as_ref().is_some_and(Memory::missed) {
            self.sweep.missed();
        }
        self.look_at_canary(now);
        let packet = self.compose(now);
        if packet.is_empty() {
            self.wait(now);
            return Ok(());
        }
        self.exchange(packet)
    }

    /// What is to be asked now, as far as the pace allows.
    fn compose(&mut self, now: Instant) -> Packet {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let room = pace.room(PACKET, now);
        let mut packet = Packet { canary: false, keys: Vec::new(), scan: None };
        if self.state.rights.is_refused(Right::Touch, now) {
            // Deadlines that pass meanwhile are the server's own business.
            while self.deadlines.pop(now).is_some() {}
            self.news.take(usize::MAX);
            self.state.found.clear();
            self.state.unasked.clear();
            self.state.rights.needs_none(Right::Sweep, now);
        }
        if room > 0 {
            packet.canary =
                self.rounds.is_to_be_set(now) && !self.state.rights.is_refused(Right::Canary, now);
            packet.keys.append(&mut self.state.unasked);
            while packet.keys.len() < room
                && let Some((key, due)) = self.deadlines.pop(now)
            {
                packet.keys.push(Asked { key, due: Some(due) });
            }
            let left = room.saturating_sub(packet.keys.len());
            packet.keys.extend(self.news.take(left).into_iter().map(|key| Asked { key, due: None }));
            let left = room.saturating_sub(packet.keys.len()).min(self.state.found.len());
            packet.keys.extend(self.state.found.drain(..left).map(|key| Asked { key, due: None }));
            // Whatever else there is comes first.
            if packet.keys.len() < room
                && self.state.found.is_empty()
                && !self.state.rights.is_refused(Right::Sweep, now)
            {
                packet.scan = self.sweep.step(now);
            }
        }
        let scanned = if packet.scan.is_some() { STEP } else { 0 };
        pace.take(packet.keys.len() + usize::from(packet.canary) + scanned);
        packet
    }

    /// Until something is due or new.
    fn wait(&self, now: Instant) {
        let room = self.pace.lock().unwrap_or_else(PoisonError::into_inner).room(1, now) > 0;
        let mut until = now + LONGEST_WAIT;
        let mut due = |moment: Option<Instant>| until = moment.map_or(until, |moment| until.min(moment));
        due(self.deadlines.next());
        if !self.state.rights.is_refused(Right::Canary, now) {
            due(self.rounds.next());
        }
        if !self.state.rights.is_refused(Right::Sweep, now) {
            // One that is under way goes on at once.
            due(self.sweep.due().or(Some(now)));
        }
        if !self.news.is_empty() || !self.state.found.is_empty() || !self.state.unasked.is_empty() {
            until = now;
        }
        if !room {
            let next = self.pace.lock().unwrap_or_else(PoisonError::into_inner).next(now);
            until = until.max(next);
        }
        select! {
            recv(self.news.waker()) -> _ => {}
            recv(self.gone) -> _ => {}
            default(until.saturating_duration_since(Instant::now())) => {}
        }
    }

    fn exchange(&mut self, packet: Packet) -> Result<(), Fault> {
        let mut requests = Requests::default();
        requests.add(&cmd("TIME"));
        if packet.canary {
            let mut set = cmd("SET");
            requests.add(set.arg(&self.canary).arg("").arg("PX").arg(millis(self.rounds.life())));
        }
        for asked in &packet.keys {
            requests.add(cmd("PTTL").arg(&asked.key));
        }
        if let Some(cursor) = &packet.scan {
            requests.add(&sweep::command(cursor, &self.filter.prefix));
        }
        let gate = self.gate.clone();
        let answers = self.link.doing("touch").with_retry(|connection| {
            let answers = connection.ask_all(&requests)?;
            reply::sort(answers).inspect_err(|trouble| {
                if trouble.has_code("READONLY") {
                    // It was a master when the listener asked.
                    gate.renew();
                }
            })
        });
        let now = Instant::now();
        let mut answers = match answers {
            Ok(answers) => answers.into_iter(),
            Err(told) => {
                self.state.unasked = packet.keys;
                self.rounds.restart(now);
                return Err(told);
            }
        };
        self.clock_said(answers.next().as_ref(), now);
        if packet.canary {
            self.canary_said(answers.next(), now);
        }
        for asked in packet.keys {
            self.key_said(asked, answers.next(), now);
        }
        if packet.scan.is_some() {
            self.sweep_said(answers.next(), now);
        }
        self.counters.late_us.store(self.state.late.worst(now, self.sweep.lateness()), Relaxed);
        Ok(())
    }

    fn clock_said(&self, answer: Option<&Answer>, now: Instant) {
        if let Some(Answer::Values(time)) = answer
            && let Some(millis) = reply::time(time)
        {
            self.clock.set(now, millis);
        }
    }

    fn canary_said(&mut self, answer: Option<Answer>, now: Instant) {
        if let Some(Answer::No(why)) = answer {
            self.rounds.was_refused(now);
            self.state.rights.refuse(
                Right::Canary,
                now,
                &format!("the key {} may not be set", self.canary.escape_ascii()),
                &why,
            );
            return;
        }
        let due = self.rounds.was_set(now);
        self.deadlines.insist(&self.canary, due);
    }

    fn key_said(&mut self, asked: Asked, answer: Option<Answer>, now: Instant) {
        let left = match answer {
            Some(Answer::Number(left)) => left,
            Some(Answer::No(why)) => {
                return self.state.rights.refuse(
                    Right::Touch,
                    now,
                    "keys may not be asked when they expire",
                    &why,
                );
            }
            _ => return,
        };
        if let Some(due) = asked.due {
            self.state.late.saw(now.saturating_duration_since(due));
        }
        let Ok(left) = u64::try_from(left) else {
            // It has expired by now, was deleted, or has no deadline any more.
            self.deadlines.forget(&asked.key);
            if asked.key == self.canary {
                self.rounds.is_gone(now, self.gate.announced());
            }
            return;
        };
        let due = now + Duration::from_millis(left).min(HORIZON) + AFTER;
        if asked.key == self.canary {
            return self.deadlines.insist(&asked.key, due);
        }
        let learned = self.deadlines.learn(&asked.key, due);
        if learned == Learned::Full {
            self.sweep.spill();
        }
        if let Some(memory) = &self.remember
            && (learned != Learned::Known || memory.missed())
        {
            memory.put(asked.key, self.clock.at(now).saturating_add(left));
        }
    }

    fn sweep_said(&mut self, answer: Option<Answer>, now: Instant) {
        match answer {
            Some(Answer::Values(values)) => {
                let Some((cursor, keys)) = reply::scanned(values) else { return };
                self.found(keys);
                if self.sweep.stepped(&cursor, now) {
                    self.state.ask_all = false;
                    self.remember.iter().for_each(Memory::swept);
                }
            }
            Some(Answer::No(why)) => self.state.rights.refuse(
                Right::Sweep,
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
        let all = self.state.ask_all || self.remember.as_ref().is_some_and(Memory::missed);
        for key in keys.into_iter().filter(|key| self.filter.wants(key)) {
            if room && (all || !self.deadlines.knows(&key)) {
                self.state.found.push_back(key);
            } else if !room && !self.deadlines.knows(&key) {
                self.sweep.spill();
            }
        }
    }

    fn look_at_canary(&mut self, now: Instant) {
        let seen = self.rounds.look(now, self.gate.announced());
        match seen {
            Seen::Nothing => {}
            Seen::Heard(late) => self.state.late.saw(late),
            Seen::HeardAgain(after) => log::warn!(
                "{}: {}: keys that expire are heard of again after {:.1} s",
                self.job,
                self.server,
                after.as_secs_f64()
            ),
            Seen::Silent => {
                log::error!(
                    "{}: {}: keys that expire are not heard of: {} was deleted and not announced; connecting anew",
                    self.job,
                    self.server,
                    self.canary.escape_ascii()
                );
                self.gate.renew();
            }
            Seen::StillSilent => self.gate.renew(),
        }
        self.state.late.saw(self.rounds.lateness(now));
    }
}
