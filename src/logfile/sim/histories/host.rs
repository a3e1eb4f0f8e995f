//! One host of a simulated world: what its disk holds, and the simplified copy of the ledger that its
//! program keeps.

use super::oracle::Snapshot;
use super::vocabulary::{COPIES_MAX, CommitStyle, KEPT_MAX, PARTITIONS, SetBy, WrittenRange};
use crate::record::Token;

/// What the journal knows of a partition.
#[derive(Debug, Clone)]
pub(super) struct JournalPart {
    pub(super) position: i64,
    pub(super) epoch: u64,
    pub(super) committed: Vec<i64>,
    /// The histories that the partition has left.
    pub(super) left: Vec<u64>,
}

/// The part of a host that outlives the program: what is durable.
#[derive(Debug, Clone, Default)]
pub(super) struct HostDisk {
    pub(super) parts: [Option<JournalPart>; PARTITIONS],
    pub(super) file: Vec<WrittenRange>,
}

#[derive(Debug)]
pub(super) struct Host {
    pub(super) identity: u128,
    pub(super) disk: HostDisk,
    /// Ranges that are written and journalled, but may not be durable.
    pub(super) recent: Vec<Vec<WrittenRange>>,
    pub(super) run: Option<HostRun>,
    /// Whether the program has run, so that there is a journal.
    pub(super) begun: bool,
    pub(super) copies: Vec<(HostDisk, Snapshot)>,
    /// The number of the last request that the host knows to have been carried out.
    pub(super) answered: u32,
    /// The number of the next request when an older copy was put back.
    pub(super) restored: u32,
    /// Offsets that this host committed without a token, or found in the group.
    pub(super) values: [Vec<i64>; PARTITIONS],
}

/// What a running program keeps in memory.
#[derive(Debug)]
pub(super) struct HostRun {
    pub(super) commits: CommitStyle,
    /// The written position of each assigned partition.
    pub(super) written: [Option<i64>; PARTITIONS],
    /// The offset that the group is known to hold in the present history.
    held: [Option<i64>; PARTITIONS],
    /// As `held`, but only offsets for which this run's own commit was acknowledged.
    own: [Option<i64>; PARTITIONS],
    /// The latest commit ordered: its offset and its history.
    ordered: [Option<(i64, u64)>; PARTITIONS],
    /// Whether the group is known to hold a token of the present history.
    pub(super) has_token: [bool; PARTITIONS],
    pub(super) request: Option<CommitRequest>,
}

/// A commit.
#[derive(Debug, Clone)]
pub(super) struct CommitRequest {
    pub(super) host: usize,
    pub(super) number: u32,
    pub(super) generation: u32,
    pub(super) offsets: Vec<CommitOffset>,
}

#[derive(Debug, Clone)]
pub(super) struct CommitOffset {
    pub(super) partition: usize,
    pub(super) value: i64,
    pub(super) metadata: String,
    /// If this is a claim: who set the offset that it claims.
    pub(super) claims: Option<SetBy>,
}

impl HostRun {
    /// Removes the kept offsets if the group holds a token of the present history: then they are not
    /// needed.
    fn forget(&self, disk: &mut HostDisk) {
        for (part, own) in disk.parts.iter_mut().zip(self.own) {
            if let (Some(part), true) = (part, own.is_some() && self.commits != CommitStyle::Values) {
                part.committed.clear();
            }
        }
    }

    pub(super) fn new(commits: CommitStyle) -> Self {
        Self {
            commits,
            written: [None; PARTITIONS],
            held: [None; PARTITIONS],
            own: [None; PARTITIONS],
            ordered: [None; PARTITIONS],
            has_token: [false; PARTITIONS],
            request: None,
        }
    }
}

impl Host {
    pub(super) fn new(number: usize) -> Self {
        Self {
            identity: number as u128 + 1,
            disk: HostDisk::default(),
            recent: Vec::new(),
            run: None,
            begun: false,
            copies: Vec::new(),
            answered: 0,
            restored: 0,
            values: Default::default(),
        }
    }

    /// The ranges of a partition in the host's file.
    pub(super) fn written_ranges(&self, partition: usize) -> Vec<&WrittenRange> {
        let all = self.disk.file.iter().chain(self.recent.iter().flatten());
        all.filter(|range| range.partition == partition).collect()
    }

    /// Whether the partition is assigned to the host and its records may be written.
    pub(super) fn may_write(&self, partition: usize) -> bool {
        let Some(run) = &self.run else { return false };
        let waits = run.commits == CommitStyle::TokensFirst && !run.has_token[partition];
        run.written[partition].is_some() && !waits
    }

