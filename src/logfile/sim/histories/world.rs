//! The simulated world: the hosts, the group that they share, the network between them, and people.

mod begin;
mod people;

use super::event::{CommitFate, HistoryEvent};
use super::host::{CommitRequest, Host};
use super::mirror::LedgerMirror;
use super::oracle::Oracle;
use super::vocabulary::{CommitStyle, GroupEntry, HistorySetting, PARTITIONS, SetBy, WrittenRange, name};
use crate::record::Token;

pub(super) struct HistoryWorld {
    setting: HistorySetting,
    hosts: Vec<Host>,
    group: [Option<GroupEntry>; PARTITIONS],
    /// Commits that were sent and are neither carried out nor refused yet.
    network: Vec<CommitRequest>,
    generation: u32,
    numbers: u32,
    /// How programs that start from now on commit.
    commits: CommitStyle,
    pub(super) oracle: Oracle,
    /// The log file of the first host.
    pub(super) mirror: Option<LedgerMirror>,
    /// What happened, in words, if a person will read it.
    pub(super) story: Option<Vec<String>>,
}

impl HistoryWorld {
    pub(super) fn new(setting: HistorySetting, with_story: bool) -> Self {
        Self {
            setting,
            hosts: (0..setting.hosts).map(Host::new).collect(),
            group: Default::default(),
            network: Vec::new(),
            generation: 0,
            numbers: 0,
            commits: setting.commits,
            oracle: Oracle::new(setting.hosts, setting.commits),
            mirror: None,
            story: with_story.then(Vec::new),
        }
    }

