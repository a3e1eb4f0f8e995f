//! The record set that the benchmarks decode: nearly one MiB of batches of 64 records with values of 230
//! bytes, as a busy producer makes them. It is the same set each time.

use std::io::Write as _;

use bytes::BytesMut;
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::records::{
    Compression, Record as Theirs, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

/// How many records the set has.
pub const RECORDS: i64 = 4096;
/// How many records a batch has.
const BATCH: i64 = 64;

/// A log line of a web server, in JSON: words that repeat and numbers that do not.
pub fn value(index: i64, dice: &mut fastrand::Rng) -> Vec<u8> {
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

/// The codec of this name.
pub fn codec(name: &str) -> Option<Compression> {
    Some(match name {
        "none" => Compression::None,
        "gzip" => Compression::Gzip,
        "snappy" => Compression::Snappy,
        "lz4" => Compression::Lz4,
        "zstd" => Compression::Zstd,
        _ => return None,
    })
}

/// The set as a Fetch answer has it.
pub fn record_set(compression: Compression) -> BytesMut {
    let mut dice = fastrand::Rng::with_seed(1);
    let mut set = BytesMut::new();
    for base in (0..RECORDS).step_by(BATCH as usize) {
        let records: Vec<Theirs> =
            (base..base + BATCH).map(|offset| record(offset, base, &mut dice)).collect();
        let options = RecordEncodeOptions { version: 2, compression };
        let pack = |plain: &mut BytesMut, out: &mut BytesMut, codec| {
            out.extend_from_slice(&compress(codec, plain));
            Ok(())
        };
        RecordBatchEncoder::encode_with_custom_compression(&mut set, &records, &options, Some(pack)).unwrap();
    }
    set
}
