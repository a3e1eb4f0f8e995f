//! How a journal's entries are written as bytes and read again, in version 3 of the format. All numbers are
//! big-endian.
//!
//! After its fixed fields an entry may have tagged ones: tag 1, length 4, bytes. A reader passes over a tag
//! that it does not know, and over an entry whose kind it does not know. Whatever a reader may not pass
//! over sets a feature in the header of the half.

mod decode;

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use super::entry::{
    ClosingFile, FileHead, FilePlace, JournalEntry, Landmark, Mark, MarkedFile, MemberIdentity, NamedFile,
    ONLY_FILE, PartitionState, PositionChange, RangePart, Session,
};
use super::entry_reader::EntryReader;
use super::scope::RouteScope;
use crate::logfile::disk::FileId;
use crate::record::{EpochStart, TopicId};
pub(super) use decode::{commit, file_id, range_part};
use decode::{decode_mark, decode_range, decode_state};

const KIND_PARTITION: u8 = 1;
const KIND_RANGE: u8 = 2;
const KIND_MARK: u8 = 3;
const KIND_SESSION: u8 = 4;
const KIND_MEMBER: u8 = 5;
const KIND_TOPIC: u8 = 6;
const KIND_CLUSTER: u8 = 7;
const KIND_LEADER_EPOCH: u8 = 8;

/// The tag of a state: the offsets that the log file holds.
const TAG_HELD: u8 = 1;
/// The tag of a state: the identities of the partition's former journals.
const TAG_FORMER: u8 = 2;
/// The tag of a state: the id of the topic that the position belongs to.
const TAG_TOPIC_ID: u8 = 3;
/// The tag of a state: the leader epochs of what was read.
const TAG_LEADER_EPOCHS: u8 = 4;

/// The tags of a mark: whose records go to the files that the mark begins, and which periods are complete.
const TAG_SCOPES: u8 = 1;
const TAG_COMPLETE: u8 = 2;
/// The files that could not be examined.
const TAG_UNEXAMINED: u8 = 3;

/// How a record's fingerprint was made: of key and value.
const FINGERPRINT_CONTENT: u8 = 1;
/// The length of a head that is not known.
const NO_HEAD: u32 = u32::MAX;
/// Stands in place of the number of parts where numbered ones follow.
const SEVERAL: u8 = 0xff;
/// A mark that belongs to a snapshot.
const FLAG_SNAPSHOT: u8 = 1;