    /// Sets the journal's position, durably.
    pub(super) fn set_position(&mut self, partition: usize, position: i64, epoch: u64) {
        let part = &mut self.disk.parts[partition];
        let (mut committed, mut left) = (Vec::new(), Vec::new());
        if let Some(part) = part.take() {
            (committed, left) = (part.committed, part.left);
            if part.epoch != epoch {
                keep(&mut left, part.epoch);
            }
        }
        if let Some(run) = &mut self.run {
            // Offsets of the old history that the group may hold.
            run.own[partition] = None;
            run.has_token[partition] = false;
            let under_way = run.ordered[partition].map(|(value, _)| value);
            let held = run.held[partition].take();
            let values = held.into_iter().chain(under_way);
            for value in values.filter(|_| run.commits == CommitStyle::Values) {
                keep(&mut committed, value);
                self.values[partition].push(value);
            }
        }
        *part = Some(JournalPart { position, epoch, committed, left });
        for range in self.recent.iter_mut().flatten().filter(|range| range.partition == partition) {
            range.void = true;
        }
    }

    /// The decision is durable: records the group's offset, and begins to write.
    pub(super) fn begin(&mut self, partition: usize, held: Option<(i64, &str)>, went_back: bool) {
        let (Some(run), Some(part)) = (&mut self.run, &mut self.disk.parts[partition]) else { return };
        run.written[partition] = Some(part.position);
        let Some((value, metadata)) = held else { return };
        let known = match Token::naming(value, metadata) {
            _ if run.commits == CommitStyle::Values => {
                keep(&mut part.committed, value);
                self.values[partition].push(value);
                true
            }
            Some(token) if token.epoch == part.epoch => {
                part.committed.clear();
                run.has_token[partition] = !went_back;
                !token.is_claim()
            }
            Some(token) if token.is_claim() => {
                keep(&mut part.left, token.epoch);
                false
            }
            _ => false,
        };
        run.held[partition] = known.then_some(value);
    }

    /// Makes durable what was written, and journals the next commit if none is under way.
    pub(super) fn mark(&mut self, host: usize, number: u32, generation: u32) {
        let Some(run) = &mut self.run else { return };
        self.disk.adopt(std::mem::take(&mut self.recent));
        run.forget(&mut self.disk);
        if run.request.is_some() {
            return;
        }
        let mut offsets = Vec::new();
        for (partition, part) in self.disk.parts.iter_mut().enumerate() {
            let (Some(_), Some(part)) = (run.written[partition], part) else { continue };
            let JournalPart { position: value, epoch, .. } = *part;
            if run.held[partition] == Some(value) {
                continue;
            }
            let metadata = if run.commits == CommitStyle::Values {
                if let Some(own) = run.own[partition] {
                    part.committed = vec![own];
                }
                push_kept(&mut part.committed, value);
                self.values[partition].push(value);
                String::new()
            } else {
                Token { identity: self.identity, epoch, offset: value }.to_string()
            };
            run.ordered[partition] = Some((value, epoch));
            offsets.push(CommitOffset { partition, value, metadata, claims: None });
        }
        if !offsets.is_empty() {
            run.request = Some(CommitRequest { host, number, generation, offsets });
        }
    }

    /// The group has answered that it holds the ordered offsets.
    pub(super) fn acknowledge(&mut self, request: &CommitRequest) {
        let Some(run) = &mut self.run else { return };
        self.answered = self.answered.max(request.number);
        for CommitOffset { partition, value, .. } in &request.offsets {
            let epoch = self.disk.parts[*partition].as_ref().map(|part| part.epoch);
            // The partition may have left the history of the commit since the commit was ordered.
            if run.ordered[*partition].is_some_and(|(ordered, of)| ordered != *value || Some(of) == epoch) {
                run.held[*partition] = Some(*value);
                run.own[*partition] = Some(*value);
                run.has_token[*partition] = true;
            }
        }
        run.request = None;
        run.forget(&mut self.disk);
    }

    /// Ends the program by a kill. The first `kept` unsettled ranges are left.
    pub(super) fn die(&mut self, kept: u8) {
        self.recent.truncate(usize::from(kept));
        self.disk.adopt(std::mem::take(&mut self.recent));
        self.run = None;
    }

    pub(super) fn copy(&mut self, snapshot: Snapshot) {
        if self.copies.len() == COPIES_MAX {
            self.copies.remove(0);
        }
        self.copies.push((self.disk.clone(), snapshot));
    }
}

impl HostDisk {
    /// Records that the ranges are in the file and in the journal.
    fn adopt(&mut self, ranges: Vec<Vec<WrittenRange>>) {
        for range in ranges.into_iter().flatten() {
            if let (false, Some(part)) = (range.void, &mut self.parts[range.partition]) {
                part.position = range.next;
            }
            self.file.push(range);
        }
    }
}

fn keep<T: PartialEq>(list: &mut Vec<T>, value: T) {
    if list.last() != Some(&value) {
        list.retain(|known| *known != value);
        push_kept(list, value);
    }
}

fn push_kept<T: PartialEq>(list: &mut Vec<T>, value: T) {
    if list.last() == Some(&value) {
        return;
    }
    if list.len() >= KEPT_MAX {
        list.remove(0);
    }
    list.push(value);
}
