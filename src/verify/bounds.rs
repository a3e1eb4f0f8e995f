//! What must be in the files: of each partition the offset ranges that the journals of all hosts hold, up to
//! their last marks.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::place::{LinePlaces, SaidPlace};
use crate::logfile::parts::{LogPart, LogPath, SettledLog};
use crate::record::TopicPartition;

/// A range of offsets whose lines are in the files this often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeldRange {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) times: i64,
}

/// What is compared of one partition.
#[derive(Debug, Clone)]
pub(super) struct PartitionBounds {
    pub(super) partition: TopicPartition,
    /// Which log holds it.
    pub(super) log: usize,
    /// In the order of offsets, without overlaps.
    pub(super) held: Vec<HeldRange>,
    /// Of the ranges, nothing below this offset is compared.
    pub(super) judged_from: i64,
    /// Offsets of which there may be more lines than the ranges say.
    pub(super) unsure: Option<(i64, i64)>,
    /// The ranges of each host, by its number, in the order in which they were written.
    pub(super) written: Vec<Vec<(i64, i64)>>,
}

impl PartitionBounds {
    /// How often the line of this record must be in the files, as far as that is compared.
    pub(super) fn times(&self, offset: i64) -> i64 {
        if offset < self.judged_from { 0 } else { self.held_times(offset) }
    }

    /// Whether a journal says that the line of this record is in the files.
    pub(super) fn is_held(&self, offset: i64) -> bool {
        self.held_times(offset) > 0
    }

    fn held_times(&self, offset: i64) -> i64 {
        let at = self.held.partition_point(|range| range.to <= offset);
        self.held.get(at).filter(|range| range.from <= offset).map_or(0, |range| range.times)
    }

    /// The ranges that are compared.
    pub(super) fn judged(&self) -> Vec<(i64, i64)> {
        let ranges = self.held.iter().map(|range| (range.from.max(self.judged_from), range.to));
        ranges.filter(|(from, to)| from < to).collect()
    }

    pub(super) fn is_unsure(&self, offset: i64) -> bool {
        self.unsure.is_some_and(|(from, to)| (from..to).contains(&offset))
    }
}

/// A log file with its rotated files, or the files of a path with placeholders, on this host and on others.
#[derive(Debug)]
pub(super) struct LogBounds {
    /// The files of each host.
    pub(super) hosts: Vec<Vec<LogPart>>,
    /// Whether the files of a host follow each other, the oldest first. Otherwise lines have an order within
    /// each file alone.
    pub(super) is_sequence: bool,
    /// The partitions by topic and number.
    pub(super) partitions: BTreeMap<Vec<u8>, BTreeMap<i32, usize>>,
    /// The only partition, if there is one only.
    pub(super) only: Option<usize>,
    /// What is wrong with the files as such.
    pub(super) doubts: Vec<String>,
    /// Whether there may be lines of offsets that the journals do not know.
    pub(super) has_unsure: bool,
    /// Why lines that no record explains say nothing, if they do not.
    pub(super) extras_unsure: Vec<String>,
}

impl LogBounds {
    fn leave_out(&mut self) {
        (self.hosts, self.doubts) = (Vec::new(), Vec::new());
    }

    /// The partition that a line names.
    pub(super) fn partition_of(&self, said: &SaidPlace<'_>) -> Option<usize> {
        match said.partition {
            Some((topic, partition)) => self.partitions.get(topic)?.get(&partition).copied(),
            None => self.only,
        }
    }
}

/// What is compared with what.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    pub(super) logs: Vec<LogBounds>,
    pub(super) partitions: Vec<PartitionBounds>,
}

/// Which partition is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartitionChoice {
    /// This one of every topic.
    Number(i32),
    /// This one.
    Named(TopicPartition),
}

impl PartitionChoice {
    /// Reads `P` or `TOPIC/P`.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.rsplit_once('/') {
            Some((topic, number)) if !topic.is_empty() => {
                PartitionChoice::Named(TopicPartition::new(topic, number.parse().ok().filter(|n| *n >= 0)?))
            }
            Some(_) => return None,
            None => PartitionChoice::Number(text.parse().ok().filter(|n| *n >= 0)?),
        })
    }

    fn has(&self, partition: &TopicPartition) -> bool {
        match self {
            PartitionChoice::Number(number) => partition.partition == *number,
            PartitionChoice::Named(named) => partition == named,
        }
    }
}

impl fmt::Display for PartitionChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PartitionChoice::Number(number) => number.fmt(f),
            PartitionChoice::Named(named) => named.fmt(f),
        }
    }
}

impl Bounds {
    /// Nothing of the partition is compared below this offset. Returns what was compared before and is not
    /// any more.
    pub(super) fn begin_at(&mut self, number: usize, from: i64) -> Vec<(i64, i64)> {
        let Some(partition) = self.partitions.get_mut(number) else { return Vec::new() };
        let before = partition.judged();
        partition.judged_from = partition.judged_from.max(from);
        let cut = before.into_iter().map(|(begin, end)| (begin, end.min(from)));
        cut.filter(|(begin, end)| begin < end).collect()
    }

