//! Knows what must be in the files, whatever the rule decides.
//!
//! Each reading of a partition's log from some offset on is a pass: the first reading, and one for each
//! reset that was honoured. Within a pass, no file may hold a record twice, and all files together must
//! leave no record out. So a start that has no reset to honour must begin at or after the end of what its
//! own file holds of the pass, and must not begin after the end of what all files hold of the pass without
//! a gap. For a single host that is exactly one offset.

use super::limits::{Limit, Tally};
use super::vocabulary::{CommitStyle, GroupEntry, KEPT_MAX, PARTITIONS, SetBy, WrittenRange, name};
use crate::record::Token;

/// A start, with the rule's decision.
#[derive(Debug)]
pub(super) struct Started<'a> {
    pub(super) host: usize,
    pub(super) partition: usize,
    pub(super) entry: Option<&'a GroupEntry>,
    pub(super) position: i64,
    pub(super) epoch: u64,
    /// Whether the journal knew the partition.
    pub(super) known: bool,
    /// Offsets that this host committed without a token, or found in the group.
    pub(super) seen: &'a [i64],
    /// The number of the host's last request that it knew to have been carried out.
    pub(super) answered: u32,
    /// The number of the next request when an older copy was put back.
    pub(super) restored: u32,
}

impl Started<'_> {
    /// The host whose commit the group holds.
    fn author(&self) -> Option<usize> {
        self.entry.and_then(|entry| match entry.by {
            SetBy::Host { host, .. } => Some(host),
            SetBy::Operator { .. } => None,
        })
    }

    /// Whether the start goes on in the history that the group's token names.
    fn is_in_history_of_entry(&self) -> bool {
        let token = self.entry.and_then(|entry| Token::naming(entry.offset, &entry.metadata));
        token.is_some_and(|token| token.epoch == self.epoch)
    }

    /// The limit that applies if the commit had no token.
    fn without_token(&self) -> Option<Limit> {
        let entry = self.entry?;
        let GroupEntry { offset, by: SetBy::Host { number, .. }, .. } = entry else {
            let late =
                matches!(entry.by, SetBy::Operator { number, honoured: true } if number < self.restored);
            return late.then_some(Limit::LateClaim);
        };
        let kept = self.seen.iter().rev().take(KEPT_MAX).any(|value| value == offset);
        if !entry.is_bare() {
            None
        } else if *number < self.restored {
            Some(Limit::RestoredWithoutToken)
        } else {
            (*number < self.answered || !kept).then_some(Limit::LateWithoutToken)
        }
    }
}

/// What is known of one partition.
#[derive(Debug, Clone, Default)]
struct OraclePart {
    /// Where each pass began.
    passes: Vec<i64>,
    now: Option<usize>,
    /// The first pass of the present log. Earlier passes read a log that was deleted.
    first: usize,
    /// The history of the last start.
    epoch: Option<u64>,
    /// The offsets of the resets that were honoured.
    honoured: Vec<i64>,
    /// The ranges of offsets that these resets skipped.
    skipped: Vec<(i64, i64)>,
    /// Whether the group's offset has expired.
    expired: bool,
    /// The limit that was met, if it allows anything up to the next reset.
    spoiled: Option<Limit>,
    /// Whether a limit was met that begins passes without a reset.
    crooked: bool,
    /// Whether a limit was met that loses records.
    loses: bool,
    replaced: Vec<ReplacedRange>,
}

/// What was in a file before an older copy was put in its place.
#[derive(Debug, Clone)]
struct ReplacedRange {
    host: usize,
    range: WrittenRange,
    /// Whether a start went on beyond the range.
    passed: bool,
}

/// The part of the oracle's state that belongs to a copy of a single host's journal and file.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshot {
    parts: [OraclePart; PARTITIONS],
    /// The numbers of the resets that a start has followed.
    followed: Vec<u32>,
}

impl Snapshot {
    pub(super) fn followed(&self, number: u32) -> bool {
        self.followed.contains(&number)
    }
}

pub(super) struct Oracle {
    hosts: usize,
    commits: CommitStyle,
    now: Snapshot,
    /// The limit that a host's first start may meet after an older copy was put back.
    back: Vec<[Option<Limit>; PARTITIONS]>,
    pub(super) tally: Tally,
    pub(super) violations: Vec<String>,
}

impl Oracle {
    pub(super) fn new(hosts: usize, commits: CommitStyle) -> Self {
        Self {
            hosts,
            commits,
            now: Snapshot::default(),
            back: vec![[None; PARTITIONS]; hosts],
            tally: Tally::default(),
            violations: Vec::new(),
        }
    }

    /// The pass that records written now belong to.
    pub(super) fn pass(&self, partition: usize) -> usize {
        self.now.parts[partition].now.unwrap()
    }

    /// Whether a start has followed this reset, as far as a single host remembers.
    pub(super) fn was_followed(&self, number: u32) -> bool {
        self.now.followed(number)
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.now.clone()
    }