impl JournalEntry {
    /// Appends the entry's payload.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            JournalEntry::Partition(index, state) => {
                out.push(KIND_PARTITION);
                out.extend_from_slice(&index.to_be_bytes());
                encode_state(out, state);
            }
            JournalEntry::Range(range) => {
                out.push(KIND_RANGE);
                out.extend_from_slice(&range.sequence.to_be_bytes());
                encode_parts(out, &range.parts);
                encode_changes(out, &range.changes);
            }
            JournalEntry::Mark(mark) => encode_mark(out, mark),
            JournalEntry::Session(session) => {
                out.push(KIND_SESSION);
                out.extend_from_slice(&session.boot.to_be_bytes());
                out.push(u8::from(session.closed));
            }
            JournalEntry::Member(member) => {
                out.push(KIND_MEMBER);
                encode_count(out, member.id.len());
                out.extend_from_slice(member.id.as_bytes());
                out.push(u8::from(member.silent));
            }
            JournalEntry::Topic(index, id) => {
                out.push(KIND_TOPIC);
                out.extend_from_slice(&index.to_be_bytes());
                out.extend_from_slice(&id.number().to_be_bytes());
            }
            JournalEntry::LeaderEpoch(index, start) => {
                out.push(KIND_LEADER_EPOCH);
                out.extend_from_slice(&index.to_be_bytes());
                encode_epoch(out, start);
            }
            JournalEntry::Cluster(id) => {
                out.push(KIND_CLUSTER);
                encode_count(out, id.len());
                out.extend_from_slice(id.as_bytes());
            }
            JournalEntry::Unknown(kind) => out.push(*kind),
        }
    }

    /// Whether [`Self::decode`] gives back the very entry that [`Self::encode`] writes. Decoding each range
    /// again would cost nearly as much as writing it, so this looks at the values instead.
    pub(super) fn is_expressible(&self) -> bool {
        match self {
            JournalEntry::Mark(mark) => {
                mark.commits.iter().all(|commit| commit.value.is_none_or(|value| value >= 0))
                    && mark.files.iter().all(|file| file.place.head.is_none_or(|head| head.length != NO_HEAD))
                    && mark
                        .files
                        .iter()
                        .all(|file| file.name.as_ref().is_none_or(|name| is_below(&name.path)))
                    && mark.closing.iter().all(|closing| is_below(&closing.to))
            }
            JournalEntry::Partition(..)
            | JournalEntry::Range(_)
            | JournalEntry::Session(_)
            | JournalEntry::Member(_)
            | JournalEntry::Topic(..)
            | JournalEntry::LeaderEpoch(..)
            | JournalEntry::Cluster(_) => true,
            JournalEntry::Unknown(_) => false,
        }
    }

    /// Reads a payload. `None`: the payload is not an entry of this version of the format.
    pub(super) fn decode(payload: &[u8]) -> Option<Self> {
        let mut reader = EntryReader(payload);
        let entry = match reader.u8()? {
            KIND_PARTITION => JournalEntry::Partition(reader.u32()?, decode_state(&mut reader)?),
            KIND_RANGE => JournalEntry::Range(decode_range(&mut reader)?),
            KIND_MARK => JournalEntry::Mark(decode_mark(&mut reader)?),
            KIND_SESSION => {
                let boot = u128::from_be_bytes(reader.array()?);
                JournalEntry::Session(Session { boot, closed: reader.u8()? != 0 })
            }
            KIND_MEMBER => {
                let id = reader.text()?.to_owned();
                JournalEntry::Member(MemberIdentity { id, silent: reader.u8()? != 0 })
            }
            KIND_TOPIC => {
                let index = reader.u32()?;
                JournalEntry::Topic(index, TopicId::new(u128::from_be_bytes(reader.array()?))?)
            }
            KIND_LEADER_EPOCH => {
                let index = reader.u32()?;
                JournalEntry::LeaderEpoch(index, EpochStart { epoch: reader.i32()?, from: reader.i64()? })
            }
            KIND_CLUSTER => JournalEntry::Cluster(reader.text()?.to_owned()),
            kind => return Some(JournalEntry::Unknown(kind)),
        };
        reader.skip_tags().map(|()| entry)
    }
}

fn encode_count(out: &mut Vec<u8>, count: usize) {
    // The largest frame limits the list to far fewer items than this.
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
}

/// The kind of the fingerprint, 0 if there is no record, then offset and fingerprint.
fn encode_changes(out: &mut Vec<u8>, changes: &[PositionChange]) {
    encode_count(out, changes.len());
    out.reserve(changes.len() * 25);
    for PositionChange { index, position, last } in changes {
        out.extend_from_slice(&head_of_change(*index, *position, last.is_some()));
        if let Some(last) = last {
            out.extend_from_slice(&landmark_bytes(last));
        }
    }
}

fn head_of_change(index: u32, position: i64, has_record: bool) -> [u8; 13] {
    let mut bytes = [0; 13];
    let (number, rest) = bytes.split_at_mut(4);
    number.copy_from_slice(&index.to_be_bytes());
    if let Some((at, kind)) = rest.split_first_chunk_mut::<8>() {
        *at = position.to_be_bytes();
        kind.fill(if has_record { FINGERPRINT_CONTENT } else { 0 });
    }
    bytes
}

fn landmark_bytes(landmark: &Landmark) -> [u8; 12] {
    let mut bytes = [0; 12];
    let (offset, fingerprint) = bytes.split_at_mut(8);
    offset.copy_from_slice(&landmark.offset.to_be_bytes());
    fingerprint.copy_from_slice(&landmark.fingerprint.to_be_bytes());
    bytes
}

