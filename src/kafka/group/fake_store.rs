//! For tests: an [`OffsetStore`] that a test controls, and short names for what it holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use super::offset_store::{HeldOffsets, OffsetStore, RefusedCommit};
use crate::error::Fault;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::messages::GenerationMember;
use crate::record::{Commit, OffsetMetadata, Token, TopicPartition};

#[derive(Default)]
pub(super) struct FakeGroup {
    pub(super) topics: BTreeMap<String, Vec<i32>>,
    pub(super) offsets: BTreeMap<TopicPartition, (i64, String)>,
    /// Partitions that are refused in both reads and commits.
    pub(super) refused: BTreeMap<TopicPartition, Fault>,
    /// Partitions whose commits are refused.
    pub(super) refuses_commits: BTreeMap<TopicPartition, Fault>,
    /// Those of `refuses_commits` whose topics are the reason.
    pub(super) topics_refused: BTreeSet<TopicPartition>,
    /// Every commit of a member is refused with this code.
    pub(super) refuses_members: Option<ErrorCode>,
    /// Every call fails with this fault.
    pub(super) down: Option<Fault>,
    /// The offsets of each commit that was asked for, call by call.
    pub(super) commits: Vec<Vec<Commit>>,
    /// The sender of each of `commits`: generation, member id, `group.instance.id`.
    pub(super) senders: Vec<(i32, String, Option<String>)>,
}

/// Clones share the group.
#[derive(Clone, Default)]
pub(super) struct FakeStore(pub(super) Arc<Mutex<FakeGroup>>);

impl FakeStore {
    /// A group with the topic `t` of this many partitions.
    pub(super) fn with_partitions(partitions: i32) -> Self {
        let store = Self::default();
        store.state().topics.insert("t".to_owned(), (0..partitions).collect());
        store
    }

    pub(super) fn state(&self) -> MutexGuard<'_, FakeGroup> {
        self.0.lock().unwrap()
    }

    fn up(&self) -> Result<MutexGuard<'_, FakeGroup>, Fault> {
        let state = self.state();
        match &state.down {
            Some(fault) => Err(fault.clone()),
            None => Ok(state),
        }
    }
}

impl OffsetStore for FakeStore {
    fn partitions(&mut self, topics: &[String]) -> Result<Vec<Result<Vec<i32>, String>>, Fault> {
        let state = self.up()?;
        Ok(topics.iter().map(|topic| Ok(state.topics.get(topic).cloned().unwrap_or_default())).collect())
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<HeldOffsets, Fault> {
        let state = self.up()?;
        let held = partitions.iter().map(|one| {
            let held = match (state.refused.get(one), state.offsets.get(one)) {
                (Some(fault), _) => Err(fault.clone()),
                (None, Some((offset, text))) => Ok((Some(*offset), OffsetMetadata::Text(text.clone()))),
                (None, None) => Ok((None, OffsetMetadata::Text(String::new()))),
            };
            (one.clone(), held)
        });
        Ok(held.collect())
    }

    fn commit(
        &mut self,
        member: GenerationMember<'_>,
        offsets: &[Commit],
    ) -> Result<Vec<RefusedCommit>, Fault> {
        let mut state = self.up()?;
        state.commits.push(offsets.to_vec());
        state.senders.push((member.generation, member.id.to_owned(), member.instance.map(str::to_owned)));
        let membership = state.refuses_members.filter(|_| member != GenerationMember::NONE);
        let mut refused = Vec::new();
        for one in offsets {
            let refusal = state.refused.get(&one.partition).or(state.refuses_commits.get(&one.partition));
            let refusal = membership.map(|code| Fault::Retry(code.to_string())).or(refusal.cloned());
            match refusal {
                Some(fault) => {
                    let is_topics = state.topics_refused.contains(&one.partition);
                    let partition = one.partition.clone();
                    refused.push(RefusedCommit { partition, fault, membership, is_topics });
                }
                None => {
                    state.offsets.insert(one.partition.clone(), (one.offset, one.metadata.clone()));
                }
            }
        }
        Ok(refused)
    }
}

pub(super) fn t(number: i32) -> TopicPartition {
    TopicPartition::new("t", number)
}

pub(super) fn commit(number: i32, offset: i64) -> Commit {
    Commit { partition: t(number), offset, metadata: format!("token {offset}") }
}

/// A committed offset of our own, with its token.
pub(super) fn token(offset: i64) -> (i64, String) {
    (offset, Token { identity: 1, epoch: 2, offset }.to_string())
}

pub(super) fn retry(why: &str) -> Fault {
    Fault::Retry(why.to_owned())
}
