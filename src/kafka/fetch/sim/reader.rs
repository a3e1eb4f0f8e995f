//! Plays the job, which owns the [`Fetcher`]: keeps the positions, and compares everything that is
//! delivered with the logs.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::World;
use super::log::{Kind, Log};
use crate::kafka;
use crate::kafka::protocol::records::Scratch;
use crate::kafka::seam::{Event, FailedPartition, Fetched, Fetcher, Payload, ResolvedStart, StartOffset};
use crate::record::TopicPartition;

const LANDMARKS: usize = 8;

/// One partition.
struct Tracked {
    assignment: u64,
    /// The next offset to be delivered; `None` until it is resolved.
    at: Option<i64>,
    /// The log of the partition that is read.
    log: usize,
    landmarks: Vec<(i64, u32)>,
    /// Why the partition cannot be read, if that was the last event.
    trouble: Option<String>,
    /// When the partition is assigned again after its records could not be decoded.
    later: Option<Instant>,
}

/// The positions and the delivered records.
pub(super) struct Reader<'a> {
    world: &'a World,
    fetch: Box<dyn Fetcher>,
    partitions: BTreeMap<TopicPartition, Tracked>,
    wants: u64,
    scratch: Scratch,
    /// Why no partition can be read, if that was the last event.
    trouble: Option<String>,
    pub(super) delivered: u64,
    pub(super) troubles: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(world: &'a World, fetch: Box<dyn Fetcher>) -> Self {
        let keys: Vec<_> = world.cluster().partitions.keys().cloned().collect();
        let partitions = keys.into_iter().map(|(topic, number)| {
            let tracked = Tracked {
                assignment: 0,
                at: None,
                log: 0,
                landmarks: Vec::new(),
                trouble: None,
                later: None,
            };
            (TopicPartition::new(topic, number), tracked)
        });
        let partitions = partitions.collect();
        let scratch = Scratch::default();
        let mut reader =
            Self { world, fetch, partitions, wants: 0, scratch, trouble: None, delivered: 0, troubles: 0 };
        for partition in reader.partitions.keys().cloned().collect::<Vec<_>>() {
            reader.assign(&partition);
        }
        reader
    }

    /// Assigns a partition at its position.
    fn assign(&mut self, partition: &TopicPartition) {
        self.wants += 1;
        let tracked = self.partitions.get_mut(partition).unwrap();
        tracked.assignment = self.wants;
        tracked.later = None;
        let begin = match tracked.at {
            Some(at) => StartOffset::At(at, tracked.landmarks.clone()),
            None => StartOffset::Earliest,
        };
        self.fetch.assign(partition, begin, self.wants);
    }

    /// Takes one event, or none until the given time.
    ///
    /// # Errors
    /// What is wrong with the event.
    pub(super) fn hear(&mut self, until: Instant) -> Result<(), String> {
        let due = |(_, one): &(&TopicPartition, &Tracked)| one.later.is_some_and(|at| at <= Instant::now());
        for partition in self.partitions.iter().filter(due).map(|(one, _)| one.clone()).collect::<Vec<_>>() {
            self.assign(&partition);
        }
        match self.fetch.next(until).map_err(|fault| format!("it ended: {fault}"))? {
            Event::Nothing => Ok(()),
            Event::Idle => {
                self.trouble = None;
                Ok(())
            }
            Event::Recovered { partition, .. } => {
                self.calm(&partition);
                Ok(())
            }
            Event::LookUpFailed(_)
            | Event::LookUpRecovered
            | Event::Lag { .. }
            | Event::Identified { .. } => Ok(()),
            Event::Failed(why) => {
                self.troubles += 1;
                self.trouble = Some(why);
                Ok(())
            }
            Event::PartitionFailed(FailedPartition { partition, why, .. }) => {
                self.troubles += 1;
                self.partitions.get_mut(&partition).ok_or("trouble of what nobody wanted")?.trouble =
                    Some(why);
                Ok(())
            }
            Event::Resolved(starts) => starts.iter().try_for_each(|one| self.found(one)),
            Event::Fetched(fetched) => self.fetched(&fetched).map_err(|why| {
                let Fetched { partition, from, next, .. } = &fetched;
                format!("{partition} [{from}, {next}): {why}")
            }),
            Event::Diverged { partition, assignment, next, .. } => {
                self.different(&partition, assignment, next)
            }
            Event::Relinquished(partition, assignment) => {
                if self.partitions.get(&partition).is_some_and(|one| one.assignment == assignment) {
                    self.assign(&partition);
                }
                Ok(())
            }
        }
    }

    fn calm(&mut self, partition: &TopicPartition) {
        self.trouble = None;
        if let Some(tracked) = self.partitions.get_mut(partition) {
            tracked.trouble = None;
        }
    }

    fn found(&mut self, start: &ResolvedStart) -> Result<(), String> {
        self.trouble = None;
        let (partition, at) = (&start.partition, start.offset);
        let tracked = self.partitions.get_mut(partition).ok_or("found what nobody wanted")?;
        if tracked.assignment != start.assignment {
            return Ok(());
        }
        if let Some(was) = tracked.at {
            return Err(format!("{partition} is found at {at} though it stands at {was}"));
        }
        let mut cluster = self.world.cluster();
        let log = cluster.partitions.get_mut(&key(partition)).unwrap().log();
        if !(0..=log.start).contains(&at) {
            return Err(format!("{partition} is found at {at}, it begins at {}", log.start));
        }
        tracked.at = Some(at);
        Ok(())
    }

    fn different(&mut self, partition: &TopicPartition, assignment: u64, at: i64) -> Result<(), String> {
        if self.partitions.get(partition).is_none_or(|one| one.assignment != assignment) {
            return Ok(());
        }
        let world = self.world;
        let mut cluster = world.cluster();
        let logs = &mut cluster.partitions.get_mut(&key(partition)).unwrap().logs;
        let tracked = self.partitions.get_mut(partition).ok_or("different from what nobody wanted")?;
        let now = logs.len() - 1;
        if tracked.log == now || at != logs[now].start {
            let (start, was) = (logs[now].start, tracked.log);
            return Err(format!(
                "{partition} is said to be another log from {at}: it is number {now}, from {start}, and \
                 number {was} was read"
            ));
        }
        tracked.log = now;
        tracked.at = Some(at);
        tracked.landmarks.clear();
        drop(cluster);
        self.assign(partition);
        Ok(())
    }

    fn fetched(&mut self, fetched: &Fetched) -> Result<(), String> {
        let tracked = self.partitions.get_mut(&fetched.partition).ok_or("nobody wanted it")?;
        if fetched.assignment != tracked.assignment {
            return Ok(());
        }
        if tracked.at != Some(fetched.from) {
            return Err(format!("its position is {:?}", tracked.at));
        }
        if fetched.next <= fetched.from {
            return Err("it goes nowhere".to_owned());
        }
        let mut records = Vec::new();
        let decoded = kafka::records(fetched, &mut self.scratch, &mut |record| {
            let (key, value) = (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec));
            records.push((record.offset, key, value, record.fingerprint()));
            ControlFlow::Continue(())
        });
        let (next, broken) = match decoded {
            Ok(decoded) if decoded.next == fetched.next => (decoded.next, None),
            Ok(decoded) => return Err(format!("its records end at {}", decoded.next)),
            Err(broken) => (broken.next, Some(broken.to_string())),
        };
        let mut cluster = self.world.cluster();
        let logs = &cluster.partitions.get_mut(&key(&fetched.partition)).unwrap().logs;
        if tracked.landmarks.is_empty()
            && let Some((_, _, Some(value), _)) = records.first()
        {
            // Nothing was read before, so there is nothing to compare.
            let named = |log: &Log| value.starts_with(format!("{}@", log.name).as_bytes());
            tracked.log = logs.iter().position(named).ok_or("a record of no log")?;
        }
        let log = &logs[tracked.log];
        if matches!(fetched.payload, Payload::Deleted) && next > log.start {
            return Err(format!("it begins at {}", log.start));
        }
        judge(log, self.world.plan.committed, fetched.from, next, &records)?;
        drop(cluster);
        self.delivered += records.len() as u64;
        tracked.landmarks.extend(records.iter().map(|(offset, .., fingerprint)| (*offset, *fingerprint)));
        let surplus = tracked.landmarks.len().saturating_sub(LANDMARKS);
        tracked.landmarks.drain(..surplus);
        tracked.at = Some(next);
        let partition = fetched.partition.clone();
        match broken {
            None => self.calm(&partition),
            // As in the job: what is in flight is dropped, and the partition is assigned again.
            Some(why) => {
                self.troubles += 1;
                self.wants += 1;
                tracked.assignment = self.wants;
                tracked.trouble = Some(why);
                tracked.later = Some(Instant::now() + Duration::from_millis(10));
                self.fetch.unassign(&partition);
            }
        }
        Ok(())
    }

    /// The first thing that is still missing, in words.
    pub(super) fn outstanding(&self) -> Option<String> {
        let mut cluster = self.world.cluster();
        for (partition, tracked) in &self.partitions {
            let logs = &mut cluster.partitions.get_mut(&key(partition)).unwrap().logs;
            let (now, end) = (logs.len() - 1, logs[logs.len() - 1].end);
            if tracked.at != Some(end) || tracked.log != now {
                let (at, log, trouble) = (tracked.at, tracked.log, &tracked.trouble);
                return Some(format!(
                    "{partition} is at {at:?} of log {log}, and log {now} ends at {end}: {trouble:?}"
                ));
            }
            if let Some(trouble) = &tracked.trouble {
                return Some(format!("{partition} is read to its end, but reported was: {trouble}"));
            }
        }
        self.trouble.as_ref().map(|why| format!("all is read, but reported was: {why}"))
    }
}

