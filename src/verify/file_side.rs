//! Reads the files of every log, in the order of rotation, and hands on their lines.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::bounds::{Bounds, PartitionBounds};
use super::lines::{HashedLine, LineSplitter};
use super::order::OrderCheck;
use super::place::LinePlaces;
use crate::logfile::parts::LogPart;

/// How much of a file is read at once.
const PIECE_BYTES: usize = 256 * 1024;

/// One file of one host of one log, by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PartNumber {
    pub(super) log: usize,
    pub(super) host: usize,
    pub(super) part: usize,
}

/// A line of a file.
pub(super) struct FileLine {
    pub(super) hash: u128,
    /// The number of its file, and the byte at which it begins.
    pub(super) place: (usize, u64),
}

/// Lines of one partition whose offsets are not compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct OutsideLines {
    /// Of records that the journals hold, and that are left out by the bounds.
    pub(super) left_out: u64,
    /// Of offsets of which nobody knows how many lines there are.
    pub(super) unsure: u64,
    /// Of offsets that no journal holds.
    pub(super) unheld: u64,
    /// The first of these: its offset and its place.
    pub(super) first: Option<(i64, (usize, u64))>,
}

impl OutsideLines {
    fn take(&mut self, bounds: &PartitionBounds, offset: i64, place: (usize, u64)) {
        if bounds.is_held(offset) {
            self.left_out += 1;
        } else if bounds.is_unsure(offset) {
            self.unsure += 1;
        } else {
            self.unheld += 1;
            self.first = self.first.or(Some((offset, place)));
        }
    }
}

/// What reading the files has shown.
#[derive(Debug, Default)]
pub(super) struct FilesRead {
    /// The files by their numbers in [`FileLine`].
    pub(super) files: Vec<PartNumber>,
    pub(super) lines: u64,
    /// The order of each partition's lines, for each host.
    pub(super) orders: Vec<Vec<OrderCheck>>,
    /// Of each partition, the lines that are not compared.
    pub(super) outside: Vec<OutsideLines>,
    /// Files that could not be read to their end, and why.
    pub(super) unread: Vec<(PartNumber, String)>,
    /// Those of them of which nothing could be read.
    pub(super) unopened: Vec<PartNumber>,
}

impl FilesRead {
    /// What a further pass could not read: a file that was there before may be gone.
    pub(super) fn add_unread(&mut self, later: FilesRead) {
        let known = |number: PartNumber| self.unread.iter().any(|(other, _)| *other == number);
        let unread: Vec<_> = later.unread.into_iter().filter(|(number, _)| !known(*number)).collect();
        self.unread.extend(unread);
        let unopened: Vec<_> = later.unopened.into_iter().filter(|it| !self.unopened.contains(it)).collect();
        self.unopened.extend(unopened);
    }
}

/// How the files are read.
pub(super) struct FileReading<'a> {
    pub(super) bounds: &'a Bounds,
    pub(super) places: LinePlaces,
    /// The seed of each log's hashes.
    pub(super) seeds: &'a [u64],
    /// Counts the bytes of the files.
    pub(super) done: &'a AtomicU64,
}

