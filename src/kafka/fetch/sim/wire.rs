//! Requests and answers in the versions that `kafka-protocol` no longer writes, by hand.

use std::io::Read;
use std::time::Duration;

use super::log::Abort;
use crate::kafka::client::tests::Asked;

/// The rest of a request that is read by hand.
pub(super) struct Rest<'a>(pub(super) &'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    pub(super) fn i8(&mut self) -> i8 {
        i8::from_be_bytes(self.take())
    }

    pub(super) fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.take())
    }

    pub(super) fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.take())
    }

    pub(super) fn string(&mut self) -> String {
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(self.take()))];
        self.0.read_exact(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }
}

pub(super) fn put_string(out: &mut Vec<u8>, text: &str) {
    out.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    out.extend(text.as_bytes());
}

/// Topic, partition, epoch, offset and bytes of a request.
pub(super) type FetchAsked = (String, i32, i32, i64, usize);

/// A Fetch request.
pub(super) struct Asking {
    pub(super) wait: Duration,
    pub(super) max_bytes: usize,
    pub(super) committed: bool,
    /// The number of the fetch session, and the place in it.
    pub(super) session: (i32, i32),
    /// The partitions that are named.
    pub(super) partitions: Vec<FetchAsked>,
    /// The partitions that leave the session.
    pub(super) forgotten: Vec<(String, i32)>,
}

pub(super) fn read_fetch(asked: &Asked) -> Asking {
    let version = asked.version;
    let mut rest = Rest(&asked.body);
    assert_eq!(rest.i32(), -1, "it asks as a replica");
    let wait = Duration::from_millis(u64::try_from(rest.i32()).unwrap());
    let _least = rest.i32();
    let max_bytes = if version >= 3 { usize::try_from(rest.i32()).unwrap() } else { usize::MAX };
    let committed = version >= 4 && rest.i8() == 1;
    let session = if version >= 7 { (rest.i32(), rest.i32()) } else { (0, -1) };
    let mut partitions = Vec::new();
    for _ in 0..rest.i32() {
        let topic = rest.string();
        for _ in 0..rest.i32() {
            let number = rest.i32();
            let epoch = if version >= 9 { rest.i32() } else { -1 };
            let offset = rest.i64();
            if version >= 5 {
                rest.i64();
            }
            partitions.push((topic.clone(), number, epoch, offset, usize::try_from(rest.i32()).unwrap()));
        }
    }
    let mut forgotten = Vec::new();
    for _ in 0..if version >= 7 { rest.i32() } else { 0 } {
        let topic = rest.string();
        (0..rest.i32()).for_each(|_| forgotten.push((topic.clone(), rest.i32())));
    }
    if version >= 11 {
        rest.string();
    }
    assert!(rest.0.is_empty(), "bytes are left behind the request");
    Asking { wait, max_bytes, committed, session, partitions, forgotten }
}

/// The answer for one partition.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) code: i16,
    pub(super) end: i64,
    pub(super) stable: i64,
    pub(super) start: i64,
    pub(super) aborts: Vec<Abort>,
    pub(super) set: Vec<u8>,
}

impl Found {
    pub(super) fn code(code: i16) -> Found {
        Found { code, end: -1, stable: -1, start: -1, aborts: Vec::new(), set: Vec::new() }
    }
}

pub(super) fn write_fetch(
    version: i16,
    (code, session): (i16, i32),
    found: &[(FetchAsked, Found)],
) -> Vec<u8> {
    let mut out = Vec::new();
    if version >= 1 {
        out.extend(0_i32.to_be_bytes());
    }
    if version >= 7 {
        out.extend(code.to_be_bytes());
        out.extend(session.to_be_bytes());
    }
    // Each partition gets a topic entry of its own. A topic may be named more than once.
    out.extend(i32::try_from(found.len()).unwrap().to_be_bytes());
    for ((topic, number, ..), one) in found {
        put_string(&mut out, topic);
        out.extend(1_i32.to_be_bytes());
        out.extend(number.to_be_bytes());
        out.extend(one.code.to_be_bytes());
        out.extend(one.end.to_be_bytes());
        if version >= 4 {
            out.extend(one.stable.to_be_bytes());
        }
        if version >= 5 {
            out.extend(one.start.to_be_bytes());
        }
        if version >= 4 {
            out.extend(i32::try_from(one.aborts.len()).unwrap().to_be_bytes());
            for abort in &one.aborts {
                out.extend(abort.producer.to_be_bytes());
                out.extend(abort.first.to_be_bytes());
            }
        }
        if version >= 11 {
            out.extend((-1_i32).to_be_bytes());
        }
        out.extend(i32::try_from(one.set.len()).unwrap().to_be_bytes());
        out.extend(&one.set);
    }
    out
}
