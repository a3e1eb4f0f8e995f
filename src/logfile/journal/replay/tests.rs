//! Journals of random entries, of which some are lost one behind the other: what the others add up to must
//! be what was written, or what was written before the loss, or nothing.

use super::super::entry::{Landmark, MarkRepeat, MarkedCommit, PartitionState, Session};
use super::super::frame::encode_frame;
use super::super::held::HeldOffsets;
use super::*;
use crate::logfile::disk::FileId;
use crate::record::{LeaderEpochs, TopicId, TopicPartition};

const FILE: FileId = FileId { device: 1, inode: 2 };
const EMPTY: FilePlace = FilePlace { file: FILE, end: 0, before: 7, head: None };
const BOOT: u128 = 5;
const START: u64 = 8192;

/// A half that is being written.
struct Half {
    state: JournalState,
    entries: Vec<(u64, JournalEntry)>,
    /// Where the next entry begins, and where the snapshot ends.
    at: u64,
    base: u64,
    /// How long the log file is.
    length: u64,
    dice: fastrand::Rng,
}

impl Half {
    fn push(&mut self, entry: JournalEntry) {
        let (mut frame, at) = (Vec::new(), self.at);
        encode_frame(&mut frame, &entry, 1, at).unwrap();
        self.at += frame.len() as u64;
        self.state.apply(entry.clone(), at);
        self.entries.push((at, entry));
    }

    /// The half after this one.
    fn next(self) -> (Self, Vec<(u64, JournalEntry)>) {
        let snapshot = self.state.snapshot();
        let mut next = Self { state: JournalState::default(), entries: Vec::new(), at: 128, base: 0, ..self };
        for entry in snapshot {
            let is_mark = matches!(entry, JournalEntry::Mark(_));
            next.push(entry);
            next.base = if is_mark { next.at } else { next.base };
        }
        next.state.forget_changes();
        (next, self.entries)
    }

    fn push_partition(&mut self, index: u32) {
        let partition = TopicPartition::new("t", index as i32);
        let (position, epoch) = (self.dice.i64(0..1000), self.dice.u64(..));
        let landmarks = vec![Landmark { offset: position - 1, fingerprint: self.dice.u32(..) }];
        let (committed, left) = (Vec::new(), vec![self.dice.u64(..)]);
        let held = Some(HeldOffsets::begin(position));
        let former = vec![self.dice.u128(..)];
        let topic_id = TopicId::new(self.dice.u128(..2));
        let leader_epochs = LeaderEpochs::default();
        let state = PartitionState {
            partition,
            position,
            epoch,
            landmarks,
            committed,
            left,
            held,
            former,
            topic_id,
            leader_epochs,
        };
        self.push(JournalEntry::Partition(index, state));
    }

    fn push_range(&mut self) {
        let position = self.dice.i64(1000..100_000);
        let last = self.dice.bool().then(|| Landmark { offset: position - 1, fingerprint: 3 });
        let changes = vec![PositionChange { index: self.dice.u32(0..3), position, last }];
        let (sequence, from) = (self.state.next_sequence(), self.length);
        self.length += self.dice.u64(1..99);
        let (to, crc, before) = (self.length, 1, 2);
        let parts = vec![RangePart { number: ONLY_FILE, file: FILE, from, to, crc, before }];
        self.push(JournalEntry::Range(Range { sequence, parts, changes }));
    }

    /// The mark that settles the ranges up to this one.
    fn mark(&self, range: &Range, since: u64, synced_to: u64) -> Mark {
        let commits = match range.changes.first() {
            Some(PositionChange { index: 0, position, .. }) => {
                vec![MarkedCommit { index: 0, acknowledged: None, value: Some(*position) }]
            }
            _ => Vec::new(),
        };
        let repeat = self.state.repeat(&self.state.settled_by(range.sequence, &[]), since);
        let repeat = MarkRepeat { synced_to, ..repeat };
        let place = FilePlace { end: range.parts[0].to, ..EMPTY };
        Mark { commits, repeat, ..Mark::of_only_file(range.sequence, place) }
    }

