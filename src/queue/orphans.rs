//! Finds batch lists that nobody works on: those of dead instances, and those of this
//! one whose last move had no answer.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::QueueKeys;
use crate::host::Process;
use crate::redis::{Cmd, RedisConnection, RedisError, Requests, Value, cmd};

/// An instance that shows no life and holds nothing is remembered for this long: it may
/// be stopped in the middle of a move, and wake up.
const FORGET_SILENT_AFTER: Duration = Duration::from_secs(3600);
/// One whose process is gone can only have left a command that is still under way.
const FORGET_EXITED_AFTER: Duration = Duration::from_secs(60);
/// An instance that says it used more batch lists than this says nonsense.
const INSTANCE_SLOTS_MAX: u32 = 100_000;
/// So many moves without an answer are kept an eye on.
const SUSPECTS_MAX: usize = 1000;

/// What was found, and what is known of the others.
pub(super) struct Orphans {
    /// How often is looked: twice in a life, so that it is known in time who is dead.
    every: Duration,
    next: Instant,
    found: VecDeque<Orphan>,
    /// This instance's batch lists that may hold something.
    suspects: VecDeque<(String, Instant)>,
    dead: HashMap<String, ExpiredInstance>,
}

/// A batch list that nobody works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Orphan {
    batch: String,
    /// The dead instance that it was of; `None` is this one.
    of: Option<String>,
}

/// What is known of an instance without a sign of life.
struct ExpiredInstance {
    since: Instant,
    /// Its process certainly does not run any more.
    gone: bool,
}

impl Orphans {
    /// Nothing is known yet; signs of life last for `life`.
    pub(super) fn new(life: Duration) -> Self {
        Self {
            every: life / 2,
            next: Instant::now(),
            found: VecDeque::new(),
            suspects: VecDeque::new(),
            dead: HashMap::new(),
        }
    }

    /// A move to this batch list had no answer: it may be there, or come to be.
    pub(super) fn suspect(&mut self, batch: String) {
        self.suspects.push_back((batch, Instant::now()));
        if self.suspects.len() > SUSPECTS_MAX {
            // Another instance looks into it once this one has ended.
            self.suspects.pop_front();
        }
        self.next = Instant::now();
    }

    /// Whether a batch list of this instance may hold what nobody works on.
    pub(super) fn has_suspects(&self) -> bool {
        !self.suspects.is_empty()
    }

    pub(super) fn is_due(&self) -> bool {
        Instant::now() >= self.next
    }

    /// The next batch list to be taken over.
    pub(super) fn pop(&mut self) -> Option<Orphan> {
        self.found.pop_front()
    }

    /// Looks for all of them.
    pub(super) fn scan(
        &mut self,
        connection: &mut RedisConnection,
        keys: &QueueKeys,
        own: &str,
    ) -> Result<(), RedisError> {
        self.suspects.retain(|(_, since)| since.elapsed() < FORGET_SILENT_AFTER);
        let mut candidates: Vec<Orphan> =
            self.suspects.iter().map(|(batch, _)| Orphan { batch: batch.clone(), of: None }).collect();
        let dead = self.dead(connection, keys, own)?;
        for (instance, slots) in &dead {
            let of_it = |slot| Orphan { batch: keys.batch(instance, slot), of: Some(instance.clone()) };
            candidates.extend((0..*slots).map(of_it));
        }
        let there = exist(connection, &candidates)?;
        let mut holding: HashSet<String> = HashSet::new();
        for (orphan, _) in candidates.into_iter().zip(there).filter(|(_, there)| *there) {
            holding.extend(orphan.of.clone());
            if !self.found.contains(&orphan) {
                self.found.push_back(orphan);
            }
        }
        for (instance, _) in &dead {
            if !holding.contains(instance) {
                self.forget_in_time(connection, keys, instance)?;
            }
        }
        self.next = Instant::now() + self.every;
        Ok(())
    }

    /// Every other instance that shows no sign of life, and how many batch lists it has used.
    fn dead(
        &mut self,
        connection: &mut RedisConnection,
        keys: &QueueKeys,
        own: &str,
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
        let signs = connection.demand_all(&requests)?;
        let mut dead = Vec::new();
        for ((instance, slots), sign) in others.into_iter().zip(&signs) {
            let gone = is_process_gone(sign);
            if is_expired(Some(sign)) {
                let known = ExpiredInstance { since: Instant::now(), gone };
                self.dead.entry(instance.clone()).or_insert(known).gone |= gone;
                dead.push((instance, slots));
            }
        }
        self.dead.retain(|instance, _| dead.iter().any(|(one, _)| one == instance));
        Ok(dead)
    }

    /// A dead instance without anything is taken off the register, well after it died.
    fn forget_in_time(
        &self,
        connection: &mut RedisConnection,
        keys: &QueueKeys,
        instance: &str,
    ) -> Result<(), RedisError> {
        let ripe = self.dead.get(instance).is_some_and(|dead| {
            dead.since.elapsed() > if dead.gone { FORGET_EXITED_AFTER } else { FORGET_SILENT_AFTER }
        });
        if ripe {
            connection.ask(cmd("HDEL").arg(keys.instances()).arg(instance))?;
        }
        Ok(())
    }
}

/// Renames the orphan's list to `key`, unless its instance has shown a sign of life
/// meanwhile; `register` goes before it, since who is not registered may take nothing.
/// `unsure` is set while it may have been renamed, and left set if it was.
///
/// The two are one: WATCH has the renaming fail if the sign is set after it was found
/// missing. So an instance whose sign was accepted has what it still finds for good.
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
        let alive = keys.heartbeat(instance);
        let mut requests = Requests::default();
        requests.add(cmd("WATCH").arg(&alive)).add(cmd("GET").arg(&alive));
        let mut answers = connection.ask_all(&requests)?.into_iter();
        // A server that refuses WATCH leaves a moment between the two: then a batch may be
        // done twice, which loses nothing.
        let watched = !matches!(answers.next(), Some(Value::ServerError(_)));
        if !is_expired(answers.next().as_ref()) {
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
        // Somebody else was quicker.
        return if refusal.text_contains("no such key") { Ok(()) } else { Err(refusal) };
    }
    // Without an answer in it, the sign of life was set.
    *unsure = matches!(done?.last(), Some(Value::Array(_)));
    Ok(())
}

/// Whether the sign of life is missing, or is that of a process that is gone.
fn is_expired(sign: Option<&Value>) -> bool {
    sign.is_some_and(|sign| *sign == Value::Nil || is_process_gone(sign))
}

fn is_process_gone(sign: &Value) -> bool {
    text(sign).parse::<Process>().is_ok_and(|process| process.is_gone())
}

fn exist(connection: &mut RedisConnection, orphans: &[Orphan]) -> Result<Vec<bool>, RedisError> {
    let mut there = Vec::with_capacity(orphans.len());
    for some in orphans.chunks(1000) {
        let mut requests = Requests::default();
        for orphan in some {
            requests.add(cmd("EXISTS").arg(&orphan.batch));
        }
        there.extend(connection.demand_all(&requests)?.iter().map(|answer| *answer == Value::Int(1)));
    }
    Ok(there)
}

fn text(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}
