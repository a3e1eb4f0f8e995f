//! Reads entries of version 3.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::is_below;
use super::{
    FINGERPRINT_CONTENT, FLAG_SNAPSHOT, NO_HEAD, SEVERAL, TAG_COMPLETE, TAG_FORMER, TAG_HELD,
    TAG_LEADER_EPOCHS, TAG_SCOPES, TAG_TOPIC_ID, TAG_UNEXAMINED,
};
use crate::logfile::disk::FileId;
use crate::logfile::journal::entry::{
    ClosingFile, FileHead, FileNumber, FilePlace, Landmark, Mark, MarkRepeat, MarkedCommit, MarkedFile,
    NamedFile, ONLY_FILE, PartitionState, PositionChange, Range, RangePart, RepeatedPartition,
};
use crate::logfile::journal::entry_reader::EntryReader;
use crate::logfile::journal::held::HeldOffsets;
use crate::logfile::journal::scope::RouteScope;
use crate::record::{EpochStart, LeaderEpochs, TopicId, TopicPartition};

/// Reads a state with its tags, up to the end of the bytes.
pub(super) fn decode_state(reader: &mut EntryReader<'_>) -> Option<PartitionState> {
    let mut state = decode_state_fields(reader)?;
    while let Some((tag, bytes)) = reader.next_tag()? {
        if tag == TAG_HELD && state.held.is_none() {
            state.held = HeldOffsets::decode(bytes);
        }
        if tag == TAG_TOPIC_ID
            && let Ok(id) = bytes.try_into()
        {
            state.topic_id = TopicId::new(u128::from_be_bytes(id));
        }
        if tag == TAG_LEADER_EPOCHS {
            let start =
                |reader: &mut EntryReader<'_>| Some(EpochStart { epoch: reader.i32()?, from: reader.i64()? });
            for start in EntryReader(bytes).list(start)? {
                state.leader_epochs.record(start);
            }
        }
        if tag == TAG_FORMER && state.former.is_empty() {
            let (identities, _) = bytes.as_chunks();
            state.former = identities.iter().map(|identity| u128::from_be_bytes(*identity)).collect();
        }
    }
    Some(state)
}

fn decode_state_fields(reader: &mut EntryReader<'_>) -> Option<PartitionState> {
    Some(PartitionState {
        partition: TopicPartition::new(reader.text()?, reader.i32()?),
        position: reader.i64()?,
        epoch: reader.u64()?,
        // A fingerprint that was made in an unknown way cannot be compared, so the landmark is left out.
        landmarks: reader
            .list(|reader| {
                let kind = reader.u8()?;
                decode_landmark(reader, kind)
            })?
            .into_iter()
            .flatten()
            .collect(),
        committed: reader.list(EntryReader::i64)?,
        left: reader.list(EntryReader::u64)?,
        held: None,
        former: Vec::new(),
        topic_id: None,
        leader_epochs: LeaderEpochs::default(),
    })
}

/// The inner `None`: the fingerprint was made in an unknown way.
fn decode_landmark(reader: &mut EntryReader<'_>, kind: u8) -> Option<Option<Landmark>> {
    let landmark = Landmark { offset: reader.i64()?, fingerprint: reader.u32()? };
    Some(Some(landmark).filter(|_| kind == FINGERPRINT_CONTENT))
}

fn decode_change(reader: &mut EntryReader<'_>) -> Option<PositionChange> {
    let (index, position) = (reader.u32()?, reader.i64()?);
    let last = match reader.u8()? {
        0 => None,
        kind => decode_landmark(reader, kind)?,
    };
    Some(PositionChange { index, position, last })
}

pub(super) fn decode_range(reader: &mut EntryReader<'_>) -> Option<Range> {
    Some(Range {
        sequence: reader.u64()?,
        parts: match reader.u8()? {
            1 => vec![range_part(ONLY_FILE, reader)?],
            SEVERAL => reader.list(|reader| {
                let number = reader.u32()?;
                range_part(number, reader)
            })?,
            _ => return None,
        },
        changes: reader.list(decode_change)?,
    })
}

pub(in crate::logfile::journal) fn range_part(
    number: FileNumber,
    reader: &mut EntryReader<'_>,
) -> Option<RangePart> {
    Some(RangePart {
        number,
        file: file_id(reader)?,
        from: reader.u64()?,
        before: reader.u32()?,
        to: reader.u64()?,
        crc: reader.u32()?,
    })
}

