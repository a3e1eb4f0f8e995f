//! The worker: deletes the fields of a batch from every hash, and then the batch list. Before each of the
//! two steps it checks that the batch still belongs to this pandad.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::NAME;
use super::deletion::{DeleteBuffers, DeletedCounts, DeleterContext, Deletion, HashDeletion};
use super::item::field;
use super::marker::MarkerLookup;
use crate::error::Fault;
use crate::pipeline;
use crate::plural::counted;
use crate::queue::WorkBatch;
use crate::queue::dead_list::{DEAD_LIST_ITEMS_MAX, DeadItem};
use crate::redis::{Link, Requests, Value, cmd};

const NO_FIELD_REASON: &str = "no field after the last ':'";
/// The approximate size of the commands in one packet.
const PACKET_BYTES: usize = 4 << 20;

/// One worker, with its connections.
pub(super) struct Deleter {
    /// The server of the hashes.
    ar: Link,
    /// The server of the work list.
    list: Link,
    /// The markers, if users who came back are to be left alone.
    markers: Option<MarkerLookup>,
    shared: Arc<DeleterContext>,
    /// Memory for commands, which is reused.
    buffers: DeleteBuffers,
}

impl pipeline::Worker for Deleter {
    type Task = Mutex<Option<WorkBatch>>;
    type Outcome = ();

    /// Items that are not done stay in the batch list.
    const MAY_ABANDON: bool = true;

    fn work(&mut self, task: &Self::Task) -> Result<((), u64), Fault> {
        let mut task = task.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(batch) = task.as_mut() else { return Ok(((), 0)) };
        if !batch.is_held(&self.shared.lease) {
            let before = batch.items.len();
            self.reread(batch)?;
            let missing = before.saturating_sub(batch.items.len());
            if missing > 0 {
                let done = self.explain_missing(batch, missing)?;
                self.shared.counters.done.fetch_add(done, Relaxed);
            }
        }
        if !batch.items.is_empty() {
            let readable: Vec<&[u8]> = batch.items.iter().filter(|item| field(item).is_some()).collect();
            let done =
                if readable.is_empty() { DeletedCounts::default() } else { self.delete(batch, &readable)? };
            let unreadable = batch.items.iter().filter(|item| field(item).is_none()).collect();
            self.acknowledge(batch, unreadable)?;
            let counters = &self.shared.counters;
            counters.done.fetch_add(batch.items.len() as u64, Relaxed);
            counters.fields.fetch_add(done.deleted, Relaxed);
            counters.came_back.fetch_add(done.came_back, Relaxed);
        }
        if let Some(batch) = task.take() {
            batch.end(&self.shared.slots);
        }
        Ok(((), 0))
    }
}

impl Deleter {
    pub(super) fn new(
        ar: Link,
        list: Link,
        markers: Option<MarkerLookup>,
        shared: Arc<DeleterContext>,
    ) -> Self {
        Self { ar, list, markers, shared, buffers: DeleteBuffers::default() }
    }

    /// Reads the batch list again. Another pandad may have taken the batch over, if this pandad was
    /// suspended or the list's server did not answer for longer than a heartbeat counts.
    fn reread(&mut self, batch: &mut WorkBatch) -> Result<(), Fault> {
        let lease = &self.shared.lease;
        if !self.list.doing("read").with_retry(|connection| batch.reread(lease, connection))? {
            // The heartbeat thread logs the reason.
            return Err(Fault::RetryLogged);
        }
        Ok(())
    }

