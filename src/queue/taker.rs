//! Takes batches: waits for the first item, takes the rest of what is there, and takes
//! over what others left.
//!
//! Each item is moved by a command of its own, so that it is always on one list or the
//! other (the reliable queue of the Redis documentation for LMOVE, with a list per batch).

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use super::orphans::Orphans;
use super::{Life, Names, Slot, Slots};
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::host;
use crate::redis::{Cmd, Connection, Health, Link, Requests, Server, Trouble, Value, cmd};

/// Items and bytes of one batch, at most; the last item may overshoot.
const ITEMS: u64 = 1000;
const BYTES: usize = 1 << 20;
/// Items that are asked for in the first packet.
const FIRST: u64 = 16;
/// Redis gives up waiting for an item after this: before 6.0 it counts in whole seconds.
/// It must be shorter than any time limit of the connection, or an item could be moved
/// while nobody listens.
const BLOCK_SECONDS: u32 = 1;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Items in one batch list.
#[derive(Debug)]
pub struct Batch {
    /// Which list.
    pub slot: Slot,
    /// Its key.
    pub key: String,
    /// What it holds.
    pub items: Vec<Vec<u8>>,
    /// How often its deletion was ordered: more than once means that an order may
    /// still be under way.
    pub ordered: AtomicU32,
}

impl Batch {
    /// What it holds in memory.
    pub fn bytes(&self) -> u64 {
        self.items.iter().map(|item| item.len() as u64 + 32).sum()
    }
}

/// See the module.
pub struct Taker {
    link: Link,
    names: Names,
    instance: String,
    slots: Slots,
    life: Option<Life>,
    orphans: Orphans,
    moves: Option<Moves>,
    /// The number of batch lists that this connection has registered.
    registered: Option<u32>,
    /// How long the work list was when last seen.
    waiting: u64,
    backoff: Backoff,
    not_before: Instant,
    /// Items that were another instance's.
    taken_over: u64,
}

/// The commands that move one item, as the server knows them.
#[derive(Clone, Copy)]
enum Moves {
    /// From Redis 6.2 on.
    Lmove,
    /// Before.
    RpopLpush,
}

impl Taker {
    /// A new instance with so many batches in work at a time.
    ///
    /// # Errors
    /// `Wait`: no name or no thread can be had.
    pub fn start(server: &Arc<Server>, health: &Health, names: Names, slots: Slots) -> Result<Self, Fault> {
        let link = |role| Link::new(Arc::clone(server), health.role(role));
        let name = host::random::<8>()
            .map_err(|error| Fault::Wait(format!("no random number to be had: {error}")))?;
        let instance = format!("{:016x}", u64::from_be_bytes(name));
        let life = Life::start(link("beat"), &names, &instance)?;
        Ok(Self {
            link: link("take"),
            names,
            instance,
            slots,
            life: Some(life),
            orphans: Orphans::new(),
            moves: None,
            registered: None,
            waiting: 0,
            backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
            not_before: Instant::now(),
            taken_over: 0,
        })
    }

    /// The next batch; `None` when there was none until `until`, or a second later.
    pub fn take(&mut self, until: Instant) -> Option<Batch> {
        let until = until.max(Instant::now());
        if self.not_before > Instant::now() || !self.life.as_ref().is_some_and(Life::is_beating) {
            std::thread::sleep(FIRST_PAUSE.min(until.saturating_duration_since(Instant::now())));
            return None;
        }
        match self.try_take(until) {
            Ok(batch) => {
                if self.not_before <= Instant::now() {
                    self.backoff.reset();
                }
                batch
            }
            Err(_told) => {
                self.pause();
                None
            }
        }
    }

    /// After a failure. The next connection may lead to another server.
    fn pause(&mut self) {
        self.moves = None;
        self.registered = None;
        self.waiting = 0;
        self.not_before = Instant::now() + self.backoff.pause();
    }

    /// How many items are on the work list, as last seen.
    pub fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Items taken over since the last call.
    pub fn taken_over(&mut self) -> u64 {
        std::mem::take(&mut self.taken_over)
    }

