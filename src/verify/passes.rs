//! A pass over both sides: threads decode, format and hash what the topics have, another one reads the files.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use super::bounds::{Bounds, PartitionBounds};
use super::buckets::{Buckets, bucket_of};
use super::exact::ExactLines;
use super::file_side::{FileLine, FileReading, FilesRead};
use super::lines::{each_line, hash_of};
use super::place::LinePlaces;
use super::progress::Progress;
use super::topic_side::{ReadLimits, TopicReader, UnreadRange, WantedRanges};
use crate::kafka::{self, DecodeError, Fetched, Fetcher, Scratch};
use crate::logfile::line::LineFormatter;
use crate::threads::{self, Thread};

/// How many replies may wait for a thread that formats them.
const WAITING_MAX: usize = 2;
/// The most threads that format.
const WORKERS_MAX: usize = 4;
/// How often the thread that waits for the others shows the progress.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// What all threads of all passes share.
pub(super) struct PassContext {
    pub(super) bounds: Bounds,
    pub(super) formatter: LineFormatter,
    pub(super) places: LinePlaces,
    /// The seed of each log's hashes: a line of one log is none of another.
    pub(super) seeds: Vec<u64>,
}

/// Gets the lines of records, each with the number of its partition and its offset.
pub(super) trait TopicLineSink: Send + 'static {
    fn topic_line(&mut self, line: &[u8], hash: u128, times: i64, record: (usize, i64));
}

/// Gets the lines of files.
pub(super) trait FileLineSink: Send + 'static {
    fn file_line(&mut self, line: &FileLine);
}

impl TopicLineSink for Buckets {
    fn topic_line(&mut self, _line: &[u8], hash: u128, times: i64, _record: (usize, i64)) {
        self.add(hash, times);
    }
}

impl FileLineSink for Buckets {
    fn file_line(&mut self, line: &FileLine) {
        self.add(line.hash, -1);
    }
}

/// The lines of chosen buckets, for all threads.
#[derive(Clone)]
pub(super) struct SharedExact {
    all: Arc<Mutex<ExactLines>>,
    chosen: Arc<[usize]>,
}

impl SharedExact {
    pub(super) fn new(chosen: Vec<usize>, limit: usize) -> Self {
        let shared = chosen.as_slice().into();
        Self { all: Arc::new(Mutex::new(ExactLines::new(chosen, limit))), chosen: shared }
    }

    fn change(&self, hash: u128, change: impl FnOnce(&mut ExactLines)) {
        // Most lines are none of the chosen buckets, and no thread waits for them.
        if self.chosen.binary_search(&bucket_of(hash)).is_ok() {
            change(&mut self.all.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// The lines, when no thread has them any more.
    pub(super) fn take(self) -> ExactLines {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut all, ExactLines::new(Vec::new(), 0))
    }
}

impl TopicLineSink for SharedExact {
    fn topic_line(&mut self, _line: &[u8], hash: u128, times: i64, record: (usize, i64)) {
        self.change(hash, |exact| exact.add(hash, times, record));
    }
}

impl FileLineSink for SharedExact {
    fn file_line(&mut self, line: &FileLine) {
        self.change(line.hash, |exact| exact.subtract(line.hash, line.place));
    }
}

/// What a pass over the topics has counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TopicsRead {
    /// How many lines of records of each partition must be in the files: one that was read again after a
    /// reset counts twice.
    pub(super) records: Vec<u64>,
    /// How many lines that are: a value with newlines is several.
    pub(super) lines: u64,
    /// What could not be read.
    pub(super) unread: Vec<UnreadRange>,
}

impl PassContext {
    /// All that is compared.
    pub(super) fn wanted(&self) -> Vec<WantedRanges> {
        let numbered = self.bounds.partitions.iter().enumerate();
        let wanted = numbered.map(|(number, bounds)| {
            let (partition, ranges) = (bounds.partition.clone(), bounds.judged());
            WantedRanges { partition, number, ranges }
        });
        wanted.filter(|wanted| !wanted.ranges.is_empty()).collect()
    }

    fn seed_of(&self, bounds: &PartitionBounds) -> u64 {
        self.seeds.get(bounds.log).copied().unwrap_or(0)
    }

    /// Reads the topics. Each thread hands its lines to a sink of its own.
    ///
    /// # Errors
    /// The cluster cannot be read as configured, or no thread can be started.
    pub(super) fn read_topics<S: TopicLineSink>(
        self: &Arc<Self>,
        (fetcher, limits): (Box<dyn Fetcher>, ReadLimits),
        wanted: Vec<WantedRanges>,
        progress: &mut Progress,
        make_sink: &dyn Fn() -> S,
    ) -> Result<(Vec<S>, TopicsRead), String> {
        let (send, receive) = bounded::<(usize, Fetched)>(WAITING_MAX);
        let count = std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX);
        let mut workers = Vec::new();
        for number in 0..count {
            let work = TopicWork {
                context: Arc::clone(self),
                sink: make_sink(),
                formatter: self.formatter.clone(),
                read: TopicsRead { records: vec![0; self.bounds.partitions.len()], ..TopicsRead::default() },
                scratch: Scratch::default(),
                line: Vec::new(),
            };
            let receive = receive.clone();
            let worker = threads::spawn(&format!("verify-w{number}"), move || work.run(&receive));
            workers.push(worker.map_err(|error| error.to_string())?);
        }
        drop(receive);
        let reader = TopicReader::new(fetcher, limits, progress);
        let unread = reader.read(wanted, &mut |number, fetched| send.send((number, fetched)).is_ok())?;
        drop(send);
        let mut all = TopicsRead { unread, ..TopicsRead::default() };
        all.records = vec![0; self.bounds.partitions.len()];
        let mut sinks = Vec::new();
        for worker in workers {
            let (sink, read) = worker.join().map_err(|panic| format!("internal error: {panic}"))?;
            all.records.iter_mut().zip(&read.records).for_each(|(sum, count)| *sum += count);
            all.lines += read.lines;
            all.unread.extend(read.unread);
            sinks.push(sink);
        }
        Ok((sinks, all))
    }

