//! The positions of each partition: written, settled and committed. Shared by the source, which
//! asks where to start, the sink, which asks what may be written, and the settle thread.

mod files;
mod periods;
mod positions;
mod refused;
mod taken_over;
#[cfg(test)]
mod tests;
mod together;
mod topics;

#[cfg(test)]
pub(super) use files::CLOSED_WITHOUT_SYNC;
#[cfg(test)]
pub(super) use taken_over::{TAKEN_ONCE, TAKEN_WITHOUT_SYNC};

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::checkpoint::Checkpoint;
use super::disk::Handle;
use super::group_view::{GroupView, NumberMap};
use super::journal::JournalFile;
use super::journal::JournalState;
use super::journal::{
    FileNumber, FilePlace, JournalEntry, JournalSync, Landmark, Mark, MemberIdentity, PartitionState,
    PositionChange, Range, Session,
};
use super::label::LogLabel;
use super::ledger_state::{LedgerState, PositionMove, random_epoch};
use super::resume::{self, KnownPosition, ResumeDecision, Resumed};
use super::written_files::WrittenFiles;
use crate::record::{Commit, OffsetMetadata, TopicPartition};

/// A handle on the positions of one log file. Cloning it shares them.
#[derive(Debug, Clone)]
pub struct Ledger {
    state: Arc<Mutex<LedgerState>>,
    label: LogLabel,
}

/// Positions that have become durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// What to commit now. Empty while an earlier commit is unanswered.
    pub commits: Vec<Commit>,
}

impl Ledger {
    /// `begins`: the journal was created just now.
    pub(super) fn new(journal: JournalFile, state: JournalState, label: LogLabel, begins: bool) -> Self {
        let strangers = begins.then(Vec::new);
        let (written, group) = (NumberMap::default(), GroupView::default());
        let settled = state.mark.as_ref().map_or(0, |mark| mark.sequence);
        let unsettled = state.recent.iter().map(|range| range.sequence);
        let files = WrittenFiles::new(settled, unsettled);
        let (left, complete) = (BTreeSet::new(), state.all_complete().into_iter().collect());
        let delayed_sync = None;
        let inner =
            LedgerState { journal, state, written, group, files, left, complete, strangers, delayed_sync };
        Self { state: Arc::new(Mutex::new(inner)), label }
    }

    /// These files could not be examined. Nothing is written to these by this run.
    pub(super) fn leaving(self, files: &BTreeSet<FileNumber>) -> Self {
        self.lock().left.clone_from(files);
        self
    }