    /// Records that the group's offset is gone, or that somebody has set it.
    pub(super) fn expired(&mut self, partition: usize, gone: bool) {
        self.now.parts[partition].expired = gone;
    }

    /// Judges a start. True if it is the first one after a reset.
    pub(super) fn started(&mut self, files: &[Vec<&WrittenRange>], start: &Started<'_>) -> bool {
        self.tally.starts += 1;
        let part = &mut self.now.parts[start.partition];
        let other_history = part.epoch.replace(start.epoch) != Some(start.epoch);
        let Some(GroupEntry { offset, by: SetBy::Operator { number, honoured: false }, .. }) = start.entry
        else {
            self.judge(files, start, other_history);
            return false;
        };
        self.now.followed.push(*number);
        if start.position == *offset {
            self.tally.honoured += 1;
            let end =
                part.now.map_or(0, |pass| part.reach(files, pass, |replaced_range| replaced_range.passed));
            part.honoured.push(*offset);
            part.skipped.push((end, *offset));
            part.spoiled = None;
            part.begin(*offset);
            self.back.iter_mut().for_each(|of| of[start.partition] = None);
            return true;
        }
        // An older copy that did not know the partition may be in the history of the claim already: it
        // followed the token that replaced the claim. Then the claim arrived late.
        let entered = *number < start.restored && start.is_in_history_of_entry();
        if start.seen.contains(offset) {
            self.meet(Limit::ResetToKeptValue);
        } else if !entered {
            self.violate(start, format!("the reset to {offset} was not honoured"));
        }
        self.judge(files, start, other_history);
        true
    }

    /// Judges a start that follows no reset.
    fn judge(&mut self, files: &[Vec<&WrittenRange>], start: &Started<'_>, other_history: bool) {
        let Started { host, partition, position, .. } = *start;
        let several = self.hosts > 1;
        let back = self.back[host][partition].take();
        let part = &mut self.now.parts[partition];
        // If nobody has read the partition, it must begin at its first record.
        let (mut low, mut high) = (0, 0);
        if let Some(pass) = part.now {
            let own = files[host].iter().filter(|range| range.pass == pass);
            low = own.map(|range| range.next).max().unwrap_or(part.passes[pass]);
            high = part.reach(files, pass, |replaced_range| replaced_range.passed);
        }
        // The start may be wrong at any offset, because its history is not the group's.
        let strays = if start.entry.is_none() && part.expired {
            Some(Limit::Expired)
        } else {
            back.filter(|limit| *limit == Limit::RestoredInOtherHistory)
        };
        part.spoiled = part.spoiled.or(strays.filter(|_| several && other_history));
        if (low..=high).contains(&position) {
            if part.now.is_none() {
                part.begin(position);
            }
            return;
        }
        if part.spoiled.is_none() && several && position > high && part.passes_replaced(files, start) {
            self.meet(Limit::RestoredAndPassed);
            return;
        }
        // By its own token a single host recognizes that it has read the partition before.
        let bare = several || start.entry.is_some_and(GroupEntry::is_bare);
        let unknown = back.filter(|limit| *limit == Limit::RestoredUnknown && !start.known && bare);
        let limit = if part.spoiled.is_some() || unknown.is_some() {
            part.spoiled.or(unknown)
        } else if several && self.commits == CommitStyle::Values {
            Some(Limit::SeveralWithoutToken)
        } else {
            start.without_token()
        };
        part.crooked = true;
        part.begin(position);
        let Some(limit) = limit else {
            let why = if position < low {
                "its file has records from there on"
            } else {
                "records before it are in no file"
            };
            return self.violate(start, format!("must start in [{low}, {high}]: {why}"));
        };
        part.loses |= matches!(
            limit,
            Limit::RestoredUnknown | Limit::RestoredWithoutToken | Limit::LateWithoutToken | Limit::LateClaim
        );
        if several && self.commits != CommitStyle::Values {
            part.spoiled = Some(limit);
        }
        self.meet(limit);
    }

    /// Records that an older copy of a host's journal and file is put back, with its histories. `gone`
    /// holds the ranges that the file has lost by that.
    pub(super) fn restored(
        &mut self,
        host: usize,
        gone: Vec<WrittenRange>,
        then: &Snapshot,
        epochs: [Option<u64>; PARTITIONS],
    ) {
        for ((part, then), (back, epoch)) in
            self.now.parts.iter_mut().zip(&then.parts).zip(self.back[host].iter_mut().zip(epochs))
        {
            *back = if epoch.is_none() {
                Some(Limit::RestoredUnknown)
            } else {
                (self.hosts > 1 && epoch != part.epoch).then_some(Limit::RestoredInOtherHistory)
            };
            if self.hosts == 1 {
                // The state is again that of the time of the copy; only the list of passes stays.
                let OraclePart { now, honoured, skipped, epoch, .. } = then.clone();
                *part = OraclePart { now, honoured, skipped, epoch, ..std::mem::take(part) };
            }
        }
        if self.hosts == 1 {
            self.now.followed.clone_from(&then.followed);
        }
        for range in gone {
            self.now.parts[range.partition].replaced.push(ReplacedRange { host, range, passed: false });
        }
    }

