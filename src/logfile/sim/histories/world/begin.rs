//! A program starts and begins to read the partitions assigned to it.

use super::super::event::CommitFate;
use super::super::host::{CommitOffset, CommitRequest, HostRun};
use super::super::mirror::LedgerMirror;
use super::super::oracle::Started;
use super::super::vocabulary::{CommitStyle, GroupEntry, SetBy, WrittenRange, name};
use super::{HistoryWorld, shown};
use crate::logfile::resume::{KnownPosition, ResumeDecision};

impl HistoryWorld {
    pub(super) fn start(&mut self, host: usize, dice: u32, dies: Option<u8>) {
        if self.hosts[host].run.is_some() {
            return;
        }
        if self.setting.hosts > 1 && !self.setting.coordinated() {
            // Without a coordinator, hosts run one after the other.
            self.stop_all();
        }
        self.hosts[host].run = Some(HostRun::new(self.commits));
        self.hosts[host].begun = true;
        self.mirror.iter_mut().for_each(LedgerMirror::start);
        if self.setting.hosts > 1 {
            self.rebalance(dice);
        } else {
            self.generation += 1;
            let mut steps = dies.filter(|_| self.mirror.is_none()).unwrap_or(u8::MAX);
            for partition in 0..self.setting.partitions {
                self.resume(host, partition, dice.is_multiple_of(16), &mut steps);
            }
        }
        if dies.is_some() {
            self.crash(host, u8::MAX, CommitFate::Lost);
        }
    }

    /// Every host settles and releases its partitions, then all partitions are assigned again.
    pub(super) fn rebalance(&mut self, mut dice: u32) {
        let up: Vec<usize> = (0..self.hosts.len()).filter(|host| self.hosts[*host].run.is_some()).collect();
        for host in &up {
            self.settle(*host);
            self.answer(*host, if dice & 1 == 0 { CommitFate::Done } else { CommitFate::Lost });
            dice >>= 1;
            let run = self.hosts[*host].run.as_mut().unwrap();
            *run = HostRun::new(run.commits);
        }
        self.generation += 1;
        for partition in (0..self.setting.partitions).filter(|_| !up.is_empty()) {
            self.resume(up[dice as usize % up.len()], partition, false, &mut u8::MAX.clone());
            dice >>= 2;
        }
    }

    /// Commits an offset without a token of its setter once more, with a claim. A delayed claim is made
    /// again, unless the program was killed.
    fn claim(&mut self, host: usize, partition: usize, delayed: bool, died: bool) {
        let Some(GroupEntry { offset, metadata, by }) = self.group[partition].clone() else { return };
        let run = self.hosts[host].run.as_ref().unwrap();
        if run.commits == CommitStyle::Values || (self.setting.naming)(offset, &metadata).is_some() {
            return;
        }
        let epoch = self.hosts[host].disk.parts[partition].as_ref().map(|part| part.epoch);
        let (identity, claiming) = (self.hosts[host].identity, self.setting.claiming);
        let member = if self.setting.coordinated() { i32::try_from(self.generation).unwrap() } else { -1 };
        if delayed {
            let (number, generation) = (self.number(), self.generation);
            let metadata = claiming(identity, epoch, offset, member, number).to_string();
            let offsets = vec![CommitOffset { partition, value: offset, metadata, claims: Some(by) }];
            self.network.push(CommitRequest { host, number, generation, offsets });
            if died {
                return;
            }
        }
        let metadata = claiming(identity, epoch, offset, member, self.number()).to_string();
        self.hosts[host].answered = self.numbers;
        self.record(|| format!("    {}/p{partition}: claims {offset} with {metadata}", name(host)));
        self.group[partition] = Some(GroupEntry { offset, metadata, by });
    }