    /// Whether each line of the log says to which partition and offset it belongs.
    pub(super) fn can_place(&self, log: usize, places: LinePlaces) -> bool {
        match places {
            LinePlaces::Json => true,
            LinePlaces::Original => self.logs.get(log).is_some_and(|log| log.only.is_some()),
            LinePlaces::Nothing => false,
        }
    }

    /// If lines cannot be told from others, those that the journals do not know explain any line.
    pub(super) fn doubt_unsure(&mut self, places: LinePlaces) {
        let why = "the journal does not know how often some offsets were written";
        for number in 0..self.logs.len() {
            let can_place = self.can_place(number, places);
            if let Some(log) = self.logs.get_mut(number).filter(|log| log.has_unsure && !can_place) {
                log.extras_unsure.push(why.to_owned());
            }
        }
    }

    /// Records of the partition are not compared. If their lines cannot be told from others, a line that no
    /// record explains may be one of them.
    pub(super) fn doubt_extras(&mut self, number: usize, places: LinePlaces, why: &str) {
        let Some(partition) = self.partitions.get(number) else { return };
        let (name, log) = (partition.partition.to_string(), partition.log);
        if !self.can_place(log, places)
            && let Some(log) = self.logs.get_mut(log)
        {
            log.extras_unsure.push(format!("{name}: {why}"));
        }
    }

    /// Reads the journals and finds the files.
    ///
    /// # Errors
    /// A journal or a directory that cannot be read.
    pub(super) fn read(
        logs: &[LogPath],
        directories: &[PathBuf],
        choice: Option<&PartitionChoice>,
    ) -> Result<Self, String> {
        let mut bounds = Self::default();
        for log in logs {
            let mut own = match log.settled() {
                Ok(own) => own,
                // One of several logs keeps nobody from looking at the others.
                Err(why) if logs.len() > 1 => SettledLog { doubts: vec![why], ..SettledLog::default() },
                Err(why) => return Err(why),
            };
            let (mut hosts, mut copies) = (Vec::new(), Vec::new());
            let mut journals: Vec<PathBuf> = journal_of(&log.base()).into_iter().collect();
            for directory in directories {
                let there = log.in_directory(directory);
                if let Some(journal) = journal_of(&there.base()) {
                    if journals.contains(&journal) {
                        // The same directory, by the same name or another one.
                        continue;
                    }
                    journals.push(journal);
                    let other = there.settled()?;
                    let is_same = |known: &SettledLog| known.identity == other.identity;
                    if is_same(&own) || hosts.iter().any(is_same) {
                        // Its journal knows lines that stand in files here.
                        let copy = format!("{}: is a copy: verify it by itself", there.base().display());
                        copies.push(copy);
                        continue;
                    }
                    hosts.push(other);
                } else {
                    log.add_archived(&mut own, directory)?;
                }
            }
            log.order(&mut own.parts);
            hosts.insert(0, own);
            bounds.add(hosts, log.is_sequence(), choice);
            bounds.logs.last_mut().into_iter().for_each(|log| log.doubts.append(&mut copies));
        }
        match choice {
            Some(choice) if bounds.partitions.is_empty() => Err(bounds.without(choice)),
            Some(PartitionChoice::Named(_)) => {
                // One log has it, and no other one is asked for.
                bounds.logs.iter_mut().filter(|log| log.partitions.is_empty()).for_each(LogBounds::leave_out);
                Ok(bounds)
            }
            _ => Ok(bounds),
        }
    }

    /// Why nothing can be compared of a partition that is in no log.
    fn without(&self, choice: &PartitionChoice) -> String {
        let doubts = self.logs.iter().flat_map(|log| &log.doubts).map(|doubt| format!("; {doubt}"));
        format!("no journal knows partition {choice}{}", doubts.collect::<String>())
    }

