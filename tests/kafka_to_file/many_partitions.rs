//! Goal: however many partitions one broker leads, each record is a line soon after its acknowledgement.
//! Method: one topic with more partitions than a request names; one record for each of them, spread over
//! seconds, with the times of the acknowledgements and of the lines.

use crate::support::cluster::Cluster;
use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::servers::{Kafka, kafka};
use crate::support::wait::{millis, seconds};
use crate::support::{all, unique, wait};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A controller from Kafka 4 on makes no more than some thousand partitions in one request.
const CREATED_MAX: usize = 5000;
/// From the acknowledgement of a record to its line.
const LATE: Duration = seconds(2);
/// From a start to the first line.
const FIRST_LINE: Duration = seconds(1);
/// From a start to the last of the lines that were waiting, for each 1,000 partitions.
const ALL_LINES_OF_1000: Duration = seconds(2);

/// The lines of a file from a place on, each with the time at which it was seen.
struct Lines {
    file: PathBuf,
    from: usize,
    seen: HashMap<usize, f64>,
}

impl Lines {
    /// The lines that come from now on.
    fn new(file: &Path) -> Lines {
        let from = std::fs::read(file).unwrap_or_default().len();
        Lines { file: file.to_owned(), from, seen: HashMap::new() }
    }

    fn look(&mut self) -> usize {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        let whole = text.rfind('\n').map_or(self.from, |end| end + 1);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        for line in text[self.from..whole].lines() {
            assert_eq!(self.seen.insert(line.parse().unwrap(), now), None, "a line came twice");
        }
        self.from = whole;
        self.seen.len()
    }
}

/// Produces one record for each of these partitions, and waits for the lines. Returns how long the slowest
/// took.
fn spread(kafka: &Kafka, topic: &str, file: &Path, partitions: usize, rate: usize) -> Duration {
    let mut lines = Lines::new(file);
    let acked = thread::scope(|scope| {
        let asked = json!({"do": "spread", "topic": topic, "partitions": partitions, "rate": rate});
        let acked = scope.spawn(|| kafka.ask(asked));
        let limit = seconds((partitions / rate) as u64) + seconds(60);
        wait::until("there is a line for each partition", limit, || {
            thread::sleep(millis(20));
            lines.look() == partitions
        });
        acked.join().unwrap()
    });
    let took = |one: &Value| {
        let partition = one[0].as_u64().unwrap() as usize;
        Duration::try_from_secs_f64(lines.seen[&partition] - one[1].as_f64().unwrap()).unwrap_or_default()
    };
    acked["acked"].as_array().unwrap().iter().map(took).max().unwrap()
}

/// At the end of it the daemon still runs, and has nothing to do; `idle` may look at what that costs.
fn many_partitions(kafka: &Kafka, partitions: usize, rate: usize, idle: impl FnOnce(&Daemon)) {
    let tested =
        kafka.tested("each record is a line within 2 s, with more than 1,000 partitions at a broker");
    let topic = unique("manyparts");
    let created = Instant::now();
    kafka.create(&topic, partitions.min(CREATED_MAX));
    for more in (CREATED_MAX..partitions).step_by(CREATED_MAX) {
        kafka.alter(&topic, partitions.min(more + CREATED_MAX));
    }
    println!("created after {:?}", created.elapsed());
    // A broker that has just made so many partitions serves all of them only later.
    kafka.ask(json!({"do": "spread", "topic": topic, "partitions": partitions, "rate": 100_000}));
    println!("produced after {:?}", created.elapsed());
    let mut daemon = Daemon::new(&Inv::log(kafka, &topic, &topic));
    let file = daemon.files()[0].clone();
    let (mut first, began) = (Lines::new(&file), Instant::now());
    daemon.start();
    wait::until("the first line", seconds(60), || first.look() > 0);
    let first_line = began.elapsed();
    wait::until("all lines of the start", seconds(60), || first.look() == partitions);
    let all_lines = began.elapsed();
    println!("first line after {first_line:?}, all after {all_lines:?}");
    let slowest = spread(kafka, &topic, &file, partitions, rate);
    println!("Kafka {}: {partitions} partitions, slowest {slowest:?}", kafka.version);
    assert!(slowest <= LATE, "a line came {slowest:?} after the acknowledgement of its record");
    assert!(first_line <= FIRST_LINE, "the first line came after {first_line:?}");
    let limit = ALL_LINES_OF_1000 * u32::try_from(partitions / 1000).unwrap();
    assert!(all_lines <= limit, "the lines of {partitions} partitions came after {all_lines:?}");
    assert_eq!(daemon.log_lines("WARN"), Vec::<String>::new());
    tested.passed(format_args!("{partitions} partitions, slowest {} ms", slowest.as_millis()));
    idle(&daemon);
    daemon.stop();
    // The broker belongs to other tests, too, and so many files make it slow.
    kafka.ask(json!({"do": "delete", "topic": topic}));
}

/// In the full form also brokers that keep no fetch sessions, because they are too old or have no room, and a
/// broker of 1.1.1, which keeps the first kind of these.
#[test]
fn each_record_of_1500_partitions_is_a_line_in_time() {
    many_partitions(&kafka("3.9.1"), 1500, 400, |_| {});
    if all() {
        many_partitions(&kafka("0.10.2.2"), 1500, 400, |_| {});
        many_partitions(&kafka("1.1.1"), 3000, 400, |_| {});
        let full = Cluster::with_heap("4.1.0", 1, "1g");
        full.configure(1, "max.incremental.fetch.session.cache.slots=0");
        full.stop(1);
        full.start(1);
        many_partitions(&full.kafka(), 5000, 1000, |_| {});
    }
}

#[test]
fn each_record_of_10000_partitions_is_a_line_in_time_and_idling_costs_little() {
    // The broker needs a minute and two GiB.
    if !all() {
        return;
    }
    let large = Cluster::with_heap("4.1.0", 1, "2g");
    many_partitions(&large.kafka(), 10_000, 2000, |daemon| {
        let (before, began) = (daemon.cpu(), Instant::now());
        thread::sleep(seconds(20));
        let share = (daemon.cpu() - before).as_secs_f64() / began.elapsed().as_secs_f64();
        println!("idle: {:.2} % of a processor, {} KiB", share * 100.0, daemon.memory());
        // The static binary is optimised.
        if std::env::var_os("PANDAD_BIN").is_some() {
            assert!(share <= 0.01, "an idle pandad takes {share} of a processor");
        }
    });
}
