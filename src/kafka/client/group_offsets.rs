//! The offsets that a group keeps in Kafka: commits them, and asks for the committed ones, each with its
//! metadata.
//!
//! One call is one attempt. The coordinator is found and asked a second time only if it moved, or if the
//! connection failed since its last use. The caller makes the pauses between attempts.

use std::collections::BTreeMap;

use super::brokers::{Brokers, is_fresh};
use super::connection::Connection;
use super::coordinator;
use crate::error::Fault;
use crate::kafka::protocol::error_code::{ErrorCode, Reaction};
use crate::kafka::protocol::messages::offset_fetch::Offset;
use crate::kafka::protocol::messages::{GenerationMember, OffsetCommit, OffsetFetch, Request};
use crate::kafka::protocol::refusal::Refusal;
use crate::record::{Commit, TopicPartition};

/// How many offsets one request commits. A coordinator writes all of these in one batch, and fails if that is
/// larger than a batch may be (1 MiB, `max.message.bytes`).
const COMMIT_PARTITIONS_MAX: usize = 1000;

/// The offsets of one group, with a connection to its coordinator.
#[derive(Debug)]
pub struct GroupOffsets {
    group: String,
    coordinator: Option<Connection>,
}

/// The committed offset of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The offset.
    pub offset: i64,
    /// Its metadata string; empty if there is none.
    pub metadata: String,
}

/// An answer for each partition of a request, in the order of the request.
pub type Answers<T> = Vec<(TopicPartition, Result<T, Refusal>)>;

impl GroupOffsets {
    /// The offsets of this group. Connects to nothing yet.
    pub fn new(group: &str) -> Self {
        Self { group: group.to_owned(), coordinator: None }
    }

    /// Commits these offsets. Each partition gets its own answer; the group has all offsets that are not
    /// refused.
    ///
    /// # Errors
    /// `Retry`: the coordinator did not answer; some of the offsets may be committed all the same. `Fatal`:
    /// the group cannot have a coordinator, or no common version of the request exists.
    pub fn commit(
        &mut self,
        brokers: &mut Brokers,
        member: GenerationMember<'_>,
        offsets: &[Commit],
    ) -> Result<Answers<()>, Fault> {
        let mut answers = Vec::with_capacity(offsets.len());
        for some in offsets.chunks(COMMIT_PARTITIONS_MAX) {
            answers.extend(self.commit_some(brokers, member, some)?);
        }
        Ok(answers)
    }

    fn commit_some(
        &mut self,
        brokers: &mut Brokers,
        member: GenerationMember<'_>,
        offsets: &[Commit],
    ) -> Result<Answers<()>, Fault> {
        let group = self.group.clone();
        let request = OffsetCommit { group: &group, member, offsets };
        let codes =
            |answer: &Vec<(TopicPartition, ErrorCode)>| answer.iter().map(|(_, code)| *code).collect();
        let answer = self.ask(brokers, &request, codes)?;
        let mut answered: BTreeMap<TopicPartition, ErrorCode> = answer.into_iter().collect();
        let asked = offsets.iter().map(|one| {
            let code = answered.remove(&one.partition);
            let held = match code {
                Some(ErrorCode::NONE) => Ok(()),
                Some(code) => Err(Refusal::Code(code)),
                None => Err(Refusal::Unanswered),
            };
            (one.partition.clone(), held)
        });
        Ok(asked.collect())
    }

    /// The committed offsets of these partitions; `None` where the group has none.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn committed(
        &mut self,
        brokers: &mut Brokers,
        partitions: &[TopicPartition],
    ) -> Result<Answers<Option<CommittedOffset>>, Fault> {
        let group = self.group.clone();
        let request = OffsetFetch { group: &group, partitions };
        let answer = self.ask(brokers, &request, |answer| {
            let codes = answer.partitions.iter().map(|(_, offset)| offset.code);
            codes.chain([answer.code]).collect()
        })?;
        let whole = answer.code;
        let mut answered: BTreeMap<TopicPartition, Offset> = answer.partitions.into_iter().collect();
        let asked = partitions.iter().map(|partition| {
            let committed = match answered.remove(partition) {
                _ if !whole.is_none() => Err(Refusal::Code(whole)),
                Some(offset) if !offset.code.is_none() => Err(Refusal::Code(offset.code)),
                Some(Offset { offset, metadata, .. }) => {
                    Ok((offset >= 0).then_some(CommittedOffset { offset, metadata }))
                }
                None => Err(Refusal::Unanswered),
            };
            (partition.clone(), committed)
        });
        Ok(asked.collect())
    }

    /// Asks the coordinator. If another broker coordinates the group now, or if the connection failed since
    /// its last use, the coordinator is found and asked once more.
    fn ask<R: Request>(
        &mut self,
        brokers: &mut Brokers,
        request: &R,
        codes: impl Fn(&R::Answer) -> Vec<ErrorCode>,
    ) -> Result<R::Answer, Fault> {
        let mut again = true;
        loop {
            let used = self.coordinator.take().filter(is_fresh);
            let is_used = used.is_some();
            let mut connection = match used {
                Some(connection) => connection,
                None => coordinator::find(brokers, &self.group)?,
            };
            match connection.ask(request) {
                Ok(answer) => {
                    brokers.confirm(&connection);
                    let moved =
                        codes(&answer).iter().any(|code| code.reaction() == Reaction::FindCoordinator);
                    if !moved {
                        self.coordinator = Some(connection);
                    } else if again {
                        again = false;
                        continue;
                    }
                    return Ok(answer);
                }
                Err(fault) => {
                    brokers.avoid(connection.address());
                    if !(is_used && again && matches!(fault, Fault::Retry(_))) {
                        return Err(fault);
                    }
                    again = false;
                }
            }
        }
    }
}
