//! What goes wrong in a schedule: which kinds, how often, and when the cluster changes.
//! All of it comes from the seed, and is shown when a schedule fails.

use std::time::Duration;

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The connection is closed behind some of its bytes.
    Cut,
    /// It comes late.
    Delay,
    /// It never comes, though the connection stays open.
    Stall,
    /// Bytes come that are none of Kafka's.
    Garbage,
    /// It is an answer to another request.
    Stranger,
    /// A frame of its own, with a body of anything.
    Nonsense,
    /// Its record sets end somewhere.
    Short,
    /// Its record sets are empty.
    Empty,
    /// A bit of its records is another.
    Flip,
    /// Each of its partitions has a code of its own.
    Code,
    /// One of its partitions is left out.
    LeftOut,
}

const FAULTS: [Fault; 11] = [
    Fault::Cut,
    Fault::Delay,
    Fault::Stall,
    Fault::Garbage,
    Fault::Stranger,
    Fault::Nonsense,
    Fault::Short,
    Fault::Empty,
    Fault::Flip,
    Fault::Code,
    Fault::LeftOut,
];

/// How the cluster changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Another broker leads a partition.
    Move,
    /// No broker does.
    Leaderless,
    /// Retention deletes the oldest records.
    Delete,
    /// A topic is deleted and made anew.
    Remake,
    /// Records come in.
    Append,
    /// A broker goes down and takes its connections along.
    Down,
    /// All are up.
    Up,
    /// A transaction begins.
    StartOffset,
    /// It ends.
    Decide,
    /// Connections are cut.
    CutAll,
}

const CHANGES: [Change; 10] = [
    Change::Move,
    Change::Leaderless,
    Change::Delete,
    Change::Remake,
    Change::Append,
    Change::Down,
    Change::Up,
    Change::StartOffset,
    Change::Decide,
    Change::CutAll,
];

/// The highest versions of Fetch, ListOffsets and Metadata, as brokers have had them
/// together, and the lowest of each; without a first one it does not answer ApiVersions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Era {
    pub(super) speaks: bool,
    pub(super) fetch: (i16, i16),
    pub(super) list_offsets: (i16, i16),
    pub(super) metadata: (i16, i16),
}

const fn era(speaks: bool, fetch: (i16, i16), list_offsets: (i16, i16), metadata: (i16, i16)) -> Era {
    Era { speaks, fetch, list_offsets, metadata }
}

/// 0.9, 0.10.0, 0.10.2, 0.11, 1.0, 1.1, 2.0, 2.1, 2.8, 3.9 and 4.1.
const ERAS: [Era; 11] = [
    era(false, (0, 1), (0, 0), (0, 0)),
    era(true, (0, 2), (0, 0), (0, 1)),
    era(true, (0, 3), (0, 1), (0, 2)),
    era(true, (0, 5), (0, 2), (0, 4)),
    era(true, (0, 6), (0, 2), (0, 5)),
    era(true, (0, 7), (0, 2), (0, 5)),
    era(true, (0, 8), (0, 3), (0, 6)),
    era(true, (0, 10), (0, 4), (0, 7)),
    era(true, (0, 12), (0, 6), (0, 11)),
    era(true, (0, 17), (0, 9), (0, 12)),
    era(true, (4, 18), (1, 10), (0, 13)),
];

/// One schedule.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) era: Era,
    /// Whether only what transactions have committed is wanted.
    pub(super) committed: bool,
    /// Kinds of faults and how many of a hundred answers have them.
    pub(super) faults: Vec<(Fault, u8)>,
    /// When what changes.
    pub(super) changes: Vec<(Duration, Change)>,
    /// How long it goes on.
    pub(super) lasts: Duration,
}

impl Plan {
    pub(super) fn new(dice: &mut fastrand::Rng) -> Plan {
        let era = ERAS[dice.usize(..ERAS.len())];
        let lasts = Duration::from_millis(dice.u64(300..1500));
        let faults = (0..dice.u8(0..4)).map(|_| (FAULTS[dice.usize(..FAULTS.len())], dice.u8(2..30)));
        let faults = faults.collect();
        let kinds: Vec<Change> = (0..dice.u8(0..5)).map(|_| CHANGES[dice.usize(..CHANGES.len())]).collect();
        let mut changes = Vec::new();
        for kind in kinds {
            for _ in 0..dice.u8(1..5) {
                let at = Duration::from_millis(dice.u64(0..u64::try_from(lasts.as_millis()).unwrap()));
                changes.push((at, kind));
            }
        }
        changes.sort_by_key(|(at, _)| *at);
        Plan { era, committed: dice.bool(), faults, changes, lasts }
    }

    /// The highest record format that its brokers could show as it is.
    pub(super) fn magic(&self) -> u8 {
        match self.era.fetch.1 {
            0 | 1 => 0,
            2 | 3 => 1,
            _ => 2,
        }
    }

    pub(super) fn remakes(&self) -> bool {
        self.changes.iter().any(|(_, change)| *change == Change::Remake)
    }
}
