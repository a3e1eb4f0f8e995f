//! What the lines that differ mean: missing, doubled, torn, out of order; or not to be judged, and why.

use std::collections::{BTreeMap, BTreeSet};

use super::bounds::Bounds;
use super::exact::ExactLine;
use super::file_side::FilesRead;
use super::passes::TopicsRead;
use super::place::LinePlaces;
use super::topic_side::UnreadRange;

/// How many findings of each kind are kept to be named.
pub(super) const FINDINGS_MAX: usize = 10_000;

/// A record that is not in the files as often as it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WrongRecord {
    pub(super) partition: usize,
    pub(super) offset: i64,
    /// How many lines are missing, or too many.
    pub(super) lines: u32,
    pub(super) hash: u128,
}

/// A line that no record has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StrangeLine {
    /// The file and the byte at which it begins.
    pub(super) place: (usize, u64),
    pub(super) lines: u32,
    pub(super) hash: u128,
}

/// A line that is a part of a missing record's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TornLine {
    pub(super) partition: usize,
    pub(super) offset: i64,
    pub(super) place: (usize, u64),
}

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) missing: Vec<WrongRecord>,
    pub(super) doubled: Vec<WrongRecord>,
    pub(super) torn: Vec<TornLine>,
    pub(super) strange: Vec<StrangeLine>,
    /// Lines beyond those that the records have, which the bounds do not explain either.
    pub(super) unsure: u64,
    /// Records that are missing beside the kept ones: for each partition their number and the last offset.
    pub(super) missing_more: BTreeMap<usize, (u64, i64)>,
    /// Lines that are there too often beside the kept ones, for each partition.
    pub(super) doubled_more: BTreeMap<usize, u64>,
    /// Lines that no record has beside the kept ones.
    pub(super) strange_more: u64,
    /// Lines that differ in buckets that were not looked at: at least so many, and of these so many are
    /// surely missing in the files.
    pub(super) more_lines: u64,
    pub(super) surely_missing: u64,
}

impl Findings {
    /// Takes a line that was compared exactly.
    pub(super) fn take(&mut self, bounds: &Bounds, places: LinePlaces, hash: u128, line: &ExactLine) {
        let lines = line.more.unsigned_abs();
        match line.record {
            Some((partition, offset)) => {
                let partition = partition as usize;
                let record = WrongRecord { partition, offset, lines, hash };
                let known = bounds.partitions.get(partition);
                // A line that says its offset is none of those that are not compared.
                let log = known.filter(|known| !bounds.can_place(known.log, places));
                let log = log.and_then(|known| bounds.logs.get(known.log));
                let may_be_more = known.is_some_and(|known| known.is_unsure(offset))
                    || log.is_some_and(|log| !log.extras_unsure.is_empty());
                match line.more {
                    0 => {}
                    1.. if self.missing.len() < FINDINGS_MAX => self.missing.push(record),
                    1.. => {
                        let more = self.missing_more.entry(partition).or_insert((0, offset));
                        *more = (more.0 + 1, more.1.max(offset));
                    }
                    _ if may_be_more => self.unsure += u64::from(lines),
                    _ if self.doubled.len() < FINDINGS_MAX => self.doubled.push(record),
                    _ => *self.doubled_more.entry(partition).or_default() += u64::from(lines),
                }
            }
            None => {
                let Some((file, at)) = line.place else { return };
                let line = StrangeLine { place: (file as usize, at), lines, hash };
                if self.strange.len() < FINDINGS_MAX {
                    self.strange.push(line);
                } else {
                    self.strange_more += u64::from(lines);
                }
            }
        }
    }

    /// Sorts them, and takes those together that are lines of one record.
    pub(super) fn sort(&mut self) {
        self.missing.sort_unstable();
        self.doubled.sort_unstable();
        self.strange.sort_unstable();
    }

