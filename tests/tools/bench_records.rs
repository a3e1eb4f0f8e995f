//! How long the record decoder takes for a record, by codec: run by scripts/bench.
//!
//!     bench_records CODEC PASSES      none, gzip, snappy, lz4 or zstd
//!
//! Prints the records decoded and the nanoseconds for each. The set is near a MiB of
//! batches of 64 records with values of 230 bytes, as a busy producer makes them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a tool")]

use std::hint::black_box;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::time::Instant;

use bytes::BytesMut;
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::records::{
    Compression, Record as Theirs, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use pandad::kafka::protocol::records::{Scratch, decode};

const RECORDS: i64 = 4096;
const BATCH: i64 = 64;

/// A log line of a web server, in JSON: words that repeat and numbers that do not.
fn value(index: i64, dice: &mut fastrand::Rng) -> Vec<u8> {
    let mut text =
        format!("{{\"ts\":{},\"i\":{index},\"host\":\"web{}\",\"msg\":\"", 1_700_000_000 + index, index % 40);
    while text.len() < 226 {
        text += dice.choice(["GET ", "/path/to/", "user=", "200 ", "error ", "timeout "]).unwrap();
        text += &format!("{:x} ", dice.u16(..4096));
    }
    text.truncate(226);
    (text + "\"}").into_bytes()
}

fn record(offset: i64, base: i64, dice: &mut fastrand::Rng) -> Theirs {
    Theirs {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 0,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset,
        sequence: (offset - base) as i32,
        timestamp: 1_700_000_000_000 + offset,
        key: Some(format!("key{}", offset % 1000).into()),
        value: Some(value(offset, dice).into()),
        headers: IndexMap::new(),
    }
}

fn compress(codec: Compression, plain: &[u8]) -> Vec<u8> {
    match codec {
        Compression::None => plain.to_vec(),
        Compression::Gzip => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            out.write_all(plain).unwrap();
            out.finish().unwrap()
        }
        Compression::Snappy => {
            let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
            for block in plain.chunks(32 << 10) {
                let block = snap::raw::Encoder::new().compress_vec(block).unwrap();
                out.extend((block.len() as i32).to_be_bytes());
                out.extend(block);
            }
            out
        }
        Compression::Lz4 => {
            let mut out = lz4_flex::frame::FrameEncoder::new(Vec::new());
            out.write_all(plain).unwrap();
            out.finish().unwrap()
        }
        Compression::Zstd => {
            ruzstd::encoding::compress_to_vec(plain, ruzstd::encoding::CompressionLevel::Fastest)
        }
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let codec = match arguments.next().as_deref() {
        Some("none") => Compression::None,
        Some("gzip") => Compression::Gzip,
        Some("snappy") => Compression::Snappy,
        Some("lz4") => Compression::Lz4,
        Some("zstd") => Compression::Zstd,
        _ => panic!("a codec: none, gzip, snappy, lz4 or zstd"),
    };
    let passes: i64 = arguments.next().and_then(|passes| passes.parse().ok()).expect("how many passes");
    let mut dice = fastrand::Rng::with_seed(1);
    let mut set = BytesMut::new();
    for base in (0..RECORDS).step_by(BATCH as usize) {
        let records: Vec<Theirs> =
            (base..base + BATCH).map(|offset| record(offset, base, &mut dice)).collect();
        let options = RecordEncodeOptions { version: 2, compression: codec };
        let pack = |plain: &mut BytesMut, out: &mut BytesMut, codec| {
            out.extend_from_slice(&compress(codec, plain));
            Ok(())
        };
        RecordBatchEncoder::encode_with_custom_compression(&mut set, &records, &options, Some(pack)).unwrap();
    }
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
