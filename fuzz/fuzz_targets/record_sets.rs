//! Record sets, as they are and with every checksum made right: no panic, no record
//! twice or out of order, and an end.
#![no_main]

use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use pandad::kafka::protocol::records::{Aborted, Scratch, decode, span, still_aborted};

fuzz_target!(|input: &[u8]| {
    let Some((first, set)) = input.split_first() else { return };
    let mut set = set.to_vec();
    if first & 1 != 0 {
        mend(&mut set);
    }
    let from = i64::from(first >> 2);
    let list = [Aborted { first_offset: 0, producer: 7 }];
    let aborted = (first & 2 != 0).then_some(&list[..]);
    let (mut next, mut left) = (from, 100_000);
    let done = decode(&set, from, aborted, &mut Scratch::default(), &mut |record| {
        assert!(record.offset >= next);
        next = record.offset + 1;
        left -= 1;
        record.headers.iter().flat_map(|headers| headers.iter()).for_each(drop);
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let whole = span(&set, from);
    match done {
        // Whoever asks goes on where the headers say.
        Ok(decoded) if left > 0 => assert_eq!(Ok(decoded.next), whole.map(|span| span.next)),
        Ok(decoded) => assert!(decoded.next >= next),
        Err(broken) => assert!(broken.next >= next),
    }
    let _ = still_aborted(&set, &list);
});

/// A fuzzer does not guess a checksum.
fn mend(set: &mut [u8]) {
    let mut at = 0;
    while let Some(entry) = set.get_mut(at..).filter(|entry| entry.len() > 26) {
        let size = i32::from_be_bytes([entry[8], entry[9], entry[10], entry[11]]);
        let whole = usize::try_from(size).map_or(usize::MAX, |size| size + 12).clamp(26, entry.len());
        entry[8..12].copy_from_slice(&(whole as i32 - 12).to_be_bytes());
        if entry[16] == 2 {
            let crc = crc(0x82F6_3B78, &entry[21..whole]);
            entry[17..21].copy_from_slice(&crc.to_be_bytes());
        } else {
            let crc = crc(0xEDB8_8320, &entry[16..whole]);
            entry[12..16].copy_from_slice(&crc.to_be_bytes());
        }
        at += whole;
    }
}

fn crc(polynomial: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ polynomial },
        )
    })
}