    fn push_mark(&mut self) {
        let ranges = self.state.recent.len();
        let Some(range) = self.state.recent.get(ranges.saturating_sub(self.dice.usize(1..3))).cloned() else {
            return;
        };
        let marks = self.entries.iter().filter(|(at, _)| *at >= self.base);
        let marks: Vec<u64> =
            marks.filter(|(_, entry)| mark_of(entry).is_some()).map(|(at, _)| *at).collect();
        let since = marks.iter().rev().nth(self.dice.usize(0..3)).copied().unwrap_or(self.base);
        let synced_to = marks.last().copied().unwrap_or(self.base);
        let mark = self.mark(&range, since, synced_to);
        self.push(JournalEntry::Mark(mark));
    }

    fn push_any(&mut self) {
        match self.dice.u8(0..20) {
            0 => self.push(JournalEntry::Session(Session { boot: BOOT, closed: true })),
            1..3 => {
                let index = self.dice.u32(0..3);
                self.push_partition(index);
            }
            3..8 => self.push_mark(),
            _ => self.push_range(),
        }
    }
}

fn mark_of(entry: &JournalEntry) -> Option<&Mark> {
    match entry {
        JournalEntry::Mark(mark) => Some(mark),
        _ => None,
    }
}

/// A half behind its first snapshot, with some entries, and the entries of the half before.
fn half_of(seed: u64) -> (Half, Vec<(u64, JournalEntry)>) {
    let (state, entries) = (JournalState::default(), Vec::new());
    let dice = fastrand::Rng::with_seed(seed);
    let mut half = Half { state, entries, at: 128, base: 0, length: 0, dice };
    (0..3).for_each(|index| half.push_partition(index));
    half.push(JournalEntry::Session(Session { boot: BOOT, closed: false }));
    let repeat = MarkRepeat { is_snapshot: true, ..MarkRepeat::default() };
    half.push(JournalEntry::Mark(Mark { repeat, ..Mark::of_only_file(0, EMPTY) }));
    half.base = half.at;
    (0..20).for_each(|_| half.push_any());
    let (mut half, older) = half.next();
    (0..30).for_each(|_| half.push_any());
    (half, older)
}

/// What is compared of each partition. A mark repeats only the last landmark.
type Known = (u32, i64, u64, Vec<i64>, Vec<u64>, Option<HeldOffsets>, Option<Landmark>);

fn partitions(state: &JournalState) -> Vec<Known> {
    let of = |(index, one): (&u32, &_)| -> Known {
        let one: &PartitionState = one;
        let (committed, left, held) = (one.committed.clone(), one.left.clone(), one.held.clone());
        (*index, one.position, one.epoch, committed, left, held, one.landmarks.last().copied())
    };
    state.partitions.iter().map(|(index, one)| of((index, &**one))).collect()
}

fn added_up<'a>(entries: impl IntoIterator<Item = &'a (u64, JournalEntry)>) -> JournalState {
    let mut state = JournalState::default();
    entries.into_iter().for_each(|(at, entry)| state.apply(entry.clone(), *at));
    state
}

/// A half that has lost the entries [from, to).
struct Loss<'a> {
    half: &'a Half,
    older: &'a [(u64, JournalEntry)],
    from: usize,
    to: usize,
    is_same_boot: bool,
}

