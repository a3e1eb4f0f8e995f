//! The real log file on a disk in memory, beside the simulated state of a single host. The log file must do
//! what the simulated state says.

use std::path::Path;
use std::sync::Arc;

use super::super::disk::{DiskFlaw, SimDisk};
use super::host::CommitOffset;
use super::vocabulary::{COPIES_MAX, WrittenRange};
use crate::logfile::disk::{Disk, OpenMode};
use crate::logfile::{
    Landmark, Ledger, LogFileOptions, LogWriter, Piece, PositionChange, RestartMemory, Rotation, Settler,
    open_with,
};
use crate::record::{OffsetMetadata, Token, TopicPartition};

const LOG_PATH: &str = "/log/out.log";

#[derive(Debug)]
pub(super) struct LedgerMirror {
    disk: SimDisk,
    run: Option<(LogWriter, Settler, Ledger)>,
    copies: Vec<(SimDisk, String)>,
    /// Pairs of names of the same history: the ledger's name, and the simulated host's.
    histories: Vec<(u64, u64)>,
    identity: u128,
    /// What must be in the file.
    file: String,
    /// The length of the file before each unsettled range.
    recent: Vec<usize>,
    pub(super) faults: Vec<String>,
}

impl LedgerMirror {
    pub(super) fn new() -> Self {
        Self {
            disk: SimDisk::new(DiskFlaw::None),
            run: None,
            copies: Vec::new(),
            histories: Vec::new(),
            identity: 0,
            file: String::new(),
            recent: Vec::new(),
            faults: Vec::new(),
        }
    }

    fn check(&mut self, good: bool, what: impl FnOnce() -> String) {
        if !good {
            self.faults.push(what());
        }
    }

    pub(super) fn start(&mut self) {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let options = LogFileOptions { job: "test", sync: true, rotation: Rotation::off() };
        let mut memory = RestartMemory::default();
        let opened = open_with(&disk, Path::new(LOG_PATH), &options, 4096, Some(1), &mut memory);
        self.run = Some(opened.unwrap());
        let files = self.disk.contents(LOG_PATH);
        let file = files.iter().find(|(name, _)| name == LOG_PATH);
        let good = file.is_some_and(|(_, bytes)| bytes == self.file.as_bytes());
        self.check(good, || "the log file is not what it must be".to_owned());
    }

    /// Assigns the partition. The simulated host begins it at `position`.
    pub(super) fn resume(&mut self, partition: usize, held: Option<(i64, &str)>, room: bool, position: i64) {
        let beside = if room {
            let text = held.map_or("", |(_, text)| text);
            OffsetMetadata::Text(
                Token::parse(text).map_or(text.to_owned(), |token| self.token(token).to_string()),
            )
        } else {
            OffsetMetadata::Unsupported
        };
        let Some((_, _, ledger)) = &self.run else { return };
        let resumed = ledger.resume(&name(partition), held.map(|(offset, _)| offset), &beside).unwrap();
        let at = resumed.position.unwrap_or_else(|| {
            ledger.set_position(&name(partition), 0).unwrap();
            0
        });
        self.check(at == position, || format!("p{partition}: the ledger begins at {at}, not at {position}"));
    }

    /// Compares whether the group holds a token of the present history.
    pub(super) fn agreed(&mut self, partition: usize, agreed: bool) {
        let Some((_, _, ledger)) = &self.run else { return };
        let here = ledger.is_agreed(&name(partition));
        self.check(here == agreed, || format!("p{partition}: agreed by the ledger {here}, not {agreed}"));
    }

    /// A token of the simulated host, as the ledger would have made it.
    fn token(&self, token: Token) -> Token {
        if token.is_claim() {
            return token;
        }
        let known = self.histories.iter().find(|(_, simulated)| *simulated == token.epoch);
        Token { identity: self.identity, epoch: known.map_or(token.epoch, |(here, _)| *here), ..token }
    }

    /// The topic was recreated.
    pub(super) fn set_position(&mut self, partition: usize) {
        if let Some((_, _, ledger)) = &self.run {
            ledger.set_position(&name(partition), 0).unwrap();
        }
    }