/// Reads a mark with its tags, up to the end of the bytes.
pub(super) fn decode_mark(reader: &mut EntryReader<'_>) -> Option<Mark> {
    let mut mark = decode_mark_fields(reader)?;
    while let Some((tag, bytes)) = reader.next_tag()? {
        let mut list = EntryReader(bytes);
        match tag {
            TAG_SCOPES => {
                let scopes = list.list(|one| Some((one.u32()?, RouteScope::decode(one)?)))?;
                let scopes: HashMap<FileNumber, RouteScope> = scopes.into_iter().collect();
                for file in &mut mark.files {
                    if let (Some(name), Some(scope)) = (&mut file.name, scopes.get(&file.number)) {
                        name.scope = scope.clone();
                    }
                }
            }
            TAG_COMPLETE => mark.complete = list.list(|one| Some((RouteScope::decode(one)?, one.i64()?)))?,
            TAG_UNEXAMINED => mark.unexamined = list.list(EntryReader::u32)?,
            _ => {}
        }
    }
    Some(mark)
}

fn decode_mark_fields(reader: &mut EntryReader<'_>) -> Option<Mark> {
    let is_snapshot = reader.u8()? & FLAG_SNAPSHOT != 0;
    let (sequence, announced) = (reader.u64()?, reader.u64()?);
    let (synced_to, since) = (reader.u64()?, reader.u64()?);
    let (files, finished, held, closing) = match reader.u8()? {
        1 => {
            let only = MarkedFile { number: ONLY_FILE, name: None, place: decode_place(reader)? };
            (vec![only], Vec::new(), Vec::new(), Vec::new())
        }
        SEVERAL => {
            let (files, finished) = (reader.list(decode_file)?, reader.list(EntryReader::u32)?);
            (files, finished, reader.list(EntryReader::u64)?, reader.list(decode_closing)?)
        }
        _ => return None,
    };
    Some(Mark {
        sequence,
        held,
        files,
        closing,
        finished,
        unexamined: Vec::new(),
        complete: Vec::new(),
        commits: reader.list(commit)?,
        repeat: MarkRepeat {
            is_snapshot,
            announced,
            synced_to,
            since,
            positions: reader.list(decode_change)?,
            partitions: reader.list(|reader| {
                let (index, void) = (reader.u32()?, reader.u64()?);
                let length = reader.u32()? as usize;
                let state = decode_state(&mut EntryReader(reader.bytes(length)?))?;
                Some(RepeatedPartition { index, void, state })
            })?,
        },
    })
}

fn decode_path(reader: &mut EntryReader<'_>) -> Option<PathBuf> {
    let length = reader.u32()? as usize;
    let path = PathBuf::from(OsStr::from_bytes(reader.bytes(length)?));
    is_below(&path).then_some(path)
}

fn decode_closing(reader: &mut EntryReader<'_>) -> Option<ClosingFile> {
    Some(ClosingFile { number: reader.u32()?, to: decode_path(reader)? })
}

fn decode_file(reader: &mut EntryReader<'_>) -> Option<MarkedFile> {
    let (number, place) = (reader.u32()?, decode_place(reader)?);
    let kind = reader.u8()?;
    let name = match kind {
        0 => None,
        1 | 2 => {
            let path = decode_path(reader)?;
            let until = if kind == 2 { Some(reader.i64()?) } else { None };
            Some(NamedFile { path, until, scope: RouteScope::default() })
        }
        _ => return None,
    };
    Some(MarkedFile { number, name, place })
}

fn decode_place(reader: &mut EntryReader<'_>) -> Option<FilePlace> {
    Some(FilePlace {
        file: file_id(reader)?,
        end: reader.u64()?,
        before: reader.u32()?,
        head: Some(FileHead { length: reader.u32()?, crc: reader.u32()? })
            .filter(|head| head.length != NO_HEAD),
    })
}

pub(in crate::logfile::journal) fn commit(reader: &mut EntryReader<'_>) -> Option<MarkedCommit> {
    let index = reader.u32()?;
    let known = reader.u8()? != 0;
    let acknowledged = Some(reader.i64()?).filter(|_| known);
    let value = Some(reader.i64()?).filter(|value| *value >= 0);
    Some(MarkedCommit { index, acknowledged, value })
}

pub(in crate::logfile::journal) fn file_id(reader: &mut EntryReader<'_>) -> Option<FileId> {
    Some(FileId { device: reader.u64()?, inode: reader.u64()? })
}
