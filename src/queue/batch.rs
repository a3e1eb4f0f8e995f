//! Items in one batch list: what they are, and whether they are still ours.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use super::lease::Stretch;
use super::{Items, Lease, Slot, Slots};
use crate::redis::{RedisConnection, RedisError, Value, cmd};

/// Items in one batch list.
#[derive(Debug)]
pub struct Batch {
    slot: Slot,
    /// Its key.
    pub key: String,
    /// What it holds.
    pub items: Items,
    /// In which it was taken: if that is over, others may have taken it since.
    stretch: Stretch,
    /// How often its deletion was ordered.
    ordered: AtomicU32,
}

impl Batch {
    pub(super) fn new(slot: Slot, key: String, items: Items, stretch: Stretch) -> Self {
        Self { slot, key, items, stretch, ordered: AtomicU32::new(0) }
    }

    /// What it holds in memory, in bytes.
    pub fn bytes(&self) -> u64 {
        (self.items.bytes() + self.items.len() * size_of::<usize>()) as u64
    }

    /// Whether it is certainly still this instance's: to be asked before every command that
    /// another instance's work on it would make wrong.
    pub fn is_held(&self, lease: &Lease) -> bool {
        lease.holds(self.stretch)
    }

    /// After this instance was silent for too long: what of the batch nobody has taken. None
    /// of it is left if another instance has, since that renames the list.
    ///
    /// A sign of life must have been accepted before: from then on nobody takes it.
    ///
    /// # Errors
    /// The server's. `false`: there is no sign of life yet.
    pub fn look_again(
        &mut self,
        lease: &Lease,
        connection: &mut RedisConnection,
    ) -> Result<bool, RedisError> {
        let Some(stretch) = lease.stretch() else { return Ok(false) };
        read(connection, &self.key, &mut self.items)?;
        self.stretch = stretch;
        Ok(true)
    }

    /// Its deletion goes out now: more than one order means that one may still be under way.
    pub fn is_ordered(&self) {
        self.ordered.fetch_add(1, SeqCst);
    }

    /// It is done, or somebody else's: its number is free again, or never to be used again.
    pub fn end(self, slots: &Slots) {
        let Self { mut slot, items, ordered, .. } = self;
        slot.room = items;
        match ordered.into_inner() {
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
