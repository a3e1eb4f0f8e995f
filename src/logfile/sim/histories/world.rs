//! The simulated world: the hosts, the group they share, the network between, and people.

mod begin;
mod people;

use super::event::{Event, Fate};
use super::host::{Commits, Host, PARTITIONS, Request, Stretch};
use super::mirror::Mirror;
use super::oracle::Oracle;
use crate::logfile::resume::{KnownPosition, ResumeDecision, claim_name};
use crate::record::Token;

/// The rule that is simulated: [`crate::logfile::resume::decide`], or one that is meant to fail.
pub(super) type Rule = fn(u128, Option<KnownPosition<'_>>, Option<i64>, &str) -> ResumeDecision;

/// [`Token::naming`], or what is meant to fail.
pub(super) type Naming = fn(i64, &str) -> Option<Token>;

/// The claim that a journal of this identity makes: by its history, the offset and the group's
/// generation, or, where it is meant to fail, without that or by a number that nobody else has.
pub(super) type Claiming = fn(u128, Option<u64>, i64, i32, u32) -> Token;

pub(super) fn claiming(identity: u128, epoch: Option<u64>, offset: i64, generation: i32, _: u32) -> Token {
    Token::claim(claim_name(identity, epoch, offset, generation), offset)
}

/// What a history takes place in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) hosts: usize,
    pub(super) partitions: usize,
    pub(super) commits: Commits,
    /// Commits without a token may become such with one.
    pub(super) upgrades: bool,
    pub(super) rule: Rule,
    /// What of the group's is taken for a token.
    pub(super) naming: Naming,
    pub(super) claiming: Claiming,
    /// The log file itself is there as well.
    pub(super) mirrored: bool,
}

impl Setting {
    /// Members of a coordinated group: Kafka refuses commits of an earlier generation,
    /// and resets while anybody is in the group.
    fn coordinated(&self) -> bool {
        self.hosts > 1 && self.commits != Commits::Values
    }
}

/// Who set the group's offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// A host's commit.
    Host { host: usize, number: u32 },
    /// An operator, be it claimed; `honoured`: a start has gone by it.
    Operator { number: u32, honoured: bool },
}

/// What the group holds of a partition.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) offset: i64,
    pub(super) metadata: String,
    pub(super) by: By,
}

impl Entry {
    /// Whether it does not say whose it is.
    pub(super) fn is_bare(&self) -> bool {
        Token::naming(self.offset, &self.metadata).is_none_or(|token| token.is_claim())
    }

    fn is_unheard(&self) -> bool {
        matches!(self.by, By::Operator { honoured: false, .. })
    }
}

pub(super) struct World {
    setting: Setting,
    hosts: Vec<Host>,
    group: [Option<Entry>; PARTITIONS],
    /// Commits that were sent and neither carried out nor refused yet.
    network: Vec<Request>,
    generation: u32,
    numbers: u32,
    /// How programs that start from now on commit.
    commits: Commits,
    pub(super) oracle: Oracle,
    /// The log file of the first host.
    pub(super) mirror: Option<Mirror>,
    /// What happened, in words; only where a person will read it.
    pub(super) story: Option<Vec<String>>,
}

