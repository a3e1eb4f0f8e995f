//! A job with a file for each of two topics: one file's disk refuses, the other's does not.

use std::io::Write;
use std::path::Path;

use super::*;
use crate::report::JobHealth;

/// Source and sink of a job that is alone in its group. The topics `a` and `b` each have one partition
/// and a directory.
struct TwoFiles {
    dir: PathBuf,
    world: Arc<World>,
    source: KafkaSource,
    sink: FileSink,
    sync: FileSyncer,
    stop: StopHandle,
}

fn of(topic: &str) -> TopicPartition {
    TopicPartition::new(topic, 0)
}

impl TwoFiles {
    /// Both partitions are read from offset 0.
    fn at_work() -> TwoFiles {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let dir = format!("pandad-two-files-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let dir = std::env::temp_dir().join(dir);
        let (world, counters) = (Arc::<World>::default(), Counters::shared("test", CountedUnit::Records));
        let (handle, stop) = shutdown::pair();
        let gate = WriteGate::new(Lease::for_test(), false);
        let router = FileRouter::new(vec!["a".to_owned(), "b".to_owned()]);
        let options = two_topics(&dir, false);
        let opened = logfile::open_topics(&options, Vec::new(), &mut RestartMemory::default()).unwrap();
        let (ledger, mut files, mut numbers) = (opened.ledger, Vec::new(), Vec::new());
        for (path, writer) in opened.files {
            numbers.push((writer.number(), path.clone()));
            let health = Arc::new(JobHealth::new(path.display().to_string()));
            let file = FileAppender::new(path, FileEnd::One(writer), ledger.clone(), Watermarks::default());
            files.push(file.among_others(health));
        }
        assert_eq!(files.len(), 2);
        let of_files = numbers.iter().map(|(number, _)| Some(*number)).collect();
        let source = KafkaSource::new(SourceParts {
            fetcher: Box::new(Brokers(Arc::clone(&world))),
            group_client: Box::new(Group(Arc::clone(&world))),
            ledger: SharedLedger::new(router.clone(), ledger.clone(), of_files),
            cluster_id: Box::new(|| None),
            start: StartPolicy::Earliest,
            inv: "/etc/t.inv".to_owned(),
            brokers: "127.0.0.1:9092".to_owned(),
            counters: Arc::clone(&counters),
            gate: gate.clone(),
            watermarks: Watermarks::default(),
            full_disk_patience: Duration::ZERO,
            is_file_back: Box::new(|| false),
            stop: stop.clone(),
        });
        let sync = FileSyncer { settler: opened.settler, paths: numbers, counters: Arc::clone(&counters) };
        let (buffers, requests) = (BufferPool::new(2), ReopenRequests::new(opened.lock));
        let sink =
            FileSink { router, files, ledger: ledger.clone(), requests, buffers, counters, stop, gate };
        let mut two = TwoFiles { dir, world, source, sink, sync, stop: handle };
        let assigned = ["a", "b"].map(|topic| Assigned {
            partition: of(topic),
            committed: None,
            metadata: OffsetMetadata::Text(String::new()),
            new: false,
        });
        two.world.said.lock().unwrap().push_back(GroupEvent::Assigned(assigned.into()));
        two.poll();
        for (topic, assignment) in [("a", 1), ("b", 2)] {
            ledger.set_position(&of(topic), 0).unwrap();
            two.event(Event::resolved(of(topic), assignment, (0, StartBasis::Bound)));
        }
        two.writes().unwrap();
        two
    }

    fn event(&mut self, event: Event) {
        self.world.events.lock().unwrap().push_back(event);
        self.poll();
    }

    fn poll(&mut self) {
        self.source.poll(Instant::now(), &mut Vec::new()).unwrap();
    }

    /// A reply with these offsets is polled, and its outcome comes to the sink.
    fn is_polled(&mut self, topic: &str, from: i64, next: i64) {
        let assignment = if topic == "a" { 1 } else { 2 };
        let (last, broker, payload) = (None, None, Payload::Absent);
        let (partition, base, lag, bytes) = (of(topic), from, 0, 1);
        let fetched = Fetched {
            partition,
            from,
            base,
            next,
            assignment,
            lag,
            broker,
            last,
            bytes,
            epochs: Vec::new(),
            payload,
        };
        self.world.events.lock().unwrap().push_back(Event::Fetched(fetched));
        let mut tasks = Vec::new();
        self.source.poll(Instant::now(), &mut tasks).unwrap();
        assert_eq!(tasks.len(), 1);
        self.comes(topic, from, next);
    }

    /// An outcome of these offsets comes to the sink.
    fn comes(&mut self, topic: &str, from: i64, next: i64) {
        let lines: Vec<u8> = (from..next).flat_map(|one| format!("line {one}\n").into_bytes()).collect();
        let mut crc = crc32fast::Hasher::new();
        crc.update(&lines);
        self.sink.take(FormattedBatch {
            partition: of(topic),
            from,
            next,
            assignment: 0,
            lines,
            crc,
            last: None,
            records: 1,
            filtered: 0,
            truncated: None,
            cuts: Vec::new(),
            is_part: false,
            spans: Vec::new(),
            last_time: None,
        });
    }

    /// Calls the sink as its stage does, and passes its messages on.
    fn writes(&mut self) -> Result<(), RunError> {
        let mut messages = Vec::new();
        let written = self.sink.tick(&mut messages).and_then(|()| self.sink.write(&mut messages));
        messages.into_iter().for_each(|message| self.source.feedback(message));
        written
    }

    fn settles(&mut self) {
        let settled = self.sync.settle(self.sink.checkpoint()).unwrap();
        self.source.feedback(settled);
    }

    fn is_revoked(&self) {
        let until = Instant::now() + Duration::from_secs(60);
        self.world.said.lock().unwrap().push_back(GroupEvent::Revoked(until));
    }

    /// Carries out the commits, and polls until the partitions are released.
    fn releases(&mut self) {
        let until = Instant::now() + Duration::from_secs(20);
        while self.world.released.load(Relaxed) == 0 {
            assert!(Instant::now() < until, "they are not released");
            for ordered in std::mem::take(&mut *self.world.ordered.lock().unwrap()) {
                let done = ordered.into_iter().map(|one| (one.partition, one.offset)).collect();
                self.world.said.lock().unwrap().push_back(GroupEvent::Committed(done));
            }
            self.poll();
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn content(&self, topic: &str) -> String {
        std::fs::read_to_string(self.dir.join(topic).join("out.log")).unwrap_or_default()
    }

    /// The directory of a topic is away, or back.
    fn moves(&self, from: &str, to: &str) {
        std::fs::rename(self.dir.join(from), self.dir.join(to)).unwrap();
    }

    /// Tries again until the file of this topic has so many lines.
    fn waits_for(&mut self, topic: &str, count: i64) {
        let until = Instant::now() + Duration::from_secs(20);
        while self.content(topic) != lines(count) {
            assert!(Instant::now() < until, "{}", self.content(topic));
            self.writes().unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for TwoFiles {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn one_file_refuses_and_the_other_is_written() {
    let mut two = TwoFiles::at_work();
    two.moves("a", "away");
    two.comes("a", 0, 3);
    two.comes("a", 3, 5);
    two.comes("b", 0, 2);
    two.writes().unwrap();
    assert_eq!(two.content("b"), lines(2));
    assert_eq!(two.world.unassigned.load(Relaxed), 1, "the partition of one file is not read");
    // What still comes of it is dropped, and nothing of it waits for the stage.
    two.comes("a", 5, 9);
    assert!(!two.sink.has_pending() && !two.sink.holds_back());
    two.comes("b", 2, 4);
    two.writes().unwrap();
    assert_eq!(two.content("b"), lines(4));
    two.poll();
    let before = two.world.assigned.lock().unwrap().len();

    two.moves("away", "a");
    two.waits_for("a", 5);
    two.poll();
    let assigned = two.world.assigned.lock().unwrap().split_off(before);
    assert_eq!(assigned, [(of("a"), StartOffset::At(5, Vec::new()))], "it is read from where it was written");
    two.comes("a", 5, 7);
    two.writes().unwrap();
    assert_eq!(two.content("a"), lines(7));
}

/// Only what the refusing file holds of a write needs a restart, and not before the other files are done.
#[test]
fn a_rebalance_waits_for_the_files_that_accept_writes() {
    let mut two = TwoFiles::at_work();
    two.is_polled("a", 0, 3);
    two.is_polled("b", 0, 2);
    two.moves("a", "away");
    two.writes().unwrap();
    two.is_polled("b", 2, 4);
    two.is_revoked();
    two.poll();
    two.writes().unwrap();
    two.poll();
    assert_eq!(two.content("b"), lines(4));
    two.settles();
    let released = two.source.poll(Instant::now(), &mut Vec::new());
    assert!(matches!(released, Err(RunError::Fault(Fault::Retry(why))) if why.contains("rebalances")));
}

#[test]
fn a_rebalance_restarts_nothing_if_the_refusing_file_holds_no_records() {
    let mut two = TwoFiles::at_work();
    two.moves("a", "away");
    two.stop.reopen();
    two.is_polled("b", 0, 2);
    two.writes().unwrap();
    assert_eq!(two.world.unassigned.load(Relaxed), 1, "a refuses");
    two.is_polled("b", 2, 4);
    two.is_revoked();
    two.poll();
    two.writes().unwrap();
    two.poll();
    two.settles();
    two.releases();
    assert_eq!(two.content("b"), lines(4));
}

/// A request waits for the file that refuses. One that comes after it is served in the other files all the
/// same: what was moved away there is done with.
#[test]
fn a_later_request_to_reopen_is_served_while_one_file_refuses() {
    let mut two = TwoFiles::at_work();
    let lock = two.sync.settler.journal_path().with_extension("lock");
    let ask =
        || std::fs::OpenOptions::new().append(true).open(&lock).unwrap().write_all(b"reopen\n").unwrap();
    let answered = || {
        let text = std::fs::read_to_string(&lock).unwrap();
        text.lines().nth(3).unwrap().trim().parse::<u64>().unwrap()
    };
    let before = answered();
    two.moves("a", "away");
    let moves_b = |round: u32| {
        let path = two.dir.join("b").join("out.log");
        std::fs::rename(&path, path.with_extension(round.to_string())).unwrap();
        path
    };
    let (first, is_there) = (moves_b(1), |path: &Path| path.exists());
    ask();
    two.sink.tick(&mut Vec::new()).unwrap();
    assert!(is_there(&first) && answered() == before, "a refuses");
    let second = moves_b(2);
    ask();
    two.sink.tick(&mut Vec::new()).unwrap();
    assert!(is_there(&second), "b is not reopened");
    assert_eq!(answered(), before);
    two.moves("away", "a");
    let until = Instant::now() + Duration::from_secs(20);
    while answered() == before {
        assert!(Instant::now() < until, "no answer");
        std::thread::sleep(Duration::from_millis(20));
        two.writes().unwrap();
    }
    assert_eq!(answered(), before + 2 * "reopen\n".len() as u64);
}

/// A partition that comes while its file refuses waits for it.
#[test]
fn nothing_is_read_for_a_file_that_refuses() {
    let mut two = TwoFiles::at_work();
    two.moves("a", "away");
    two.comes("a", 0, 3);
    two.writes().unwrap();
    two.world.assigned.lock().unwrap().clear();
    let new = Assigned {
        partition: TopicPartition::new("a", 1),
        committed: None,
        metadata: OffsetMetadata::Text(String::new()),
        new: true,
    };
    // Its journal stands in a file that is open.
    two.world.said.lock().unwrap().push_back(GroupEvent::Assigned(vec![new]));
    two.poll();
    two.poll();
    assert!(two.world.assigned.lock().unwrap().is_empty());
    two.moves("away", "a");
    two.waits_for("a", 3);
    two.poll();
    assert_eq!(two.world.assigned.lock().unwrap().len(), 2);
}

#[test]
fn the_job_waits_when_every_file_refuses() {
    let mut two = TwoFiles::at_work();
    two.moves("a", "away");
    two.moves("b", "gone");
    two.comes("a", 0, 3);
    two.comes("b", 0, 2);
    assert!(matches!(two.writes(), Err(RunError::Fault(Fault::Retry(why))) if why.contains("cannot write")));
    two.moves("away", "a");
    two.moves("gone", "b");
    std::thread::sleep(Duration::from_millis(200));
    two.writes().unwrap();
    two.waits_for("b", 2);
    assert_eq!(two.content("a"), lines(3));
}
