//! Takes batches: waits for the first item, takes the items on the work list, and takes over batches of
//! instances without a heartbeat.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::{self, WorkBatch};
use super::hand_back::hand_back;
use super::heartbeat::InstanceHeartbeat;
use super::items::Items;
use super::keys::QueueKeys;
use super::lease::{LeaseTerm, QueueLease};
use super::moves::{ClosedMoves, MoveCommand, MoveReplies};
use super::orphans::{self, Orphan, Orphans};
use super::slot::BatchSlots;
use super::targets::{TargetComparison, Targets};
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::host;
use crate::redis::{Cmd, EvictionCheck, Health, Link, RedisServer, Requests, cmd};

const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// One instance that works on the work list: takes its batches.
pub struct Taker {
    link: Link,
    keys: QueueKeys,
    instance: String,
    slots: BatchSlots,
    heartbeat: Option<InstanceHeartbeat>,
    orphans: Orphans,
    targets: TargetComparison,
    moves: Option<MoveCommand>,
    /// How many batch lists were registered on this connection.
    registered: Option<u32>,
    /// Slots whose lists were read on this connection. The list of any other slot is read before the slot is
    /// used: behind a new connection may be a restarted server or a promoted replica, which may still hold a
    /// list that was deleted.
    seen: BTreeSet<u32>,
    requests: Requests,
    /// The size of the largest item of the last batch, in bytes.
    largest: usize,
    /// The length of the work list, as last read.
    waiting: u64,
    closed_moves: ClosedMoves,
    backoff: Backoff,
    not_before: Instant,
    /// Items that were taken over from other instances and not reported yet.
    taken_over: u64,
}

impl Taker {
    /// Starts a new instance, which shares its slots and its lease with the workers, and deletes from
    /// `targets`. `job` is the first word of the log lines.
    ///
    /// # Errors
    /// `Retry`: the system gives no random number or no thread.
    pub fn start(
        job: &'static str,
        server: &Arc<RedisServer>,
        health: &Health,
        keys: QueueKeys,
        slots: BatchSlots,
        lease: &QueueLease,
        targets: Targets,
    ) -> Result<Self, Fault> {
        let link = |role| Link::new(Arc::clone(server), health.role(role));
        let name = host::random::<8>()
            .map_err(|error| Fault::Retry(format!("the system gives no random number: {error}")))?;
        let instance = format!("{:016x}", u64::from_be_bytes(name));
        let eviction = EvictionCheck::new(format!("{job}: {server}"));
        let heartbeat = InstanceHeartbeat::start(job, link("heartbeat"), eviction, &keys, &instance, lease)?;
        Ok(Self {
            link: link("take"),
            targets: TargetComparison::new(job, &keys.list, targets),
            keys,
            instance,
            slots,
            heartbeat: Some(heartbeat),
            orphans: Orphans::new(lease.ttl(), Instant::now()),
            moves: None,
            registered: None,
            seen: BTreeSet::new(),
            requests: Requests::default(),
            largest: 0,
            waiting: 0,
            closed_moves: ClosedMoves::new(format!("{job}: {server}")),
            backoff: Backoff::new(PAUSE_MIN, PAUSE_MAX),
            not_before: Instant::now(),
            taken_over: 0,
        })
    }

    /// The next batch. `None`: no batch came until `until`, or at most a second later.
    pub fn take(&mut self, until: Instant) -> Option<WorkBatch> {
        let until = until.max(Instant::now());
        let term = self.heartbeat.as_ref().and_then(|heartbeat| heartbeat.lease().term());
        let Some(term) = term.filter(|_| self.not_before <= Instant::now()) else {
            std::thread::sleep(PAUSE_MIN.min(until.saturating_duration_since(Instant::now())));
            return None;
        };
        match self.try_take(until, term) {
            Ok(batch) => {
                if self.not_before <= Instant::now() {
                    self.backoff.reset();
                }
                batch
            }
            Err(_logged) => {
                self.pause();
                None
            }
        }
    }

    /// Waits after a failure, and forgets what was read from the server: the next connection may lead to
    /// another server.
    fn pause(&mut self) {
        self.moves = None;
        self.registered = None;
        self.seen.clear();
        self.waiting = 0;
        self.not_before = Instant::now() + self.backoff.pause();
    }

    /// How many items are on the work list, as last read.
    pub fn waiting(&self) -> u64 {
        self.waiting
    }

    /// How many items were taken over since the last call.
    pub fn taken_over(&mut self) -> u64 {
        std::mem::take(&mut self.taken_over)
    }

    /// Ends the instance after its workers have ended. The items that it still holds go back to the work
    /// list, and their number is returned. If that fails, other instances or the next start take the items
    /// over.
    pub fn end(&mut self) -> u64 {
        if let Some(heartbeat) = self.heartbeat.take() {
            heartbeat.stop();
        }
        let (keys, instance, slots) = (&self.keys, &self.instance, &self.slots);
        let sure = !self.orphans.has_suspects();
        let mut last = cmd("DEL");
        last.arg(keys.heartbeat(instance)).arg(keys.beat(instance));
        let mut withdraw = cmd("HDEL");
        withdraw.arg(keys.targets()).arg(instance);
        let ended = self.link.doing("end").once(|connection| {
            let handed_back = hand_back(connection, keys, instance, slots, sure);
            // If this fails, the key expires by itself and other instances check the batch lists.
            connection.ask(&last)?;
            connection.ask(&withdraw)?;
            handed_back
        });
        // The link has logged the error.
        ended.unwrap_or(0)
    }

