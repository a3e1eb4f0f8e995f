//! The positions: what has landed, what has settled, what has been committed. Shared
//! by the source (where to start), the sink (what to land) and the settle thread.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::area::{Area, Refused};
use super::disk::Handle;
use super::journal::{Change, Commit, Entry, Landmark, Mark, PartitionState, Range, Session};
use super::resume::{self, Known, Start};
use super::state::{State, push_kept};
use crate::host;
use crate::record::TopicPartition;

/// A handle on the positions of one job. Cloning it shares them.
#[derive(Debug, Clone)]
pub struct Ledger {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    area: Area,
    /// As of the last mark, and the ranges since.
    state: State,
    /// The next offset to land, by partition number; only of assigned partitions.
    landed: HashMap<u32, i64>,
    /// What the group is known to hold.
    acknowledged: HashMap<u32, i64>,
    /// What this run's own commits were acknowledged with.
    own: HashMap<u32, i64>,
    /// Whether values were handed out for committing and no answer has come yet.
    committing: bool,
}

/// Where a partition is to be read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed {
    /// The first offset to fetch; `None`: nobody has a position.
    pub position: Option<i64>,
    /// The last records that landed, oldest first.
    pub landmarks: Vec<Landmark>,
}

/// Positions that have become durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// To be committed now; empty while an earlier commit is unanswered.
    pub commits: Vec<(TopicPartition, i64)>,
}

