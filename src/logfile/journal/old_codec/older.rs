//! What the pandads of the first versions wrote and how they began, for tests. Nothing of this is shared with
//! the code that reads journals now.

use super::super::header::HalfHeader;
use super::super::{JournalEntry, Landmark, PartitionState};
use crate::logfile::journal::entry::{MarkedCommit, PositionChange, RangePart};
use crate::logfile::journal::frame::read_half;

/// What a pandad that knows the format up to some version does with a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::logfile) enum OlderPandad {
    /// It does not start.
    Refuses,
    /// It goes on with the half of this generation.
    Opens(u64),
    /// It moves the journal away and begins another one.
    SetsAside,
}

impl OlderPandad {
    pub(in crate::logfile) fn meets(version: u16, journal: &[u8]) -> Self {
        let known = (version >= 3).then(|| half_in_note(journal)).flatten();
        let half = known.unwrap_or(journal.len() / 2).min(journal.len());
        let (first, second) = journal.split_at(half);
        let mut headers = Vec::new();
        for half in [first, second] {
            headers.extend(common(half));
            // From version 3 on there is a second copy, which only a pandad of that version looks at.
            let copy = half.get(64..).filter(|_| version >= 3).and_then(common);
            headers.extend(copy.filter(|(found, _)| *found >= 3));
        }
        if headers.iter().any(|(found, _)| *found > version) {
            return Self::Refuses;
        }
        headers.iter().map(|(_, generation)| *generation).max().map_or(Self::SetsAside, Self::Opens)
    }
}

/// Version and generation in a copy of a header, if the part is whole that all versions have.
fn common(copy: &[u8]) -> Option<(u16, u64)> {
    let crc = copy.get(34..38)?.try_into().unwrap();
    let is_whole = copy.starts_with(b"pandadjl") && crc32fast::hash(&copy[..34]) == u32::from_be_bytes(crc);
    let generation = u64::from_be_bytes(copy[26..34].try_into().unwrap());
    is_whole.then(|| (u16::from_be_bytes([copy[8], copy[9]]), generation))
}

fn half_in_note(journal: &[u8]) -> Option<usize> {
    let note: [u8; 4] = journal.get(54..58)?.try_into().unwrap();
    let crc = crc32fast::hash(&[&journal[..34], &note].concat());
    let is_whole = journal.get(58..62)? == crc.to_be_bytes();
    Some((u32::from_be_bytes(note) & !1) as usize).filter(|half| is_whole && *half > 0)
}

/// The same journal as an older pandad would have written it. The half before has the snapshot alone.
pub(in crate::logfile) fn as_version(version: u16, journal: &[u8]) -> Vec<u8> {
    let half = journal.len() / 2;
    let halves = [&journal[..half], &journal[half..]];
    let headers = halves.map(|half| HalfHeader::read(half).unwrap());
    let active = usize::from(headers[1].generation > headers[0].generation);
    let header = headers[active];
    let contents = read_half(halves[active], header.generation);
    assert!(contents.holes.is_empty() && contents.tail.is_none());
    let is_first = |(at, _): &&(u64, JournalEntry)| *at < header.base;
    let snapshot: Vec<_> = contents.entries.iter().filter(is_first).map(|(_, entry)| entry).collect();
    let all: Vec<_> = contents.entries.iter().map(|(_, entry)| entry).collect();
    let mut written = vec![0; 2 * half];
    for (half_number, generation, entries) in
        [(1 - active, header.generation - 1, snapshot), (active, header.generation, all)]
    {
        let mut bytes = [&b"pandadjl"[..], &version.to_be_bytes(), &header.identity.to_be_bytes()].concat();
        bytes.extend(generation.to_be_bytes());
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        bytes.resize(64, 0);
        for payload in entries.into_iter().filter_map(|entry| payload_of(version, entry)) {
            let crc = crc32fast::hash(&[&generation.to_be_bytes()[..], &payload].concat());
            bytes.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
            bytes.extend(crc.to_be_bytes());
            bytes.extend(payload);
        }
        written[half_number * half..][..bytes.len()].copy_from_slice(&bytes);
    }
    written
}

fn payload_of(version: u16, entry: &JournalEntry) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match entry {
        JournalEntry::Partition(index, state) => {
            out.push(1);
            out.extend(index.to_be_bytes());
            put_state(&mut out, version, state);
        }
        JournalEntry::Range(range) => {
            out.push(2);
            out.extend(range.sequence.to_be_bytes());
            let RangePart { file, from, before, to, crc, .. } = range.parts[0];
            [file.device, file.inode, from].iter().for_each(|number| out.extend(number.to_be_bytes()));
            out.extend(before.to_be_bytes());
            out.extend(to.to_be_bytes());
            out.extend(crc.to_be_bytes());
            put_list(&mut out, &range.changes, put_change);
        }
        JournalEntry::Mark(mark) => {
            out.push(3);
            out.extend(mark.sequence.to_be_bytes());
            let place = mark.files[0].place;
            [place.file.device, place.file.inode, place.end].iter().for_each(|n| out.extend(n.to_be_bytes()));
            out.extend(place.before.to_be_bytes());
            put_list(&mut out, &mark.commits, put_commit);
        }
        JournalEntry::Session(session) => {
            out.push(4);
            out.extend(session.boot.to_be_bytes());
            out.push(u8::from(session.closed));
        }
        JournalEntry::Member(member) if version >= 2 => {
            out.push(5);
            out.extend(u32::try_from(member.id.len()).unwrap().to_be_bytes());
            out.extend(member.id.as_bytes());
            out.push(u8::from(member.silent));
        }
        JournalEntry::Member(_)
        | JournalEntry::Topic(..)
        | JournalEntry::LeaderEpoch(..)
        | JournalEntry::Cluster(_)
        | JournalEntry::Unknown(_) => return None,
    }
    Some(out)
}

fn put_list<T>(out: &mut Vec<u8>, list: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
    out.extend(u32::try_from(list.len()).unwrap().to_be_bytes());
    list.iter().for_each(|item| put(out, item));
}

fn put_state(out: &mut Vec<u8>, version: u16, state: &PartitionState) {
    out.extend(u32::try_from(state.partition.topic.len()).unwrap().to_be_bytes());
    out.extend(state.partition.topic.as_bytes());
    out.extend(state.partition.partition.to_be_bytes());
    out.extend(state.position.to_be_bytes());
    out.extend(state.epoch.to_be_bytes());
    put_list(out, &state.landmarks, put_landmark);
    put_list(out, &state.committed, |out, value| out.extend(value.to_be_bytes()));
    if version >= 2 {
        put_list(out, &state.left, |out, epoch| out.extend(epoch.to_be_bytes()));
    }
}

fn put_landmark(out: &mut Vec<u8>, landmark: &Landmark) {
    out.extend(landmark.offset.to_be_bytes());
    out.extend(landmark.fingerprint.to_be_bytes());
}

fn put_change(out: &mut Vec<u8>, change: &PositionChange) {
    out.extend(change.index.to_be_bytes());
    out.extend(change.position.to_be_bytes());
    out.push(u8::from(change.last.is_some()));
    change.last.iter().for_each(|landmark| put_landmark(out, landmark));
}

fn put_commit(out: &mut Vec<u8>, commit: &MarkedCommit) {
    out.extend(commit.index.to_be_bytes());
    out.push(u8::from(commit.acknowledged.is_some()));
    out.extend(commit.acknowledged.unwrap_or(0).to_be_bytes());
    out.extend(commit.value.unwrap_or(-1).to_be_bytes());
}