/// The number of parts and then the part, or [`SEVERAL`] and a list of numbered parts.
fn encode_parts(out: &mut Vec<u8>, parts: &[RangePart]) {
    if let [part] = parts
        && part.number == ONLY_FILE
    {
        out.push(1);
        return encode_part(out, part);
    }
    out.push(SEVERAL);
    encode_count(out, parts.len());
    for part in parts {
        out.extend_from_slice(&part.number.to_be_bytes());
        encode_part(out, part);
    }
}

fn encode_part(out: &mut Vec<u8>, part: &RangePart) {
    encode_place(out, part.file, part.from, part.before);
    out.extend_from_slice(&part.to.to_be_bytes());
    out.extend_from_slice(&part.crc.to_be_bytes());
}

/// As the parts of a range; of several files also which are finished, and which ranges are held.
fn encode_files(out: &mut Vec<u8>, mark: &Mark) {
    if let [file] = mark.files.as_slice()
        && file.number == ONLY_FILE
        && file.name.is_none()
        && mark.finished.len() + mark.held.len() + mark.closing.len() == 0
    {
        out.push(1);
        return encode_file(out, &file.place);
    }
    out.push(SEVERAL);
    encode_count(out, mark.files.len());
    for file in &mark.files {
        out.extend_from_slice(&file.number.to_be_bytes());
        encode_file(out, &file.place);
        out.push(match &file.name {
            None => 0,
            Some(NamedFile { until: None, .. }) => 1,
            Some(NamedFile { until: Some(_), .. }) => 2,
        });
        if let Some(NamedFile { path, until, .. }) = &file.name {
            encode_path(out, path);
            out.extend_from_slice(until.map(i64::to_be_bytes).as_ref().map_or(&[][..], |until| until));
        }
    }
    encode_count(out, mark.finished.len());
    for number in &mark.finished {
        out.extend_from_slice(&number.to_be_bytes());
    }
    encode_count(out, mark.held.len());
    for sequence in &mark.held {
        out.extend_from_slice(&sequence.to_be_bytes());
    }
    encode_count(out, mark.closing.len());
    for ClosingFile { number, to } in &mark.closing {
        out.extend_from_slice(&number.to_be_bytes());
        encode_path(out, to);
    }
}

/// Whether the path leads to nothing but what is below a directory, whoever has written the journal.
fn is_below(path: &Path) -> bool {
    path.components().next().is_some() && path.components().all(|one| matches!(one, Component::Normal(_)))
}

fn encode_path(out: &mut Vec<u8>, path: &Path) {
    let path = path.as_os_str().as_bytes();
    encode_count(out, path.len());
    out.extend_from_slice(path);
}

fn encode_file(out: &mut Vec<u8>, place: &FilePlace) {
    encode_place(out, place.file, place.end, place.before);
    let head = place.head.unwrap_or(FileHead { length: NO_HEAD, crc: 0 });
    out.extend_from_slice(&head.length.to_be_bytes());
    out.extend_from_slice(&head.crc.to_be_bytes());
}

fn encode_place(out: &mut Vec<u8>, file: FileId, at: u64, before: u32) {
    out.extend_from_slice(&file.device.to_be_bytes());
    out.extend_from_slice(&file.inode.to_be_bytes());
    out.extend_from_slice(&at.to_be_bytes());
    out.extend_from_slice(&before.to_be_bytes());
}

fn encode_mark(out: &mut Vec<u8>, mark: &Mark) {
    let repeat = &mark.repeat;
    out.push(KIND_MARK);
    out.push(if repeat.is_snapshot { FLAG_SNAPSHOT } else { 0 });
    for number in [mark.sequence, repeat.announced, repeat.synced_to, repeat.since] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    encode_files(out, mark);
    encode_count(out, mark.commits.len());
    for commit in &mark.commits {
        out.extend_from_slice(&commit.index.to_be_bytes());
        out.push(u8::from(commit.acknowledged.is_some()));
        out.extend_from_slice(&commit.acknowledged.unwrap_or(0).to_be_bytes());
        // -1 stands for no offset.
        out.extend_from_slice(&commit.value.unwrap_or(-1).to_be_bytes());
    }
    encode_changes(out, &repeat.positions);
    encode_count(out, repeat.partitions.len());
    for partition in &repeat.partitions {
        out.extend_from_slice(&partition.index.to_be_bytes());
        out.extend_from_slice(&partition.void.to_be_bytes());
        let mut state = Vec::new();
        encode_state(&mut state, &partition.state);
        encode_count(out, state.len());
        out.extend_from_slice(&state);
    }
    encode_mark_tags(out, mark);
}

