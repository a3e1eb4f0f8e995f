//! The items of one batch list, and whether the list still belongs to this instance.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use super::items::Items;
use super::keys::QueueKeys;
use super::lease::{LeaseTerm, QueueLease};
use super::slot::{BatchSlot, BatchSlots};
use crate::redis::{RedisConnection, RedisError, Value, cmd};

/// The items of one batch list.
#[derive(Debug)]
pub struct WorkBatch {
    slot: BatchSlot,
    /// The key of the batch list.
    pub key: String,
    /// The items in the batch list.
    pub items: Items,
    /// The term in which the batch was taken. After that term another instance may have taken it over.
    term: LeaseTerm,
    /// How many commands to delete the batch list were sent.
    deletes_sent: AtomicU32,
}

impl WorkBatch {
    pub(super) fn new(slot: BatchSlot, key: String, items: Items, term: LeaseTerm) -> Self {
        Self { slot, key, items, term, deletes_sent: AtomicU32::new(0) }
    }

    /// How much memory the batch takes, in bytes.
    pub fn bytes(&self) -> u64 {
        (self.items.bytes() + self.items.len() * size_of::<usize>()) as u64
    }

    /// Whether the batch certainly still belongs to this instance. Call this before every command that must
    /// not be sent after another instance has taken the batch over.
    pub fn is_held(&self, lease: &QueueLease) -> bool {
        lease.holds(self.term)
    }

    /// Reads the batch list again after the term of the batch ended. The list is empty if another instance
    /// has taken the batch over, because that renames the list.
    ///
    /// A heartbeat must have been accepted before: from then on nobody takes the batch over.
    ///
    /// # Errors
    /// The server's. `false`: no heartbeat was accepted yet, and nothing was read.
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

    /// Whether a command to delete the batch list was sent. Then nobody can tell whether the server has
    /// carried it out, or another instance has taken the batch over.
    pub fn has_delete_sent(&self) -> bool {
        self.deletes_sent.load(SeqCst) > 0
    }

    /// Whether another instance is registered, and so may have taken the batch over.
    ///
    /// # Errors
    /// The server's.
    pub fn has_other_instance(
        &self,
        connection: &mut RedisConnection,
        keys: &QueueKeys,
    ) -> Result<bool, RedisError> {
        let Value::Array(registered) = connection.ask(cmd("HGETALL").arg(keys.instances()))? else {
            return Ok(false);
        };
        let is_own = |instance: &Value| match instance {
            Value::BulkString(name) => {
                self.key == keys.batch(&String::from_utf8_lossy(name), self.slot.number())
            }
            _ => false,
        };
        Ok(registered.iter().step_by(2).any(|instance| !is_own(instance)))
    }

    /// Records that a command to delete the batch list is sent now. If more than one was sent, the server
    /// may still carry out one of them later.
    pub fn record_delete_sent(&self) {
        self.deletes_sent.fetch_add(1, SeqCst);
    }

    /// Ends the batch, which is done or was taken over. The batch list's number is freed, or given up if
    /// the server may still carry out a command on it.
    pub fn end(self, slots: &BatchSlots) {
        let Self { mut slot, items, deletes_sent, .. } = self;
        slot.memory = items;
        match deletes_sent.into_inner() {
            0 | 1 => slots.give_back(slot),
            _ => slots.retire(slot),
        }
    }
}

/// Reads the items of a batch list.
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