    /// Does what the ledger does. The claim and each of the two writes to the journal are steps. After the
    /// last of `steps` the program is killed.
    fn resume(&mut self, host: usize, partition: usize, delayed: bool, steps: &mut u8) {
        if *steps == 0 {
            return;
        }
        *steps -= 1;
        self.claim(host, partition, delayed, *steps == 0);
        if *steps == 0 {
            return;
        }
        *steps -= 1;
        let entry = self.group[partition].clone();
        let known = self.hosts[host].disk.parts[partition].clone();
        let facts = known.as_ref().map(|part| KnownPosition {
            position: part.position,
            epoch: part.epoch,
            committed: &part.committed,
            left: &part.left,
        });
        let held = entry.as_ref().map(|entry| (entry.offset, entry.metadata.as_str()));
        let (offset, metadata) = (held.map(|(offset, _)| offset), held.map_or("", |(_, metadata)| metadata));
        let start = (self.setting.rule)(self.hosts[host].identity, facts, offset, metadata);
        let fresh = u64::from(self.number());
        self.follow(host, partition, start, fresh);
        let part = self.hosts[host].disk.parts[partition].clone().unwrap();
        self.record(|| {
            let journal = known.as_ref().map_or("nothing".to_owned(), |known| {
                format!("{} in history {} (values {:?})", known.position, known.epoch, known.committed)
            });
            let (host, entry) = (name(host), shown(entry.as_ref()));
            let at = format!("at {} in history {}", part.position, part.epoch);
            format!("    {host}/p{partition}: group {entry}, journal {journal}: {start:?}, so {at}")
        });

        let files: Vec<Vec<&WrittenRange>> =
            self.hosts.iter().map(|host| host.written_ranges(partition)).collect();
        let at = &self.hosts[host];
        let started = Started {
            host,
            partition,
            entry: entry.as_ref(),
            position: part.position,
            epoch: part.epoch,
            known: known.is_some(),
            seen: &at.values[partition],
            answered: at.answered,
            restored: at.restored,
        };
        let followed = self.oracle.started(&files, &started);
        if let (true, Some(GroupEntry { by: SetBy::Operator { honoured, .. }, .. })) =
            (followed, &mut self.group[partition])
        {
            *honoured = true;
        }
        if let Some(GroupEntry { by: SetBy::Host { host: by, number }, .. }) = entry
            && by == host
        {
            self.hosts[host].answered = self.hosts[host].answered.max(number);
        }
        if *steps > 0 {
            *steps -= 1;
            if let Some(mirror) = &mut self.mirror {
                let room = self.hosts[host].run.as_ref().unwrap().commits != CommitStyle::Values;
                mirror.resume(partition, held, room, part.position);
            }
            self.hosts[host].begin(partition, held, start == ResumeDecision::JournalWentBack);
            self.compare(host, partition);
        }
    }

    /// Sets the position that was decided on. `fresh` is the name of a new history.
    fn follow(&mut self, host: usize, partition: usize, start: ResumeDecision, fresh: u64) {
        match start {
            ResumeDecision::Journal | ResumeDecision::JournalWentBack => {}
            ResumeDecision::Follow(position, epoch) => {
                self.hosts[host].set_position(partition, position, epoch)
            }
            ResumeDecision::Moved(position, epoch) => {
                self.hosts[host].set_position(partition, position, epoch.unwrap_or(fresh));
            }
            // The first record of the log.
            ResumeDecision::NeverKnew(epoch) => self.hosts[host].set_position(partition, 0, epoch),
            ResumeDecision::Nowhere => self.hosts[host].set_position(partition, 0, fresh),
        }
    }

    /// Compares the books and the ledger: whether the group holds a token of the present history.
    pub(super) fn compare(&mut self, host: usize, partition: usize) {
        let run = self.hosts[host].run.as_ref().filter(|run| run.commits != CommitStyle::Values);
        if let (Some(mirror), Some(run)) = (&mut self.mirror, run) {
            mirror.agreed(partition, run.has_token[partition]);
        }
    }
}