    /// Ends the instance. What it still holds is for the others, or for the next start.
    pub fn end(&mut self, nothing_held: bool) {
        if let Some(life) = self.life.take() {
            life.stop();
        }
        let mut requests = Requests::default();
        if nothing_held && !self.orphans.has_suspects() {
            requests.add(cmd("HDEL").arg(self.names.instances()).arg(&self.instance));
        }
        requests.add(cmd("DEL").arg(self.names.alive(&self.instance)));
        // If this fails the key dies by itself, and others look into the lists.
        let _told = self.link.doing("end").once(|connection| connection.demand_all(&requests).map(drop));
    }

    fn try_take(&mut self, until: Instant) -> Result<Option<Batch>, Fault> {
        if self.orphans.is_due() {
            let (orphans, names, own) = (&mut self.orphans, &self.names, &self.instance);
            self.link.doing("look").again(|connection| orphans.look(connection, names, own))?;
        }
        self.register()?;
        let Some(slot) = self.slots.take(until) else { return Ok(None) };
        let key = self.names.batch(&self.instance, slot.number());
        // Set while a move is under way that has no answer yet.
        let mut unsure = false;
        let taken = match self.orphans.pop() {
            Some(orphan) => self.take_over(&orphan, &key, &mut unsure),
            None => self.move_items(&key, &mut unsure),
        };
        if unsure {
            // Whatever was moved is found again there.
            self.orphans.suspect(key);
            self.slots.retire(slot);
            return taken.map(|_| None);
        }
        match taken {
            Ok(items) if !items.is_empty() => {
                Ok(Some(Batch { slot, key, items, ordered: AtomicU32::new(0) }))
            }
            nothing => {
                self.slots.give_back(slot);
                nothing.map(|_| None)
            }
        }
    }

    /// Nothing is moved before this was accepted: whoever finds this instance dead learns
    /// from it which lists to look into.
    fn register(&mut self) -> Result<(), Fault> {
        let used = self.slots.used();
        if self.registered != Some(used) {
            let registration = self.registration();
            self.link.doing("register").once(|connection| connection.ask(&registration).map(drop))?;
            self.registered = Some(used);
        }
        Ok(())
    }

    /// It also goes before every move, in the same packet, since an instance that stood
    /// still for long may have been taken off the register.
    fn registration(&self) -> Cmd {
        let mut register = cmd("HSET");
        register.arg(self.names.instances()).arg(&self.instance).arg(self.slots.used());
        register
    }

    fn take_over(&mut self, orphan: &str, key: &str, unsure: &mut bool) -> Result<Vec<Vec<u8>>, Fault> {
        let mut requests = Requests::default();
        requests.add(cmd("RENAMENX").arg(orphan).arg(key));
        requests.add(cmd("LRANGE").arg(key).arg(0).arg(-1));
        let items = self.link.doing("take over").once(|connection| {
            // From here on until the items are in hand the list may hold them.
            *unsure = true;
            let mut answers = connection.ask_all(&requests)?.into_iter();
            match accepted(answers.next()) {
                Err(refusal @ Trouble::Refused { .. }) => {
                    *unsure = false;
                    // Somebody else was quicker.
                    return if refusal.says("no such key") { Ok(Vec::new()) } else { Err(refusal) };
                }
                renamed => drop(renamed?),
            }
            let items = items_of(accepted(answers.next())?);
            *unsure = false;
            Ok(items)
        })?;
        self.taken_over += items.len() as u64;
        Ok(items)
    }

    /// Waits for an item unless some are known to be there; then takes what there is.
    fn move_items(&mut self, key: &str, unsure: &mut bool) -> Result<Vec<Vec<u8>>, Fault> {
        let (register, names) = (self.registration(), &self.names);
        let (moves, waiting) = (&mut self.moves, &mut self.waiting);
        let mut moved = Moved::default();
        let done = self.link.doing("take").once(|connection| {
            let moves = match moves {
                Some(moves) => *moves,
                None => *moves.insert(Moves::of(connection)?),
            };
            let mut move_some = |command: &Cmd, times: u64, moved: &mut Moved| {
                let mut requests = Requests::default();
                requests.add(&register).repeat(command, usize::try_from(times).unwrap_or(1));
                *unsure = true;
                let answers = connection.ask_all(requests.add(cmd("LLEN").arg(&names.list)))?;
                *unsure = false;
                moved.hear(answers)
            };
            if *waiting == 0 {
                move_some(&moves.blocking(names, key), 1, &mut moved)?;
                *waiting = moved.left;
            }
            while *waiting > 0 && moved.items() < ITEMS && moved.bytes < BYTES {
                let count = (*waiting).min(moved.room());
                let before = moved.items();
                move_some(&moves.at_once(names, key), count, &mut moved)?;
                *waiting = moved.left;
                if moved.items() - before < count {
                    break;
                }
            }
            Ok(())
        });
        match done {
            // What was moved before the refusal is worked on; no more is taken for now.
            Err(_told) if !*unsure && !moved.items.is_empty() => self.pause(),
            done => done?,
        }
        Ok(moved.items)
    }
}

