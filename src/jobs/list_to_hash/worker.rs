//! The worker: a batch's fields are deleted from every hash in one round trip, then the
//! batch list is gone. Before either it looks whether the batch is still this pandad's.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::item::field;
use super::marker::MarkerLookup;
use crate::error::Fault;
use crate::pipeline;
use crate::queue::{BatchSlots, QueueKeys, QueueLease, WorkBatch, dead_list};
use crate::redis::{Args, Link, RedisConnection, RedisError, Requests, Value, cmd};
use crate::report::{Counters, Outage};

const NO_FIELD_REASON: &str = "no field after the last ':'";
/// Bytes of commands in one packet, about.
const PACKET_BYTES: usize = 4 << 20;
/// Bytes of an item that the log shows.
const LOGGED_ITEM_BYTES_MAX: usize = 100;
/// How often a deletion is begun anew because a marker came to be in the middle of it.
const DELETE_TRIES_MAX: u32 = 50;

/// What all workers share.
pub(super) struct DeleterContext {
    pub(super) hashes: Vec<String>,
    pub(super) keys: QueueKeys,
    pub(super) slots: BatchSlots,
    /// Whether the others know that this pandad lives.
    pub(super) lease: QueueLease,
    pub(super) counters: Arc<Counters>,
    /// Hashes whose keys hold something else.
    pub(super) no_hashes: Mutex<HashMap<String, Outage>>,
}

/// See the module.
pub(super) struct Deleter {
    /// To the hashes.
    ar: Link,
    /// To the work list.
    list: Link,
    /// To the markers, where it is looked for users who came back.
    markers: Option<MarkerLookup>,
    shared: Arc<DeleterContext>,
    /// Memory for commands, used again and again.
    buffers: DeleteBuffers,
}

#[derive(Default)]
struct DeleteBuffers {
    requests: Requests,
    fields: Args,
}

/// What has become of a batch.
#[derive(Default)]
struct DeletedCounts {
    /// Fields that there were, over all hashes.
    deleted: u64,
    /// Items whose users came back.
    came_back: u64,
}

impl pipeline::Worker for Deleter {
    type Task = Mutex<Option<WorkBatch>>;
    type Outcome = ();

    /// What is not done is in the batch list.
    const MAY_ABANDON: bool = true;

    fn work(&mut self, task: &Self::Task) -> Result<((), u64), Fault> {
        let mut task = task.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(batch) = task.as_mut() else { return Ok(((), 0)) };
        if !batch.is_held(&self.shared.lease) {
            self.reread(batch)?;
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

    /// This pandad stood still, or its list's server was away, for longer than its sign of
    /// life lasts: another one may have taken the batch and done it. Its users may be back.
    fn reread(&mut self, batch: &mut WorkBatch) -> Result<(), Fault> {
        let (lease, before) = (&self.shared.lease, batch.items.len());
        if !self.list.doing("look").with_retry(|connection| batch.reread(lease, connection))? {
            // The thread that keeps the sign of life says what is wrong.
            return Err(Fault::RetryLogged);
        }
        if batch.items.len() < before {
            let gone = before - batch.items.len();
            log::info!("{}: {gone} items were taken over by another while this one stood still", super::NAME);
        }
        Ok(())
    }

    /// Deletes the items' fields from every hash.
    fn delete(&mut self, batch: &WorkBatch, items: &[&[u8]]) -> Result<DeletedCounts, Fault> {
        let Self { ar, markers, shared, buffers, .. } = self;
        let bytes: usize = items.iter().map(|item| item.len() + 16).sum();
        let at_a_time = (PACKET_BYTES / bytes.max(1)).max(1);
        let mut done = DeletedCounts::default();
        for hashes in shared.hashes.chunks(at_a_time) {
            let part = HashDeletion { shared, batch, hashes, items };
            let watched = match markers {
                Some(markers) if markers.is_atomic() => {
                    ar.with_retry(|connection| part.delete_watched(connection, markers, buffers))?
                }
                _ => None,
            };
            let some = match watched {
                Some(done) => done,
                None => {
                    let there = markers.as_mut().map(|markers| markers.existing(items)).transpose()?;
                    ar.with_retry(|connection| part.delete(connection, there.as_deref(), buffers))?
                }
            };
            // Not even looked at again before there is a new sign of life.
            let Some(some) = some else { return Err(Fault::RetryLogged) };
            done.deleted += some.deleted;
            done.came_back = done.came_back.max(some.came_back);
        }
        Ok(done)
    }

    /// What cannot be read goes to the dead list; only when it is there is the batch list
    /// deleted.
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

    /// Cut off in between, it is done again: better twice on the dead list than lost.
    fn put_on_dead_list(&mut self, unreadable: &[&[u8]]) -> Result<(), Fault> {
        let dead_list = self.shared.keys.dead_list();
        let mut push = cmd("LPUSH");
        push.arg(&dead_list);
        for item in unreadable {
            push.arg(dead_list::DeadItem::now(NO_FIELD_REASON, item).encode());
        }
        let mut requests = Requests::default();
        requests.add(&push).add(cmd("LTRIM").arg(&dead_list).arg(0).arg(dead_list::DEAD_LIST_ITEMS_MAX - 1));
        let answers = self.list.doing("bury").with_retry(|connection| connection.demand_all(&requests))?;
        self.shared.counters.dead.fetch_add(unreadable.len() as u64, Relaxed);
        let first = unreadable.first().copied().unwrap_or_default();
        let shown = first.get(..LOGGED_ITEM_BYTES_MAX).unwrap_or(first).escape_ascii();
        log::warn!(
            "{}: {} items put on the dead list, {NO_FIELD_REASON}; the first is \"{shown}\"",
            super::NAME,
            unreadable.len()
        );
        if let Some(Value::Int(length)) = answers.first()
            && let Some(dropped) = u64::try_from(*length)
                .unwrap_or(0)
                .checked_sub(dead_list::DEAD_LIST_ITEMS_MAX)
                .filter(|count| *count > 0)
        {
            log::error!("{}: the dead list is full: its {dropped} oldest items were dropped", super::NAME);
        }
        Ok(())
    }
}

/// Some hashes, and the items whose fields are to go from them.
struct HashDeletion<'a> {
    shared: &'a DeleterContext,
    batch: &'a WorkBatch,
    hashes: &'a [String],
    items: &'a [&'a [u8]],
}