    /// Logs why items of a batch are no longer on its list. Returns how many of these this pandad has done.
    fn explain_missing(&mut self, batch: &WorkBatch, missing: usize) -> Result<u64, Fault> {
        if batch.items.is_empty() && batch.has_delete_sent() {
            // The server has carried out the deletion, whose answer was lost.
            return Ok(missing as u64);
        }
        let (keys, items) = (&self.shared.keys, counted(missing, "item"));
        let link = self.list.doing("read");
        if link.with_retry(|connection| batch.has_other_instance(connection, keys))? {
            log::info!("{NAME}: another pandad took over {items} while this one sent no heartbeat");
        } else {
            log::error!(
                "{NAME}: {items} of a batch are gone from the list's server, and no other pandad works on \
                 the list: the server has lost data, by a restart, a failover or a FLUSHALL"
            );
        }
        Ok(0)
    }

    /// Deletes the fields of the items from every hash.
    fn delete(&mut self, batch: &WorkBatch, items: &[&[u8]]) -> Result<DeletedCounts, Fault> {
        let Self { ar, markers, shared, buffers, .. } = self;
        let bytes: usize = items.iter().map(|item| item.len() + 16).sum();
        let hashes_per_packet = (PACKET_BYTES / bytes.max(1)).max(1);
        let mut done = DeletedCounts::default();
        for hashes in shared.hashes.chunks(hashes_per_packet) {
            let part = HashDeletion { shared, batch, hashes, items };
            let mut deletion = Deletion::NotWatched;
            if let Some(markers) = markers.as_mut().filter(|markers| markers.is_atomic()) {
                deletion = ar.with_retry(|connection| part.delete_watched(connection, markers, buffers))?;
            }
            if matches!(deletion, Deletion::NotWatched) {
                let existing = markers.as_mut().map(|markers| markers.existing(items)).transpose()?;
                deletion =
                    ar.with_retry(|connection| part.delete(connection, existing.as_deref(), buffers))?;
            }
            // If the batch may be another pandad's, it is read again after the next heartbeat.
            let Deletion::Done(part_done) = deletion else { return Err(Fault::RetryLogged) };
            done.deleted += part_done.deleted;
            done.came_back = done.came_back.max(part_done.came_back);
        }
        Ok(done)
    }

    /// Puts unreadable items on the dead list, and deletes the batch list only after that.
    fn acknowledge(&mut self, batch: &WorkBatch, unreadable: Vec<&[u8]>) -> Result<(), Fault> {
        if !unreadable.is_empty() {
            self.put_on_dead_list(&unreadable)?;
        }
        let (mut delete, lease) = (cmd("DEL"), &self.shared.lease);
        delete.arg(&batch.key);
        let deleted = self.list.doing("acknowledge").with_retry(|connection| {
            if !batch.is_held(lease) {
                return Ok(false);
            }
            batch.record_delete_sent();
            connection.ask(&delete).map(|_| true)
        })?;
        if deleted { Ok(()) } else { Err(Fault::RetryLogged) }
    }

    /// If the connection is lost, the push is repeated: it is better to have an item twice on the dead list
    /// than to lose it.
    fn put_on_dead_list(&mut self, unreadable: &[&[u8]]) -> Result<(), Fault> {
        let dead_list = self.shared.keys.dead_list();
        let mut push = cmd("LPUSH");
        push.arg(&dead_list);
        let now = SystemTime::now();
        for item in unreadable {
            push.arg(DeadItem::new(now, NO_FIELD_REASON, item).encode());
        }
        let mut requests = Requests::default();
        requests.add(&push).add(cmd("LTRIM").arg(&dead_list).arg(0).arg(DEAD_LIST_ITEMS_MAX - 1));
        let answers =
            self.list.doing("dead list").with_retry(|connection| connection.demand_all(&requests))?;
        self.shared.counters.dead.fetch_add(unreadable.len() as u64, Relaxed);
        let length = match answers.first() {
            Some(Value::Int(length)) => u64::try_from(*length).unwrap_or(0),
            _ => 0,
        };
        let first = unreadable.first().copied().unwrap_or_default();
        let dropped = length.saturating_sub(DEAD_LIST_ITEMS_MAX);
        self.shared.dead.record(unreadable.len(), first, NO_FIELD_REASON, dropped);
        Ok(())
    }
}
