//! Goal: however many partitions one broker leads, each record is a line soon after its acknowledgement.
//! Method: one topic with more partitions than a request names; one record for each of them, spread over
//! seconds, with the times of the acknowledgements and of the lines.

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

/// From the acknowledgement of a record to its line.
const LATE: Duration = seconds(2);
/// From a start to the first line.
const FIRST_LINE: Duration = seconds(1);

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
fn spread(kafka: &Kafka, topic: &str, file: &Path, partitions: &[usize], rate: usize) -> Duration {
    let mut lines = Lines::new(file);
    let acked = thread::scope(|scope| {
        let asked = json!({"do": "spread", "topic": topic, "partitions": partitions, "rate": rate});
        let acked = scope.spawn(|| kafka.ask(asked));
        let limit = seconds((partitions.len() / rate) as u64) + seconds(60);
        wait::until("there is a line for each partition", limit, || {
            thread::sleep(millis(20));
            lines.look() == partitions.len()
        });
        acked.join().unwrap()
    });
    let took = |one: &Value| {
        let partition = one[0].as_u64().unwrap() as usize;
        Duration::try_from_secs_f64(lines.seen[&partition] - one[1].as_f64().unwrap()).unwrap_or_default()
    };
    acked["acked"].as_array().unwrap().iter().map(took).max().unwrap()
}

fn many_partitions(kafka: &Kafka, partitions: usize, rate: usize) {
    let tested =
        kafka.tested("each record is a line within 2 s, with more than 1,000 partitions at a broker");
    let topic = unique("manyparts");
    let created = Instant::now();
    kafka.create(&topic, partitions);
    println!("created after {:?}", created.elapsed());
    // A broker that has just made so many partitions serves all of them only later.
    let backwards: Vec<usize> = (0..partitions).rev().collect();
    kafka.ask(json!({"do": "spread", "topic": topic, "partitions": backwards, "rate": 100_000}));
    println!("produced after {:?}", created.elapsed());
    let mut daemon = Daemon::new(&Inv::log(kafka, &topic, &topic));
    let file = daemon.files()[0].clone();
    let (mut first, began) = (Lines::new(&file), Instant::now());
    daemon.start();
    wait::until("the first line", seconds(60), || first.look() > 0);
    let first_line = began.elapsed();
    wait::until("all lines of the start", seconds(60), || first.look() == partitions);
    println!("first line after {first_line:?}, all after {:?}", began.elapsed());
    let slowest = spread(kafka, &topic, &file, &backwards, rate);
    println!("Kafka {}: {partitions} partitions, slowest {slowest:?}", kafka.version);
    assert!(slowest <= LATE, "a line came {slowest:?} after the acknowledgement of its record");
    assert!(first_line <= FIRST_LINE, "the first line came after {first_line:?}");
    daemon.stop();
    assert_eq!(daemon.log_lines("WARN"), Vec::<String>::new());
    tested.passed(format_args!("{partitions} partitions, slowest {} ms", slowest.as_millis()));
}

#[test]
fn each_record_of_1500_partitions_is_a_line_in_time() {
    many_partitions(&kafka("3.9.1"), 1500, 400);
}