fn key(partition: &TopicPartition) -> (String, i32) {
    (partition.topic.to_string(), partition.partition)
}

/// One record: offset, key, value and fingerprint.
type Read = (i64, Option<Vec<u8>>, Option<Vec<u8>>, u32);

/// Checks that these are the records of the range: each once, in order, and as they were written.
fn judge(log: &Log, committed: bool, from: i64, next: i64, records: &[Read]) -> Result<(), String> {
    let wanted = |kind: Kind| kind == Kind::Plain || !committed;
    let mut at = from;
    for (offset, key, value, _) in records {
        if *offset < at || *offset >= next {
            return Err(format!("record {offset} where {at} could be next"));
        }
        at = offset + 1;
        match log.records.get(offset) {
            Some(kind) if wanted(*kind) => {}
            other => return Err(format!("record {offset} is {other:?}; {}", log.shown(from, next))),
        }
        if *key != log.key(*offset) || value.as_ref() != Some(&log.value(*offset)) {
            let value = value.as_ref().map(|value| value.escape_ascii().to_string());
            return Err(format!("record {offset} of {} has the value {value:?}", log.name));
        }
    }
    let mut given = records.iter().map(|(offset, ..)| *offset).peekable();
    for (offset, kind) in log.records.range(from..next) {
        if given.next_if_eq(offset).is_some() {
            continue;
        }
        if committed && *kind == Kind::Open {
            return Err(format!("record {offset} is not decided, and was passed"));
        }
        // Records that retention deleted meanwhile may be missing.
        if wanted(*kind) && *offset >= log.start {
            return Err(format!("record {offset} is missing"));
        }
    }
    Ok(())
}
