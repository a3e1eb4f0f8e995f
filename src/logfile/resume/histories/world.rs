//! The simulated world: the hosts, the group they share, the network between, and people.

use super::super::{Known, Start, claim_name};
use super::event::{Event, Fate, Metadata, Target};
use super::host::{Commits, Host, Offset, PARTITIONS, Request, Run, Stretch};
use super::mirror::Mirror;
use super::oracle::{Oracle, Started};
use crate::record::Token;

/// The rule that is simulated: [`super::super::decide`], or one that is meant to fail.
pub(super) type Rule = fn(u128, Option<Known<'_>>, Option<i64>, &str) -> Start;

/// [`Token::naming`], or what is meant to fail.
pub(super) type Naming = fn(i64, &str) -> Option<Token>;

/// The claim that a journal of this identity makes: by its history and the offset, or, where
/// it is meant to fail, by a number that nobody else has.
pub(super) type Claiming = fn(u128, Option<u64>, i64, u32) -> Token;

pub(super) fn claiming(identity: u128, epoch: Option<u64>, offset: i64, _: u32) -> Token {
    Token::claim(claim_name(identity, epoch, offset), offset)
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
            Event::Land { host, counts } => self.land(host % self.setting.hosts, counts),
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

    fn start(&mut self, host: usize, dice: u32, dies: Option<u8>) {
        if self.hosts[host].run.is_some() {
            return;
        }
        if self.setting.hosts > 1 && !self.setting.coordinated() {
            // Without a coordinator, one after the other.
            self.quiet();
        }
        self.hosts[host].run = Some(Run::new(self.commits));
        self.hosts[host].begun = true;
        self.mirror.iter_mut().for_each(Mirror::start);
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
            self.crash(host, u8::MAX, Fate::Lost);
        }
    }

    /// Everybody settles and gives back what it has, then all is dealt out anew.
    fn rebalance(&mut self, mut dice: u32) {
        let up: Vec<usize> = (0..self.hosts.len()).filter(|host| self.hosts[*host].run.is_some()).collect();
        for host in &up {
            self.settle(*host);
            self.answer(*host, if dice & 1 == 0 { Fate::Done } else { Fate::Lost });
            dice >>= 1;
            let run = self.hosts[*host].run.as_mut().unwrap();
            *run = Run::new(run.commits);
        }
        self.generation += 1;
        for partition in (0..self.setting.partitions).filter(|_| !up.is_empty()) {
            self.resume(up[dice as usize % up.len()], partition, false, &mut u8::MAX.clone());
            dice >>= 2;
        }
    }

    /// Commits an offset that does not say whose it is once more, with a claim; one that
    /// is delayed is made anew, unless the program has died.
    fn claim(&mut self, host: usize, partition: usize, delayed: bool, died: bool) {
        let Some(Entry { offset, metadata, by }) = self.group[partition].clone() else { return };
        let run = self.hosts[host].run.as_ref().unwrap();
        if run.commits == Commits::Values || (self.setting.naming)(offset, &metadata).is_some() {
            return;
        }
        let epoch = self.hosts[host].disk.parts[partition].as_ref().map(|part| part.epoch);
        let (identity, claiming) = (self.hosts[host].identity, self.setting.claiming);
        if delayed {
            let (number, generation) = (self.number(), self.generation);
            let metadata = claiming(identity, epoch, offset, number).to_string();
            let offsets = vec![Offset { partition, value: offset, metadata, claims: Some(by) }];
            self.network.push(Request { host, number, generation, offsets });
            if died {
                return;
            }
        }
        let metadata = claiming(identity, epoch, offset, self.number()).to_string();
        self.hosts[host].answered = self.numbers;
        self.tell(|| format!("    {}/p{partition}: claims {offset} with {metadata}", name(host)));
        self.group[partition] = Some(Entry { offset, metadata, by });
    }

    /// As the ledger does it. The claim and each of the two writes to the journal are steps,
    /// after the last of which the program will die.
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
        let facts = known.as_ref().map(|part| Known {
            position: part.position,
            epoch: part.epoch,
            committed: &part.committed,
            left: &part.left,
        });
        let held = entry.as_ref().map(|entry| (entry.offset, entry.metadata.as_str()));
        let (offset, metadata) = (held.map(|(offset, _)| offset), held.map_or("", |(_, metadata)| metadata));
        let start = (self.setting.rule)(self.hosts[host].identity, facts, offset, metadata);
        let fresh = u64::from(self.number());
        match start {
            Start::Journal | Start::JournalWentBack => {}
            Start::Follow(position, epoch) => self.hosts[host].place(partition, position, epoch),
            Start::Moved(position, epoch) => {
                self.hosts[host].place(partition, position, epoch.unwrap_or(fresh));
            }
            // The log's first record.
            Start::NeverKnew(epoch) => self.hosts[host].place(partition, 0, epoch),
            Start::Nowhere => self.hosts[host].place(partition, 0, fresh),
        }
        let part = self.hosts[host].disk.parts[partition].clone().unwrap();
        self.tell(|| {
            let journal = known.as_ref().map_or("nothing".to_owned(), |known| {
                format!("{} in history {} (values {:?})", known.position, known.epoch, known.committed)
            });
            let (host, entry) = (name(host), shown(entry.as_ref()));
            let at = format!("at {} in history {}", part.position, part.epoch);
            format!("    {host}/p{partition}: group {entry}, journal {journal}: {start:?}, so {at}")
        });

        let files: Vec<Vec<&Stretch>> = self.hosts.iter().map(|host| host.stretches(partition)).collect();
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
        let heard = self.oracle.started(&files, &started);
        if let (true, Some(Entry { by: By::Operator { honoured, .. }, .. })) =
            (heard, &mut self.group[partition])
        {
            *honoured = true;
        }
        if let Some(Entry { by: By::Host { host: by, number }, .. }) = entry
            && by == host
        {
            self.hosts[host].answered = self.hosts[host].answered.max(number);
        }
        if *steps > 0 {
            *steps -= 1;
            if let Some(mirror) = &mut self.mirror {
                let room = self.hosts[host].run.as_ref().unwrap().commits != Commits::Values;
                mirror.resume(partition, held, room, part.position);
            }
            self.hosts[host].begin(partition, held, start == Start::JournalWentBack);
            self.compare(host, partition);
        }
    }

    /// Whether the group holds a token of the present history: the books and the ledger.
    fn compare(&mut self, host: usize, partition: usize) {
        let run = self.hosts[host].run.as_ref().filter(|run| run.commits != Commits::Values);
        if let (Some(mirror), Some(run)) = (&mut self.mirror, run) {
            mirror.agreed(partition, run.named[partition]);
        }
    }

    fn land(&mut self, host: usize, counts: [u8; PARTITIONS]) {
        let mut range = Vec::new();
        for (partition, count) in counts.into_iter().enumerate() {
            if count == 0 || !self.hosts[host].may_land(partition) {
                continue;
            }
            let (id, pass) = (self.number(), self.oracle.pass(partition));
            let landed = self.hosts[host].run.as_mut().unwrap().landed[partition].as_mut().unwrap();
            let (from, next) = (*landed, *landed + i64::from(count));
            *landed = next;
            self.tell(|| format!("    {}/p{partition}: landed [{from}, {next})", name(host)));
            range.push(Stretch { id, partition, from, next, pass, void: false });
        }
        if !range.is_empty() {
            self.mirror.iter_mut().for_each(|mirror| mirror.land(&range));
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

    // ---- People

    /// Everybody out, as the coordinator demands it before a reset.
    fn quiet(&mut self) {
        (0..self.hosts.len()).for_each(|host| self.crash(host, u8::MAX, Fate::Lost));
    }

    fn reset(&mut self, partition: usize, target: Target, metadata: Metadata) {
        let host = |number: usize| &self.hosts[number % self.hosts.len()];
        let offset = match target {
            Target::At(offset) => offset,
            Target::Position(number) => {
                host(number).disk.parts[partition].as_ref().map_or(0, |part| part.position)
            }
            Target::Held(by) => self.group[partition].as_ref().map_or(0, |old| (old.offset + by).max(0)),
            Target::Seen(number, which) => {
                let values = &host(number).values[partition];
                values.get(which % values.len().max(1)).copied().unwrap_or(0)
            }
        };
        let copied = match metadata {
            Metadata::None => String::new(),
            Metadata::Text => "set by hand".to_owned(),
            Metadata::Copied(from) => {
                let from = &self.group[from % self.setting.partitions];
                from.as_ref().map_or(String::new(), |from| from.metadata.clone())
            }
        };
        // Where a copied token happens to name this offset, it is a commit like any other.
        let names = Token::parse(&copied).is_some_and(|token| token.offset == offset);
        let metadata = if names { String::new() } else { copied };
        if self.setting.coordinated() {
            self.quiet();
        }
        self.oracle.tally.resets += 1;
        let by = By::Operator { number: self.number(), honoured: false };
        self.set(partition, Some(Entry { offset, metadata, by }));
    }

    fn copy(&mut self, host: usize) {
        if self.hosts[host].run.is_none() && self.hosts[host].begun {
            let snapshot = self.oracle.snapshot();
            self.hosts[host].copy(snapshot);
            self.mirror.iter_mut().for_each(Mirror::copy);
        }
    }

    fn restore(&mut self, host: usize, which: u8) {
        self.crash(host, u8::MAX, Fate::Lost);
        let number = self.number();
        let at = &mut self.hosts[host];
        let which = usize::from(which) % at.copies.len().max(1);
        let Some((copy, snapshot)) = at.copies.get(which).cloned() else { return };
        at.restored = number;
        self.mirror.iter_mut().for_each(|mirror| mirror.restore(which));
        let was = std::mem::replace(&mut at.disk, copy);
        let back: Vec<u32> = at.disk.file.iter().map(|stretch| stretch.id).collect();
        let gone = was.file.into_iter().filter(|stretch| !back.contains(&stretch.id)).collect();
        let epochs = at.disk.parts.each_ref().map(|part| part.as_ref().map(|part| part.epoch));
        self.oracle.restored(host, gone, &snapshot, epochs);
        // Of a host alone, what it heard after the copy was made it has not heard.
        for entry in self.group.iter_mut().flatten().filter(|_| self.hosts.len() == 1) {
            if let By::Operator { number, honoured } = &mut entry.by {
                *honoured = snapshot.heard(*number);
            }
        }
    }

    /// A topic is deleted and created again, which the running program notices: it places
    /// the partition anew. With one host only: others would see it by the records'
    /// fingerprints, which are not simulated.
    fn made_anew(&mut self, partition: usize) {
        if self.hosts.len() > 1 || !self.hosts[0].may_land(partition) {
            return;
        }
        let faults = self.faults();
        self.oracle.violations.extend(faults);
        let epoch = u64::from(self.number());
        let host = &mut self.hosts[0];
        host.place(partition, 0, epoch);
        host.run.as_mut().unwrap().landed[partition] = Some(0);
        // What was read of the old one, and copies from before, are of no more interest.
        host.disk.file.retain(|stretch| stretch.partition != partition);
        host.recent.iter_mut().for_each(|range| range.retain(|stretch| stretch.partition != partition));
        host.copies.clear();
        self.mirror.iter_mut().for_each(|mirror| {
            mirror.place(partition);
            mirror.forget_copies();
        });
        self.oracle.made_anew(partition, epoch);
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