    pub(super) fn write(&mut self, range: &[WrittenRange]) {
        let Some((writer, _, ledger)) = &mut self.run else { return };
        let text = |range: &WrittenRange| {
            (range.from..range.next)
                .map(|offset| format!("{} {offset}\n", range.partition))
                .collect::<String>()
        };
        let texts: Vec<String> = range.iter().map(text).collect();
        let crcs: Vec<crc32fast::Hasher> = texts
            .iter()
            .map(|text| {
                let mut crc = crc32fast::Hasher::new();
                crc.update(text.as_bytes());
                crc
            })
            .collect();
        let pieces: Vec<Piece<'_>> =
            texts.iter().zip(&crcs).map(|(text, crc)| Piece { bytes: text.as_bytes(), crc }).collect();
        let written: Vec<Option<(u32, i64)>> =
            range.iter().map(|range| ledger.written(&name(range.partition))).collect();
        let due = range
            .iter()
            .zip(&written)
            .all(|(range, written)| written.is_some_and(|(_, position)| position == range.from));
        if !due {
            self.faults.push(format!("the ledger goes on at {written:?}"));
            return;
        }
        let change = |(range, written): (&WrittenRange, &Option<(u32, i64)>)| PositionChange {
            index: written.unwrap().0,
            position: range.next,
            last: Some(Landmark { offset: range.next - 1, fingerprint: 0 }),
        };
        let changes: Vec<PositionChange> = range.iter().zip(&written).map(change).collect();
        writer.append(&pieces, &changes).unwrap();
        self.recent.push(self.file.len());
        self.file.extend(texts);
    }

    /// Settles what was written. The commits must be those that the simulated host orders.
    pub(super) fn settle(&mut self, due: &[CommitOffset]) {
        let Some((writer, settler, _)) = &mut self.run else { return };
        let mut commits = settler.settle(writer.checkpoint()).unwrap().commits;
        self.recent.clear();
        commits.sort_by_key(|one| one.partition.partition);
        let same = commits.len() == due.len()
            && commits.iter().zip(due).all(|(here, due)| {
                here.partition == name(due.partition)
                    && here.offset == due.value
                    && here.metadata.is_empty() == due.metadata.is_empty()
            });
        self.check(same, || format!("commits {commits:?} are ordered, not {due:?}"));
        for (here, due) in commits.iter().zip(due) {
            if let (Some(here), Some(due)) = (Token::parse(&here.metadata), Token::parse(&due.metadata)) {
                self.identity = here.identity;
                let pair = (here.epoch, due.epoch);
                let half = |known: &&(u64, u64)| (known.0 == pair.0) != (known.1 == pair.1);
                let other = self.histories.iter().find(half).copied();
                self.check(other.is_none(), || format!("{pair:?} are one history, {other:?} were"));
                self.histories.push(pair);
            }
        }
    }

    pub(super) fn acknowledge(&mut self, offsets: &[CommitOffset]) {
        if let Some((_, _, ledger)) = &self.run {
            let values: Vec<_> = offsets.iter().map(|one| (name(one.partition), one.value)).collect();
            ledger.record_committed(&values);
        }
    }

    /// The program is gone. The first `kept` unsettled ranges are complete.
    pub(super) fn die(&mut self, kept: u8) {
        self.run = None;
        if let Some(length) = self.recent.get(usize::from(kept)) {
            self.file.truncate(*length);
            self.disk.open(Path::new(LOG_PATH), OpenMode::Existing).unwrap().set_len(*length as u64).unwrap();
        }
        self.recent.clear();
    }

    pub(super) fn copy(&mut self) {
        if self.copies.len() == COPIES_MAX {
            self.copies.remove(0);
        }
        self.copies.push((self.disk.copy(), self.file.clone()));
    }

    pub(super) fn restore(&mut self, which: usize) {
        let (disk, file) = &self.copies[which];
        (self.disk, self.file) = (disk.copy(), file.clone());
    }

    pub(super) fn forget_copies(&mut self) {
        self.copies.clear();
    }
}

fn name(partition: usize) -> TopicPartition {
    TopicPartition::new("t", partition as i32)
}