    fn try_take(&mut self, until: Instant, term: LeaseTerm) -> Result<Option<WorkBatch>, Fault> {
        if self.orphans.is_due(Instant::now()) {
            let (orphans, targets, keys) = (&mut self.orphans, &mut self.targets, &self.keys);
            let own = &self.instance;
            self.link.doing("read").once(|connection| {
                orphans.scan(connection, keys, own, Instant::now)?;
                targets.check(connection, keys, orphans.alive())
            })?;
        }
        self.register()?;
        let Some(mut slot) = self.slots.take(until) else { return Ok(None) };
        let key = self.keys.batch(&self.instance, slot.number());
        let mut items = std::mem::take(&mut slot.memory);
        // True while a move has been sent but not answered.
        let mut unsure = false;
        let taken = self.fill(slot.number(), &key, &mut items, &mut unsure);
        if unsure {
            // Items that were moved to this list will be found there by a scan.
            self.orphans.suspect(key, Instant::now());
            self.slots.retire(slot);
            return taken.map(|()| None);
        }
        if taken.is_ok() && !items.is_empty() {
            return Ok(Some(WorkBatch::new(slot, key, items, term)));
        }
        slot.memory = items;
        self.slots.give_back(slot);
        taken.map(|()| None)
    }

    /// Fills a batch with the items left in its own list, or with those of an orphan or of the work list.
    fn fill(&mut self, slot: u32, key: &str, items: &mut Items, unsure: &mut bool) -> Result<(), Fault> {
        if !self.seen.contains(&slot) {
            self.link.doing("read").once(|connection| batch::read(connection, key, items))?;
            self.seen.insert(slot);
            if !items.is_empty() {
                return Ok(());
            }
        }
        match self.orphans.pop() {
            Some(orphan) => self.take_over(&orphan, key, items, unsure),
            None => self.move_items(key, items, unsure),
        }
    }

    /// Registers this instance and the number of its batch lists. Nothing is moved before the server
    /// accepted this: the register tells other instances which lists to check.
    fn register(&mut self) -> Result<(), Fault> {
        let used = self.slots.used();
        if self.registered != Some(used) {
            let registration = self.registration();
            let (targets, keys, own) = (&self.targets, &self.keys, &self.instance);
            self.link.doing("register").once(|connection| {
                connection.demand_master()?;
                connection.ask(&registration)?;
                targets.publish(connection, keys, own)
            })?;
            self.registered = Some(used);
        }
        Ok(())
    }

    /// The command that registers this instance. It is also sent before every move, in the same packet,
    /// because an instance that was suspended for a long time may have been deleted from the register.
    fn registration(&self) -> Cmd {
        let mut register = cmd("HSET");
        register.arg(self.keys.instances()).arg(&self.instance).arg(self.slots.used());
        register
    }

    fn take_over(
        &mut self,
        orphan: &Orphan,
        key: &str,
        items: &mut Items,
        unsure: &mut bool,
    ) -> Result<(), Fault> {
        let register = self.registration();
        let keys = &self.keys;
        self.link.doing("take over").once(|connection| {
            orphans::take_over(connection, keys, orphan, &register, key, unsure)?;
            // Until the list is read, it may hold items that nobody works on.
            if *unsure {
                batch::read(connection, key, items)?;
                *unsure = false;
            }
            Ok(())
        })?;
        self.taken_over += items.len() as u64;
        Ok(())
    }

    /// Waits for an item, unless the work list is known to have some. Then moves the items that it has.
    fn move_items(&mut self, key: &str, items: &mut Items, unsure: &mut bool) -> Result<(), Fault> {
        let (register, keys) = (self.registration(), &self.keys);
        let (moves, waiting, requests) = (&mut self.moves, &mut self.waiting, &mut self.requests);
        let closed_moves = &mut self.closed_moves;
        let mut moved = MoveReplies::new(items, self.largest);
        let done = self.link.doing("take").once(|connection| {
            let moves = match moves {
                Some(moves) => *moves,
                None => *moves.insert(MoveCommand::of(connection)?),
            };
            let mut move_some = |command: &Cmd, times: u64, moved: &mut MoveReplies| {
                requests.clear().add(&register).repeat(command, usize::try_from(times).unwrap_or(1));
                requests.add(cmd("LLEN").arg(&keys.list));
                moved.begin();
                *unsure = true;
                let answered = connection.ask_each(requests, |answer| moved.receive(answer));
                closed_moves.record(answered.as_ref().err());
                answered?;
                *unsure = false;
                moved.end()
            };
            if *waiting == 0 {
                move_some(&moves.blocking(keys, key), 1, &mut moved)?;
                *waiting = moved.left;
            }
            let command = moves.at_once(keys, key);
            while *waiting > 0 && !moved.is_full() {
                let count = (*waiting).min(moved.next_count());
                let before = moved.count();
                move_some(&command, count, &mut moved)?;
                *waiting = moved.left;
                if moved.count() - before < count {
                    break;
                }
            }
            Ok(())
        });
        if !items.is_empty() {
            self.largest = items.largest();
        }
        match done {
            // The workers get the items that were moved before the refusal; the next move waits.
            Err(_logged) if !*unsure && !items.is_empty() => self.pause(),
            done => done?,
        }
        Ok(())
    }

    /// Has the next call of `take` look at the other instances.
    #[cfg(test)]
    pub(super) fn scan_now(&mut self) {
        self.orphans = Orphans::new(Duration::from_secs(30), Instant::now());
    }

    /// Whether it was logged that the server closes the connection at each move.
    #[cfg(test)]
    pub(super) fn closed_moves_logged(&self) -> bool {
        self.closed_moves.is_logged()
    }

    /// How many other instances have other targets.
    #[cfg(test)]
    pub(super) fn differing(&self) -> usize {
        self.targets.differing().len()
    }
}
