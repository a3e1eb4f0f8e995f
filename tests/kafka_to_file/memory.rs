//! Goal: one large record takes at most so many times its own size of memory. Method: a broker that
//! takes large records gives the daemon one, and the kernel tells the most memory that it had.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::servers::{Kafka, kafka};
use crate::support::wait::seconds;
use crate::support::{all, unique, wait};
use serde_json::{Map, Value};

/// A record, and the format of its line.
struct LargeRecord {
    format: &'static str,
    codec: &'static str,
    fill: &'static str,
}

const fn record(format: &'static str, codec: &'static str, fill: &'static str) -> LargeRecord {
    LargeRecord { format, codec, fill }
}

/// Of records that no codec makes smaller (bytes), the library sends none compressed; those of dice
/// are compressed to three quarters.
const RECORDS: [LargeRecord; 10] = [
    record("raw", "none", "letters"),
    record("raw", "gzip", "letters"),
    record("raw", "snappy", "letters"),
    record("raw", "lz4", "letters"),
    record("raw", "zstd", "letters"),
    record("raw", "gzip", "dice"),
    record("json", "gzip", "dice"),
    record("json", "none", "letters"),
    record("json", "none", "bytes"),
    record("original", "none", "bytes"),
];

/// How much memory a record may take at most, as a multiple of the record or of its line, whichever
/// is longer.
const MULTIPLE_MAX: f64 = 2.5;

impl LargeRecord {
    /// The memory that a record of this size takes, as a multiple.
    #[track_caller]
    fn multiple(&self, kafka: &Kafka, size: u64) -> f64 {
        let topic = unique("large");
        let largest = (size + 100_000).to_string();
        let settings = Map::from_iter([("max.message.bytes".to_owned(), Value::from(largest.clone()))]);
        kafka.create_with_settings(vec![(&topic, 1, settings)]);
        let mut daemon = Daemon::new(&Inv::log(kafka, &topic, &topic).job("log_file['format']", self.format));
        daemon.start_and_wait();
        Produce::seq(kafka, &topic, 100).run();
        let written = |daemon: &Daemon| std::fs::read(&daemon.file).unwrap_or_default();
        let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
        wait::until("the small records are written", seconds(30), || lines(&written(&daemon)) == 100);
        let (before, small) = (daemon.memory(), written(&daemon).len() as u64);
        let produce = Produce::seq(kafka, &topic, 1).with("--first", 100).with("--size", size);
        let produce = produce.with("--codec", self.codec).with("--fill", self.fill);
        produce.with("--largest", largest).run();
        let mut line = 0;
        wait::until("the large record is written", seconds(60), || {
            let bytes = written(&daemon);
            line = bytes.len() as u64 - small;
            line >= size && bytes.ends_with(b"\n")
        });
        let taken = (daemon.memory_max() - before) << 10;
        let multiple = taken as f64 / line.max(size) as f64;
        println!(
            "{}, {}, {}: {size} bytes, a line of {line}: {taken} more than before, {multiple:.2} times",
            self.format, self.codec, self.fill
        );
        daemon.stop();
        assert_eq!(lines(&written(&daemon)), 101);
        multiple
    }
}

#[test]
fn a_large_record_takes_little_more_than_itself_and_its_line() {
    let kafka = kafka("3.9.1");
    let tested = kafka.tested("memory of one large record");
    // Somewhat above a power of two, since a buffer that is doubled has the most to spare there.
    let size = if all() { 65 << 20 } else { 17 << 20 };
    let found: Vec<f64> = RECORDS.iter().map(|record| record.multiple(&kafka, size)).collect();
    assert!(found.iter().all(|multiple| *multiple <= MULTIPLE_MAX), "{found:.2?}");
    tested.passed(format!("{} MiB, {} kinds", size >> 20, found.len()));
}
