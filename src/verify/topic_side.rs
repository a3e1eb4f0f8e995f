//! Reads the topics again: offset ranges of partitions, by the fetcher that the job has, and no further. No
//! group is joined, and nothing is committed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::progress::Progress;
use crate::error::Fault;
use crate::kafka::{Event, Fetched, Fetcher, Payload, ResolvedStart, StartOffset};
use crate::record::TopicPartition;

/// A gap between two ranges that is worth a new request, in offsets. A shorter one is read through.
const GAP_MIN: i64 = 1000;
/// How long one call to the fetcher may wait.
const WAIT: Duration = Duration::from_millis(200);

/// How the topics are read.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimits {
    /// The most bytes a second, as the brokers send them; `None`: as fast as they come.
    pub rate: Option<u64>,
    /// After so long without a record of any partition the others are given up.
    pub patience: Duration,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self { rate: None, patience: Duration::from_secs(60) }
    }
}

/// Offsets that cannot be compared, because the broker does not give their records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnreadRange {
    /// Which of the partitions.
    pub(super) partition: usize,
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) why: String,
}

/// The ranges of one partition that are to be read, in order and without overlaps.
#[derive(Debug, Clone)]
pub(super) struct WantedRanges {
    pub(super) partition: TopicPartition,
    /// Its number among the partitions that are compared.
    pub(super) number: usize,
    pub(super) ranges: Vec<(i64, i64)>,
}

struct Reading {
    wanted: WantedRanges,
    /// Which range is read.
    range: usize,
    at: i64,
    assignment: u64,
}

impl Reading {
    fn is_done(&self) -> bool {
        self.range >= self.wanted.ranges.len()
    }

    /// The ranges from the position on.
    fn left(&self) -> impl Iterator<Item = (i64, i64)> {
        let rest = self.wanted.ranges.get(self.range..).unwrap_or_default();
        rest.iter().map(|(from, to)| (self.at.max(*from), *to)).filter(|(from, to)| from < to)
    }
}

/// See the module.
pub(super) struct TopicReader<'a> {
    fetcher: Box<dyn Fetcher>,
    limits: ReadLimits,
    progress: &'a mut Progress,
    readings: Vec<Reading>,
    by_name: HashMap<TopicPartition, usize>,
    assignments: u64,
    unread: Vec<UnreadRange>,
}

impl<'a> TopicReader<'a> {
    pub(super) fn new(fetcher: Box<dyn Fetcher>, limits: ReadLimits, progress: &'a mut Progress) -> Self {
        let (readings, by_name) = (Vec::new(), HashMap::new());
        Self { fetcher, limits, progress, readings, by_name, assignments: 0, unread: Vec::new() }
    }

    /// Where `start` is in each of these partitions: the first offset of the log, or that of a moment; `None`
    /// where no broker says it.
    ///
    /// # Errors
    /// The cluster cannot be read as configured.
    pub(super) fn starts(
        mut self,
        partitions: &[TopicPartition],
        start: &StartOffset,
    ) -> Result<Vec<Option<i64>>, String> {
        let mut starts: Vec<Option<i64>> = vec![None; partitions.len()];
        let mut open = partitions.len();
        for (number, partition) in partitions.iter().enumerate() {
            self.by_name.insert(partition.clone(), number);
            self.fetcher.assign(partition, start.clone(), 0);
        }
        let mut last = Instant::now();
        while open > 0 && last.elapsed() < self.limits.patience {
            match self.fetcher.next(Instant::now() + WAIT) {
                Ok(Event::Resolved(resolved)) => {
                    for ResolvedStart { partition, offset, .. } in resolved {
                        // One that moves to another broker in between is resolved once more.
                        self.fetcher.unassign(&partition);
                        let number = self.by_name.get(&partition).copied();
                        if let Some(known) = number.and_then(|number| starts.get_mut(number)) {
                            open -= usize::from(known.is_none());
                            *known = Some(offset);
                        }
                    }
                    last = Instant::now();
                }
                Ok(Event::Relinquished(partition, _)) => {
                    self.fetcher.assign(&partition, start.clone(), 0);
                }
                Ok(Event::Failed(why)) => self.progress.trouble(&why),
                Ok(Event::PartitionFailed(failed)) => self.progress.trouble(&failed.why),
                Ok(_) => {}
                Err(Fault::Fatal(why)) => return Err(why),
                Err(fault) => self.progress.trouble(&fault.to_string()),
            }
        }
        Ok(starts)
    }