    fn record(&mut self, what: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(what());
        }
    }

    fn number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn happen(&mut self, event: &HistoryEvent) {
        self.record(|| format!("{event:?}"));
        match *event {
            HistoryEvent::Start { host, dice, dies } => self.start(host % self.setting.hosts, dice, dies),
            HistoryEvent::Write { host, counts } => self.write(host % self.setting.hosts, counts),
            HistoryEvent::Settle { host } => self.settle(host % self.setting.hosts),
            HistoryEvent::Answer { host, fate } => self.answer(host % self.setting.hosts, fate),
            HistoryEvent::Late { which } => self.late(which),
            HistoryEvent::Crash { host, kept, fate } => self.crash(host % self.setting.hosts, kept, fate),
            HistoryEvent::Stop { host, fate } => self.stop(host % self.setting.hosts, fate),
            HistoryEvent::Rebalance { dice } if self.setting.coordinated() => self.rebalance(dice),
            HistoryEvent::Rebalance { .. } => {}
            HistoryEvent::Reset { partition, target, metadata } => {
                self.reset(partition % self.setting.partitions, target, metadata);
            }
            HistoryEvent::Expire { partition } => self.expire(partition % self.setting.partitions),
            HistoryEvent::DeleteGroup => self.delete_group(),
            HistoryEvent::Copy { host } => self.copy(host % self.setting.hosts),
            HistoryEvent::Restore { host, which } => self.restore(host % self.setting.hosts, which),
            HistoryEvent::Recreated { partition } => self.recreated(partition % self.setting.partitions),
            HistoryEvent::Upgrade if self.setting.upgrades => self.commits = CommitStyle::Tokens,
            HistoryEvent::Upgrade => {}
        }
    }

    // ---- The programs

    fn write(&mut self, host: usize, counts: [u8; PARTITIONS]) {
        let mut range = Vec::new();
        for (partition, count) in counts.into_iter().enumerate() {
            if count == 0 || !self.hosts[host].may_write(partition) {
                continue;
            }
            let (id, pass) = (self.number(), self.oracle.pass(partition));
            let written = self.hosts[host].run.as_mut().unwrap().written[partition].as_mut().unwrap();
            let (from, next) = (*written, *written + i64::from(count));
            *written = next;
            self.record(|| format!("    {}/p{partition}: written [{from}, {next})", name(host)));
            range.push(WrittenRange { id, partition, from, next, pass, void: false });
        }
        if !range.is_empty() {
            self.mirror.iter_mut().for_each(|mirror| mirror.write(&range));
            self.hosts[host].recent.push(range);
        }
    }

    fn settle(&mut self, host: usize) {
        let number = self.number();
        let at = &mut self.hosts[host];
        at.mark(host, number, self.generation);
        if let (Some(run), Some(mirror)) = (&at.run, &mut self.mirror) {
            let new = run.request.as_ref().filter(|request| request.number == number);
            mirror.settle(new.map_or(&[], |request| &request.offsets));
        }
    }

    /// Ends the commit under way as `fate` says.
    fn answer(&mut self, host: usize, fate: CommitFate) {
        let Some(request) = self.hosts[host].run.as_ref().and_then(|run| run.request.clone()) else { return };
        match fate {
            CommitFate::Done => {
                self.carry_out(&request, u8::MAX);
                self.hosts[host].acknowledge(&request);
                self.mirror.iter_mut().for_each(|mirror| mirror.acknowledge(&request.offsets));
                request.offsets.iter().for_each(|offset| self.compare(host, offset.partition));
            }
            CommitFate::ReplyLost(some) => self.carry_out(&request, some),
            CommitFate::Lost => {}
            CommitFate::Delayed => self.network.push(request),
        }
    }

    /// The program is killed.
    fn crash(&mut self, host: usize, kept: u8, fate: CommitFate) {
        if self.hosts[host].run.is_some() {
            let unseen = if matches!(fate, CommitFate::Done) { CommitFate::ReplyLost(u8::MAX) } else { fate };
            self.answer(host, unseen);
            self.hosts[host].die(kept);
            self.mirror.iter_mut().for_each(|mirror| mirror.die(kept));
        }
    }

    /// The program ends cleanly: what is left settles, and is committed if the answer arrives.
    fn stop(&mut self, host: usize, fate: CommitFate) {
        self.answer(host, fate);
        self.settle(host);
        self.crash(host, u8::MAX, fate);
    }

    // ---- The group

    /// The group takes those offsets of the request for which `some` has a bit.
    fn carry_out(&mut self, request: &CommitRequest, some: u8) {
        if self.setting.coordinated() && request.generation != self.generation {
            return;
        }
        for offset in request.offsets.iter().filter(|offset| some & 1 << offset.partition != 0) {
            let metadata = offset.metadata.clone();
            let held = self.group[offset.partition].as_ref();
            if held.is_some_and(|held| (held.offset, &held.metadata) == (offset.value, &metadata)) {
                // The group holds this very claim already; the reset behind it stays the same.
                continue;
            }
            let by = match offset.claims {
                Some(SetBy::Operator { number, .. }) => {
                    SetBy::Operator { number, honoured: self.oracle.was_followed(number) }
                }
                Some(by) => by,
                None => SetBy::Host { host: request.host, number: request.number },
            };
            self.set(offset.partition, Some(GroupEntry { offset: offset.value, metadata, by }));
        }
    }

    fn set(&mut self, partition: usize, entry: Option<GroupEntry>) {
        self.record(|| format!("    the group: p{partition} {}", shown(entry.as_ref())));
        if self.group[partition].as_ref().is_some_and(GroupEntry::is_unfollowed) {
            self.oracle.tally.overwritten += 1;
        }
        self.oracle.expired(partition, entry.is_none());
        self.group[partition] = entry;
    }

    fn late(&mut self, which: u8) {
        if !self.network.is_empty() {
            let request = self.network.swap_remove(usize::from(which) % self.network.len());
            self.carry_out(&request, u8::MAX);
        }
    }

    fn expire(&mut self, partition: usize) {
        if self.group[partition].is_some() {
            self.set(partition, None);
        }
    }

    fn delete_group(&mut self) {
        if self.setting.coordinated() {
            self.stop_all();
        }
        (0..PARTITIONS).for_each(|partition| self.expire(partition));
    }

    /// What is wrong with the files.
    pub(super) fn faults(&self) -> Vec<String> {
        let of = |partition| {
            let files: Vec<Vec<&WrittenRange>> =
                self.hosts.iter().map(|host| host.written_ranges(partition)).collect();
            self.oracle.faults(&files, partition)
        };
        (0..self.setting.partitions).flat_map(of).collect()
    }
}

fn shown(entry: Option<&GroupEntry>) -> String {
    let Some(entry) = entry else { return "nothing".to_owned() };
    let by = match entry.by {
        SetBy::Host { host, number } => format!("by {}'s commit {number}", name(host)),
        SetBy::Operator { .. } => "by an operator".to_owned(),
    };
    let metadata = match Token::parse(&entry.metadata) {
        Some(token) if token.offset == entry.offset && token.is_claim() => {
            format!("claimed for history {}", token.epoch)
        }
        Some(token) if token.offset == entry.offset => format!("in history {}", token.epoch),
        Some(token) => format!("with a token of {}", token.offset),
        None => "without a token".to_owned(),
    };
    format!("{} {metadata} {by}", entry.offset)
}