impl HashDeletion<'_> {
    /// The fields of those that are not `there`. `None`: the batch may be another's.
    fn delete(
        &self,
        connection: &mut RedisConnection,
        there: Option<&[bool]>,
        buffers: &mut DeleteBuffers,
    ) -> Result<Option<DeletedCounts>, RedisError> {
        connection.demand_master()?;
        let came_back = self.pack(there, &mut buffers.fields);
        buffers.requests.clear();
        self.add_commands(buffers);
        if !self.batch.is_held(&self.shared.lease) {
            return Ok(None);
        }
        let answers = connection.ask_all(&buffers.requests)?;
        Ok(Some(DeletedCounts { deleted: self.read_answers(answers)?, came_back }))
    }

    /// The same, with a look at the markers in one step: `None` if this server does not
    /// allow it.
    fn delete_watched(
        &self,
        connection: &mut RedisConnection,
        markers: &mut MarkerLookup,
        buffers: &mut DeleteBuffers,
    ) -> Result<Option<Option<DeletedCounts>>, RedisError> {
        connection.demand_master()?;
        for _ in 0..DELETE_TRIES_MAX {
            let Some(there) = markers.watch(connection, self.items)? else { return Ok(None) };
            let came_back = self.pack(Some(&there), &mut buffers.fields);
            if buffers.fields.is_empty() {
                connection.ask(&cmd("UNWATCH"))?;
                return Ok(Some(Some(DeletedCounts { deleted: 0, came_back })));
            }
            buffers.requests.clear().add(&cmd("MULTI"));
            self.add_commands(buffers);
            buffers.requests.add(&cmd("EXEC"));
            if !self.batch.is_held(&self.shared.lease) {
                connection.ask(&cmd("UNWATCH"))?;
                return Ok(Some(None));
            }
            // What was refused while it was queued has the transaction refused, too.
            match connection.ask_all(&buffers.requests)?.pop() {
                Some(Value::Array(answers)) => {
                    return Ok(Some(Some(DeletedCounts { deleted: self.read_answers(answers)?, came_back })));
                }
                Some(Value::ServerError(error)) => return Err(RedisError::from(error)),
                // A marker came to be, or went.
                _ => {}
            }
        }
        let text = "markers keep coming while their users' fields are deleted".to_owned();
        Err(RedisError::Refused { code: "EXECABORT".to_owned(), text })
    }

    /// Packs the fields that are to go; gives how many items stay.
    fn pack(&self, there: Option<&[bool]>, fields: &mut Args) -> u64 {
        fields.clear();
        let mut stay = 0;
        for (number, item) in self.items.iter().enumerate() {
            if there.and_then(|there| there.get(number)) == Some(&true) {
                stay += 1;
            } else if let Some(field) = field(item) {
                fields.add(field);
            }
        }
        stay
    }

    fn add_commands(&self, buffers: &mut DeleteBuffers) {
        if !buffers.fields.is_empty() {
            for hash in self.hashes {
                buffers.requests.add_with(&[b"HDEL", hash.as_bytes()], &buffers.fields);
            }
        }
    }

    /// One answer for each hash; gives how many fields there were.
    fn read_answers(&self, answers: Vec<Value>) -> Result<u64, RedisError> {
        let mut deleted = 0;
        let mut refusal = None;
        for (hash, answer) in self.hashes.iter().zip(answers) {
            match answer {
                Value::Int(count) => {
                    deleted += u64::try_from(count).unwrap_or(0);
                    self.shared.record_hash(hash);
                }
                Value::ServerError(error) => match RedisError::from(error) {
                    error if error.has_code("WRONGTYPE") => self.shared.record_no_hash(hash, &error),
                    error => refusal = refusal.or(Some(error)),
                },
                _ => {}
            }
        }
        refusal.map_or(Ok(deleted), Err)
    }
}

impl DeleterContext {
    /// A key that holds something else has no fields to delete: the others are served.
    fn record_no_hash(&self, hash: &str, error: &RedisError) {
        let mut no_hashes = self.no_hashes.lock().unwrap_or_else(PoisonError::into_inner);
        let subject = format!("{}: the key {hash} is no hash, nothing can be deleted from it", super::NAME);
        no_hashes
            .entry(hash.to_owned())
            .or_insert_with(|| Outage::new(subject))
            .down(Instant::now(), &format!("the others are served: {error}"));
    }

    fn record_hash(&self, hash: &str) {
        let mut no_hashes = self.no_hashes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outage) = no_hashes.get_mut(hash) {
            outage.up(Instant::now(), "it is one");
        }
    }
}