    fn lock(&self) -> MutexGuard<'_, LedgerState> {
        // A panic leaves no entry half applied: each method writes the journal first, memory last.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides where to start an assigned partition, and makes the decision durable. From then on,
    /// commits of the partition carry a token if the group's storage has room for one.
    ///
    /// # Errors
    /// The journal's disk refuses.
    pub fn resume(
        &self,
        partition: &TopicPartition,
        committed: Option<i64>,
        metadata: &OffsetMetadata,
    ) -> io::Result<Resumed> {
        let mut inner = self.lock();
        inner.group.set_token_room(partition, *metadata != OffsetMetadata::Unsupported);
        let metadata = match metadata {
            OffsetMetadata::Text(text) => text.as_str(),
            OffsetMetadata::Unsupported => "",
        };
        if let Some(stranger) = inner.new_stranger(committed, metadata) {
            self.log_stranger(stranger);
        }
        let is_former = |identity| inner.state.has_taken_over(identity);
        let own = resume::as_own(inner.journal.identity(), is_former, committed, metadata);
        let metadata = own.as_ref();
        let known = inner.state.find(partition).map(|(index, state)| (index, state.clone()));
        let facts = known.as_ref().map(|(_, state)| KnownPosition::of(state));
        let (label, held) = (&self.label, committed.unwrap_or_default());
        let start = resume::decide(inner.journal.identity(), facts, committed, metadata);
        log::debug!("{label}: {partition}: committed {committed:?}, journal {facts:?}: {start:?}");
        match start {
            ResumeDecision::Nowhere => return Ok(inner.assign(partition)),
            ResumeDecision::Journal => {}
            ResumeDecision::JournalWentBack => log::warn!(
                "{label}: {partition}: the group's offset {held} was committed under this journal's name, \
                 but the journal has no record of that commit: either an older copy of the journal was put \
                 back, or a commit arrived late; going on at the journal's position {}",
                facts.map_or(-1, |known| known.position)
            ),
            ResumeDecision::NeverKnew(epoch) => {
                log::warn!(
                    "{label}: {partition}: the group's offset {held} was committed under this journal's \
                     name, but the journal does not know the partition: an older copy of the journal was \
                     put back; going to the first record"
                );
                inner.set_position(partition, 0, epoch, Vec::new())?;
            }
            ResumeDecision::Follow(position, epoch) => {
                inner.set_position(partition, position, epoch, landmarks_at(known.as_ref(), position))?;
            }
            ResumeDecision::Moved(position, epoch) => {
                if let Some((_, state)) = known.as_ref().filter(|(_, state)| state.position != position) {
                    log::warn!(
                        "{label}: {partition}: another program set the group's offset to {position} (the \
                         journal is at {}); going there",
                        state.position
                    );
                }
                let epoch = match epoch {
                    Some(epoch) => epoch,
                    None => random_epoch()?,
                };
                inner.set_position(partition, position, epoch, landmarks_at(known.as_ref(), position))?;
            }
        }
        if let Some(committed) = committed {
            inner.record_group_offset(
                partition,
                committed,
                metadata,
                start == ResumeDecision::JournalWentBack,
            )?;
        }
        Ok(Resumed { skipped: passed_over(start, known.as_ref()), ..inner.assign(partition) })
    }

    fn log_stranger(&self, stranger: u128) {
        log::error!(
            "{}: this file had no journal, and the group has offsets that the journal {stranger:032x} \
             committed. If that journal belongs to this file, stop pandad, see whether the journal's \
             directory is mounted, and put the journal back: otherwise lines come twice. If it belongs to \
             another pandad of this group, nothing is wrong",
            self.label
        );
    }

    /// Sets a partition's position, because nobody had one or because its log has diverged. The
    /// position is durable on return. No record of the partition may be in flight.
    ///
    /// # Errors
    /// The journal's disk refuses.
    pub fn set_position(&self, partition: &TopicPartition, position: i64) -> io::Result<()> {
        let mut inner = self.lock();
        inner.move_position(partition, (position, PositionMove::OtherLog), random_epoch()?, Vec::new())?;
        inner.assign(partition);
        Ok(())
    }

    /// The epoch under which to claim an offset that another program has set in the group, see
    /// [`resume::claim_name`].
    pub fn claim_name(&self, partition: &TopicPartition, offset: i64, generation: i32) -> u64 {
        let inner = self.lock();
        let (epoch, namer) = inner.state.naming(partition, inner.journal.identity());
        resume::claim_name(namer, epoch, offset, generation)
    }

    /// The partition's number and written position, if the partition is assigned.
    pub fn written(&self, partition: &TopicPartition) -> Option<(u32, i64)> {
        let inner = self.lock();
        let (index, _) = inner.state.find(partition)?;
        Some((index, *inner.written.get(&index)?))
    }

    /// No partition is assigned any more. Nothing is written until a partition is resumed.
    pub fn release_all(&self) {
        let mut inner = self.lock();
        inner.written.clear();
        inner.group.release_all();
    }

