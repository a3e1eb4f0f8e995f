//! What may happen in a history. An event holds all its random choices, and does nothing where it does not
//! apply, so that any event may be left out of a history.

use fastrand::Rng;

use super::vocabulary::PARTITIONS;

#[derive(Debug, Clone, Copy)]
pub(super) enum HistoryEvent {
    /// The program starts. It may be killed after `dies` steps of its start.
    Start { host: usize, dice: u32, dies: Option<u8> },
    /// This many records of each partition are written, as one range.
    Write { host: usize, counts: [u8; PARTITIONS] },
    /// The written records settle, and a commit is ordered if none is under way.
    Settle { host: usize },
    /// The commit under way ends as `fate` says.
    Answer { host: usize, fate: CommitFate },
    /// A delayed commit is carried out.
    Late { which: u8 },
    /// The program is killed, or the power fails. The first `kept` unsettled ranges are left.
    Crash { host: usize, kept: u8, fate: CommitFate },
    /// The program ends with everything settled.
    Stop { host: usize, fate: CommitFate },
    /// The partitions are assigned again.
    Rebalance { dice: u32 },
    /// An operator sets the group's offset.
    Reset { partition: usize, target: ResetTarget, metadata: ResetMetadata },
    /// The group's offset of one partition expires.
    Expire { partition: usize },
    /// The group's offsets of all partitions are gone.
    DeleteGroup,
    /// A copy of a stopped host's journal and file is made.
    Copy { host: usize },
    /// An older copy is put back.
    Restore { host: usize, which: u8 },
    /// A topic is deleted and created again.
    Recreated { partition: usize },
    /// Commits of later starts carry tokens.
    Upgrade,
}

/// What becomes of a commit.
#[derive(Debug, Clone, Copy)]
pub(super) enum CommitFate {
    /// The commit is carried out and answered.
    Done,
    /// The commit is carried out for the partitions that the bits name, and not answered.
    ReplyLost(u8),
    /// The commit is not carried out.
    Lost,
    /// The commit is not answered, and is carried out later or never. Until then it is tried again.
    Delayed,
}

/// Where an operator sets the group's offset to.
#[derive(Debug, Clone, Copy)]
pub(super) enum ResetTarget {
    At(i64),
    /// Exactly where a host's journal is.
    Position(usize),
    /// At this distance from the group's offset.
    Held(i64),
    /// An offset that the group has had before.
    Seen(usize, usize),
}

/// The metadata beside an offset that an operator sets.
#[derive(Debug, Clone, Copy)]
pub(super) enum ResetMetadata {
    None,
    Text,
    /// The metadata of another partition.
    Copied(usize),
}

fn fate(dice: &mut Rng) -> CommitFate {
    match dice.u8(0..10) {
        0..5 => CommitFate::Done,
        5 => CommitFate::ReplyLost(u8::MAX),
        6 => CommitFate::ReplyLost(dice.u8(..)),
        7 => CommitFate::Delayed,
        _ => CommitFate::Lost,
    }
}

fn reset(dice: &mut Rng) -> HistoryEvent {
    let target = match dice.u8(0..8) {
        0 => ResetTarget::Position(dice.usize(0..3)),
        1 => ResetTarget::Held(dice.i64(-5..=5)),
        2 => ResetTarget::Seen(dice.usize(0..3), dice.usize(0..20)),
        3 => ResetTarget::At(dice.i64(0..4)),
        _ => ResetTarget::At(dice.i64(0..120)),
    };
    let metadata = match dice.u8(0..4) {
        0 => ResetMetadata::Copied(dice.usize(0..PARTITIONS)),
        1 => ResetMetadata::Text,
        _ => ResetMetadata::None,
    };
    HistoryEvent::Reset { partition: dice.usize(0..PARTITIONS), target, metadata }
}

/// A history for this many hosts. Each history is rich in some kinds of mishap and poor in others, so that
/// some histories have mishaps of only one kind.
pub(super) fn history(dice: &mut Rng, hosts: usize) -> Vec<HistoryEvent> {
    let rates: [u8; 5] = std::array::from_fn(|_| if dice.bool() { dice.u8(0..60) } else { 0 });
    let mut events = Vec::new();
    let length = dice.usize(10..100);
    while events.len() < length {
        let host = dice.usize(0..hosts);
        match dice.u8(0..20) {
            0..6 => {
                let most = if dice.u8(0..4) == 0 { 20 } else { 5 };
                let counts = std::array::from_fn(|_| dice.u8(0..most));
                events.push(HistoryEvent::Write { host, counts });
            }
            6..9 => events.push(HistoryEvent::Settle { host }),
            9..12 => events.push(HistoryEvent::Answer { host, fate: fate(dice) }),
            12 => events.push(HistoryEvent::Rebalance { dice: dice.u32(..) }),
            13 => events.push(HistoryEvent::Late { which: dice.u8(..) }),
            _ => between_runs(dice, host, hosts, rates, &mut events),
        }
    }
    events
}

/// A program ends, things happen while it does not run, and a program starts.
fn between_runs(dice: &mut Rng, host: usize, hosts: usize, rates: [u8; 5], events: &mut Vec<HistoryEvent>) {
    let [resets, expiries, copies, lateness, others] = rates;
    let likely = |dice: &mut Rng, rate: u8| dice.u8(0..100) < rate;
    match dice.u8(0..8) {
        0..2 => events.push(HistoryEvent::Stop { host, fate: fate(dice) }),
        2 => {}
        _ => {
            let kept = if dice.bool() { u8::MAX } else { dice.u8(0..3) };
            events.push(HistoryEvent::Crash { host, kept, fate: fate(dice) });
        }
    }
    if likely(dice, copies) {
        events.push(HistoryEvent::Copy { host });
    }
    if likely(dice, copies / 2) {
        events.push(HistoryEvent::Restore { host, which: dice.u8(..) });
    }
    if likely(dice, resets) {
        events.push(reset(dice));
    }
    if likely(dice, lateness) {
        events.push(HistoryEvent::Late { which: dice.u8(..) });
    }
    if likely(dice, expiries) {
        events.push(HistoryEvent::Expire { partition: dice.usize(0..PARTITIONS) });
    }
    if likely(dice, expiries / 4) {
        events.push(HistoryEvent::DeleteGroup);
    }
    if likely(dice, others / 3) {
        events.push(HistoryEvent::Upgrade);
    }
    if likely(dice, others / 2) {
        events.push(HistoryEvent::Recreated { partition: dice.usize(0..PARTITIONS) });
    }
    let dies = (dice.u8(0..6) == 0).then(|| dice.u8(0..8));
    let host = if dice.bool() { host } else { dice.usize(0..hosts) };
    events.push(HistoryEvent::Start { host, dice: dice.u32(..), dies });
}