impl Ledger {
    pub(super) fn new(area: Area, state: State) -> Self {
        let inner = Inner {
            area,
            state,
            landed: HashMap::new(),
            acknowledged: HashMap::new(),
            own: HashMap::new(),
            committing: false,
        };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves no entry half applied: each method writes the
        // journal first and changes memory last.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides where to start an assigned partition and makes the decision durable.
    ///
    /// # Errors
    /// The journal's disk.
    pub fn resume(
        &self,
        partition: &TopicPartition,
        committed: Option<i64>,
        metadata: &str,
    ) -> io::Result<Resumed> {
        let mut inner = self.lock();
        let known = inner.state.find(partition).map(|(index, state)| (index, state.clone()));
        let facts = known.as_ref().map(|(_, state)| Known {
            position: state.position,
            epoch: state.epoch,
            committed: &state.committed,
        });
        let start = resume::decide(inner.area.identity(), facts, committed, metadata);
        log::debug!("{partition}: committed {committed:?}, journal {facts:?}: {start:?}");
        match start {
            Start::Nowhere => return Ok(Resumed { position: None, landmarks: Vec::new() }),
            Start::Journal => {}
            Start::JournalWentBack => log::warn!(
                "{partition}: the journal is behind offset {committed:?}, which it committed itself: an older \
                 copy of it was put back; going on where the journal is"
            ),
            Start::Follow(position, epoch) => inner.place(partition, position, epoch)?,
            Start::Moved(position) => {
                if let Some((_, state)) = &known {
                    log::warn!(
                        "{partition}: the group's offset was set to {position} by somebody else (the journal is \
                         at {}); going there",
                        state.position
                    );
                }
                inner.place(partition, position, random_epoch()?)?;
            }
        }
        if let Some(committed) = committed {
            inner.remember(partition, committed)?;
        }
        Ok(inner.begin(partition))
    }

    /// Sets a partition's position because nobody had one, or because its log is not
    /// what it was; durable on return. Nothing of the partition may be in flight.
    ///
    /// # Errors
    /// The journal's disk.
    pub fn place(&self, partition: &TopicPartition, position: i64) -> io::Result<()> {
        let mut inner = self.lock();
        inner.place(partition, position, random_epoch()?)?;
        inner.begin(partition);
        Ok(())
    }

    /// The partition's number and the next offset to land, if it is assigned.
    pub fn landed(&self, partition: &TopicPartition) -> Option<(u32, i64)> {
        let inner = self.lock();
        let (index, _) = inner.state.find(partition)?;
        Some((index, *inner.landed.get(&index)?))
    }

    /// The last records of a partition that have settled, oldest first.
    pub fn landmarks(&self, partition: &TopicPartition) -> Vec<Landmark> {
        self.lock().state.find(partition).map_or(Vec::new(), |(_, state)| state.landmarks.clone())
    }

    /// Whether any journalled partition belongs to this topic.
    pub fn knows_topic(&self, topic: &str) -> bool {
        self.lock().state.partitions.values().any(|state| &*state.partition.topic == topic)
    }

    /// Whether settled positions wait to be committed and none are being committed.
    pub fn wants_commit(&self) -> bool {
        let inner = self.lock();
        !inner.committing && inner.uncommitted().next().is_some()
    }

    /// The group now holds these values.
    pub fn committed(&self, values: &[(TopicPartition, i64)]) {
        let mut inner = self.lock();
        for (partition, value) in values {
            if let Some((index, _)) = inner.state.find(partition) {
                inner.acknowledged.insert(index, *value);
                inner.own.insert(index, *value);
            }
        }
        inner.committing = false;
    }

    /// Values to commit outside of a settling: journalled and durable on return.
    /// Empty while an earlier commit is unanswered, or when the group holds everything.
    ///
    /// # Errors
    /// The journal's disk.
    pub fn take_commits(&self) -> io::Result<Vec<(TopicPartition, i64)>> {
        let Some(mark) = self.lock().state.mark.clone() else { return Ok(Vec::new()) };
        let (settled, journal) = self.mark(mark)?;
        journal.sync()?;
        Ok(settled.commits)
    }

    /// The run ends: if everything has settled, the next start knows that nothing of
    /// ours is in the file but what is journalled.
    ///
    /// # Errors
    /// The journal's disk; the next start then looks more closely.
    pub fn close(&self) -> io::Result<()> {
        let mut inner = self.lock();
        match inner.state.session {
            Some(session) if inner.state.recent.is_empty() => {
                inner.write(Entry::Session(Session { closed: true, ..session }))?;
                inner.area.file().sync()
            }
            _ => Ok(()),
        }
    }

    pub(super) fn next_sequence(&self) -> u64 {
        self.lock().state.next_sequence()
    }

    /// Journals a range that is about to be written.
    pub(super) fn announce(&self, range: &Range) -> io::Result<()> {
        self.lock().write(Entry::Range(range.clone()))
    }

    /// The range is in the file: its positions have landed.
    pub(super) fn land(&self, changes: &[Change]) {
        let mut inner = self.lock();
        for change in changes {
            inner.landed.insert(change.index, change.position);
        }
    }

    /// Everything up to the mark is durable in the file. Journals that, together with
    /// the values to commit now; the journal's file is still to be synced.
    pub(super) fn mark(&self, mut mark: Mark) -> io::Result<(Settled, Handle)> {
        let mut inner = self.lock();
        let after = if inner.committing { Vec::new() } else { inner.to_commit(mark.sequence) };
        let commit = |(index, value): &(u32, i64)| Commit {
            index: *index,
            acknowledged: inner.own.get(index).copied(),
            value: *value,
        };
        mark.commits = after.iter().map(commit).collect();
        inner.write_mark(mark)?;
        inner.committing |= !after.is_empty();
        let named = |(index, position): (u32, i64)| {
            inner.state.partitions.get(&index).map(|state| (state.partition.clone(), position))
        };
        let commits = after.into_iter().filter_map(named).collect();
        Ok((Settled { commits }, inner.area.file()))
    }

    /// As [`Self::mark`], and durable on return, when writing goes on in another file
    /// or at another place than the last range's end. Commits nothing.
    pub(super) fn mark_place(&self, mark: Mark) -> io::Result<()> {
        let mut inner = self.lock();
        inner.write(Entry::Mark(mark))?;
        inner.area.file().sync()
    }
}

impl Inner {
    /// Writes an entry, rewriting the journal first where it is full, then applies it.
    fn write(&mut self, entry: Entry) -> io::Result<()> {
        match self.area.append(&entry) {
            Ok(()) => {}
            Err(Refused::Io(error)) => return Err(error),
            Err(Refused::Full) => {
                self.area.rewrite(&self.state.snapshot(), Some(&entry))?;
                match self.area.append(&entry) {
                    Ok(()) => {}
                    Err(Refused::Io(error)) => return Err(error),
                    Err(Refused::Full) => return Err(io::Error::other("an entry larger than the journal")),
                }
            }
        }
        self.state.apply(entry);
        Ok(())
    }