impl Loss<'_> {
    fn place(&self, number: usize) -> u64 {
        self.half.entries.get(number).map_or(self.half.at, |(at, _)| *at)
    }

    fn replay(&self) -> Result<Replayed, String> {
        let hole = Hole { from: self.place(self.from), to: self.place(self.to) };
        let (before, after) = (&self.half.entries[..self.from], &self.half.entries[self.to..]);
        let (holes, tail) = if after.is_empty() { (vec![], Some(hole)) } else { (vec![hole], None) };
        let newest = HalfContents { entries: [before, after].concat(), holes, tail };
        let older = Some(self.older.to_vec()).filter(|older| hole.from < self.half.base && !older.is_empty());
        let contents =
            JournalContents { newest, base: self.half.base, older, start: START, has_no_header: false };
        contents.replay(Some(if self.is_same_boot { BOOT } else { BOOT + 1 }))
    }

    /// Whether the lost bytes had been synced, or nothing can have been lost but by a fault.
    fn is_damage(&self) -> bool {
        let kept = self.half.entries[..self.from].iter().chain(&self.half.entries[self.to..]);
        let synced_to = kept.filter_map(|(_, entry)| Some(mark_of(entry)?.repeat.synced_to)).max();
        self.is_same_boot || synced_to.is_some_and(|synced_to| self.place(self.from) < synced_to)
    }

    fn check(&self) {
        let (from, to) = (self.place(self.from), self.place(self.to));
        let replayed = self.replay();
        let mark = self.half.entries[self.to..].iter().find_map(|(_, entry)| mark_of(entry));
        let is_made_up_for = mark.is_some_and(|mark| mark.repeat.since <= from);
        if from >= self.half.base && mark.is_some() && !is_made_up_for && self.is_damage() {
            let why = replayed.unwrap_err();
            let damaged = format!("bytes {} to {} are damaged", START + from, START + to);
            assert_eq!(why, format!("{damaged}, and no later entry repeats them"));
            return;
        }
        let replayed = replayed.unwrap();
        assert!(replayed.has_holes);
        let damage = self.is_damage().then(|| format!("bytes {} to {}", START + from, START + to));
        assert_eq!(replayed.damage, damage);
        let lost_end = mark.is_some() && !is_made_up_for;
        let kept_to = if lost_end { self.to } else { self.half.entries.len() };
        let kept = self.half.entries[..self.from].iter().chain(&self.half.entries[self.to..kept_to]);
        // What was lost shows only in what the entries say that nothing repeats.
        let whole = if is_made_up_for { added_up(&self.half.entries) } else { added_up(kept) };
        assert_eq!(partitions(&replayed.state), partitions(&whole));
        let mark = whole.mark.as_ref().unwrap();
        assert_eq!(replayed.state.mark.as_ref(), Some(mark));
        let is_kept = |sequence: u64| {
            let all = &self.half.entries;
            let is_it =
                |entry: &JournalEntry| matches!(entry, JournalEntry::Range(one) if one.sequence == sequence);
            let place = all.iter().position(|(_, entry)| is_it(entry));
            place.is_some_and(|place| !(self.from..self.to).contains(&place) && place < kept_to)
        };
        let follow = (mark.sequence + 1..).take_while(|sequence| is_kept(*sequence)).collect::<Vec<_>>();
        let ranges: Vec<u64> = replayed.state.recent.iter().map(|range| range.sequence).collect();
        assert_eq!(ranges, follow, "up to the first that is lost");
        let last = follow.last().copied().unwrap_or(mark.sequence);
        let announced = self.half.state.next_sequence() - 1;
        if is_made_up_for {
            assert_eq!(replayed.lacks_ranges, last < announced);
        } else {
            assert!(replayed.lacks_ranges, "others may be lost");
            assert!(!replayed.state.session.unwrap().closed, "another run may have begun");
        }
    }
}

#[test]
fn what_is_lost_behind_a_snapshot_is_made_up_for_or_seen() {
    let (mut made_up_for, mut others) = (0, 0);
    for seed in 0..200 {
        let (half, older) = half_of(seed);
        let mut dice = fastrand::Rng::with_seed(seed);
        let first = half.entries.iter().position(|(at, _)| *at >= half.base).unwrap();
        for _ in 0..20 {
            let from = dice.usize(first..half.entries.len());
            let to = (from + dice.usize(1..6)).min(half.entries.len());
            let loss = Loss { half: &half, older: &older, from, to, is_same_boot: dice.bool() };
            loss.check();
            let mark = half.entries[to..].iter().find_map(|(_, entry)| mark_of(entry));
            match mark.is_some_and(|mark| mark.repeat.since <= loss.place(from)) {
                true => made_up_for += 1,
                false => others += 1,
            }
        }
    }
    assert!(made_up_for > 1000 && others > 1000, "{made_up_for} {others}");
}

/// What a snapshot lacks, the half has from which it was made, unless nothing says any more which partitions
/// the snapshot had.
#[test]
fn what_is_lost_of_a_snapshot_is_in_the_half_before() {
    for seed in 0..100 {
        let (half, older) = half_of(seed);
        let end = half.entries.iter().position(|(at, _)| *at >= half.base).unwrap();
        for (from, to) in (0..end).flat_map(|from| (from + 1..=end).map(move |to| (from, to))) {
            let loss = Loss { half: &half, older: &older, from, to, is_same_boot: true };
            let lost = &half.entries[from..to];
            let has_partition = lost.iter().any(|(_, entry)| matches!(entry, JournalEntry::Partition(..)));
            let has_mark = lost.iter().any(|(_, entry)| mark_of(entry).is_some());
            let replayed = [loss.replay(), Loss { older: &[], ..loss }.replay()];
            let is_known = [!(has_partition && has_mark), !has_partition && !has_mark];
            for (replayed, is_known) in replayed.into_iter().zip(is_known) {
                let context = format!("seed {seed}, {from} to {to} of {end}");
                if !is_known {
                    let why = replayed.unwrap_err();
                    assert!(why.ends_with("no other entry repeats its snapshot"), "{context}: {why}");
                    continue;
                }
                let state = replayed.unwrap().state;
                assert_eq!(partitions(&state), partitions(&half.state), "{context}");
                assert_eq!(state.next_sequence(), half.state.next_sequence(), "{context}");
            }
        }
    }
}

