//! What may happen in a history. Events hold all that was left to chance, and each does
//! nothing where it does not apply, so that any of them may be left out of a history.

use fastrand::Rng;

use super::vocabulary::PARTITIONS;

#[derive(Debug, Clone, Copy)]
pub(super) enum HistoryEvent {
    /// The program starts; it may die after so many writes to its journal.
    Start { host: usize, dice: u32, dies: Option<u8> },
    /// So many records of each partition land, as one range.
    Write { host: usize, counts: [u8; PARTITIONS] },
    /// What has landed settles, and a commit is ordered if none is under way.
    Settle { host: usize },
    /// The commit that is under way comes to something.
    Answer { host: usize, fate: CommitFate },
    /// A commit that was delayed is carried out.
    Late { which: u8 },
    /// The program dies, or the power goes: so many unsettled ranges are left.
    Crash { host: usize, kept: u8, fate: CommitFate },
    /// A clean end.
    Stop { host: usize, fate: CommitFate },
    /// The partitions are dealt out anew.
    Rebalance { dice: u32 },
    /// An operator sets the group's offset.
    Reset { partition: usize, target: ResetTarget, metadata: ResetMetadata },
    /// The group's offset of a partition expires.
    Expire { partition: usize },
    /// All of them are gone.
    DeleteGroup,
    /// A copy of a resting host's journal and file is made.
    Copy { host: usize },
    /// It is put back.
    Restore { host: usize, which: u8 },
    /// A topic is deleted and created again.
    Recreated { partition: usize },
    /// From the next start on, commits carry tokens.
    Upgrade,
}

/// What becomes of a commit.
#[derive(Debug, Clone, Copy)]
pub(super) enum CommitFate {
    /// It is carried out and answered.
    Done,
    /// It is carried out for the partitions that there is a bit for, and not answered.
    ReplyLost(u8),
    /// It is not carried out.
    Lost,
    /// It is not answered, and carried out later or never; meanwhile it is tried again.
    Delayed,
}

/// Where an operator sets the group's offset to.
#[derive(Debug, Clone, Copy)]
pub(super) enum ResetTarget {
    At(i64),
    /// Exactly where a host's journal is.
    Position(usize),
    /// So far from where the group is.
    Held(i64),
    /// A value that the group had before.
    Seen(usize, usize),
}

/// What stands beside it.
#[derive(Debug, Clone, Copy)]
pub(super) enum ResetMetadata {
    None,
    Text,
    /// What stands beside a partition's present offset.
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

/// A history for so many hosts. Each is rich in some kinds of mishap and poor in others,
/// so that those of one kind alone are among them.
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

/// A program ends, things happen while it does not run, and one starts.
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