    /// Reads all of these ranges. `take` gets what was fetched, with the partition's number; it may wait, and
    /// returns false to end the reading.
    ///
    /// # Errors
    /// The cluster cannot be read as configured.
    pub(super) fn read(
        mut self,
        wanted: Vec<WantedRanges>,
        take: &mut dyn FnMut(usize, Fetched) -> bool,
    ) -> Result<Vec<UnreadRange>, String> {
        for wanted in wanted {
            let (index, partition) = (self.readings.len(), wanted.partition.clone());
            let Some((from, _)) = wanted.ranges.first().copied() else { continue };
            self.readings.push(Reading { wanted, range: 0, at: from, assignment: 0 });
            self.by_name.insert(partition, index);
            self.assign(index);
        }
        let (started, mut last, mut bytes) = (Instant::now(), Instant::now(), 0);
        let mut open = self.readings.len();
        let mut why = "no broker sends its records".to_owned();
        while open > 0 {
            if last.elapsed() > self.limits.patience {
                self.give_up(&why);
                break;
            }
            match self.fetcher.next(Instant::now() + WAIT) {
                Ok(Event::Fetched(fetched)) => {
                    bytes += fetched.bytes;
                    last = Instant::now();
                    let Some(index) = self.accept(&fetched) else { continue };
                    open -= usize::from(self.advance(index, &fetched));
                    let number = self.readings.get(index).map_or(0, |reading| reading.wanted.number);
                    if !take(number, fetched) {
                        return Ok(self.unread);
                    }
                    // Not before its records are on their way.
                    last = Instant::now();
                    self.pause(started, bytes);
                }
                Ok(Event::Relinquished(partition, _) | Event::Diverged { partition, .. }) => {
                    if let Some(index) = self.by_name.get(&partition).copied() {
                        self.assign(index);
                    }
                }
                Ok(Event::Failed(text)) => why = text,
                Ok(Event::PartitionFailed(failed)) => why = failed.why,
                Ok(_) => {}
                Err(Fault::Fatal(why)) => return Err(why),
                Err(fault) => why = fault.to_string(),
            }
            self.progress.show();
        }
        Ok(self.unread)
    }

    fn assign(&mut self, index: usize) {
        self.assignments += 1;
        let assignment = self.assignments;
        if let Some(reading) = self.readings.get_mut(index).filter(|reading| !reading.is_done()) {
            reading.assignment = assignment;
            let start = StartOffset::At(reading.at, Vec::new());
            self.fetcher.assign(&reading.wanted.partition, start, assignment);
        }
    }

    /// The reading that waits for these records.
    fn accept(&self, fetched: &Fetched) -> Option<usize> {
        let index = self.by_name.get(&fetched.partition).copied()?;
        let reading = self.readings.get(index)?;
        (reading.assignment == fetched.assignment && !reading.is_done()).then_some(index)
    }

    /// Moves behind what was fetched. True if the partition is read to its end.
    fn advance(&mut self, index: usize, fetched: &Fetched) -> bool {
        let Some(reading) = self.readings.get_mut(index) else { return false };
        let why = match fetched.payload {
            Payload::Deleted => Some("the broker has deleted them"),
            Payload::Absent => Some("the broker has no records there: compacted or deleted"),
            _ => None,
        };
        for (from, to) in reading.left() {
            let (from, to) = (from.max(fetched.from), to.min(fetched.next));
            if let Some(why) = why.filter(|_| from < to) {
                let partition = reading.wanted.number;
                self.unread.push(UnreadRange { partition, from, to, why: why.to_owned() });
            }
            self.progress.add_offsets(u64::try_from(to - from).unwrap_or(0));
        }
        reading.at = fetched.next;
        while reading.wanted.ranges.get(reading.range).is_some_and(|(_, to)| *to <= reading.at) {
            reading.range += 1;
        }
        if reading.is_done() {
            self.fetcher.unassign(&fetched.partition);
            return true;
        }
        let next = reading.wanted.ranges.get(reading.range).map_or(reading.at, |(from, _)| *from);
        if next - reading.at > GAP_MIN {
            reading.at = next;
            self.assign(index);
        }
        false
    }

    /// Nothing came for a long time.
    fn give_up(&mut self, why: &str) {
        for reading in self.readings.iter().filter(|reading| !reading.is_done()) {
            self.unread.extend(reading.left().map(|(from, to)| UnreadRange {
                partition: reading.wanted.number,
                from,
                to,
                why: format!("they cannot be read: {why}"),
            }));
        }
    }

    /// Keeps the rate.
    fn pause(&mut self, started: Instant, bytes: u64) {
        let Some(rate) = self.limits.rate.filter(|rate| *rate > 0) else { return };
        let due = started + Duration::from_secs_f64(bytes as f64 / rate as f64);
        while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            std::thread::sleep(left.min(WAIT));
            self.progress.show();
        }
    }
}