    fn place(&mut self, partition: &TopicPartition, position: i64, epoch: u64) -> io::Result<()> {
        let (index, state) = match self.state.find(partition) {
            // Landmarks of another place or another log would only mislead.
            Some((index, known)) => {
                (index, PartitionState { position, epoch, landmarks: Vec::new(), ..known.clone() })
            }
            None => {
                let partition = partition.clone();
                let (landmarks, committed) = (Vec::new(), Vec::new());
                (
                    self.state.free_number(),
                    PartitionState { partition, position, epoch, landmarks, committed },
                )
            }
        };
        self.write(Entry::Partition(index, state))?;
        // Durable at once: were it lost with the power, another place might be chosen.
        self.area.file().sync()
    }

    /// The group holds this value: it stays among those that are known again, whatever
    /// becomes of the commits that follow.
    fn remember(&mut self, partition: &TopicPartition, value: i64) -> io::Result<()> {
        let Some((index, state)) = self.state.find(partition) else { return Ok(()) };
        if state.committed.last() != Some(&value) {
            let mut state = state.clone();
            state.committed.retain(|known| *known != value);
            push_kept(&mut state.committed, value);
            self.write(Entry::Partition(index, state))?;
        }
        self.acknowledged.insert(index, value);
        Ok(())
    }

    /// The partition is assigned: landing goes on from its position.
    fn begin(&mut self, partition: &TopicPartition) -> Resumed {
        let Some((index, state)) = self.state.find(partition) else {
            return Resumed { position: None, landmarks: Vec::new() };
        };
        let resumed = Resumed { position: Some(state.position), landmarks: state.landmarks.clone() };
        let position = state.position;
        self.landed.insert(index, position);
        resumed
    }

    fn uncommitted(&self) -> impl Iterator<Item = (u32, i64)> {
        self.state.partitions.iter().filter_map(|(index, state)| {
            let assigned = self.landed.contains_key(index);
            let differs = self.acknowledged.get(index) != Some(&state.position);
            (assigned && differs).then_some((*index, state.position))
        })
    }

    /// The assigned partitions' positions once the ranges up to `sequence` have
    /// settled, where the group does not hold them yet.
    fn to_commit(&self, sequence: u64) -> Vec<(u32, i64)> {
        let mut positions: BTreeMap<u32, i64> =
            self.state.partitions.iter().map(|(index, known)| (*index, known.position)).collect();
        for range in self.state.recent.iter().take_while(|range| range.sequence <= sequence) {
            for change in &range.changes {
                positions.insert(change.index, change.position);
            }
        }
        positions.retain(|index, position| {
            self.landed.contains_key(index) && self.acknowledged.get(index) != Some(position)
        });
        positions.into_iter().collect()
    }

    /// A checkpoint taken before writing moved to another place settles its ranges,
    /// and must not move the place back.
    fn write_mark(&mut self, mark: Mark) -> io::Result<()> {
        let mark = match &self.state.mark {
            Some(last) if mark.sequence <= last.sequence => Mark { commits: mark.commits, ..last.clone() },
            _ => mark,
        };
        self.write(Entry::Mark(mark))
    }
}

/// A name for a history that no other has.
fn random_epoch() -> io::Result<u64> {
    host::random().map(u64::from_be_bytes)
}
