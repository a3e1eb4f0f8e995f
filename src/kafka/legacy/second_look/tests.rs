//! One partition's turn against a fake broker that sends recorded bytes of Kafka 1.1.1, from a compacted
//! topic: records 0 to 3 of a batch of eight, 8 to 12, 13.

mod broker;

use std::sync::Arc;

use super::*;
use crate::kafka::legacy::client::{LegacyClient, LegacyConnector};
use crate::kafka::legacy::error::LegacyError;
use crate::kafka::legacy::partition_turn::{LegacyCursor, TurnResult, turn};
use crate::kafka::legacy::read;
use crate::kafka::legacy::watchdog::Watchdog;
use crate::kafka::seam::{Event, Fetched, StartOffset, records as records_of};
use broker::Broker;

const END: i64 = 15;

/// The batch from offset 0 to 7, without 4 to 7: as it is in the log, and as it is sent to a client of
/// Fetch 0 that requests 4 to 7 and too few bytes for 8.
const TAILLESS: &str = "0000000000000000000000790000000002e3690697000000000007000001a215debdb7000001a215\
                        debdb7ffffffffffffffffffffffffffff000000042200000002611476616c7565206f6620610022\
                        00000202621476616c7565206f662062002200000402631476616c7565206f662063002200000602\
                        641476616c7565206f66206400";
/// The batch from offset 8 to 12, as it is in the log.
const NEXT: &str = "00000000000000080000008b000000000297f536ea000000000004000001a215debee9000001a215\
                    debee9ffffffffffffffffffffffffffff000000052200000002781476616c7565206f6620780022\
                    00000202651476616c7565206f662065002200000402661476616c7565206f662066002200000602\
                    671476616c7565206f662067002200000802681476616c7565206f66206800";
/// The messages 8 and 9, converted.
const CONVERTED: &str = "00000000000000080000001930f00c73000000000001780000000a76616c7565206f662078\
                         000000000000000900000019eb9a8de9000000000001650000000a76616c7565206f662065";
/// The marker of a transaction, at offset 142 of another topic.
const MARKER: &str = "000000000000008e000000420000000002acab793f003000000000000001a215dc43c8000001a215dc43c8\
                      00000000000000000000ffffffff000000012000000008000000010c00000000000000";

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |digit: u8| u8::try_from(char::from(digit).to_digit(16).unwrap()).unwrap();
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// A client of the crate, and a partition that it reads from an offset.
fn reading(broker: &Broker, from: i64) -> (LegacyClient, LegacyCursor) {
    let mut client = LegacyConnector::new(broker.cluster(), 0).connect(&Arc::new(Watchdog::new())).unwrap();
    read::prepare(&mut client).unwrap();
    client.load_metadata(&[broker::TOPIC.to_owned()]).unwrap();
    (
        client,
        LegacyCursor::new(TopicPartition::new(broker::TOPIC, 0), StartOffset::At(from, Vec::new()), 1, false),
    )
}

fn fetched(client: &mut LegacyClient, cursor: &mut LegacyCursor) -> Fetched {
    match turn(client, cursor) {
        Ok(TurnResult::Report(Event::Fetched(fetched))) => fetched,
        Ok(TurnResult::Stuck(why)) => panic!("stuck: {why}"),
        Ok(_) => panic!("nothing was fetched"),
        Err(error) => panic!("{error:?}"),
    }
}

fn offsets(fetched: &Fetched) -> Vec<i64> {
    let mut offsets = Vec::new();
    let mut each = |record: &crate::record::Record<'_>| {
        offsets.push(record.offset);
        ControlFlow::Continue(())
    };
    records_of(fetched, &mut Scratch::default(), &mut each).unwrap();
    offsets
}

/// The partition stays at its position, and a corrupt record is reported.
fn assert_corrupt(broker: &Broker, at: i64) {
    let (mut client, mut cursor) = reading(broker, at);
    for _ in 0..3 {
        match turn(&mut client, &mut cursor) {
            Err(LegacyError::Records(why)) => assert!(why.contains("CRC"), "{why}"),
            Ok(TurnResult::Report(Event::Fetched(fetched))) => panic!("went on to {}", fetched.next),
            _ => panic!("no corrupt record is reported"),
        }
    }
    let asked = broker.fetches();
    assert!(asked.iter().all(|(_, offset)| *offset == at), "it was read elsewhere: {asked:?}");
}

#[test]
fn a_batch_without_tail_is_skipped() {
    let broker = Broker::new(END, |version, offset| match (version, offset) {
        (_, 4..8) => bytes(TAILLESS),
        (0, _) => bytes(CONVERTED),
        _ => panic!("asked for offset {offset} in version {version}"),
    });
    for from in 4..8 {
        let (mut client, mut cursor) = reading(&broker, from);
        let gap = fetched(&mut client, &mut cursor);
        assert_eq!((gap.from, gap.next, gap.lag, offsets(&gap)), (from, 8, 7, vec![]));
        let next = fetched(&mut client, &mut cursor);
        assert_eq!((next.from, next.next, offsets(&next)), (8, 10, vec![8, 9]));
    }
    let looks = broker.fetches().iter().filter(|(version, _)| *version > 0).count();
    assert_eq!(looks, 4, "one second look each");
}