    /// Whether the group holds the written position of every assigned partition, by a commit of the
    /// partition's present history. If so, a member that takes a partition over goes on exactly where this
    /// journal ends. Partitions whose offsets the group refuses do not count: nothing more of these is
    /// written, and what becomes of a partition does not depend on others.
    ///
    /// While several journals share a group, nothing more may be written until this is true. Otherwise, if
    /// this journal failed, the others would follow an offset of another history, and would skip or repeat
    /// what this journal has written (6 to 7 of 100 simulated histories go wrong). A journal that is alone
    /// in its group need not wait, because no other journal decides by its commits.
    pub fn group_holds_all(&self) -> bool {
        let inner = self.lock();
        let holds = |index: u32, written: i64| {
            !inner.group.lacks(index, written) && inner.group.has_token(index) || inner.group.refuses(index)
        };
        inner.written.iter().all(|(index, written)| holds(*index, *written))
    }

    /// Whether the group holds a token of the partition's present history. This is the part of
    /// [`Self::group_holds_all`] that the simulator also records by itself, for comparison.
    #[cfg(test)]
    pub(super) fn is_agreed(&self, partition: &TopicPartition) -> bool {
        let inner = self.lock();
        inner.state.find(partition).is_some_and(|(index, _)| inner.group.has_token(index))
    }

    /// The other journals whose tokens were found in the group. Each was logged.
    #[cfg(test)]
    pub(super) fn strangers(&self) -> Vec<u128> {
        self.lock().strangers.clone().unwrap_or_default()
    }

    /// The journal's random name.
    pub fn identity(&self) -> u128 {
        self.lock().journal.identity()
    }

    /// This pandad's identity in its group, as last recorded.
    pub fn member(&self) -> Option<MemberIdentity> {
        self.lock().state.member.clone()
    }

    /// Records this pandad's identity in its group. It need not be durable: without it, a restart
    /// merely takes longer.
    ///
    /// # Errors
    /// The journal's disk refuses.
    pub fn record_member(&self, member: MemberIdentity) -> io::Result<()> {
        let mut inner = self.lock();
        if inner.state.member.as_ref() == Some(&member) {
            Ok(())
        } else {
            inner.append_entry(JournalEntry::Member(member))
        }
    }

    /// The last settled records of a partition, oldest first.
    pub fn landmarks(&self, partition: &TopicPartition) -> Vec<Landmark> {
        self.lock().state.find(partition).map_or(Vec::new(), |(_, state)| state.landmarks.clone())
    }

    /// Whether the journal knows a partition of this topic.
    pub fn knows_topic(&self, topic: &str) -> bool {
        self.lock().state.partitions.values().any(|state| &*state.partition.topic == topic)
    }

    /// Whether settled positions are waiting to be committed and no commit is under way.
    pub fn needs_commit(&self) -> bool {
        let inner = self.lock();
        !inner.group.is_unanswered && inner.uncommitted().next().is_some()
    }

    /// Records that the group holds these offsets.
    pub fn record_committed(&self, values: &[(TopicPartition, i64)]) {
        let mut inner = self.lock();
        for (partition, value) in values {
            if let Some((index, state)) = inner.state.find(partition) {
                let epoch = state.epoch;
                inner.group.record_answer(index, *value, epoch);
            }
        }
        inner.group.is_unanswered = false;
        if let Err(error) = inner.forget_obsolete() {
            // The next mark records the same.
            log::debug!("{}: cannot journal that a commit was acknowledged: {error}", self.label);
        }
    }

    /// Offsets to commit outside of a settling. They are journalled and durable on return. Empty
    /// while an earlier commit is unanswered, or when the group holds every position.
    ///
    /// # Errors
    /// The journal's disk refuses.
    pub fn take_commits(&self) -> io::Result<Vec<Commit>> {
        let Some(mark) = self.lock().state.mark.clone() else { return Ok(Vec::new()) };
        let (settled, journal) = self.mark(mark)?;
        journal.sync()?;
        Ok(settled.commits)
    }

