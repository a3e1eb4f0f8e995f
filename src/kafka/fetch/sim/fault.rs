//! The faults of a schedule: which kinds, how often, and when the cluster changes. All of it comes
//! from the seed, and is printed when a schedule fails.

use std::time::Duration;

/// What happens to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The connection is closed after some of its bytes.
    Cut,
    /// The answer comes late.
    Delay,
    /// The answer never comes, and the connection stays open.
    Stall,
    /// Bytes come that are no Kafka frame.
    Garbage,
    /// The answer has the correlation id of another request.
    Stranger,
    /// The answer's frame is good, and its body is random.
    Nonsense,
    /// The answer's record sets are cut anywhere.
    Short,
    /// The answer's record sets are empty.
    Empty,
    /// One bit of the answer's records is flipped.
    Flip,
    /// Each partition of the answer has an error code.
    Code,
    /// One partition is missing in the answer.
    LeftOutCommands,
    /// The fetch session is gone: others needed the room.
    Evicted,
    /// The request is not the one that the broker expects next in the fetch session.
    WrongEpoch,
}

const FAULTS: [Fault; 13] = [
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
    Fault::LeftOutCommands,
    Fault::Evicted,
    Fault::WrongEpoch,
];

/// How the cluster changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Another broker leads a partition.
    Move,
    /// No broker leads a partition.
    Leaderless,
    /// Retention deletes the oldest records.
    Delete,
    /// A topic is deleted and recreated.
    Remake,
    /// Records are appended.
    Append,
    /// A broker goes down and closes its connections.
    Down,
    /// All brokers are up again.
    Up,
    /// A transaction begins.
    Begin,
    /// The transaction ends.
    Decide,
    /// All connections are closed.
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
    Change::Begin,
    Change::Decide,
    Change::CutAll,
];

/// The versions of three requests in one release of Kafka, lowest and highest. If `speaks` is false, the
/// broker does not answer ApiVersions.
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
    /// Whether the fetcher reads with `read_committed`.
    pub(super) committed: bool,
    /// Whether brokers have no room for fetch sessions.
    pub(super) denies_sessions: bool,
    /// Kinds of faults, and how many of a hundred answers have each.
    pub(super) faults: Vec<(Fault, u8)>,
    /// When the cluster changes, and how.
    pub(super) changes: Vec<(Duration, Change)>,
    /// How long the schedule takes.
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
        let denies_sessions = dice.u8(..8) == 0;
        Plan { era, committed: dice.bool(), denies_sessions, faults, changes, lasts }
    }

    /// The highest record format that the brokers of all its eras can send unconverted.
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
