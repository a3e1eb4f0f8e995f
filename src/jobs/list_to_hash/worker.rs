//! The worker: a batch's fields are deleted from every hash in one round trip, then the
//! batch list is gone.

use std::collections::HashMap;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use super::item::field;
use crate::error::Fault;
use crate::pipeline;
use crate::queue::{Batch, Names, Slots, dead};
use crate::redis::{Link, Requests, Trouble, Value, cmd};
use crate::report::{Counters, Outage};

const NO_FIELD: &str = "no field after the last ':'";
/// Bytes of commands in one packet, about.
const PACKET: usize = 4 << 20;
/// Bytes of an item that the log shows.
const SHOWN: usize = 100;

/// What all workers share.
pub(super) struct Shared {
    pub(super) hashes: Vec<String>,
    pub(super) names: Names,
    pub(super) slots: Slots,
    pub(super) counters: Arc<Counters>,
    /// Hashes whose keys hold something else.
    pub(super) no_hashes: Mutex<HashMap<String, Outage>>,
}

/// See the module.
pub(super) struct Deleter {
    /// To the hashes.
    pub(super) ar: Link,
    /// To the work list.
    pub(super) list: Link,
    pub(super) shared: Arc<Shared>,
}

impl pipeline::Worker for Deleter {
    type Task = Mutex<Option<Batch>>;
    type Outcome = ();

    /// What is not done is in the batch list.
    const MAY_LEAVE: bool = true;

    fn work(&mut self, task: &Self::Task) -> Result<((), u64), Fault> {
        let mut task = task.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(batch) = task.as_ref() else { return Ok(((), 0)) };
        let fields: Vec<&[u8]> = batch.items.iter().filter_map(|item| field(item)).collect();
        let unreadable: Vec<&[u8]> =
            batch.items.iter().map(Vec::as_slice).filter(|item| field(item).is_none()).collect();
        let deleted = if fields.is_empty() { 0 } else { self.delete(&fields)? };
        self.acknowledge(batch, &unreadable)?;
        let counters = &self.shared.counters;
        counters.done.fetch_add(batch.items.len() as u64, Relaxed);
        counters.fields.fetch_add(deleted, Relaxed);
        if let Some(Batch { slot, ordered, .. }) = task.take() {
            match ordered.into_inner() {
                1 => self.shared.slots.give_back(slot),
                _ => self.shared.slots.retire(slot),
            }
        }
        Ok(((), 0))
    }
}

impl Deleter {
    /// Deletes the fields from every hash; gives how many there were.
    fn delete(&mut self, fields: &[&[u8]]) -> Result<u64, Fault> {
        let shared = Arc::clone(&self.shared);
        let bytes: usize = fields.iter().map(|field| field.len()).sum();
        let at_a_time = (PACKET / bytes.max(1)).max(1);
        let mut deleted = 0;
        for hashes in shared.hashes.chunks(at_a_time) {
            let mut requests = Requests::default();
            for hash in hashes {
                requests.add(cmd("HDEL").arg(hash).arg(fields));
            }
            deleted += self.ar.again(|connection| {
                let mut deleted = 0;
                let mut refusal = None;
                for (hash, answer) in hashes.iter().zip(connection.ask_all(&requests)?) {
                    match answer {
                        Value::Int(count) => {
                            deleted += u64::try_from(count).unwrap_or(0);
                            shared.is_hash(hash);
                        }
                        Value::ServerError(error) => match Trouble::from(error) {
                            trouble if trouble.is("WRONGTYPE") => shared.is_no_hash(hash, &trouble),
                            trouble => refusal = refusal.or(Some(trouble)),
                        },
                        _ => {}
                    }
                }
                refusal.map_or(Ok(deleted), Err)
            })?;
        }
        Ok(deleted)
    }

    /// What cannot be read goes to the dead list; only when it is there is the batch list
    /// deleted.
    fn acknowledge(&mut self, batch: &Batch, unreadable: &[&[u8]]) -> Result<(), Fault> {
        if !unreadable.is_empty() {
            self.bury(unreadable)?;
        }
        let mut delete = cmd("DEL");
        delete.arg(&batch.key);
        self.list.doing("acknowledge").again(|connection| {
            batch.ordered.fetch_add(1, SeqCst);
            connection.ask(&delete).map(drop)
        })
    }

    /// Cut off in between, it is done again: better twice on the dead list than lost.
    fn bury(&mut self, unreadable: &[&[u8]]) -> Result<(), Fault> {
        let dead_list = self.shared.names.dead();
        let mut push = cmd("LPUSH");
        push.arg(&dead_list);
        for item in unreadable {
            push.arg(dead::Entry::now(NO_FIELD, item).encode());
        }
        let mut requests = Requests::default();
        requests.add(&push).add(cmd("LTRIM").arg(&dead_list).arg(0).arg(dead::KEPT - 1));
        let answers = self.list.doing("bury").again(|connection| connection.demand_all(&requests))?;
        self.shared.counters.dead.fetch_add(unreadable.len() as u64, Relaxed);
        let first = unreadable.first().copied().unwrap_or_default();
        let shown = first.get(..SHOWN).unwrap_or(first).escape_ascii();
        log::warn!(
            "{}: {} items put on the dead list, {NO_FIELD}; the first is \"{shown}\"",
            super::NAME,
            unreadable.len()
        );
        if let Some(Value::Int(length)) = answers.first()
            && let Some(dropped) =
                u64::try_from(*length).unwrap_or(0).checked_sub(dead::KEPT).filter(|count| *count > 0)
        {
            log::error!("{}: the dead list is full: its {dropped} oldest items were dropped", super::NAME);
        }
        Ok(())
    }
}

impl Shared {
    /// A key that holds something else has no fields to delete: the others are served.
    fn is_no_hash(&self, hash: &str, trouble: &Trouble) {
        let mut no_hashes = self.no_hashes.lock().unwrap_or_else(PoisonError::into_inner);
        let subject = format!("{}: the key {hash} is no hash, nothing can be deleted from it", super::NAME);
        no_hashes
            .entry(hash.to_owned())
            .or_insert_with(|| Outage::new(subject))
            .down(&format!("the others are served: {trouble}"));
    }

    fn is_hash(&self, hash: &str) {
        let mut no_hashes = self.no_hashes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outage) = no_hashes.get_mut(hash) {
            outage.up("it is one");
        }
    }
}
