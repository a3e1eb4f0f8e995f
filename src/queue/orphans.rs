//! Finds batch lists that nobody works on: those of instances without a heartbeat, and those
//! of this instance whose last move had no answer.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::beats::SeenBeats;
use super::keys::QueueKeys;
use crate::host::Process;
use crate::redis::{Cmd, RedisConnection, RedisError, Requests, Value, cmd};

/// An instance without a heartbeat and without items stays in the register for this long: it
/// may be suspended in the middle of a move, and continue.
const FORGET_SILENT_AFTER: Duration = Duration::from_secs(3600);
/// If the process of the instance has ended, the instance stays for this long, because the server may still
/// carry out a command that moves an item.
const FORGET_EXITED_AFTER: Duration = Duration::from_secs(60);
/// How many batch lists of one instance are checked. A larger number in the register is wrong.
const INSTANCE_SLOTS_MAX: u32 = 100_000;
/// How many moves without an answer are remembered.
const SUSPECTS_MAX: usize = 1000;

/// The orphans found so far, and the other instances without a heartbeat.
pub(super) struct Orphans {
    /// The time between two scans: half a time to live, so that an expired heartbeat is seen soon.
    every: Duration,
    next: Instant,
    found: VecDeque<Orphan>,
    /// Batch lists of this instance that may hold items, and since when.
    suspects: VecDeque<(String, Instant)>,
    expired: HashMap<String, ExpiredInstance>,
    /// The other instances that live, as the last scan has found.
    alive: HashSet<String>,
    beats: SeenBeats,
}

/// A batch list that nobody works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Orphan {
    batch: String,
    /// The instance without a heartbeat that owned the list; `None` means this instance.
    of: Option<String>,
    /// The beat of that instance, if it had no heartbeat. If it has another one by now, the instance lives.
    beat: Option<String>,
}

/// The facts about an instance without a heartbeat.
struct ExpiredInstance {
    since: Instant,
    /// Whether the process of the instance has certainly ended.
    exited: bool,
}

impl ExpiredInstance {
    /// Whether no command of the instance can move an item any more.
    fn may_be_forgotten(&self, now: Instant) -> bool {
        let after = if self.exited { FORGET_EXITED_AFTER } else { FORGET_SILENT_AFTER };
        now.saturating_duration_since(self.since) > after
    }
}

impl Orphans {
    /// Nothing is known yet. `ttl` is how long a heartbeat counts.
    pub(super) fn new(ttl: Duration, now: Instant) -> Self {
        Self {
            every: ttl / 2,
            next: now,
            found: VecDeque::new(),
            suspects: VecDeque::new(),
            expired: HashMap::new(),
            alive: HashSet::new(),
            beats: SeenBeats::new(ttl),
        }
    }

    /// Remembers a batch list of this instance: a move to the list had no answer, so the list may hold
    /// items now or later.
    pub(super) fn suspect(&mut self, batch: String, now: Instant) {
        self.suspects.push_back((batch, now));
        if self.suspects.len() > SUSPECTS_MAX {
            // When this instance has ended, another instance finds the items of the forgotten list.
            self.suspects.pop_front();
        }
        self.next = now;
    }

    /// Whether a batch list of this instance may hold items that nobody works on.
    pub(super) fn has_suspects(&self) -> bool {
        !self.suspects.is_empty()
    }

    /// Whether it is time for a scan.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// The next batch list to take over.
    pub(super) fn pop(&mut self) -> Option<Orphan> {
        self.found.pop_front()
    }

    /// The other instances that live, as the last scan has found.
    pub(super) fn alive(&self) -> &HashSet<String> {
        &self.alive
    }