    /// Adds a log with what each host has of it.
    pub(super) fn add(
        &mut self,
        hosts: Vec<SettledLog>,
        is_sequence: bool,
        choice: Option<&PartitionChoice>,
    ) {
        let number = self.logs.len();
        let mut log = LogBounds {
            hosts: Vec::new(),
            is_sequence,
            partitions: BTreeMap::new(),
            only: None,
            doubts: Vec::new(),
            has_unsure: false,
            extras_unsure: Vec::new(),
        };
        let mut gathered: BTreeMap<TopicPartition, Gathered> = BTreeMap::new();
        for (number, host) in hosts.into_iter().enumerate() {
            for known in host.partitions {
                let one = gathered.entry(known.partition).or_default();
                // A host before this one may not know the partition.
                one.written.resize(number + 1, Vec::new());
                let Some(held) = known.held else {
                    one.unsure = Some(hull(one.unsure, (0, known.position)));
                    continue;
                };
                one.unsure = held.unsure().map_or(one.unsure, |range| Some(hull(one.unsure, range)));
                if let Some(written) = one.written.last_mut() {
                    *written = held.ranges(known.position);
                }
            }
            log.doubts.extend(host.doubts);
            for part in &host.parts {
                log.doubts.extend(part.doubt.map(|doubt| format!("{}: {doubt}", part.path.display())));
            }
            log.hosts.push(host.parts);
        }
        let (all, mut chosen, mut has_unsure) = (gathered.len(), 0, false);
        for (partition, Gathered { written, unsure }) in gathered {
            if choice.is_some_and(|choice| !choice.has(&partition)) {
                continue;
            }
            has_unsure |= unsure.is_some();
            let held = sum_up(written.iter().flatten());
            let topic = log.partitions.entry(partition.topic.as_bytes().to_vec()).or_default();
            topic.insert(partition.partition, self.partitions.len());
            chosen += 1;
            log.only = Some(self.partitions.len()).filter(|_| all == 1);
            let judged_from = i64::MIN;
            let bounds = PartitionBounds { partition, log: number, held, judged_from, unsure, written };
            self.partitions.push(bounds);
        }
        log.has_unsure = has_unsure;
        if choice.is_some() && chosen == 0 && all > 0 {
            // Another log has it.
            log.leave_out();
        }
        if chosen < all {
            log.extras_unsure.push("other partitions were left out".to_owned());
        }
        self.logs.push(log);
    }
}

#[derive(Default)]
struct Gathered {
    written: Vec<Vec<(i64, i64)>>,
    unsure: Option<(i64, i64)>,
}

fn hull(known: Option<(i64, i64)>, (from, to): (i64, i64)) -> (i64, i64) {
    known.map_or((from, to), |known| (known.0.min(from), known.1.max(to)))
}

/// The journal beside the log file, without links on the way to it. `None`: there is none.
fn journal_of(log_file: &Path) -> Option<PathBuf> {
    let mut name = log_file.as_os_str().to_owned();
    name.push(".journal");
    Path::new(&name).canonicalize().ok()
}

/// Ranges that may overlap become ranges that do not, each with the number of those that it lies in.
fn sum_up<'a>(ranges: impl Iterator<Item = &'a (i64, i64)>) -> Vec<HeldRange> {
    let mut steps: BTreeMap<i64, i64> = BTreeMap::new();
    for (from, to) in ranges.filter(|(from, to)| from < to) {
        *steps.entry(*from).or_default() += 1;
        *steps.entry(*to).or_default() -= 1;
    }
    let (mut held, mut from, mut times) = (Vec::<HeldRange>::new(), i64::MIN, 0);
    for (at, step) in steps {
        match held.last_mut() {
            Some(last) if last.to == from && last.times == times => last.to = at,
            _ if times > 0 => held.push(HeldRange { from, to: at, times }),
            _ => {}
        }
        (from, times) = (at, times + step);
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logfile::parts::SettledPartition;

    #[test]
    fn overlapping_ranges_are_expected_that_often() {
        let held = sum_up([(0, 100), (50, 150), (200, 300), (150, 200), (7, 7)].iter());
        let range = |from, to, times| HeldRange { from, to, times };
        assert_eq!(held, [range(0, 50, 1), range(50, 100, 2), range(100, 300, 1)]);
        let mut bounds = PartitionBounds {
            partition: TopicPartition::new("t", 0),
            log: 0,
            held,
            judged_from: i64::MIN,
            unsure: None,
            written: Vec::new(),
        };
        assert_eq!([-1, 0, 49, 50, 99, 100, 299, 300].map(|at| bounds.times(at)), [0, 1, 1, 2, 2, 1, 1, 0]);
        bounds.judged_from = 60;
        assert_eq!((bounds.times(59), bounds.times(60)), (0, 2));
        assert_eq!(bounds.judged(), [(60, 100), (100, 300)]);
    }

    #[test]
    fn a_log_without_the_chosen_partition_is_left_out() {
        let of = |topic: &str| {
            let partition = TopicPartition::new(topic, 0);
            let known = SettledPartition { partition, position: 9, held: None };
            SettledLog { partitions: vec![known], doubts: vec!["odd".to_owned()], ..SettledLog::default() }
        };
        let (mut bounds, choice) = (Bounds::default(), PartitionChoice::parse("b/0"));
        ["a", "b"].into_iter().for_each(|topic| bounds.add(vec![of(topic)], true, choice.as_ref()));
        let sizes: Vec<_> = bounds.logs.iter().map(|log| (log.hosts.len(), log.doubts.len())).collect();
        assert_eq!((sizes, bounds.partitions.len()), (vec![(0, 0), (1, 1)], 1));
    }

    #[test]
    fn a_partition_is_chosen_by_number_or_name() {
        let parse = PartitionChoice::parse;
        assert_eq!(parse("3"), Some(PartitionChoice::Number(3)));
        assert_eq!(parse("a/3"), Some(PartitionChoice::Named(TopicPartition::new("a", 3))));
        for wrong in ["", "x", "-1", "/3", "a/", "a/-1"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