    /// Missing records that keep rules may have deleted with their files. Removes and returns them, for each
    /// partition with the first offset that is there and their number. `deleted_before`: says of a partition
    /// and an offset before which one the files may have been deleted, if they may.
    pub(super) fn take_deleted(
        &mut self,
        bounds: &Bounds,
        deleted_before: &dyn Fn(usize, i64) -> Option<i64>,
    ) -> Vec<(usize, i64, u64)> {
        let mut deleted: BTreeMap<usize, (i64, BTreeSet<i64>)> = BTreeMap::new();
        self.missing.retain(|record| {
            let Some(before) = deleted_before(record.partition, record.offset) else { return true };
            // Of what was read again after a reset, the older lines may be gone and the newer ones there.
            let known = bounds.partitions.get(record.partition);
            let has_another = known.is_some_and(|known| known.times(record.offset) > i64::from(record.lines));
            let is_deleted = record.offset < before || has_another;
            if is_deleted {
                let known = deleted.entry(record.partition).or_insert((before, BTreeSet::new()));
                known.0 = before.max(known.0);
                known.1.insert(record.offset);
            }
            !is_deleted
        });
        let more = &mut self.missing_more;
        let counted = deleted.into_iter().map(|(number, (before, offsets))| {
            let others = more.get(&number).filter(|(_, last)| *last < before).map_or(0, |(count, _)| *count);
            if others > 0 {
                more.remove(&number);
            }
            (number, before, offsets.len() as u64 + others)
        });
        counted.collect()
    }

    /// Takes lines that are parts of missing ones for torn. `is_torn` compares two by their hashes.
    pub(super) fn match_torn(&mut self, is_torn: &dyn Fn(&StrangeLine, &WrongRecord) -> bool) {
        let mut torn: BTreeMap<(usize, i64), TornLine> = BTreeMap::new();
        let missing = &self.missing;
        self.strange.retain(|line| {
            let mut is_part = false;
            for record in missing.iter().filter(|record| is_torn(line, record)) {
                let WrongRecord { partition, offset, .. } = *record;
                let place = line.place;
                torn.entry((partition, offset)).or_insert(TornLine { partition, offset, place });
                is_part = true;
            }
            !is_part
        });
        self.missing.retain(|record| !torn.contains_key(&(record.partition, record.offset)));
        self.torn = torn.into_values().collect();
    }
}

/// How many different records these are.
pub(super) fn records_of(list: &[WrongRecord], partition: usize) -> u64 {
    let of = list.iter().filter(|record| record.partition == partition);
    of.map(|record| record.offset).collect::<BTreeSet<i64>>().len() as u64
}

/// How many lines too many.
pub(super) fn lines_of(list: &[WrongRecord], partition: usize) -> u64 {
    list.iter().filter(|record| record.partition == partition).map(|record| u64::from(record.lines)).sum()
}

/// What each side has shown on its way, and what differs.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) topics: TopicsRead,
    pub(super) files: FilesRead,
    pub(super) findings: Findings,
    /// Deleted at the broker before the first pass, or not to be read.
    pub(super) unread: Vec<UnreadRange>,
    /// For each partition: the first offset that is there, and how many records before it are not.
    pub(super) deleted: Vec<(usize, i64, u64)>,
    /// For each partition: how many records are missing that may be in files that could not be opened.
    pub(super) unopened: BTreeMap<usize, u64>,
}

impl Compared {
    /// Ranges of a partition that are not compared.
    pub(super) fn leave_unread(&mut self, partition: usize, ranges: Vec<(i64, i64)>, why: &str) {
        let unread = |(from, to)| UnreadRange { partition, from, to, why: why.to_owned() };
        self.unread.extend(ranges.into_iter().map(unread));
    }

    /// What is missing where a file could not be opened is not judged: it may be in that file.
    pub(super) fn leave_out_unopened(&mut self, bounds: &Bounds) {
        let unopened: BTreeSet<usize> = self.files.unopened.iter().map(|number| number.log).collect();
        let log_of = |partition: usize| bounds.partitions.get(partition).map(|one| one.log);
        let is_left_out = |partition: usize| log_of(partition).is_some_and(|log| unopened.contains(&log));
        let mut left_out: BTreeMap<usize, BTreeSet<i64>> = BTreeMap::new();
        self.findings.missing.retain(|record| {
            let is_left_out = is_left_out(record.partition);
            if is_left_out {
                left_out.entry(record.partition).or_default().insert(record.offset);
            }
            !is_left_out
        });
        for (partition, offsets) in left_out {
            let more = self.findings.missing_more.remove(&partition).map_or(0, |(count, _)| count);
            self.unopened.insert(partition, offsets.len() as u64 + more);
        }
    }
}
