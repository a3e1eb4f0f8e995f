//! What the entries of a journal that was read add up to, even if the journal is damaged. Pure.
//!
//! A frame that is not whole is damage in two cases: a later mark says that the frame was synced, or the
//! pandad that wrote it ran in the present boot. In these cases only a fault of the disk, or somebody
//! else's write, can have destroyed the frame. After another boot, such a frame is only the end of what
//! reached the disk: ranges are appended without a sync, and pages reach the disk in any order.
//!
//! In every case a later mark replaces the lost frame if the mark repeats what changed since.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::frame::{HalfContents, Hole};
use super::{
    FileNumber, FilePlace, JournalEntry, JournalState, Mark, MarkedFile, ONLY_FILE, PositionChange, Range,
    RangePart,
};
use crate::logfile::disk::FileId;

/// If more bytes than these are damaged at the end of a journal, there may be marks among them whose
/// positions were committed.
const LOST_BYTES_MAX: u64 = 64 * 1024;

/// The entries of a journal.
#[derive(Debug, Default)]
pub(in crate::logfile) struct JournalContents {
    /// The half in force.
    pub(in crate::logfile) newest: HalfContents,
    /// Where the snapshot of the half in force ends.
    pub(in crate::logfile) base: u64,
    /// The entries of the other half, if nothing in that half is damaged.
    pub(in crate::logfile) older: Option<Vec<(u64, JournalEntry)>>,
    /// Where the half in force begins in the file.
    pub(in crate::logfile) start: u64,
    /// Whether the header of the half in force is damaged in both of its copies.
    pub(in crate::logfile) has_no_header: bool,
}

/// What the entries add up to.
#[derive(Debug, Default)]
pub(in crate::logfile) struct Replayed {
    pub(in crate::logfile) state: JournalState,
    /// Whether ranges may be lost whose lines stand in the log file after those of the other ranges.
    pub(in crate::logfile) lacks_ranges: bool,
    /// Whether the half that was read has holes. Then the next snapshot must not lean on that half.
    pub(in crate::logfile) has_holes: bool,
    /// Which bytes of the file are damaged, in words.
    pub(in crate::logfile) damage: Option<String>,
}

impl JournalContents {
    /// Whether nothing in it is damaged.
    pub(in crate::logfile) fn is_whole(&self) -> bool {
        self.newest.holes.is_empty() && self.newest.tail.is_none() && !self.has_no_header
    }

    /// Adds up the entries. `boot` is the present boot, if its id can be believed.
    ///
    /// # Errors
    /// What is damaged, if no entry replaces it.
    pub(in crate::logfile) fn replay(self, boot: Option<u128>) -> Result<Replayed, String> {
        if !self.is_whole() {
            return self.replay_damaged(boot);
        }
        let mut state = JournalState::default();
        self.newest.entries.into_iter().for_each(|(at, entry)| state.apply(entry, at));
        Ok(Replayed { state, ..Replayed::default() })
    }

    fn replay_damaged(mut self, boot: Option<u128>) -> Result<Replayed, String> {
        let mut holes = std::mem::take(&mut self.newest.holes);
        holes.extend(self.newest.tail.take());
        #[cfg(test)]
        if STOP_AT_HOLE.get() {
            let mut state = JournalState::default();
            let end = holes.first().map_or(0, |hole| hole.from);
            self.newest
                .entries
                .into_iter()
                .filter(|(at, _)| *at < end)
                .for_each(|(at, entry)| state.apply(entry, at));
            return Ok(Replayed { state, ..Replayed::default() });
        }
        if self.has_no_header {
            let is_end =
                |entry: &JournalEntry| matches!(entry, JournalEntry::Mark(m) if m.repeat.is_snapshot);
            let end = self.newest.entries.iter().find(|(_, entry)| is_end(entry));
            self.base = end.ok_or("a half without header and mark")?.0 + 1;
        }
        let marks = self.newest.entries.iter().filter_map(|(_, entry)| match entry {
            JournalEntry::Mark(mark) => Some(mark.repeat.synced_to),
            _ => None,
        });
        let synced_to = marks.max().unwrap_or(0);
        let is_same_boot = boot.is_some() && self.last_boot() == boot;
        let is_damage = |hole: &&Hole| is_same_boot || hole.from < synced_to;
        let places: Vec<String> = holes
            .iter()
            .filter(is_damage)
            .map(|hole| format!("{} to {}", self.start + hole.from, self.start + hole.to))
            .collect();
        let damage = Some(places).filter(|places| !places.is_empty());
        let damage = damage.map(|places| format!("bytes {}", places.join(", ")));
        let replay = Replay { base: self.base, synced_to, is_same_boot, ..Replay::default() };
        let replayed = replay.run(self, &holes).map_err(|why| match &damage {
            Some(damage) => format!("{damage} are damaged, and {why}"),
            None => why.to_owned(),
        })?;
        Ok(Replayed { damage, has_holes: true, ..replayed })
    }