/// What most marks do not have. A file whose records may be of any partition needs no entry.
fn encode_mark_tags(out: &mut Vec<u8>, mark: &Mark) {
    let scope_of = |file: &MarkedFile| file.name.as_ref().map(|name| name.scope.clone());
    let scopes = mark.files.iter().filter_map(|file| Some((file.number, scope_of(file)?)));
    let scopes: Vec<_> = scopes.filter(|(_, scope)| *scope != RouteScope::default()).collect();
    encode_tag(out, TAG_SCOPES, &scopes, |bytes, (number, scope)| {
        bytes.extend_from_slice(&number.to_be_bytes());
        scope.encode(bytes);
    });
    encode_tag(out, TAG_COMPLETE, &mark.complete, |bytes, (scope, before)| {
        scope.encode(bytes);
        bytes.extend_from_slice(&before.to_be_bytes());
    });
    encode_tag(out, TAG_UNEXAMINED, &mark.unexamined, |bytes, number| {
        bytes.extend_from_slice(&number.to_be_bytes());
    });
}

/// A tagged field that is a list, unless the list is empty.
fn encode_tag<T>(out: &mut Vec<u8>, tag: u8, list: &[T], encode: impl Fn(&mut Vec<u8>, &T)) {
    if list.is_empty() {
        return;
    }
    let mut bytes = Vec::new();
    encode_count(&mut bytes, list.len());
    list.iter().for_each(|item| encode(&mut bytes, item));
    out.push(tag);
    encode_count(out, bytes.len());
    out.extend_from_slice(&bytes);
}

fn encode_state(out: &mut Vec<u8>, state: &PartitionState) {
    encode_count(out, state.partition.topic.len());
    out.extend_from_slice(state.partition.topic.as_bytes());
    out.extend_from_slice(&state.partition.partition.to_be_bytes());
    out.extend_from_slice(&state.position.to_be_bytes());
    out.extend_from_slice(&state.epoch.to_be_bytes());
    encode_count(out, state.landmarks.len());
    for landmark in &state.landmarks {
        out.push(FINGERPRINT_CONTENT);
        out.extend_from_slice(&landmark_bytes(landmark));
    }
    encode_count(out, state.committed.len());
    for value in &state.committed {
        out.extend_from_slice(&value.to_be_bytes());
    }
    encode_count(out, state.left.len());
    for epoch in &state.left {
        out.extend_from_slice(&epoch.to_be_bytes());
    }
    if let Some(held) = &state.held {
        out.push(TAG_HELD);
        let mut bytes = Vec::new();
        held.encode(&mut bytes);
        encode_count(out, bytes.len());
        out.extend_from_slice(&bytes);
    }
    if !state.former.is_empty() {
        out.push(TAG_FORMER);
        encode_count(out, state.former.len() * size_of::<u128>());
        state.former.iter().for_each(|identity| out.extend_from_slice(&identity.to_be_bytes()));
    }
    if let Some(id) = state.topic_id {
        out.push(TAG_TOPIC_ID);
        encode_count(out, size_of::<u128>());
        out.extend_from_slice(&id.number().to_be_bytes());
    }
    encode_tag(out, TAG_LEADER_EPOCHS, state.leader_epochs.starts(), encode_epoch);
}

fn encode_epoch(out: &mut Vec<u8>, start: &EpochStart) {
    out.extend_from_slice(&start.epoch.to_be_bytes());
    out.extend_from_slice(&start.from.to_be_bytes());
}
