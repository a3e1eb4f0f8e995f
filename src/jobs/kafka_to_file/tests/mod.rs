//! A member of a group with a real log file; the test plays the group and the brokers. The tests check what
//! is written and when, what is committed before partitions are released, and what is dropped.

mod cut;
mod events;
mod failed_syncs;
mod file_openings;
mod filtered;
mod formatter;
mod one_member;
mod openings;
mod refused_topics;
mod release;
mod run_error;
mod two_files;
mod waiting_commits;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::file_appender::FileAppender;
use super::file_end::FileEnd;
use super::file_router::FileRouter;
use super::formatter::{FormattedBatch, Truncated, UnreadableBatch};
use super::reopen_requests::ReopenRequests;
use super::run_error::RunError;
use super::shared_ledger::SharedLedger;
use super::sink::{FileSink, FileSyncer};
use super::source::{Feedback, KafkaSource, SourceParts};
use super::watermarks::Watermarks;
use super::write_gate::WriteGate;
use crate::config::StartPolicy;
use crate::error::Fault;
use crate::kafka::{
    Assigned, Event, ExpectedLog, Fetched, Fetcher, GroupClient, GroupEvent, Lease, Payload, StartBasis,
    StartOffset,
};
use crate::logfile::{self, Guard, Ledger, LogFileOptions, RestartMemory, Rotation, TopicFilesOptions};
use crate::pipeline::{Settle, Sink, Source};
use crate::record::{Commit, OffsetMetadata, TopicId, TopicPartition};
use crate::recycle::BufferPool;
use crate::report::{CountedUnit, Counters};
use crate::shutdown::{self, StopHandle};

/// The events that the test sends as group and brokers, and the calls that it received.
#[derive(Default)]
struct World {
    said: Mutex<VecDeque<GroupEvent>>,
    events: Mutex<VecDeque<Event>>,
    ordered: Mutex<Vec<Vec<Commit>>>,
    released: AtomicU32,
    assigned: Mutex<Vec<(TopicPartition, StartOffset)>>,
    /// The topic that the last assignment belongs to.
    expected: Mutex<Option<TopicId>>,
    unassigned: AtomicU32,
    left: AtomicU32,
    /// The answers to the last commits of a run.
    finished: Mutex<VecDeque<Vec<(TopicPartition, i64)>>>,
}

struct Group(Arc<World>);

impl GroupClient for Group {
    fn next(&mut self) -> Result<GroupEvent, Fault> {
        Ok(self.0.said.lock().unwrap().pop_front().unwrap_or(GroupEvent::Unchanged))
    }

    fn commit(&mut self, offsets: Vec<Commit>) {
        self.0.ordered.lock().unwrap().push(offsets);
    }

    fn finish_commit(&mut self, _until: Instant) -> Option<Vec<(TopicPartition, i64)>> {
        self.0.finished.lock().unwrap().pop_front()
    }

    fn confirm_release(&mut self) {
        self.0.released.fetch_add(1, Relaxed);
    }

    fn leave_group(&mut self, _until: Instant) {
        self.0.left.fetch_add(1, Relaxed);
    }
}

struct Brokers(Arc<World>);

impl Fetcher for Brokers {
    fn expect(&mut self, _partition: &TopicPartition, log: ExpectedLog) {
        *self.0.expected.lock().unwrap() = log.topic;
    }

    fn assign(&mut self, partition: &TopicPartition, begin: StartOffset, _assignment: u64) {
        self.0.assigned.lock().unwrap().push((partition.clone(), begin));
    }

    fn unassign(&mut self, _partition: &TopicPartition) {
        self.0.unassigned.fetch_add(1, Relaxed);
    }

    fn next(&mut self, _until: Instant) -> Result<Event, Fault> {
        Ok(self.0.events.lock().unwrap().pop_front().unwrap_or(Event::Nothing))
    }
}

/// Source, sink and settle stage of one member. The test calls them itself, without threads.
struct Member {
    dir: PathBuf,
    world: Arc<World>,
    source: KafkaSource,
    sink: FileSink,
    sync: FileSyncer,
    ledger: Ledger,
    lease: Lease,
    counters: Arc<Counters>,
    assignments: u64,
    buffers: BufferPool,
    /// Dropping the handle requests a stop.
    _stop: StopHandle,
}

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

impl Member {
    fn new() -> Member {
        Member::with_guard(None)
    }

    /// A member with `guard` in place of its lease.
    fn with_guard(guard: Option<Guard>) -> Member {
        Member::with(guard, Rotation::off())
    }

    fn with(guard: Option<Guard>, rotation: Rotation) -> Member {
        Member::starting(StartPolicy::Earliest, guard, rotation)
    }