impl FileReading<'_> {
    /// The file of these numbers.
    pub(super) fn part(&self, number: PartNumber) -> Option<&LogPart> {
        part_of(self.bounds, number)
    }

    /// Whether the file surely comes behind the one before it: the times of files that other programs have
    /// named are those of their last change, or of their copying. The files of a set never do.
    fn is_order_known(&self, number: PartNumber) -> bool {
        let before = number.part.checked_sub(1).map(|part| PartNumber { part, ..number });
        let has_stamp = |number| self.part(number).is_some_and(|part| part.has_stamp);
        before.is_none_or(|before| has_stamp(before) && has_stamp(number))
    }

    /// Reads every file.
    pub(super) fn read(&self, each: &mut dyn FnMut(FileLine)) -> FilesRead {
        let mut read = FilesRead {
            outside: vec![OutsideLines::default(); self.bounds.partitions.len()],
            ..FilesRead::default()
        };
        let hosts = |log: usize| self.bounds.logs.get(log).map_or(0, |log| log.hosts.len());
        let orders = self.bounds.partitions.iter().map(|one| vec![OrderCheck::default(); hosts(one.log)]);
        read.orders = orders.collect();
        for (log, bounds) in self.bounds.logs.iter().enumerate() {
            for (host, parts) in bounds.hosts.iter().enumerate() {
                for (part, _) in parts.iter().enumerate() {
                    let number = PartNumber { log, host, part };
                    read.files.push(number);
                    if let Err(error) = self.read_part(number, &mut read, each) {
                        read.unread.push((number, error.to_string()));
                    }
                }
            }
        }
        read
    }

    fn read_part(
        &self,
        number: PartNumber,
        read: &mut FilesRead,
        each: &mut dyn FnMut(FileLine),
    ) -> io::Result<()> {
        let Some(part) = self.part(number) else { return Ok(()) };
        let opened = part.open();
        let before = self.done.load(Relaxed);
        let file = read.files.len() - 1;
        if !self.is_order_known(number) {
            let orders = read.orders.iter_mut().zip(&self.bounds.partitions);
            let of_log = orders.filter(|(_, one)| one.log == number.log);
            of_log.filter_map(|(hosts, _)| hosts.get_mut(number.host)).for_each(OrderCheck::begin_anew);
        }
        let mut splitter = LineSplitter::new(self.seeds.get(number.log).copied().unwrap_or(0));
        let mut at = 0;
        let mut take = |line: HashedLine<'_>| {
            read.lines += 1;
            let place = (file, at);
            at += line.len + 1;
            if self.is_judged(number, &line, place, read) {
                each(FileLine { hash: line.hash, place });
            }
        };
        let mut reader = match opened {
            Ok(reader) => reader,
            Err(error) => {
                read.unopened.push(number);
                return Err(error);
            }
        };
        let mut piece = vec![0; PIECE_BYTES];
        let ended = loop {
            match reader.read(&mut piece) {
                Ok(0) => break Ok(()),
                Ok(count) => {
                    splitter.take(piece.get(..count).unwrap_or_default(), &mut take);
                    // A compressed file has more bytes than it takes on the disk.
                    let done = (self.done.load(Relaxed) + count as u64).min(before + part.bytes);
                    self.done.store(done, Relaxed);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        splitter.end(&mut take);
        self.done.store(before + part.bytes, Relaxed);
        ended
    }

    /// Whether the line is compared. Looks at the order of the lines on the way.
    fn is_judged(
        &self,
        number: PartNumber,
        line: &HashedLine<'_>,
        place: (usize, u64),
        read: &mut FilesRead,
    ) -> bool {
        let Some(log) = self.bounds.logs.get(number.log) else { return true };
        let Some(said) = self.places.read(line.head) else { return true };
        let Some(partition) = log.partition_of(&said) else {
            // Of a log with several partitions whose lines do not name theirs nothing can be left out.
            return said.partition.is_none() || log.extras_unsure.is_empty();
        };
        let Some(bounds) = self.bounds.partitions.get(partition) else { return true };
        // Of other offsets nobody knows in which order they were written.
        let order = read.orders.get_mut(partition).and_then(|hosts| hosts.get_mut(number.host));
        if let Some(order) = order.filter(|_| bounds.is_held(said.offset)) {
            order.take(said.offset, place);
        }
        let is_judged = bounds.times(said.offset) > 0;
        // A file that is not as the journal says is read to its end: it has lines that are not settled.
        let is_doubtful = self.part(number).is_some_and(|part| part.doubt.is_some());
        if is_doubtful && bounds.held.last().is_none_or(|last| last.to <= said.offset) {
            return false;
        }
        if !is_judged && let Some(outside) = read.outside.get_mut(partition) {
            outside.take(bounds, said.offset, place);
        }
        is_judged
    }
}

/// The file of these numbers.
pub(super) fn part_of(bounds: &Bounds, number: PartNumber) -> Option<&LogPart> {
    bounds.logs.get(number.log)?.hosts.get(number.host)?.get(number.part)
}