/// What has come of moves.
#[derive(Default)]
struct Moved {
    items: Vec<Vec<u8>>,
    bytes: usize,
    /// How long the work list is now.
    left: u64,
}

impl Moved {
    fn items(&self) -> u64 {
        self.items.len() as u64
    }

    /// How many items may be asked for in one packet. Nobody knows how large they are, so
    /// it begins with few and goes on by what came.
    fn room(&self) -> u64 {
        let largest = self.items.iter().map(Vec::len).max().unwrap_or(1).max(1);
        let by_size = (BYTES.saturating_sub(self.bytes) / largest).max(1) as u64;
        by_size.min((self.items() * 4).max(FIRST)).min(ITEMS - self.items().min(ITEMS))
    }

    /// The answers to a registration, to moves, and to the question for what is left. The
    /// first refusal among them is the error; what was moved is kept all the same.
    fn hear(&mut self, answers: Vec<Value>) -> Result<(), Trouble> {
        let mut refusal = None;
        self.left = 0;
        for (number, answer) in answers.into_iter().enumerate() {
            match answer {
                Value::BulkString(item) => {
                    self.bytes += item.len();
                    self.items.push(item);
                }
                // The first number says whether the instance was new.
                Value::Int(length) if number > 0 => self.left = u64::try_from(length).unwrap_or(0),
                Value::ServerError(error) => refusal = refusal.or(Some(Trouble::from(error))),
                _ => {}
            }
        }
        refusal.map_or(Ok(()), Err)
    }
}

impl Moves {
    fn of(connection: &mut Connection) -> Result<Self, Trouble> {
        match connection.ask(cmd("COMMAND").arg("INFO").arg("blmove")) {
            Ok(Value::Array(known)) if matches!(known.first(), Some(Value::Array(_))) => Ok(Moves::Lmove),
            // Not known, or not to be asked: the older commands are still served everywhere.
            Ok(_) | Err(Trouble::Refused { .. }) => Ok(Moves::RpopLpush),
            Err(lost) => Err(lost),
        }
    }

    fn blocking(self, names: &Names, key: &str) -> Cmd {
        let mut command = cmd(match self {
            Moves::Lmove => "BLMOVE",
            Moves::RpopLpush => "BRPOPLPUSH",
        });
        self.ends(command.arg(&names.list).arg(key)).arg(BLOCK_SECONDS);
        command
    }

    fn at_once(self, names: &Names, key: &str) -> Cmd {
        let mut command = cmd(match self {
            Moves::Lmove => "LMOVE",
            Moves::RpopLpush => "RPOPLPUSH",
        });
        self.ends(command.arg(&names.list).arg(key));
        command
    }

    /// The oldest item, to the front of the batch.
    fn ends(self, command: &mut Cmd) -> &mut Cmd {
        match self {
            Moves::Lmove => command.arg("RIGHT").arg("LEFT"),
            Moves::RpopLpush => command,
        }
    }
}

fn items_of(value: Value) -> Vec<Vec<u8>> {
    let Value::Array(values) = value else { return Vec::new() };
    let item = |value| match value {
        Value::BulkString(item) => Some(item),
        _ => None,
    };
    values.into_iter().filter_map(item).collect()
}

fn accepted(answer: Option<Value>) -> Result<Value, Trouble> {
    match answer {
        Some(Value::ServerError(error)) => Err(Trouble::from(error)),
        Some(value) => Ok(value),
        None => Err(Trouble::Lost("an answer is missing".to_owned())),
    }
}
