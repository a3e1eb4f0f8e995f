//! One packet of deletions: the fields of a batch, from some of the hashes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::NAME;
use super::dead_report::DeadReport;
use super::item::field;
use super::marker::MarkerLookup;
use crate::queue::{BatchSlots, QueueKeys, QueueLease, WorkBatch};
use crate::redis::{Args, RedisConnection, RedisError, Requests, Value, cmd};
use crate::report::{Counters, Outage};

/// How often a deletion is started again because a marker was set or deleted during it.
const DELETE_TRIES_MAX: u32 = 50;

/// What all workers share.
pub(super) struct DeleterContext {
    pub(super) hashes: Vec<String>,
    pub(super) keys: QueueKeys,
    pub(super) slots: BatchSlots,
    /// Whether batches still belong to this pandad.
    pub(super) lease: QueueLease,
    pub(super) counters: Arc<Counters>,
    /// Names from the configuration whose keys hold no hash.
    pub(super) no_hashes: Mutex<HashMap<String, Outage>>,
    /// What the log says of items on the dead list.
    pub(super) dead: DeadReport,
}

/// Memory for commands, which is reused.
#[derive(Default)]
pub(super) struct DeleteBuffers {
    requests: Requests,
    fields: Args,
}

/// The result of deletions.
#[derive(Default)]
pub(super) struct DeletedCounts {
    /// Fields that existed and were deleted, over all hashes.
    pub(super) deleted: u64,
    /// Items whose users came back.
    pub(super) came_back: u64,
}

/// The result of one packet of deletions.
pub(super) enum Deletion {
    /// The server has carried it out.
    Done(DeletedCounts),
    /// The batch may be another pandad's: nothing was deleted.
    NotHeld,
    /// The server does not allow WATCH: nothing was deleted.
    NotWatched,
}

/// The fields to delete: those of the items, from some of the hashes.
pub(super) struct HashDeletion<'a> {
    pub(super) shared: &'a DeleterContext,
    pub(super) batch: &'a WorkBatch,
    pub(super) hashes: &'a [String],
    pub(super) items: &'a [&'a [u8]],
}

impl HashDeletion<'_> {
    /// Deletes the fields of the items whose markers are not `existing`.
    pub(super) fn delete(
        &self,
        connection: &mut RedisConnection,
        existing: Option<&[bool]>,
        buffers: &mut DeleteBuffers,
    ) -> Result<Deletion, RedisError> {
        connection.demand_master()?;
        let came_back = self.pack(existing, &mut buffers.fields);
        buffers.requests.clear();
        self.add_commands(buffers);
        if !self.batch.is_held(&self.shared.lease) {
            return Ok(Deletion::NotHeld);
        }
        let answers = connection.ask_all(&buffers.requests)?;
        Ok(Deletion::Done(DeletedCounts { deleted: self.read_answers(answers)?, came_back }))
    }

    /// As [`Self::delete`], but the check of the markers and the deletion are one step.
    pub(super) fn delete_watched(
        &self,
        connection: &mut RedisConnection,
        markers: &mut MarkerLookup,
        buffers: &mut DeleteBuffers,
    ) -> Result<Deletion, RedisError> {
        connection.demand_master()?;
        for _ in 0..DELETE_TRIES_MAX {
            let Some(existing) = markers.watch(connection, self.items)? else {
                return Ok(Deletion::NotWatched);
            };
            let came_back = self.pack(Some(&existing), &mut buffers.fields);
            if buffers.fields.is_empty() {
                connection.ask(&cmd("UNWATCH"))?;
                return Ok(Deletion::Done(DeletedCounts { deleted: 0, came_back }));
            }
            buffers.requests.clear().add(&cmd("MULTI"));
            self.add_commands(buffers);
            buffers.requests.add(&cmd("EXEC"));
            if !self.batch.is_held(&self.shared.lease) {
                connection.ask(&cmd("UNWATCH"))?;
                return Ok(Deletion::NotHeld);
            }
            // If the server refused a command when it was queued, it also refuses the transaction.
            match connection.ask_all(&buffers.requests)?.pop() {
                Some(Value::Array(answers)) => {
                    let deleted = self.read_answers(answers)?;
                    return Ok(Deletion::Done(DeletedCounts { deleted, came_back }));
                }
                Some(Value::ServerError(error)) => return Err(RedisError::from(error)),
                // A marker was set or deleted during the deletion.
                _ => {}
            }
        }
        let text = "markers are set again and again while their users' fields are deleted".to_owned();
        Err(RedisError::Refused { code: "EXECABORT".to_owned(), text })
    }

    /// Packs the fields to delete, and returns how many items are not touched.
    fn pack(&self, existing: Option<&[bool]>, fields: &mut Args) -> u64 {
        fields.clear();
        let mut left_alone = 0;
        for (number, item) in self.items.iter().enumerate() {
            if existing.and_then(|existing| existing.get(number)) == Some(&true) {
                left_alone += 1;
            } else if let Some(field) = field(item) {
                fields.add(field);
            }
        }
        left_alone
    }

    /// Adds one HDEL for each hash.
    fn add_commands(&self, buffers: &mut DeleteBuffers) {
        if !buffers.fields.is_empty() {
            for hash in self.hashes {
                buffers.requests.add_with(&[b"HDEL", hash.as_bytes()], &buffers.fields);
            }
        }
    }

    /// Reads one answer for each hash, and returns how many fields were deleted.
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
    /// Records that a key holds no hash. It has no fields to delete; the deletion goes on with the other
    /// hashes.
    fn record_no_hash(&self, hash: &str, error: &RedisError) {
        let mut no_hashes = self.no_hashes.lock().unwrap_or_else(PoisonError::into_inner);
        let subject = format!("{NAME}: the key {hash}");
        no_hashes.entry(hash.to_owned()).or_insert_with(|| Outage::new(subject)).down(
            Instant::now(),
            &format!(
                "this key holds no hash, so nothing is deleted from it; the deletion goes on with the \
                 other hashes: {error}"
            ),
        );
    }

    /// Records that a key holds a hash.
    fn record_hash(&self, hash: &str) {
        let mut no_hashes = self.no_hashes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outage) = no_hashes.get_mut(hash) {
            outage.up(Instant::now(), "this key holds a hash again");
        }
    }
}
