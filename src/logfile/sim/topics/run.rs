//! One run: the files that are open, and what is written to these.

use std::io;

use super::{PARTITIONS, RECORDS, TOPICS, World, directory, line, partition, path_of, topic_of};
use crate::logfile::sim::many::crc_of;
use crate::logfile::topic_files::OpenTopics;
use crate::logfile::{
    AppendError, Checkpoint, FileNumber, Landmark, Ledger, LogWriter, Piece, PositionChange, Settler,
};
use crate::record::OffsetMetadata;

/// How often a write is tried again that nothing should refuse.
const TRIES: u32 = 6;

/// Why a step was not done.
#[derive(Debug)]
pub(super) enum Ended {
    Stopped,
    /// The run is to begin anew.
    Again,
    /// A sync has failed: of these topics' files, or of the journal.
    Failed(Vec<usize>),
}

pub(super) struct Run {
    files: [Option<LogWriter>; TOPICS.len()],
    settler: Settler,
    ledger: Ledger,
    next: [i64; PARTITIONS.len()],
    /// The records of each topic that the disk refuses, by their partitions.
    refused: [Vec<(usize, i64)>; TOPICS.len()],
    taken: Option<Checkpoint>,
}

impl Run {
    pub(super) fn new(opened: OpenTopics) -> Self {
        let OpenTopics { files, settler, ledger, .. } = opened;
        let mut of_topics = [const { None }; TOPICS.len()];
        for (path, writer) in files {
            let topic = (0..TOPICS.len()).find(|topic| path_of(*topic) == path).unwrap();
            of_topics[topic] = Some(writer);
        }
        let (next, refused) = ([0; PARTITIONS.len()], [const { Vec::new() }; TOPICS.len()]);
        Self { files: of_topics, settler, ledger, next, refused, taken: None }
    }

    pub(super) fn is_open(&self, topic: usize) -> bool {
        self.files[topic].is_some()
    }

    /// Whether the partition's file takes more of its records.
    pub(super) fn can_go_on(&self, world: &World, number: usize) -> bool {
        let topic = topic_of(number);
        let is_refused = !self.refused[topic].is_empty() && world.disk.refuses(&directory(topic));
        self.is_open(topic) && !is_refused && self.next[number] < RECORDS
    }

    /// Whether all was written of this topic.
    pub(super) fn has_written(&self, topic: usize) -> bool {
        let mut numbers = (0..PARTITIONS.len()).filter(|number| topic_of(*number) == topic);
        self.is_open(topic) && numbers.all(|number| self.next[number] == RECORDS)
    }

    /// Whether all has settled that was written to other topics' files.
    pub(super) fn has_settled_but(&self, topics: &[usize]) -> bool {
        let numbers = topics.iter().filter_map(|topic| Some(self.files[*topic].as_ref()?.number()));
        self.ledger.has_settled_but(&numbers.collect())
    }

    pub(super) fn resume(
        &mut self,
        number: usize,
        offset: Option<i64>,
        beside: &OffsetMetadata,
    ) -> io::Result<()> {
        let resumed = self.ledger.resume(&partition(number), offset, beside)?;
        self.next[number] = match resumed.position {
            Some(position) => position,
            None => self.ledger.set_position(&partition(number), 0).map(|()| 0)?,
        };
        Ok(())
    }

    /// Writes up to `count` records of each of these partitions, which have this topic, as one range. If the
    /// disk refuses some earlier ones, it is given these, and nothing else if it refuses again.
    pub(super) fn append(
        &mut self,
        world: &mut World,
        topic: usize,
        numbers: &[usize],
        count: i64,
    ) -> Result<(), Ended> {
        if !self.is_open(topic) {
            return Ok(());
        }
        let refused = std::mem::take(&mut self.refused[topic]);
        if !refused.is_empty() && !self.write(world, topic, refused)? {
            return Ok(());
        }
        let up_to = |number: &usize| (*number, (self.next[*number] + count).min(RECORDS));
        let ends: Vec<(usize, i64)> =
            numbers.iter().map(up_to).filter(|(number, to)| self.next[*number] < *to).collect();
        if !ends.is_empty() {
            self.write(world, topic, ends)?;
        }
        Ok(())
    }

