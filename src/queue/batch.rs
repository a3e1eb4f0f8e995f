//! Items in one batch list: what they are, and whether they are still ours.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use super::lease::LeaseTerm;
use super::{BatchSlot, BatchSlots, Items, QueueLease};
use crate::redis::{RedisConnection, RedisError, Value, cmd};

/// Items in one batch list.
#[derive(Debug)]
pub struct WorkBatch {
    slot: BatchSlot,
    /// Its key.
    pub key: String,
    /// What it holds.
    pub items: Items,
    /// In which it was taken: if that is over, others may have taken it since.
    term: LeaseTerm,
    /// How often its deletion was ordered.
    deletes_sent: AtomicU32,
}

impl WorkBatch {
    pub(super) fn new(slot: BatchSlot, key: String, items: Items, term: LeaseTerm) -> Self {
        Self { slot, key, items, term, deletes_sent: AtomicU32::new(0) }
    }

    /// What it holds in memory, in bytes.
    pub fn bytes(&self) -> u64 {
        (self.items.bytes() + self.items.len() * size_of::<usize>()) as u64
    }

    /// Whether it is certainly still this instance's: to be asked before every command that
    /// another instance's work on it would make wrong.
    pub fn is_held(&self, lease: &QueueLease) -> bool {
        lease.holds(self.term)
    }

    /// After this instance was silent for too long: what of the batch nobody has taken. None
    /// of it is left if another instance has, since that renames the list.
    ///
    /// A sign of life must have been accepted before: from then on nobody takes it.
    ///
    /// # Errors
    /// The server's. `false`: there is no sign of life yet.
    pub fn reread(
        &mut self,
        lease: &QueueLease,
        connection: &mut RedisConnection,
    ) -> Result<bool, RedisError> {
        let Some(term) = lease.term() else { return Ok(false) };
        read(connection, &self.key, &mut self.items)?;
        self.term = term;
        Ok(true)
    }

    /// Its deletion goes out now: more than one order means that one may still be under way.
    pub fn record_delete_sent(&self) {
        self.deletes_sent.fetch_add(1, SeqCst);
    }

    /// It is done, or somebody else's: its number is free again, or never to be used again.
    pub fn end(self, slots: &BatchSlots) {
        let Self { mut slot, items, deletes_sent, .. } = self;
        slot.memory = items;
        match deletes_sent.into_inner() {
            0 | 1 => slots.give_back(slot),
            _ => slots.retire(slot),
        }
    }
}

/// What a batch list holds.
pub(super) fn read(connection: &mut RedisConnection, key: &str, items: &mut Items) -> Result<(), RedisError> {
    let held = connection.ask(cmd("LRANGE").arg(key).arg(0).arg(-1))?;
    items.clear();
    if let Value::Array(held) = held {
        for item in &held {
            if let Value::BulkString(item) = item {
                items.push(item);
            }
        }
    }
    Ok(())
}