    /// Records that the topic was recreated. It is read from its first record.
    pub(super) fn recreated(&mut self, partition: usize, epoch: u64) {
        let OraclePart { passes, expired, .. } = std::mem::take(&mut self.now.parts[partition]);
        let part = &mut self.now.parts[partition];
        *part =
            OraclePart { first: passes.len(), passes, expired, epoch: Some(epoch), ..OraclePart::default() };
        part.begin(0);
    }

    fn meet(&mut self, limit: Limit) {
        *self.tally.limits.entry(limit).or_default() += 1;
    }

    fn violate(&mut self, start: &Started<'_>, what: String) {
        let Started { host, partition, position, .. } = start;
        self.violations.push(format!("{}/p{partition} started at {position}: {what}", name(*host)));
    }

    /// Judges the files themselves, whatever the starts were.
    pub(super) fn faults(&self, files: &[Vec<&WrittenRange>], partition: usize) -> Vec<String> {
        let part = &self.now.parts[partition];
        let mut faults = Vec::new();
        let of_log = |range: &&WrittenRange| range.pass >= part.first;
        let files: Vec<Vec<&WrittenRange>> =
            files.iter().map(|file| file.iter().copied().filter(of_log).collect()).collect();
        let end = files.iter().flatten().map(|range| range.next).max().unwrap_or(0);
        let passes = part.first..part.passes.len();
        let passes: Vec<_> =
            passes.map(|pass| part.passes[pass]..part.reach(&files, pass, |_| self.hosts > 1)).collect();
        for (host, file) in files.iter().enumerate().filter(|_| !part.crooked) {
            let at = format!("{}/p{partition}", name(host));
            for offset in 0..end {
                let times = file.iter().filter(|range| (range.from..range.next).contains(&offset)).count();
                if times > passes.iter().filter(|pass| pass.contains(&offset)).count() {
                    faults.push(format!("{at}: the file has {offset} {times} times"));
                    break;
                }
            }
            if self.hosts == 1 {
                faults.extend(jump(file, &part.honoured).map(|what| format!("{at}: {what}")));
            }
        }
        let replaced =
            part.replaced.iter().filter(|_| self.hosts > 1).map(|replaced_range| &replaced_range.range);
        let held: Vec<_> = files.iter().flatten().copied().chain(replaced).collect();
        let is_held = |offset: i64| held.iter().any(|range| (range.from..range.next).contains(&offset));
        let is_skipped =
            |offset: i64| part.skipped.iter().any(|(from, next)| (*from..*next).contains(&offset));
        let missing = (0..end).find(|offset| !is_held(*offset) && !is_skipped(*offset));
        if let (Some(offset), false) = (missing, part.loses) {
            faults.push(format!("p{partition}: {offset} is in no file"));
        }
        faults
    }
}

impl OraclePart {
    fn begin(&mut self, position: i64) {
        self.passes.push(position);
        self.now = Some(self.passes.len() - 1);
    }

    /// The offset up to which the files, and the replaced ranges that count, hold a pass without a gap.
    fn reach(
        &self,
        files: &[Vec<&WrittenRange>],
        pass: usize,
        counts: impl Fn(&ReplacedRange) -> bool,
    ) -> i64 {
        let replaced = self
            .replaced
            .iter()
            .filter(|replaced_range| counts(replaced_range))
            .map(|replaced_range| &replaced_range.range);
        let held = files.iter().flatten().copied().chain(replaced).filter(|range| range.pass == pass);
        let mut held: Vec<(i64, i64)> = held.map(|range| (range.from, range.next)).collect();
        held.sort_unstable();
        let mut end = self.passes[pass];
        for (from, next) in held {
            if from > end {
                break;
            }
            end = end.max(next);
        }
        end
    }

    /// Whether an older copy replaced a file that held all the records missing before the start. Does not
    /// count if the start is by that file's own host, following its own commit.
    fn passes_replaced(&mut self, files: &[Vec<&WrittenRange>], start: &Started<'_>) -> bool {
        let Some(pass) = self.now else { return false };
        let counts = |lost: &ReplacedRange| {
            lost.passed || lost.host != start.host || start.author().is_some_and(|host| host != lost.host)
        };
        let passes = self.reach(files, pass, counts) >= start.position;
        for lost in self.replaced.iter_mut().filter(|lost| passes && lost.range.pass == pass) {
            lost.passed |= lost.host != start.host || start.author().is_some_and(|host| host != lost.host);
        }
        passes
    }
}

/// Checks a single host's file: each range begins where the one before it ends, except after the resets, in
/// their order.
fn jump(file: &[&WrittenRange], honoured: &[i64]) -> Option<String> {
    let mut next = 0;
    let mut resets = honoured.iter();
    for range in file {
        while range.from != next {
            let Some(reset) = resets.next() else {
                return Some(format!("{} follows where {next} is due", range.from));
            };
            next = *reset;
        }
        next = range.next;
    }
    None
}