    /// Writes the records of these partitions up to these positions. False if the disk refuses.
    fn write(&mut self, world: &mut World, topic: usize, ends: Vec<(usize, i64)>) -> Result<bool, Ended> {
        for _ in 0..TRIES {
            match self.try_write(topic, &ends) {
                Ok(()) => {
                    ends.iter().for_each(|(number, to)| self.next[*number] = *to);
                    return Ok(true);
                }
                Err(_) if world.disk.is_stopped() => return Err(Ended::Stopped),
                Err(AppendError::Retry(_)) if world.disk.refuses(&directory(topic)) => {
                    self.refused[topic] = ends;
                    return Ok(false);
                }
                Err(AppendError::Restart(error)) => return Err(self.failed(world, &error)),
                Err(_) => {}
            }
        }
        world.faults.push(format!("{} is refused again and again", TOPICS[topic]));
        Err(Ended::Again)
    }

    fn try_write(&mut self, topic: usize, ends: &[(usize, i64)]) -> Result<(), AppendError> {
        let (mut lines, mut changes) = (Vec::new(), Vec::new());
        for (number, to) in ends {
            let from = self.next[*number];
            (from..*to).for_each(|record| lines.extend(line(*number, record)));
            let (index, written) = self.ledger.written(&partition(*number)).unwrap();
            assert_eq!(written, from);
            let last = Some(Landmark { offset: to - 1, fingerprint: 0 });
            changes.push(PositionChange { index, position: *to, last });
        }
        let crc = crc_of(&lines);
        self.files[topic].as_mut().unwrap().append(&[Piece { bytes: &lines, crc: &crc }], &changes)
    }

    pub(super) fn take(&mut self) -> Result<(), Ended> {
        self.taken = Some(self.ledger.checkpoint());
        Ok(())
    }

    pub(super) fn settle(&mut self, world: &mut World) -> Result<(), Ended> {
        let checkpoint = self.taken.take().unwrap_or_else(|| self.ledger.checkpoint());
        if world.mistake == super::Mistake::CommitBeforeSync {
            let is_open = |number: &usize| self.is_open(topic_of(*number));
            for number in (0..PARTITIONS.len()).filter(is_open) {
                world.group[number] = Some((self.next[number], String::new()));
            }
        }
        let settled = match self.settler.settle(checkpoint) {
            Ok(settled) => settled,
            Err(_) if world.disk.is_stopped() => return Err(Ended::Stopped),
            Err(error) => return Err(self.failed(world, &error)),
        };
        let mut held = Vec::new();
        for commit in settled.commits {
            let number = (0..PARTITIONS.len()).find(|number| partition(*number) == commit.partition).unwrap();
            world.group[number] = Some((commit.offset, commit.metadata));
            held.push((commit.partition, commit.offset));
        }
        self.ledger.record_committed(&held);
        Ok(())
    }

    /// A sync has failed, unless the journal contradicts memory, which is a fault.
    fn failed(&self, world: &mut World, error: &io::Error) -> Ended {
        if error.kind() == io::ErrorKind::InvalidData {
            world.faults.push(error.to_string());
        }
        let failed: Vec<FileNumber> = self.ledger.failed_files();
        let has_failed = |topic: &usize| {
            let writer = self.files[*topic].as_ref();
            writer.is_some_and(|writer| failed.contains(&writer.number()))
        };
        Ended::Failed((0..TOPICS.len()).filter(has_failed).collect())
    }

    /// The run ends by itself. What the disk refuses then is left to the next start.
    pub(super) fn end(&mut self) {
        for writer in self.files.iter_mut().flatten() {
            let _ = writer.end();
        }
        let _ = self.ledger.close();
    }
}