    /// Looks for batch lists that nobody works on. The clock is read after each answer of the server,
    /// because the server may be slow.
    pub(super) fn scan(
        &mut self,
        connection: &mut RedisConnection,
        keys: &QueueKeys,
        own: &str,
        clock: impl Fn() -> Instant,
    ) -> Result<(), RedisError> {
        let now = clock();
        self.suspects.retain(|(_, since)| now.saturating_duration_since(*since) < FORGET_SILENT_AFTER);
        let mut candidates: Vec<Orphan> = self
            .suspects
            .iter()
            .map(|(batch, _)| Orphan { batch: batch.clone(), of: None, beat: None })
            .collect();
        let expired = self.expired(connection, keys, own, &clock)?;
        for (instance, slots) in &expired {
            let of_it = |slot| Orphan {
                batch: keys.batch(instance, slot),
                of: Some(instance.clone()),
                beat: self.beats.last(instance).map(str::to_owned),
            };
            candidates.extend((0..*slots).map(of_it));
        }
        let existing = exist(connection, &candidates)?;
        let mut holding: HashSet<String> = HashSet::new();
        for (orphan, _) in candidates.into_iter().zip(existing).filter(|(_, exists)| *exists) {
            holding.extend(orphan.of.clone());
            self.found.retain(|found| found.batch != orphan.batch);
            self.found.push_back(orphan);
        }
        for (instance, _) in &expired {
            if !holding.contains(instance) {
                self.forget_if_due(connection, keys, instance, clock())?;
            }
        }
        self.next = clock() + self.every;
        Ok(())
    }

    /// Every other instance without a heartbeat, and how many batch lists it has used.
    fn expired(
        &mut self,
        connection: &mut RedisConnection,
        keys: &QueueKeys,
        own: &str,
        clock: impl Fn() -> Instant,
    ) -> Result<Vec<(String, u32)>, RedisError> {
        let mut others = Vec::new();
        let Value::Array(registered) = connection.ask(cmd("HGETALL").arg(keys.instances()))? else {
            return Ok(others);
        };
        let texts: Vec<String> = registered.iter().map(text).collect();
        for pair in texts.chunks_exact(2) {
            if let [instance, slots] = pair
                && instance != own
            {
                others.push((instance.clone(), slots.parse::<u32>().unwrap_or(0).min(INSTANCE_SLOTS_MAX)));
            }
        }
        let mut requests = Requests::default();
        for (instance, _) in &others {
            requests.add(cmd("GET").arg(keys.heartbeat(instance)));
        }
        let heartbeats = connection.demand_all(&requests)?;
        let alive = self.with_beat(connection, keys, &others, &heartbeats, &clock)?;
        let now = clock();
        let mut expired = Vec::new();
        self.alive.clear();
        for ((instance, slots), heartbeat) in others.into_iter().zip(&heartbeats) {
            let exited = has_exited(heartbeat);
            if is_expired(Some(heartbeat)) && !alive.contains(&instance) {
                let known = ExpiredInstance { since: now, exited };
                self.expired.entry(instance.clone()).or_insert(known).exited |= exited;
                expired.push((instance, slots));
            } else {
                self.alive.insert(instance);
            }
        }
        self.expired.retain(|instance, _| expired.iter().any(|(one, _)| one == instance));
        Ok(expired)
    }

    /// The instances without a heartbeat whose beats show that they live.
    fn with_beat(
        &mut self,
        connection: &mut RedisConnection,
        keys: &QueueKeys,
        others: &[(String, u32)],
        heartbeats: &[Value],
        clock: impl Fn() -> Instant,
    ) -> Result<HashSet<String>, RedisError> {
        let missing = others.iter().zip(heartbeats).filter(|(_, heartbeat)| **heartbeat == Value::Nil);
        let missing: Vec<&str> = missing.map(|((instance, _), _)| instance.as_str()).collect();
        let mut requests = Requests::default();
        for instance in &missing {
            requests.add(cmd("GET").arg(keys.beat(instance)));
        }
        let beats = connection.demand_all(&requests)?;
        let now = clock();
        self.beats.keep_only(&missing);
        let alive = missing
            .iter()
            .zip(&beats)
            .filter(|(instance, beat)| self.beats.record(instance, &text(beat), now));
        Ok(alive.map(|(instance, _)| (*instance).to_owned()).collect())
    }