/// Behind the marker the partition has no new records, and has not failed.
#[test]
fn an_unconverted_marker_is_skipped() {
    let broker = Broker::new(143, |version, offset| match (version, offset) {
        (_, 142) => bytes(MARKER),
        _ => Vec::new(),
    });
    let (mut client, mut cursor) = reading(&broker, 142);
    let gap = fetched(&mut client, &mut cursor);
    assert_eq!((gap.from, gap.next, gap.lag, offsets(&gap)), (142, 143, 0, vec![]));
    assert!(matches!(turn(&mut client, &mut cursor), Ok(TurnResult::Quiet)));
    assert!(cursor.record_success(), "the owner learns that nothing is behind");
    assert!(matches!(cursor.recovered(), Event::Recovered { lag: 0, assignment: 1, .. }));
    assert!(!cursor.record_success(), "once is enough");
}

/// The record of a landmark may be compacted away when the log is compared at a start.
#[test]
fn a_compacted_landmark_is_no_failure() {
    let broker = Broker::new(END, |_, offset| bytes(if offset < 8 { TAILLESS } else { CONVERTED }));
    let (mut client, _) = reading(&broker, 8);
    let begin = StartOffset::At(8, vec![(5, 12345)]);
    let mut cursor = LegacyCursor::new(TopicPartition::new(broker::TOPIC, 0), begin, 1, false);
    assert_eq!(offsets(&fetched(&mut client, &mut cursor)), [8, 9]);
}

#[test]
fn a_corrupt_batch_is_not_skipped() {
    let mut corrupt = bytes(TAILLESS);
    *corrupt.last_mut().unwrap() ^= 1;
    corrupt.extend(bytes(NEXT));
    assert_corrupt(&Broker::new(END, move |_, _| corrupt.clone()), 5);
}

/// A message of the old format, at a broker that converts nothing.
#[test]
fn a_corrupt_message_is_not_skipped() {
    let mut corrupt = bytes(CONVERTED);
    corrupt[30] ^= 1;
    let broker = Broker::new(END, move |_, _| corrupt.clone()).with_fetch_up_to(0);
    assert_corrupt(&broker, 8);
}

/// If the second look brings nothing, the crate's error remains.
#[test]
fn without_a_second_look_nothing_is_skipped() {
    let broker = Broker::new(END, |version, _| if version == 0 { bytes(TAILLESS) } else { Vec::new() });
    assert_corrupt(&broker, 5);
}

/// Each client makes its own second look; the broker is recognized as Kafka 0.9 only once.
#[test]
fn the_detection_of_0_9_is_not_repeated() {
    let broker = Broker::new(END, |_, _| bytes(TAILLESS)).of_kafka_0_9();
    let cluster = broker.cluster();
    let look = || {
        let partition = TopicPartition::new(broker::TOPIC, 0);
        SecondLook::new(&cluster).at(&broker.address(), &partition, 5)
    };
    for _ in 0..3 {
        assert_eq!(look(), Ok(Some(Gap { next: 8, end: END })));
    }
    assert_eq!(broker.versions_asked(), 2, "once on each of the detection's connections");
}

/// Another client of the cluster has seen a broker that answers ApiVersions.
#[test]
fn a_broker_that_hangs_is_not_taken_for_an_old_one() {
    let old = Broker::new(END, |_, _| bytes(TAILLESS)).of_kafka_0_9();
    let today = Broker::new(END, |_, _| Vec::new());
    let cluster = old.cluster();
    cluster.dialer().open(&today.address()).unwrap();
    let looked = SecondLook::new(&cluster).at(&old.address(), &TopicPartition::new(broker::TOPIC, 0), 5);
    assert!(looked.unwrap_err().contains("does not answer ApiVersions"));
}

#[test]
fn one_wrong_bit_proves_nothing() {
    let whole = [bytes(TAILLESS), bytes(NEXT)].concat();
    let mut scratch = Scratch::default();
    assert_eq!(empty_until(&whole, 5, END, &mut scratch), Some(8));
    assert_eq!(empty_until(&whole, 3, END, &mut scratch), None, "there is a record");
    // All bits but those of the base offset and the leader epoch, which no checksum covers.
    let tail = bytes(TAILLESS).len();
    for bit in (8 * 8..tail * 8).filter(|bit| !(12 * 8..16 * 8).contains(bit)) {
        let mut wrong = whole.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(empty_until(&wrong, 5, END, &mut scratch), None, "bit {bit}");
    }
    let mut far = whole.clone();
    far[0] = 1;
    assert_eq!(empty_until(&far, 5, END, &mut scratch), None, "beyond the end");
}

/// Correct batches before a corrupt one are skipped, the corrupt one is not.
#[test]
fn the_proof_ends_at_a_corrupt_batch() {
    let mut set = [bytes(TAILLESS), bytes(NEXT)].concat();
    *set.last_mut().unwrap() ^= 1;
    assert_eq!(empty_until(&set, 5, END, &mut Scratch::default()), Some(8));
    assert_eq!(empty_until(&set, 8, END, &mut Scratch::default()), None);
}
