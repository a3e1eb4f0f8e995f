//! The decoder against batches of generated records that the `kafka-protocol` crate wrote.

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression, Record as Theirs, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// The oracle's headers have distinct names in UTF-8.
type Headers = Vec<(String, Option<Vec<u8>>)>;

fn payload() -> impl Strategy<Value = Option<Vec<u8>>> {
    option::of(prop_oneof![vec(any::<u8>(), 0..200), vec(b'a'..b'd', 0..3_000)])
}

fn headers() -> impl Strategy<Value = Headers> {
    let one = ("[a-zäß]{0,9}", option::of(vec(any::<u8>(), 0..40)));
    vec(one, 0..4).prop_map(|mut headers| {
        headers.sort();
        headers.dedup_by(|one, other| one.0 == other.0);
        headers
    })
}

fn generated() -> impl Strategy<Value = (i64, Vec<Seen>)> {
    let timestamp = prop_oneof![1_600_000_000_000..1_800_000_000_000i64, Just(-1), 0..1000i64];
    let one = (timestamp, payload(), payload(), headers());
    (0..1i64 << 40, vec(one, 1..40)).prop_map(|(base, ones)| {
        let seen = ones.into_iter().zip(base..).map(|((timestamp, key, value, headers), offset)| Seen {
            offset,
            timestamp: Some(timestamp),
            append_time: false,
            key,
            value,
            headers: Some(headers.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect()),
        });
        (base, seen.collect())
    })
}

fn theirs(record: &Seen, base: i64) -> Theirs {
    let headers = record.headers.iter().flatten();
    let headers: IndexMap<StrBytes, Option<Bytes>> = headers
        .map(|(name, value)| {
            let name = StrBytes::from_string(String::from_utf8(name.clone()).unwrap());
            (name, value.clone().map(Bytes::from))
        })
        .collect();
    Theirs {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 3,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset: record.offset,
        // The oracle writes one batch as long as offset and sequence rise together.
        sequence: (record.offset - base) as i32,
        timestamp: record.timestamp.unwrap(),
        key: record.key.clone().map(Bytes::from),
        value: record.value.clone().map(Bytes::from),
        headers,
    }
}

/// The oracle has no codecs of its own here; the test passes one.
fn encode(records: &[Theirs], codec: Codec) -> Vec<u8> {
    let compression = match codec.number() {
        0 => Compression::None,
        1 => Compression::Gzip,
        2 => Compression::Snappy,
        3 => Compression::Lz4,
        _ => Compression::Zstd,
    };
    let options = RecordEncodeOptions { version: 2, compression };
    let mut out = BytesMut::new();
    let pack = |plain: &mut BytesMut, out: &mut BytesMut, _| {
        out.extend_from_slice(&codec.compress(plain));
        Ok(())
    };
    RecordBatchEncoder::encode_with_custom_compression(&mut out, records, &options, Some(pack)).unwrap();
    out.to_vec()
}

fn cases() -> ProptestConfig {
    let all = std::env::var("PANDAD_TEST_ALL").is_ok_and(|value| value == "1");
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(if all { 20_000 } else { 300 }) }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn record_sets_of_the_oracle_are_read(
        (base, records) in generated(),
        codec in select(CODECS.into_iter().filter(|codec| *codec != Codec::Lz4Old).collect::<Vec<_>>()),
    ) {
        let given: Vec<Theirs> = records.iter().map(|one| theirs(one, base)).collect();
        let set = encode(&given, codec);
        prop_assert_eq!(span(&set, 0).unwrap().entries, 1);
        prop_assert_eq!(all(&set, 0), records);
    }

    /// The generator of the other tests writes the same bytes as the oracle.
    #[test]
    fn our_generator_agrees_with_the_oracle((base, records) in generated()) {
        let given: Vec<Theirs> = records.iter().map(|one| theirs(one, base)).collect();
        let theirs = encode(&given, Codec::None);
        let mut ours = Batch::of(Codec::None, &records);
        // The first timestamp is free to choose.
        ours.first_timestamp = i64::from_be_bytes(theirs[27..35].try_into().unwrap());
        let first = ours.first_timestamp;
        ours.records = records.iter().flat_map(|one| in_batch(base, first, one)).collect();
        prop_assert_eq!(&ours.bytes()[61..], &theirs[61..]);
        prop_assert_eq!(&ours.bytes()[23..43], &theirs[23..43]);
    }
}