    /// Records the end of a run. If everything has settled, the next start knows that every byte of
    /// ours in the file has a journalled range.
    ///
    /// # Errors
    /// The journal's disk refuses. Then the next start compares more of the file.
    pub fn close(&self) -> io::Result<()> {
        let mut inner = self.lock();
        match inner.state.session {
            Some(session) if inner.has_settled_but(&BTreeSet::new()) => {
                inner.append_entry(JournalEntry::Session(Session { closed: true, ..session }))?;
                inner.journal.to_sync().sync()
            }
            _ => Ok(()),
        }
    }

    /// Whether a sync of the journal has failed. After that, only opening the journal again shows what it
    /// holds.
    pub fn has_failed(&self) -> bool {
        self.lock().journal.has_failed()
    }

    pub(super) fn next_sequence(&self) -> u64 {
        self.lock().state.next_sequence()
    }

    /// Journals a range that is about to be written.
    ///
    /// If a sync is returned, it must be done before the write: as long as the file was empty at the last
    /// durable mark, only the journalled ranges show after a loss of power how many bytes of the file can be
    /// pandad's.
    pub(super) fn announce(&self, range: &Range) -> io::Result<Option<JournalSync>> {
        let mut inner = self.lock();
        inner.announce(range.clone())?;
        inner.files.announce(range.sequence);
        Ok(inner.may_begin_empty(range).then(|| inner.journal.to_sync()))
    }

    /// Records that the range is in its files, which now end at these places.
    pub(super) fn record_range(&self, range: &Range, files: &[(FileNumber, &Handle, FilePlace)]) {
        let mut inner = self.lock();
        inner.files.give_up(range.sequence);
        for (number, handle, place) in files {
            let bytes = range.part_of(*number).map_or(0, |part| part.to - part.from);
            inner.files.record(*number, (handle, *place), bytes);
        }
    }

    /// Records that everything up to these positions is written.
    pub(super) fn record_written(&self, changes: &[PositionChange]) {
        let mut inner = self.lock();
        for change in changes {
            // The partition may have been released while the range was being written.
            if let Some(written) = inner.written.get_mut(&change.index) {
                *written = change.position;
            }
        }
    }

    /// Records that the file is durable up to the mark, and which offsets are committed now. The
    /// journal's file is still to be synced.
    pub(super) fn mark(&self, mut mark: Mark) -> io::Result<(Settled, JournalSync)> {
        let mut inner = self.lock();
        let settled = inner.state.settled_by(mark.sequence, &mark.held);
        let after = if inner.group.is_unanswered { Vec::new() } else { inner.to_commit(&settled) };
        mark.commits = inner.committed_changes(&after);
        inner.write_mark(mark, &settled)?;
        let commits =
            after.into_iter().filter_map(|(index, offset)| inner.order_commit(index, offset)).collect();
        Ok((Settled { commits }, inner.journal.to_sync()))
    }

    /// Bytes written since the last checkpoint.
    pub fn unsettled(&self) -> u64 {
        self.lock().files.unsettled()
    }

    /// Whether a checkpoint would make anything durable, or commit anything.
    pub fn needs_checkpoint(&self) -> bool {
        self.lock().files.has_range() || self.needs_commit()
    }

    /// All that was written so far.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint(self.lock().files.checkpoint())
    }
}

/// The offsets behind the journal's position that are passed over, because somebody set the group's offset.
fn passed_over(start: ResumeDecision, known: Option<&(u32, PartitionState)>) -> std::ops::Range<i64> {
    match (start, known) {
        (ResumeDecision::Moved(position, _), Some((_, state))) => state.position..position,
        _ => 0..0,
    }
}

/// The partition's landmarks, if they are the records just before this position.
fn landmarks_at(known: Option<&(u32, PartitionState)>, position: i64) -> Vec<Landmark> {
    let same = known.filter(|(_, state)| state.position == position);
    same.map_or(Vec::new(), |(_, state)| state.landmarks.clone())
}