    /// Begins to read the files.
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn start_files<S: FileLineSink>(
        self: &Arc<Self>,
        progress: &Progress,
        mut sink: S,
    ) -> Result<Thread<(S, FilesRead)>, String> {
        let (context, done) = (Arc::clone(self), Arc::clone(&progress.bytes));
        let thread = threads::spawn("verify-files", move || {
            let PassContext { bounds, places, seeds, .. } = &*context;
            let reading = FileReading { bounds, places: *places, seeds, done: &done };
            let read = reading.read(&mut |line| sink.file_line(&line));
            (sink, read)
        });
        thread.map_err(|error| error.to_string())
    }
}

/// Waits for the thread that reads the files.
///
/// # Errors
/// The thread has panicked.
pub(super) fn wait_for_files<S: Send + 'static>(
    thread: Thread<(S, FilesRead)>,
    progress: &mut Progress,
) -> Result<(S, FilesRead), String> {
    while !thread.is_finished() {
        progress.show();
        std::thread::sleep(LOOK_PAUSE);
    }
    thread.join().map_err(|panic| format!("internal error: {panic}"))
}

/// One of the threads that format.
struct TopicWork<S> {
    context: Arc<PassContext>,
    sink: S,
    formatter: LineFormatter,
    read: TopicsRead,
    scratch: Scratch,
    line: Vec<u8>,
}

impl<S: TopicLineSink> TopicWork<S> {
    fn run(mut self, receive: &Receiver<(usize, Fetched)>) -> (S, TopicsRead) {
        for (number, fetched) in receive {
            self.take(number, &fetched);
        }
        (self.sink, self.read)
    }

    /// Records that cannot be decoded are left out to the end of their batch, if that is known.
    fn take(&mut self, number: usize, fetched: &Fetched) {
        let mut at = fetched.from;
        while at < fetched.next {
            let (from, why) = match self.take_from(number, fetched, at) {
                Ok(next) if next >= fetched.next => return,
                Ok(next) => (next, format!("the records of a batch end at offset {next}")),
                Err(broken) => (broken.next, broken.to_string()),
            };
            let end = kafka::batch_end(fetched, from).filter(|end| *end > from && *end < fetched.next);
            at = end.unwrap_or(fetched.next);
            let why = format!("they cannot be decoded: {why}");
            self.read.unread.push(UnreadRange { partition: number, from, to: at, why });
        }
    }

    /// Takes the records from this offset on, and returns the offset to go on at.
    fn take_from(&mut self, number: usize, fetched: &Fetched, from: i64) -> Result<i64, DecodeError> {
        let Self { context, sink, formatter, read, scratch, line } = self;
        let Some(bounds) = context.bounds.partitions.get(number) else { return Ok(fetched.next) };
        let seed = context.seed_of(bounds);
        let decoded = kafka::records_from(fetched, from, scratch, &mut |record| {
            let times = bounds.times(record.offset);
            line.clear();
            if times > 0 && formatter.append(line, &fetched.partition, record) {
                each_line(line, |bytes| {
                    sink.topic_line(bytes, hash_of(seed, bytes), times, (number, record.offset));
                    read.lines += u64::try_from(times).unwrap_or(0);
                });
                if let Some(count) = read.records.get_mut(number) {
                    *count += u64::try_from(times).unwrap_or(0);
                }
            }
            ControlFlow::Continue(())
        });
        decoded.map(|decoded| decoded.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{Payload, RecordSet};
    use crate::logfile::line::LineFormat;
    use crate::record::TopicPartition;
    use crate::verify::bounds::HeldRange;

    /// A batch that is given up leaves the records behind it to be compared.
    #[test]
    fn only_the_batch_that_cannot_be_decoded_is_left_out() {
        let mut damaged = RecordSet::message_for_test(6, b"two");
        *damaged.last_mut().unwrap() ^= 1;
        let set = [RecordSet::message_for_test(5, b"one"), damaged, RecordSet::message_for_test(7, b"three")]
            .concat();
        let partition = TopicPartition::new("t", 0);
        let fetched = Fetched {
            partition: partition.clone(),
            from: 5,
            base: 5,
            next: 8,
            assignment: 1,
            lag: 0,
            broker: None,
            epochs: Vec::new(),
            last: None,
            bytes: set.len() as u64,
            payload: Payload::RecordSet(RecordSet::for_test(&set)),
        };
        let held = vec![HeldRange { from: 0, to: 100, times: 1 }];
        let (judged_from, unsure, written) = (0, None, Vec::new());
        let bounds = PartitionBounds { partition, log: 0, held, judged_from, unsure, written };
        let context = PassContext {
            bounds: Bounds { logs: Vec::new(), partitions: vec![bounds] },
            formatter: LineFormatter::new(LineFormat::Raw),
            places: LinePlaces::Nothing,
            seeds: vec![0],
        };
        let mut work = TopicWork {
            sink: Buckets::new(),
            formatter: context.formatter.clone(),
            context: Arc::new(context),
            read: TopicsRead { records: vec![0], ..TopicsRead::default() },
            scratch: Scratch::default(),
            line: Vec::new(),
        };
        work.take(0, &fetched);
        assert_eq!((work.read.records.as_slice(), work.read.lines), ([2].as_slice(), 2));
        let unread: Vec<(i64, i64)> = work.read.unread.iter().map(|one| (one.from, one.to)).collect();
        assert_eq!(unread, [(6, 7)]);
    }
}
