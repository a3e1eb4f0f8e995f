//! The thread that touches keys when they are due, so that the server notices that they
//! have expired: everything it asks goes in packets, the due keys first, no more a second
//! than it may.
//!
//! A key is touched by PTTL, which makes the server delete what has expired, and says of
//! what has not when it will: learning a deadline and touching a key are one question.
//! Deadlines are kept by our own clock, counted from the answer, so that it does not
//! matter what the server's clock shows.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, select};

use super::canary::{self, Rounds, Seen};
use super::deadlines::{Deadlines, HORIZON, Learned};
use super::gate::{Clock, Gate, millis};
use super::listener::{Filter, is_closed};
use super::memory::Memory;
use super::news::News;
use super::pace::Pace;
use super::reply::{self, Answer};
use super::sweep::{self, Sweep};
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::redis::{Cmd, Link, Requests, cmd};
use crate::report::Counters;
use crate::threads;

/// Keys that are asked in one packet: so many take the server less than a millisecond.
const PACKET: usize = 256;
/// Keys that one step of a sweep looks at.
const STEP: usize = 500;
/// A key expires in the millisecond after its deadline.
const AFTER: Duration = Duration::from_millis(1);
/// How often one with nothing to do looks whether it is its turn.
const TURN: Duration = Duration::from_millis(200);
/// The longest wait for a deadline.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// What may not be asked is tried again after this.
const REFUSED: Duration = Duration::from_secs(60);
/// The lateness that is shown is the worst of this time, at least.
const SHOWN: Duration = Duration::from_secs(60);

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
    /// Until when it is not tried again.
    refused: HashMap<Right, Instant>,
    /// Microseconds: the worst lateness of this time and of the one before.
    late: (u64, u64),
    late_since: Instant,
}

/// What may be refused by an access list, each told once.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Right {
    Touch,
    Sweep,
    Canary,
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
    pub(super) fn new(now: Instant) -> Self {
        Self {
            subscription: None,
            found: VecDeque::new(),
            unasked: Vec::new(),
            ask_all: false,
            refused: HashMap::new(),
            late: (0, 0),
            late_since: now,
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
        if self.is_refused(Right::Touch, now) {
            // Deadlines that pass meanwhile are the server's own business.
            while self.deadlines.pop(now).is_some() {}
            self.news.take(usize::MAX);
            self.state.found.clear();
            self.state.unasked.clear();
        }
        if room > 0 {
            packet.canary = self.rounds.is_to_be_set(now) && !self.is_refused(Right::Canary, now);
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
            if packet.keys.len() < room && self.state.found.is_empty() && !self.is_refused(Right::Sweep, now) {
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
        let mut due = |moment: Option<Instant>| until = until.min(moment.unwrap_or(until));
        due(self.rounds.next());
        due(self.deadlines.next());
        if !self.is_refused(Right::Sweep, now) {
            due(self.sweep.due());
        }
        let at_once = !self.news.is_empty() || !self.state.found.is_empty() || !self.state.unasked.is_empty();
        if at_once || self.sweep.due().is_none() {
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
            requests.add(set.arg(&self.canary).arg("").arg("PX").arg(millis(canary::LIFE)));
        }
        for asked in &packet.keys {
            requests.add(cmd("PTTL").arg(&asked.key));
        }
        if let Some(cursor) = &packet.scan {
            requests.add(&self.scan(cursor));
        }
        let gate = self.gate.clone();
        let answers = self.link.doing("touch").again(|connection| {
            let answers = connection.ask_all(&requests)?;
            reply::sort(answers).inspect_err(|trouble| {
                if trouble.is("READONLY") {
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
        self.show(now);
        Ok(())
    }

    fn scan(&self, cursor: &[u8]) -> Cmd {
        let mut scan = cmd("SCAN");
        scan.arg(cursor);
        if !self.filter.prefix.is_empty() {
            scan.arg("MATCH").arg(sweep::pattern(&self.filter.prefix));
        }
        scan.arg("COUNT").arg(STEP);
        scan
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
            self.refuse(Right::Canary, now, &format!("the key {} may not be set", self.canary.escape_ascii()), &why);
            return;
        }
        let due = self.rounds.was_set(now);
        self.deadlines.insist(&self.canary, due);
    }

    fn key_said(&mut self, asked: Asked, answer: Option<Answer>, now: Instant) {
        let left = match answer {
            Some(Answer::Number(left)) => left,
            Some(Answer::No(why)) => return self.refuse(Right::Touch, now, "keys may not be asked when they expire", &why),
            _ => return,
        };
        if let Some(due) = asked.due {
            self.late(now.saturating_duration_since(due));
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
            Some(Answer::No(why)) => self.refuse(Right::Sweep, now, "SCAN may not be used: deadlines of before are not known", &why),
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
            Seen::Heard(late) => self.late(late),
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
        self.late(self.rounds.lateness(now));
    }

    fn late(&mut self, late: Duration) {
        let micros = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        self.state.late.0 = self.state.late.0.max(micros);
    }

    /// The state line's figure.
    fn show(&mut self, now: Instant) {
        let (this, before) = self.state.late;
        let worst = this.max(before).max(u64::try_from(self.sweep.lateness().as_micros()).unwrap_or(u64::MAX));
        self.counters.late.store(worst, Relaxed);
        if now > self.state.late_since + SHOWN {
            self.state.late = (0, this);
            self.state.late_since = now;
        }
    }

    fn is_refused(&self, right: Right, now: Instant) -> bool {
        self.state.refused.get(&right).is_some_and(|until| now < *until)
    }

    /// Said once; tried again from time to time.
    fn refuse(&mut self, right: Right, now: Instant, what: &str, why: &str) {
        if self.state.refused.insert(right, now + REFUSED).is_none() {
            log::warn!("{}: {}: {what}, keys may be late: {why}", self.job, self.server);
        }
    }
}
