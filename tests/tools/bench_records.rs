//! How long the record decoder takes for a record, by codec: run by scripts/bench.
//!
//!     bench_records CODEC PASSES      none, gzip, snappy, lz4 or zstd
//!
//! Prints the records decoded and the nanoseconds for each.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a tool")]

mod record_set;

use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::Instant;

use pandad::kafka::protocol::records::{Scratch, decode};
use record_set::{RECORDS, codec, record_set};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let codec = arguments.next().as_deref().and_then(codec);
    let codec = codec.expect("a codec: none, gzip, snappy, lz4 or zstd");
    let passes: i64 = arguments.next().and_then(|passes| passes.parse().ok()).expect("how many passes");
    let set = record_set(codec);
    let mut scratch = Scratch::default();
    let mut lines = Vec::with_capacity(2 << 20);
    let began = Instant::now();
    for _ in 0..passes {
        lines.clear();
        let next = decode(&set, 0, Some(&[]), &mut scratch, &mut |record| {
            lines.extend_from_slice(record.value.unwrap_or_default());
            lines.push(b'\n');
            ControlFlow::Continue(())
        });
        assert_eq!(next.map(|decoded| decoded.next), Ok(RECORDS));
        black_box(&lines);
    }
    let nanoseconds = began.elapsed().as_nanos() as f64;
    let count = RECORDS * passes;
    println!("{count} {:.0} {}", nanoseconds / (count.max(1) as f64), set.len());
}