impl World {
    pub(super) fn new(setting: Setting, told: bool) -> Self {
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
            story: told.then(Vec::new),
        }
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(what());
        }
    }

    fn number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn happen(&mut self, event: &Event) {
        self.tell(|| format!("{event:?}"));
        match *event {
            Event::Start { host, dice, dies } => self.start(host % self.setting.hosts, dice, dies),
            Event::Write { host, counts } => self.write(host % self.setting.hosts, counts),
            Event::Settle { host } => self.settle(host % self.setting.hosts),
            Event::Answer { host, fate } => self.answer(host % self.setting.hosts, fate),
            Event::Late { which } => self.late(which),
            Event::Crash { host, kept, fate } => self.crash(host % self.setting.hosts, kept, fate),
            Event::Stop { host, fate } => self.stop(host % self.setting.hosts, fate),
            Event::Rebalance { dice } if self.setting.coordinated() => self.rebalance(dice),
            Event::Rebalance { .. } => {}
            Event::Reset { partition, target, metadata } => {
                self.reset(partition % self.setting.partitions, target, metadata);
            }
            Event::Expire { partition } => self.expire(partition % self.setting.partitions),
            Event::DeleteGroup => self.delete_group(),
            Event::Copy { host } => self.copy(host % self.setting.hosts),
            Event::Restore { host, which } => self.restore(host % self.setting.hosts, which),
            Event::MadeAnew { partition } => self.made_anew(partition % self.setting.partitions),
            Event::Upgrade if self.setting.upgrades => self.commits = Commits::Tokens,
            Event::Upgrade => {}
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
            self.tell(|| format!("    {}/p{partition}: written [{from}, {next})", name(host)));
            range.push(Stretch { id, partition, from, next, pass, void: false });
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

    /// What becomes of the commit that is under way.
    fn answer(&mut self, host: usize, fate: Fate) {
        let Some(request) = self.hosts[host].run.as_ref().and_then(|run| run.request.clone()) else { return };
        match fate {
            Fate::Done => {
                self.carry_out(&request, u8::MAX);
                self.hosts[host].acknowledge(&request);
                self.mirror.iter_mut().for_each(|mirror| mirror.acknowledge(&request.offsets));
                request.offsets.iter().for_each(|offset| self.compare(host, offset.partition));
            }
            Fate::ReplyLost(some) => self.carry_out(&request, some),
            Fate::Lost => {}
            Fate::Delayed => self.network.push(request),
        }
    }

    /// The program dies.
    fn crash(&mut self, host: usize, kept: u8, fate: Fate) {
        if self.hosts[host].run.is_some() {
            let unseen = if matches!(fate, Fate::Done) { Fate::ReplyLost(u8::MAX) } else { fate };
            self.answer(host, unseen);
            self.hosts[host].die(kept);
            self.mirror.iter_mut().for_each(|mirror| mirror.die(kept));
        }
    }

    /// A clean end: what is left settles, and is committed if the answer comes.
    fn stop(&mut self, host: usize, fate: Fate) {
        self.answer(host, fate);
        self.settle(host);
        self.crash(host, u8::MAX, fate);
    }

    // ---- The group

    /// The group takes those of the request's offsets that `some` has a bit for.
    fn carry_out(&mut self, request: &Request, some: u8) {
        if self.setting.coordinated() && request.generation != self.generation {
            return;
        }
        for offset in request.offsets.iter().filter(|offset| some & 1 << offset.partition != 0) {
            let metadata = offset.metadata.clone();
            let held = self.group[offset.partition].as_ref();
            if held.is_some_and(|held| (held.offset, &held.metadata) == (offset.value, &metadata)) {
                // The very claim that is there already; whose reset it is does not change.
                continue;
            }
            let by = match offset.claims {
                Some(By::Operator { number, .. }) => {
                    By::Operator { number, honoured: self.oracle.has_heard(number) }
                }
                Some(by) => by,
                None => By::Host { host: request.host, number: request.number },
            };
            self.set(offset.partition, Some(Entry { offset: offset.value, metadata, by }));
        }
    }

    fn set(&mut self, partition: usize, entry: Option<Entry>) {
        self.tell(|| format!("    the group: p{partition} {}", shown(entry.as_ref())));
        if self.group[partition].as_ref().is_some_and(Entry::is_unheard) {
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
            self.quiet();
        }
        (0..PARTITIONS).for_each(|partition| self.expire(partition));
    }

    /// What is wrong with the files.
    pub(super) fn faults(&self) -> Vec<String> {
        let of = |partition| {
            let files: Vec<Vec<&Stretch>> = self.hosts.iter().map(|host| host.stretches(partition)).collect();
            self.oracle.faults(&files, partition)
        };
        (0..self.setting.partitions).flat_map(of).collect()
    }
}

pub(super) fn name(host: usize) -> char {
    ['A', 'B', 'C'][host]
}

fn shown(entry: Option<&Entry>) -> String {
    let Some(entry) = entry else { return "nothing".to_owned() };
    let by = match entry.by {
        By::Host { host, number } => format!("by {}'s commit {number}", name(host)),
        By::Operator { .. } => "by an operator".to_owned(),
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
