//! What the journal of a stopped pandad says of partitions, and where the next start would go on by it. It
//! changes nothing.

use std::path::Path;
use std::sync::Arc;

use super::disk::{Disk, RealDisk, with_suffix};
use super::inspect::name_found;
use super::journal::{JournalFile, JournalRead, JournalState};
use super::resume::{self, KnownPosition, ResumeDecision};
use crate::record::{OffsetMetadata, Token, TopicPartition};

/// The positions in a journal. The lock of the log file is held while it is used.
#[derive(Debug)]
pub struct JournalView {
    identity: u128,
    state: JournalState,
}

impl JournalView {
    /// Reads the journal of a log file. Where there is none, nothing is known.
    ///
    /// # Errors
    /// There is one that cannot be read; the text says why.
    pub fn read(log_file: &Path) -> Result<Self, String> {
        Self::read_on(&(Arc::new(RealDisk) as Arc<dyn Disk>), log_file)
    }

    fn read_on(disk: &Arc<dyn Disk>, log_file: &Path) -> Result<Self, String> {
        let at = with_suffix(log_file, ".journal");
        let found = JournalFile::look(disk, &at);
        if matches!(found, Ok(JournalRead::Missing)) {
            // A new journal gets a random identity, which no token in the group has. 0 is that of claims.
            return Ok(Self { identity: u128::MAX, state: JournalState::default() });
        }
        let (journal, contents) = name_found(&at, found)?;
        let mut state = contents.replay(None)?.state;
        // The next start compares these ranges with the file, and adopts those that the file holds.
        let unsettled: Vec<_> = state.recent.drain(..).collect();
        unsettled.iter().for_each(|range| state.settle(&range.changes, 0));
        Ok(Self { identity: journal.identity(), state })
    }

    /// The position of a partition, if the journal knows it.
    pub fn position(&self, partition: &TopicPartition) -> Option<i64> {
        self.state.find(partition).map(|(_, state)| state.position)
    }

    /// Where the next start goes on, if the group has this offset with this metadata. `None` if nobody has a
    /// position. What was set without a token counts as claimed, as the start would claim it.
    pub fn resumes_at(
        &self,
        partition: &TopicPartition,
        committed: Option<i64>,
        metadata: &OffsetMetadata,
    ) -> Option<i64> {
        match self.decide(partition, committed, metadata) {
            ResumeDecision::Journal | ResumeDecision::JournalWentBack => self.position(partition),
            ResumeDecision::NeverKnew(_) => Some(0),
            ResumeDecision::Follow(offset, _) | ResumeDecision::Moved(offset, _) => Some(offset),
            ResumeDecision::Nowhere => None,
        }
    }

    /// Up to which offset the records were written, as far as is known. That differs from
    /// [`Self::resumes_at`] if somebody has set the group's offset and no start has followed yet.
    pub fn written_up_to(
        &self,
        partition: &TopicPartition,
        committed: Option<i64>,
        metadata: &OffsetMetadata,
    ) -> Option<i64> {
        let resumes_at = self.resumes_at(partition, committed, metadata);
        match self.decide(partition, committed, metadata) {
            ResumeDecision::Moved(..) => self.position(partition).or(resumes_at),
            _ => resumes_at,
        }
    }

    /// As [`super::Ledger::claim_name`], by no member.
    pub(super) fn claim_name(&self, partition: &TopicPartition, offset: i64) -> u64 {
        let (epoch, namer) = self.state.naming(partition, self.identity);
        resume::claim_name(namer, epoch, offset, -1)
    }

    fn decide(
        &self,
        partition: &TopicPartition,
        committed: Option<i64>,
        metadata: &OffsetMetadata,
    ) -> ResumeDecision {
        let known = self.state.find(partition).map(|(_, state)| KnownPosition::of(state));
        let metadata = match (committed, metadata) {
            (Some(offset), OffsetMetadata::Text(text)) if Token::naming(offset, text).is_none() => {
                Token::claim(self.claim_name(partition, offset), offset).to_string()
            }
            (_, OffsetMetadata::Text(text)) => text.clone(),
            (_, OffsetMetadata::Unsupported) => String::new(),
        };
        let is_former = |identity| self.state.has_taken_over(identity);
        let metadata = resume::as_own(self.identity, is_former, committed, &metadata);
        resume::decide(self.identity, known, committed, &metadata)
    }
}
