//! A large compressed record alone in its set, and sets that are something else.

use super::*;

/// A record of five MiB that no codec makes much smaller.
fn large() -> Seen {
    let mut dice = fastrand::Rng::with_seed(5);
    let mut seen = record(70, Some("key"), None);
    seen.value = Some(std::iter::repeat_with(|| dice.u8(..)).take(5 << 20).collect());
    seen.headers = Some(vec![(b"name".to_vec(), None)]);
    seen
}

fn is_unpacked(set: &[u8], from: i64, aborted: Option<&[Aborted]>) -> bool {
    unpack_large(set, from, aborted, &mut Scratch::default()).is_some()
}

#[test]
fn it_is_delivered_as_any_other() {
    let large = large();
    // In format 2 there are no frames of LZ4 with the old checksum.
    for codec in CODECS.into_iter().filter(|codec| !matches!(codec, Codec::None | Codec::Lz4Old)) {
        let mut batch = Batch::of(codec, std::slice::from_ref(&large));
        // Compaction removed the records behind it.
        batch.last_delta = 3;
        let set = batch.bytes();
        for from in [0, 70, 71, 73] {
            let mut scratch = Scratch::default();
            let (expected, done) = read_with(&set, from, None, &mut scratch);
            let large = unpack_large(&set, from, Some(&[]), &mut scratch).unwrap();
            let mut seen = Vec::new();
            let decoded = large.deliver(from, &mut scratch, &mut |record| {
                seen.push(Seen::of(record));
                ControlFlow::Continue(())
            });
            assert!(seen == expected, "{codec:?} from {from}");
            assert_eq!(decoded.unwrap().next, done.unwrap(), "{codec:?} from {from}");
        }
        assert!(!is_unpacked(&set, 74, None), "nothing is at or above that offset");
    }
}

#[test]
fn it_breaks_off_as_any_other() {
    let mut batch = Batch::of(Codec::Gzip, &[large()]);
    batch.last_delta = 3;
    let (set, mut scratch) = (batch.bytes(), Scratch::default());
    let large = unpack_large(&set, 0, None, &mut scratch).unwrap();
    let decoded = large.deliver(0, &mut scratch, &mut |_| ControlFlow::Break(())).unwrap();
    assert_eq!((decoded.next, decoded.last.map(|last| last.0)), (71, Some(70)));
}

#[test]
fn other_sets_are_left_to_the_usual_way() {
    let (large, small) = (large(), record(71, None, Some("small")));
    let of = |codec, records: &[Seen]| Batch::of(codec, records).bytes();
    let lone = of(Codec::Gzip, std::slice::from_ref(&large));
    assert!(is_unpacked(&lone, 0, None));
    let aborted = Aborted { first_offset: 0, producer: 9 };
    assert!(!is_unpacked(&lone, 0, Some(&[aborted])), "it may belong to an aborted transaction");
    let others = [
        ("plain", of(Codec::None, std::slice::from_ref(&large))),
        ("small", of(Codec::Gzip, std::slice::from_ref(&small))),
        ("two records", of(Codec::Gzip, &[large.clone(), small.clone()])),
        ("two batches", [lone.clone(), of(Codec::Gzip, &[small])].concat()),
        ("format 1", stored(1, Codec::Gzip, std::slice::from_ref(&large))),
        ("cut", lone[..lone.len() - 1].to_vec()),
    ];
    for (what, set) in others {
        assert!(!is_unpacked(&set, 0, None), "{what}");
    }
    let mut damaged = lone.clone();
    damaged[3 << 20] ^= 1;
    assert!(!is_unpacked(&damaged, 0, None));
    let plain = Batch::of(Codec::None, &[large]);
    let packed = |records: &[u8]| {
        let batch = Batch { codec: Codec::SnappyRaw, ..plain.clone() };
        batch.bytes_of(&Codec::SnappyRaw.compress(records))
    };
    assert!(is_unpacked(&packed(&plain.records), 0, None));
    assert!(!is_unpacked(&packed(&[&plain.records[..], b"more"].concat()), 0, None), "more than a record");
    assert!(!is_unpacked(&packed(&plain.records[..plain.records.len() - 1]), 0, None), "less than a record");
}
