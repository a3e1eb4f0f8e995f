//! A group's offsets in Kafka: finds the group's coordinator, commits, and asks for
//! what is committed, each with the string beside it.
//!
//! One call is one try, but for a coordinator that moved or a connection that died
//! meanwhile: those are looked for again once. Pauses are the caller's.

use std::collections::BTreeMap;

use super::brokers::{Brokers, is_fresh};
use super::connection::Connection;
use super::coordinator;
use crate::error::Fault;
use crate::kafka::protocol::error_code::{ErrorCode, Remedy};
use crate::kafka::protocol::messages::offset_fetch::Offset;
use crate::kafka::protocol::messages::{GenerationMember, OffsetCommit, OffsetFetch, Request};
use crate::kafka::protocol::refusal::Refusal;
use crate::record::{Commit, TopicPartition};

/// See the module.
#[derive(Debug)]
pub struct GroupOffsets {
    group: String,
    coordinator: Option<Connection>,
}

/// What a group has committed of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The offset.
    pub offset: i64,
    /// The string beside it, empty where there is none.
    pub metadata: String,
}

/// An answer for each partition that was asked for, in that order.
pub type Answers<T> = Vec<(TopicPartition, Result<T, Refusal>)>;

impl GroupOffsets {
    /// Of this group. Connects to nothing yet.
    pub fn new(group: &str) -> Self {
        Self { group: group.to_owned(), coordinator: None }
    }

    /// Commits. Each partition is answered for by itself; what is not refused, the
    /// group holds.
    ///
    /// # Errors
    /// `Retry`: the coordinator could not be asked; some of it may be committed all the
    /// same. `Fatal`: it cannot be asked as things are configured.
    pub fn commit(
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

    /// What the group has committed of these partitions; `None`: nothing.
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

    /// Asks the coordinator. If it is another one by now, or the connection to it died
    /// since it was used, it is found and asked once more.
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
                    let moved = codes(&answer).iter().any(|code| code.remedy() == Remedy::FindCoordinator);
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