    fn starting(start: StartPolicy, guard: Option<Guard>, rotation: Rotation) -> Member {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let dir = format!("pandad-member-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let dir = std::env::temp_dir().join(dir);
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("out.log");
        let options = LogFileOptions { job: "test", sync: true, rotation };
        let log = logfile::open(&path, &options, &mut RestartMemory::default()).unwrap();
        let lease = Lease::for_test();
        lease.renew(Duration::from_secs(3600));
        let (world, ledger) = (Arc::<World>::default(), log.ledger.clone());
        let (handle, stop) = shutdown::pair();
        let (router, counters) =
            (FileRouter::new(Vec::new()), Counters::shared("test", CountedUnit::Records));
        let gate = WriteGate::new(lease.clone(), true);
        let source = KafkaSource::new(SourceParts {
            fetcher: Box::new(Brokers(Arc::clone(&world))),
            group_client: Box::new(Group(Arc::clone(&world))),
            ledger: SharedLedger::new(router.clone(), ledger.clone(), vec![Some(log.writer.number())]),
            cluster_id: Box::new(|| None),
            start,
            inv: "/etc/t.inv".to_owned(),
            brokers: "127.0.0.1:9092".to_owned(),
            counters: Arc::clone(&counters),
            gate: gate.clone(),
            watermarks: Watermarks::default(),
            full_disk_patience: Duration::ZERO,
            is_file_back: Box::new(|| false),
            stop: stop.clone(),
        });
        let paths = vec![(log.writer.number(), path.clone())];
        let file =
            FileAppender::new(path.clone(), FileEnd::One(log.writer), ledger.clone(), Watermarks::default())
                .guarded(guard.or(gate.guard()));
        let buffers = BufferPool::new(2);
        let sink = FileSink {
            router,
            files: vec![file],
            ledger: ledger.clone(),
            requests: ReopenRequests::new(log.lock),
            buffers: buffers.clone(),
            counters: Arc::clone(&counters),
            stop,
            gate,
        };
        let sync = FileSyncer { settler: log.settler, paths, counters: Arc::clone(&counters) };
        Member {
            dir,
            world,
            source,
            sink,
            sync,
            ledger,
            lease,
            counters,
            assignments: 0,
            buffers,
            _stop: handle,
        }
    }

    fn says(&self, event: GroupEvent) {
        self.world.said.lock().unwrap().push_back(event);
    }

    fn poll(&mut self) -> Vec<Fetched> {
        let mut items = Vec::new();
        self.source.poll(Instant::now(), &mut items).unwrap();
        items.into_iter().map(|item| item.task).collect()
    }

    /// The group assigns the partition. `committed` is its offset and the metadata of a commit of
    /// this member, or `None` if the group has no offset.
    fn is_given(&mut self, committed: Option<(i64, String)>) {
        self.is_given_one(&partition(), committed);
    }

    fn is_given_one(&mut self, partition: &TopicPartition, committed: Option<(i64, String)>) {
        let metadata = committed.clone().map_or_else(String::new, |(_, token)| token);
        self.says(GroupEvent::Assigned(vec![Assigned {
            partition: partition.clone(),
            committed: committed.map(|(offset, _)| offset),
            metadata: OffsetMetadata::Text(metadata),
            new: false,
        }]));
        self.poll();
        self.assignments += 1;
    }

    /// Polls a reply with these offsets. Returns its lines, as a worker makes them for the sink.
    fn fetches(&mut self, from: i64, next: i64) -> FormattedBatch {
        self.fetches_of(&partition(), self.assignments, from, next)
    }

    fn fetches_of(&mut self, of: &TopicPartition, assignment: u64, from: i64, next: i64) -> FormattedBatch {
        let payload = Payload::Absent;
        let partition = of.clone();
        let fetched = Fetched {
            partition,
            from,
            base: from,
            next,
            assignment,
            lag: 0,
            broker: None,
            epochs: Vec::new(),
            last: None,
            bytes: 1,
            payload,
        };
        self.world.events.lock().unwrap().push_back(Event::Fetched(fetched));
        let polled = self.poll().pop().expect("the reply is polled");
        let lines: Vec<u8> = (from..next).flat_map(|one| format!("line {one}\n").into_bytes()).collect();
        let mut crc = crc32fast::Hasher::new();
        crc.update(&lines);
        let (partition, assignment, records) = (polled.partition, polled.assignment, 1);
        let (cuts, is_part) = (Vec::new(), false);
        let (last, truncated) = (None, None);
        FormattedBatch {
            partition,
            from,
            next,
            assignment,
            lines,
            crc,
            last,
            records,
            filtered: 0,
            truncated,
            cuts,
            is_part,
            spans: Vec::new(),
            last_time: None,
        }
    }

    fn writes(&mut self, batch: Vec<FormattedBatch>) -> Result<(), RunError> {
        batch.into_iter().for_each(|one| self.sink.take(one));
        self.sink.write(&mut Vec::new())
    }

    fn settles(&mut self) -> Feedback {
        let checkpoint = self.sink.checkpoint();
        self.sync.settle(checkpoint).unwrap()
    }

    /// Carries out the last commit that was ordered. Returns its offset and token.
    fn is_committed(&mut self) -> (i64, String) {
        let ordered = self.world.ordered.lock().unwrap().last().cloned().expect("a commit was ordered");
        let done = ordered.iter().map(|one| (one.partition.clone(), one.offset)).collect();
        self.says(GroupEvent::Committed(done));
        self.poll();
        (ordered[0].offset, ordered[0].metadata.clone())
    }

    fn orders(&self) -> usize {
        self.world.ordered.lock().unwrap().len()
    }

    fn content(&self) -> String {
        std::fs::read_to_string(self.dir.join("out.log")).unwrap()
    }

    /// A member that reads the partition from offset 0, which the group holds.
    fn at_work() -> Member {
        Member::new().begins()
    }

    fn begins(mut self) -> Member {
        let member = &mut self;
        member.is_given(None);
        member.ledger.set_position(&partition(), 0).unwrap();
        let message = member.settles();
        member.source.feedback(message);
        assert_eq!(member.is_committed().0, 0);
        self
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Where the files of the topics `a` and `b` are, each in a directory of its own, which is made.
fn two_topics(dir: &std::path::Path, sync: bool) -> TopicFilesOptions {
    let paths = ["a", "b"].map(|topic| dir.join(topic).join("out.log"));
    paths.iter().for_each(|path| std::fs::create_dir_all(path.parent().unwrap()).unwrap());
    let log_file = LogFileOptions { job: "test", sync, rotation: Rotation::off() };
    let topics = ["a", "b"].map(str::to_owned).into();
    TopicFilesOptions { base: dir.join("topics"), paths: paths.into(), topics, log_file }
}

fn lines(count: i64) -> String {
    (0..count).map(|one| format!("line {one}\n")).collect()
}
