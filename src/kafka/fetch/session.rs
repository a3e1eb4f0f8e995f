//! The fetch session with one broker (KIP-227): what the broker remembers of the partitions, so that a
//! request names only what has changed. Pure: the caller has the connection.

use std::collections::BTreeMap;

use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::messages::fetch::{FetchAnswer, PartitionFetch, SessionPlace};
use crate::record::TopicPartition;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct FetchSession {
    /// The number that the broker gave; 0 if it gave none.
    id: i32,
    /// The place of the next request in the session; 0 asks for a new one.
    epoch: i32,
    /// Whether the last request named all its partitions.
    was_full: bool,
    /// Whether the broker has answered such a request, and keeps no session.
    is_denied: bool,
    /// How many requests were made.
    requests: u64,
    /// What the broker remembers. Without a session: what the last request named.
    partitions: BTreeMap<TopicPartition, SessionPartition>,
}

/// What the broker remembers of a partition, and what it said last.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SessionPartition {
    place: FetchPlace,
    /// The ends in the last good answer for this place or an earlier one; `None` before the first.
    ends: Option<LogEnds>,
    /// The number of the last request whose answer names the partition.
    named_in: u64,
}

/// From where on a partition is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FetchPlace {
    /// The leader epoch; -1 if it is not known.
    pub(super) epoch: i32,
    pub(super) offset: i64,
    pub(super) max_bytes: i32,
}

impl FetchPlace {
    fn of(self, partition: &TopicPartition) -> PartitionFetch {
        let Self { epoch, offset, max_bytes } = self;
        PartitionFetch { partition: partition.clone(), epoch, offset, max_bytes }
    }
}

/// The ends of a log, as its leader said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogEnds {
    pub(super) high_watermark: i64,
    /// See [`crate::kafka::protocol::messages::fetch::FetchedPartition::last_stable`].
    pub(super) last_stable: i64,
}

/// What the next request says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SessionRequest {
    pub(super) place: SessionPlace,
    pub(super) named: Vec<PartitionFetch>,
    pub(super) forgotten: Vec<TopicPartition>,
}

/// What an answer means for the session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SessionAnswer {
    /// All partitions of the request were answered; those that are left out are unchanged.
    Whole,
    /// The broker should have answered for these partitions, and does not name them.
    LeftOutCommands(Vec<TopicPartition>),
    /// The session is lost. The next request begins another one, and must follow at once.
    SessionLost,
    /// The broker refuses the request.
    Refused,
}

impl FetchSession {
    /// Whether the next request names only changes.
    pub(super) fn is_open(&self) -> bool {
        self.epoch > 0
    }

    /// Whether the broker keeps no session, as far as is known: it has room for a limited number.
    pub(super) fn is_denied(&self) -> bool {
        self.is_denied
    }

    /// The next request names all its partitions, and ends the present session at the broker.
    pub(super) fn begin_anew(&mut self) {
        self.epoch = 0;
    }

    /// The request that names all of these partitions, in this order.
    pub(super) fn full_request<'a>(
        &mut self,
        wanted: impl Iterator<Item = (&'a TopicPartition, FetchPlace)>,
    ) -> SessionRequest {
        self.requests += 1;
        self.was_full = true;
        self.partitions.clear();
        let mut named = Vec::new();
        for (partition, place) in wanted {
            named.push(place.of(partition));
            self.partitions.insert(partition.clone(), SessionPartition { place, ends: None, named_in: 0 });
        }
        SessionRequest { place: SessionPlace { id: self.id, epoch: 0 }, named, forgotten: Vec::new() }
    }

    /// The request that names only what has changed. `wanted` are all partitions to be read, in ascending
    /// order; the broker forgets the others.
    pub(super) fn incremental_request<'a>(
        &mut self,
        wanted: impl Iterator<Item = (&'a TopicPartition, FetchPlace)>,
    ) -> SessionRequest {
        self.requests += 1;
        self.was_full = false;
        let (mut named, mut forgotten, mut added) = (Vec::new(), Vec::new(), Vec::new());
        let mut wanted = wanted.peekable();
        for (partition, known) in &mut self.partitions {
            while let Some((new, place)) = wanted.next_if(|(one, _)| *one < partition) {
                added.push((new.clone(), place));
            }
            match wanted.next_if(|(one, _)| *one == partition) {
                Some((_, place)) if known.place == place => {}
                Some((_, place)) => {
                    named.push(place.of(partition));
                    known.place = place;
                }
                None => forgotten.push(partition.clone()),
            }
        }
        added.extend(wanted.map(|(new, place)| (new.clone(), place)));
        for partition in &forgotten {
            self.partitions.remove(partition);
        }
        for (partition, place) in added {
            named.push(place.of(&partition));
            self.partitions.insert(partition, SessionPartition { place, ends: None, named_in: 0 });
        }
        SessionRequest { place: SessionPlace { id: self.id, epoch: self.epoch }, named, forgotten }
    }

    /// Takes the answer to the last request.
    pub(super) fn take_answer(&mut self, answer: &FetchAnswer) -> SessionAnswer {
        match answer.code {
            ErrorCode::NONE => {}
            ErrorCode::FETCH_SESSION_ID_NOT_FOUND if !self.was_full => {
                *self = Self { requests: self.requests, ..Self::default() };
                return SessionAnswer::SessionLost;
            }
            // The number is kept, so that the broker ends this session when the next one begins.
            ErrorCode::INVALID_FETCH_SESSION_EPOCH if !self.was_full => {
                *self = Self { id: self.id, requests: self.requests, ..Self::default() };
                return SessionAnswer::SessionLost;
            }
            _ => {
                self.begin_anew();
                return SessionAnswer::Refused;
            }
        }
        for (partition, one) in &answer.partitions {
            if let Some(known) = self.partitions.get_mut(partition) {
                known.named_in = self.requests;
                let (high_watermark, last_stable) = (one.high_watermark, one.last_stable);
                // After an error the broker names the partition again, whatever its end is then.
                known.ends = one.code.is_none().then_some(LogEnds { high_watermark, last_stable });
            }
        }
        let is_same = !self.was_full && answer.session == self.id;
        self.epoch = match answer.session {
            // Also if all partitions have left the session.
            0 => 0,
            _ if self.was_full => 1,
            // It counts from 1 again behind its largest value.
            _ if is_same => self.epoch.checked_add(1).unwrap_or(1),
            _ => 0,
        };
        self.id = answer.session;
        // A broker that throttles gives an answer without any partition, and means nothing by that.
        if !self.was_full || answer.withheld_for().is_some() {
            return SessionAnswer::Whole;
        }
        self.is_denied = self.id == 0;
        let left_out = self.partitions.iter().filter(|(_, known)| known.named_in != self.requests);
        let left_out: Vec<TopicPartition> = left_out.map(|(partition, _)| partition.clone()).collect();
        if left_out.is_empty() { SessionAnswer::Whole } else { SessionAnswer::LeftOutCommands(left_out) }
    }

    /// Whether the last request was about this partition.
    pub(super) fn holds(&self, partition: &TopicPartition) -> bool {
        self.partitions.contains_key(partition)
    }

    /// The ends of a partition that the last answer left out because nothing of it has changed. `None` if it
    /// was named, or its ends are not known.
    pub(super) fn unchanged(&self, partition: &TopicPartition) -> Option<LogEnds> {
        let known = self.partitions.get(partition)?;
        known.ends.filter(|_| known.named_in != self.requests)
    }
}

#[cfg(test)]
mod tests;
