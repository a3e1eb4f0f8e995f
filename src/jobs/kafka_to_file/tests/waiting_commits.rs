//! A job with two files, in a group: the commit of one file waits for the answer to the commit of the other.

use super::*;
use crate::logfile::LogFile;

/// A log file for each of the topics `a` and `b`.
struct Files {
    dir: PathBuf,
    logs: Vec<LogFile>,
    ledgers: Vec<Ledger>,
}

const TOPICS: [&str; 2] = ["a", "b"];

fn of(topic: &str) -> TopicPartition {
    TopicPartition::new(topic, 0)
}

fn no_metadata() -> OffsetMetadata {
    OffsetMetadata::Text(String::new())
}

impl Files {
    /// Both partitions have been written up to offset 0.
    fn new() -> Files {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let dir = format!("pandad-waiting-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let dir = std::env::temp_dir().join(dir);
        let open = |topic| {
            let path = dir.join(topic).join("out.log");
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let options = LogFileOptions { job: "test", sync: false, rotation: Rotation::off() };
            logfile::open(&path, &options, &mut RestartMemory::default()).unwrap()
        };
        let logs: Vec<_> = TOPICS.into_iter().map(open).collect();
        let ledgers: Vec<_> = logs.iter().map(|log| log.ledger.clone()).collect();
        for (topic, ledger) in TOPICS.into_iter().zip(&ledgers) {
            ledger.resume(&of(topic), None, &no_metadata()).unwrap();
            ledger.set_position(&of(topic), 0).unwrap();
        }
        Files { dir, logs, ledgers }
    }

    fn router() -> FileRouter {
        FileRouter::new(TOPICS.map(str::to_owned).into())
    }

    fn settles(&mut self, file: usize, source: &mut KafkaSource) {
        let log = &mut self.logs[file];
        let checkpoint = log.writer.checkpoint();
        source.feedback(Feedback::Settled(log.settler.settle(checkpoint).unwrap()));
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The coordinator does not answer the commit of one file, the other file's commit waits, and the partitions
/// are lost. After the next assignment both files commit.
#[test]
fn a_commit_that_waited_when_the_partitions_were_lost_does_not_stop_its_file() {
    let files = Files::new();
    let world = Arc::<World>::default();
    let mut group = Group(Arc::clone(&world));
    let mut ledgers = Ledgers::new(Files::router(), files.ledgers.clone());
    ledgers.commit(files.ledgers[0].take_commits().unwrap(), &mut group);
    ledgers.commit(files.ledgers[1].take_commits().unwrap(), &mut group);
    assert_eq!(world.ordered.lock().unwrap().len(), 1, "the commit of b waits");
    // The session ends. The order under way is answered, with nothing.
    ledgers.release_all();
    ledgers.record_committed(&[], &mut group);
    assert!(!ledgers.is_committing());
    for (topic, ledger) in TOPICS.into_iter().zip(&files.ledgers) {
        assert_eq!(ledger.resume(&of(topic), None, &no_metadata()).unwrap().position, Some(0));
    }
    let commits = ledgers.take_commits().unwrap();
    let topics: Vec<_> = commits.iter().map(|one| one.partition.topic.to_string()).collect();
    assert_eq!(topics, TOPICS);
    let answer: Vec<_> = commits.iter().map(|one| (one.partition.clone(), one.offset)).collect();
    ledgers.commit(commits, &mut group);
    ledgers.record_committed(&answer, &mut group);
    assert!(!ledgers.is_behind());
}

/// As above, in the whole source: while one file cannot commit, the gate is closed for every file.
#[test]
fn a_commit_that_waited_when_the_partitions_were_lost_does_not_close_the_gate_for_ever() {
    let mut files = Files::new();
    files.ledgers.iter().for_each(Ledger::release_all);
    let lease = Lease::for_test();
    lease.renew(Duration::from_secs(3600));
    let world = Arc::<World>::default();
    let (_handle, stop) = shutdown::pair();
    let gate = WriteGate::new(lease, true);
    let mut source = KafkaSource::new(SourceParts {
        fetcher: Box::new(Brokers(Arc::clone(&world))),
        group_client: Box::new(Group(Arc::clone(&world))),
        ledgers: Ledgers::new(Files::router(), files.ledgers.clone()),
        start: StartPolicy::Earliest,
        inv: "/etc/t.inv".to_owned(),
        counters: Counters::shared("test", CountedUnit::Records),
        gate: gate.clone(),
        watermarks: Watermarks::default(),
        full_disk_patience: Duration::ZERO,
        is_file_back: Box::new(|| false),
        stop,
    });
    let assigned = || {
        let of_topic =
            |topic| Assigned { partition: of(topic), committed: None, metadata: no_metadata(), new: false };
        GroupEvent::Assigned(TOPICS.map(of_topic).into())
    };
    let says = |source: &mut KafkaSource, event| {
        world.said.lock().unwrap().push_back(event);
        source.poll(Instant::now(), &mut Vec::new()).unwrap();
    };
    says(&mut source, assigned());
    files.settles(0, &mut source);
    files.settles(1, &mut source);
    says(&mut source, GroupEvent::Lost);
    assert_eq!(world.released.load(Relaxed), 1);
    // The answer to the commit that was under way.
    says(&mut source, GroupEvent::Committed(Vec::new()));
    says(&mut source, assigned());
    let mut is_open = false;
    for _ in 0..20 {
        for file in 0..TOPICS.len() {
            if files.logs[file].writer.needs_checkpoint() {
                files.settles(file, &mut source);
                let ordered = world.ordered.lock().unwrap().last().cloned().unwrap_or_default();
                let answer = ordered.into_iter().map(|one| (one.partition, one.offset)).collect();
                says(&mut source, GroupEvent::Committed(answer));
            }
        }
        is_open |= gate.open(files.ledgers.iter());
    }
    assert!(is_open, "nothing is ever written again, to neither file");
}