    /// Deletes an instance without a heartbeat and without items from the register, some time
    /// after its heartbeat expired.
    fn forget_if_due(
        &self,
        connection: &mut RedisConnection,
        keys: &QueueKeys,
        instance: &str,
        now: Instant,
    ) -> Result<(), RedisError> {
        let due = self.expired.get(instance).is_some_and(|expired| expired.may_be_forgotten(now));
        if due {
            connection.ask(cmd("HDEL").arg(keys.instances()).arg(instance))?;
            connection.ask(cmd("DEL").arg(keys.beat(instance)))?;
            connection.ask(cmd("HDEL").arg(keys.targets()).arg(instance))?;
        }
        Ok(())
    }
}

/// Renames the orphan's list to `key`, unless its instance has a heartbeat again. `register` is sent before
/// the renaming, because an instance that is not registered may take nothing. `unsure` is set while the
/// list may have been renamed, and stays set if it was.
///
/// Check and renaming are one step: because of WATCH, the renaming fails if the heartbeat or the beat is set
/// after the check. So once its heartbeat was accepted, an instance keeps the batch lists that it still
/// finds.
///
/// # Errors
/// The server's.
pub(super) fn take_over(
    connection: &mut RedisConnection,
    keys: &QueueKeys,
    orphan: &Orphan,
    register: &Cmd,
    key: &str,
    unsure: &mut bool,
) -> Result<(), RedisError> {
    if let Some(instance) = &orphan.of {
        let heartbeat = keys.heartbeat(instance);
        let mut requests = Requests::default();
        let beat = keys.beat(instance);
        requests.add(cmd("WATCH").arg(&heartbeat).arg(&beat));
        requests.add(cmd("GET").arg(&heartbeat)).add(cmd("GET").arg(&beat));
        let mut answers = connection.ask_all(&requests)?.into_iter();
        // Without WATCH the heartbeat may be set between check and renaming. Then a batch may be done
        // twice, but no item is lost.
        let watched = !matches!(answers.next(), Some(Value::ServerError(_)));
        let (heartbeat, beat) = (answers.next(), answers.next());
        let has_other_beat =
            orphan.beat.as_ref().is_some_and(|seen| beat.is_some_and(|beat| text(&beat) != *seen));
        if !is_expired(heartbeat.as_ref()) || has_other_beat {
            return if watched { connection.ask(&cmd("UNWATCH")).map(drop) } else { Ok(()) };
        }
    }
    let mut requests = Requests::default();
    requests.add(&cmd("MULTI")).add(register);
    requests.add(cmd("RENAMENX").arg(&orphan.batch).arg(key)).add(&cmd("EXEC"));
    *unsure = true;
    let done = connection.demand_all(&requests);
    if let Err(refusal @ RedisError::Refused { .. }) = done {
        *unsure = false;
        // Another instance has taken the list over.
        return if refusal.text_contains("no such key") { Ok(()) } else { Err(refusal) };
    }
    // If the heartbeat was set after the check, EXEC has no answers.
    *unsure = matches!(done?.last(), Some(Value::Array(_)));
    Ok(())
}

/// Whether the heartbeat is missing, or names a process that has ended.
fn is_expired(heartbeat: Option<&Value>) -> bool {
    heartbeat.is_some_and(|heartbeat| *heartbeat == Value::Nil || has_exited(heartbeat))
}

fn has_exited(heartbeat: &Value) -> bool {
    text(heartbeat).parse::<Process>().is_ok_and(|process| process.has_ended())
}

fn exist(connection: &mut RedisConnection, orphans: &[Orphan]) -> Result<Vec<bool>, RedisError> {
    let mut existing = Vec::with_capacity(orphans.len());
    for chunk in orphans.chunks(1000) {
        let mut requests = Requests::default();
        for orphan in chunk {
            requests.add(cmd("EXISTS").arg(&orphan.batch));
        }
        existing.extend(connection.demand_all(&requests)?.iter().map(|answer| *answer == Value::Int(1)));
    }
    Ok(existing)
}

fn text(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