    /// The boot of the run that wrote last.
    fn last_boot(&self) -> Option<u128> {
        let entries = self.older.iter().flatten().chain(&self.newest.entries);
        let mut sessions = entries.filter_map(|(_, entry)| match entry {
            JournalEntry::Session(session) => Some(session.boot),
            _ => None,
        });
        sessions.next_back()
    }
}

#[cfg(test)]
thread_local! {
    /// If set, nothing after damage is read. A test sets it to show that the simulator notices this
    /// mistake.
    pub(in crate::logfile) static STOP_AT_HOLE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Adds up the entries of a damaged half.
#[derive(Debug, Default)]
struct Replay {
    base: u64,
    /// The byte up to which the half was synced, according to the marks read so far.
    synced_to: u64,
    is_same_boot: bool,
    state: JournalState,
    /// Holes that no mark has replaced yet.
    open: Vec<Hole>,
    /// Partitions that the snapshot names.
    named: BTreeSet<u32>,
    /// Partitions whose position is in the snapshot's mark.
    placed: BTreeSet<u32>,
    /// Whether the mark of the snapshot, or a later one, was read.
    has_mark: bool,
    /// Whether the state is that of the end of the snapshot, or later.
    is_past_snapshot: bool,
}

impl Replay {
    fn run(mut self, contents: JournalContents, holes: &[Hole]) -> Result<Replayed, &'static str> {
        let in_snapshot = contents.has_no_header || holes.iter().any(|hole| hole.from < self.base);
        let has_older = contents.older.is_some();
        if in_snapshot {
            for (at, entry) in contents.older.into_iter().flatten() {
                self.state.apply(entry, at);
            }
            self.forget_close();
        } else {
            self.has_mark = true;
        }
        let mut holes = holes.iter().copied().peekable();
        for (at, entry) in contents.newest.entries {
            while let Some(hole) = holes.next_if(|hole| hole.from < at) {
                self.open.push(hole);
                self.forget_close();
            }
            if at >= self.base && !std::mem::replace(&mut self.is_past_snapshot, true) && in_snapshot {
                self.end_snapshot(has_older)?;
            }
            if !self.take(at, entry)? {
                break;
            }
        }
        self.open.extend(holes);
        if !self.open.is_empty() {
            self.forget_close();
        }
        if in_snapshot && !self.is_past_snapshot {
            self.end_snapshot(has_older)?;
        }
        let lost: u64 = self.open.iter().map(|hole| hole.to - hole.from).sum();
        if self.is_same_boot && lost > LOST_BYTES_MAX {
            return Err("too much of its end");
        }
        let lacks_ranges = self.end();
        Ok(Replayed { state: self.state, lacks_ranges, ..Replayed::default() })
    }

    /// The entry that began another run may be lost. So the last known run does not count as closed.
    fn forget_close(&mut self) {
        if let Some(session) = &mut self.state.session {
            session.closed = false;
        }
    }

    /// Checks that every position is known at the end of the snapshot: from the snapshot itself, or from
    /// the entries of the other half.
    fn end_snapshot(&mut self, has_older: bool) -> Result<(), &'static str> {
        let says_all = if self.has_mark {
            // What the other half knows beyond the mark was forgotten on request.
            self.state.keep_partitions(&self.placed);
            self.placed.iter().all(|index| self.state.partitions.contains_key(index))
        } else {
            has_older && self.state.partitions.keys().all(|index| self.named.contains(index))
        };
        self.open.retain(|hole| hole.from >= self.base);
        says_all.then_some(()).ok_or("no other entry repeats its snapshot")
    }

    /// Applies an entry. False: this entry and all entries after it do not count.
    fn take(&mut self, at: u64, entry: JournalEntry) -> Result<bool, &'static str> {
        match &entry {
            JournalEntry::Partition(index, _) if at < self.base => {
                self.named.insert(*index);
            }
            JournalEntry::Mark(mark) if mark.repeat.is_snapshot => {
                self.has_mark = true;
                self.placed = mark.repeat.positions.iter().map(|change| change.index).collect();
            }
            JournalEntry::Mark(mark) => {
                let makes_up = self.open.first().is_none_or(|hole| mark.repeat.since <= hole.from);
                if !makes_up {
                    let is_end =
                        self.open.iter().all(|hole| !self.is_same_boot && hole.from >= self.synced_to);
                    return if is_end { Ok(false) } else { Err("no later entry repeats them") };
                }
                self.open.clear();
                if !std::mem::replace(&mut self.has_mark, true) {
                    self.state.recent.clear();
                }
            }
            JournalEntry::Range(range) if !self.has_mark => {
                // The ranges before this one are settled, because the snapshot would otherwise name them.
                self.has_mark = true;
                self.state.recent.clear();
                for part in &range.parts {
                    self.state.apply(JournalEntry::Mark(place_before(range.sequence, part)), at);
                }
            }
            _ => {}
        }
        self.state.apply(entry, at);
        Ok(true)
    }

    /// Keeps the ranges that follow each other from the mark on. True if other ranges may be lost.
    fn end(&mut self) -> bool {
        let (marked, announced) =
            self.state.mark.as_ref().map_or((0, 0), |mark| (mark.sequence, mark.repeat.announced));
        let mut sequence = marked;
        let mut lacks = !self.open.is_empty();
        let mut kept = VecDeque::new();
        for range in std::mem::take(&mut self.state.recent) {
            let is_known = |change: &PositionChange| self.state.partitions.contains_key(&change.index);
            // A range that the mark passes and does not settle is held.
            let follows = range.sequence <= marked || range.sequence == sequence + 1;
            if !follows || !range.changes.iter().all(is_known) {
                lacks = true;
                break;
            }
            sequence = sequence.max(range.sequence);
            kept.push_back(range);
        }
        lacks |= self.follow_ends(&mut kept);
        self.state.recent = kept;
        lacks || sequence < announced
    }

    /// If a range does not begin where the range before it ends, the mark that moved the end is lost. That
    /// mark was written when everything before it was durable. True if the ranges from there on are of no
    /// use.
    fn follow_ends(&mut self, kept: &mut VecDeque<Range>) -> bool {
        let mut ends: BTreeMap<FileNumber, (FileId, u64)> = self
            .state
            .files
            .iter()
            .map(|(number, file)| (*number, (file.place.file, file.place.end)))
            .collect();
        let (mut settled, mut useful) = (0, kept.len());
        'ranges: for (at, range) in kept.iter().enumerate() {
            for part in &range.parts {
                let end = ends.insert(part.number, (part.file, part.to));
                if end == Some((part.file, part.from)) {
                    continue;
                }
                if part.number != ONLY_FILE {
                    // What the mark said of the other files is lost, too.
                    useful = at;
                    break 'ranges;
                }
                settled = at;
                self.state.apply(JournalEntry::Mark(place_before(range.sequence, part)), 0);
            }
        }
        let lacks = useful < kept.len();
        kept.truncate(useful);
        for range in kept.drain(..settled) {
            self.state.settle(&range.changes, 0);
        }
        lacks
    }
}

/// The mark that a range implies: everything before the range is durable.
fn place_before(sequence: u64, part: &RangePart) -> Mark {
    let place = FilePlace { file: part.file, end: part.from, before: part.before, head: None };
    let files = vec![MarkedFile { number: part.number, name: None, place }];
    Mark { files, ..Mark::of_only_file(sequence.saturating_sub(1), place) }
}
