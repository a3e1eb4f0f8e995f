//! The record decoder against sets made by hand, by the `kafka-protocol` crate and by
//! real brokers, and against tampered sets.

mod aborted;
mod bombs;
mod codecs;
mod forms;
mod hostile;
mod large;
mod made;
mod oracle;
mod recorded;

use made::*;

use super::*;

/// A header's name and value.
type Pair = (Vec<u8>, Option<Vec<u8>>);

/// A record that was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    offset: i64,
    timestamp: Option<i64>,
    append_time: bool,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Option<Vec<Pair>>,
}

impl Seen {
    fn of(record: &Record<'_>) -> Self {
        let own = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        Self {
            offset: record.offset,
            timestamp: record.timestamp,
            append_time: record.append_time,
            key: own(record.key),
            value: own(record.value),
            headers: record
                .headers
                .map(|headers| headers.iter().map(|(name, value)| (name.to_vec(), own(value))).collect()),
        }
    }
}

/// Decodes a set. Returns the offset at which to go on.
fn decode(
    set: &[u8],
    from: i64,
    aborted: Option<&[Aborted]>,
    scratch: &mut Scratch,
    each: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
) -> Result<i64, DecodeError> {
    super::decode(set, from, aborted, scratch, each).map(|done| done.next)
}

/// The records that were delivered, and how decoding ended.
type Ended = (Vec<Seen>, Result<i64, DecodeError>);

fn read_with(set: &[u8], from: i64, aborted: Option<&[Aborted]>, scratch: &mut Scratch) -> Ended {
    let mut seen = Vec::new();
    let mut landmarks = Vec::new();
    let done = super::decode(set, from, aborted, scratch, &mut |record| {
        seen.push(Seen::of(record));
        landmarks.push((record.offset, record.fingerprint()));
        ControlFlow::Continue(())
    });
    if let Ok(done) = done {
        // The last record of the set may be one that was left out with its aborted transaction.
        assert!(done.last.is_none_or(|last| landmarks.contains(&last)));
        assert!(aborted.is_some() || done.last == landmarks.last().copied(), "{done:?}");
    }
    (seen, done.map(|done| done.next))
}

fn read(set: &[u8], from: i64, aborted: Option<&[Aborted]>) -> Ended {
    read_with(set, from, aborted, &mut Scratch::default())
}

/// The records of a complete set. Decoding and scanning must agree on the next offset.
fn all(set: &[u8], from: i64) -> Vec<Seen> {
    let (seen, done) = read(set, from, None);
    assert_eq!(done, span(set, from).map(|span| span.next));
    seen
}

fn offsets(seen: &[Seen]) -> Vec<i64> {
    seen.iter().map(|one| one.offset).collect()
}