/// Both copies of the header are lost. The entries of the half say where its snapshot ends, and partitions
/// that only the half before knows were forgotten on request.
#[test]
fn a_half_without_header_says_all_by_itself() {
    for seed in 0..50 {
        let (half, mut older) = half_of(seed);
        let mut forgotten = older[0].clone();
        let JournalEntry::Partition(index, state) = &mut forgotten.1 else { panic!("{forgotten:?}") };
        (*index, state.partition) = (9, TopicPartition::new("t", 9));
        older.push(forgotten);
        let contents = |entries: &[(u64, JournalEntry)]| JournalContents {
            newest: HalfContents { entries: entries.to_vec(), ..HalfContents::default() },
            base: 0,
            older: Some(older.clone()),
            start: START,
            has_no_header: true,
        };
        assert!(!contents(&half.entries).is_whole());
        let replayed = contents(&half.entries).replay(Some(BOOT)).unwrap();
        assert_eq!(partitions(&replayed.state), partitions(&half.state), "seed {seed}");
        assert_eq!(replayed.state.recent, half.state.recent);
        assert_eq!((replayed.lacks_ranges, replayed.damage, replayed.has_holes), (false, None, true));
        // The snapshot's mark is not there, so the half was not in force.
        let begun: Vec<_> =
            half.entries.iter().take_while(|(_, entry)| mark_of(entry).is_none()).cloned().collect();
        assert_eq!(contents(&begun).replay(Some(BOOT)).unwrap_err(), "a half without header and mark");
    }
}

/// Within one boot nothing is lost but by a fault. In very much, marks may be lost whose positions were
/// committed.
#[test]
fn a_long_damaged_end_is_too_much_within_one_boot() {
    let (half, _) = half_of(1);
    for (lost, boot, is_too_much) in [(65_536, BOOT, false), (65_537, BOOT, true), (65_537, BOOT + 1, false)]
    {
        let tail = Some(Hole { from: half.at, to: half.at + lost });
        let newest = HalfContents { entries: half.entries.clone(), holes: Vec::new(), tail };
        let contents =
            JournalContents { newest, base: half.base, older: None, start: START, has_no_header: false };
        let replayed = contents.replay(Some(boot));
        assert_eq!(replayed.is_err(), is_too_much, "{lost} {boot}");
        match replayed {
            Ok(replayed) => {
                assert!(replayed.lacks_ranges);
                assert_eq!(partitions(&replayed.state), partitions(&half.state));
            }
            Err(why) => assert!(why.ends_with("are damaged, and too much of its end"), "{why}"),
        }
    }
}

/// The entry of the mark that moved the end of the file is lost, and the ranges behind it stand elsewhere.
#[test]
fn a_range_elsewhere_implies_the_mark_that_led_there() {
    let (mut half, older) = half_of(2);
    (0..3).for_each(|_| half.push_range());
    let lost = half.entries.len();
    let last = half.state.recent.back().unwrap().clone();
    let mut mark = half.mark(&last, half.base, half.base);
    mark.files[0].place.end += 7;
    half.length += 7;
    half.push(JournalEntry::Mark(mark));
    let settled = partitions(&half.state);
    (0..2).for_each(|_| half.push_range());
    let is_same_boot = true;
    let loss = Loss { half: &half, older: &older, from: lost, to: lost + 1, is_same_boot };
    let replayed = loss.replay().unwrap();
    let found = replayed.state.mark.clone().unwrap();
    assert_eq!(found.sequence, last.sequence);
    assert_eq!(replayed.state.files[&ONLY_FILE].place.end, last.parts[0].to + 7);
    assert_eq!(replayed.state.recent.len(), 2);
    let positions = |known: &[Known]| -> Vec<i64> { known.iter().map(|one| one.1).collect() };
    assert_eq!(positions(&partitions(&replayed.state)), positions(&settled));
    assert!(replayed.lacks_ranges, "a range may have stood in the hole, too");
}
