//! Rules that are meant to fail: simpler rules, and versions of the right rule with one row of its table
//! left out.

use super::vocabulary::Rule;
use crate::logfile::resume::{KnownPosition, ResumeDecision, decide};
use crate::record::Token;

pub(super) const SIMPLER: [(&str, Rule); 3] = [
    ("always the journal", the_journal),
    ("always the group", the_group),
    ("the larger of both", the_larger),
];

type Journal<'a> = Option<KnownPosition<'a>>;
type Committed = Option<i64>;

fn the_journal(identity: u128, known: Journal<'_>, committed: Committed, metadata: &str) -> ResumeDecision {
    if known.is_some() { ResumeDecision::Journal } else { decide(identity, known, committed, metadata) }
}

pub(super) fn the_group(
    identity: u128,
    known: Journal<'_>,
    committed: Committed,
    metadata: &str,
) -> ResumeDecision {
    decide(identity, known.filter(|_| committed.is_none()), committed, metadata)
}

fn the_larger(identity: u128, known: Journal<'_>, committed: Committed, metadata: &str) -> ResumeDecision {
    match (known, committed) {
        (Some(known), Some(committed)) if committed > known.position => {
            ResumeDecision::Follow(committed, known.epoch)
        }
        (Some(_), _) => ResumeDecision::Journal,
        (None, _) => decide(identity, known, committed, metadata),
    }
}

/// Believes a token whatever offset the token names.
pub(super) fn any_offset(
    identity: u128,
    known: Journal<'_>,
    committed: Committed,
    metadata: &str,
) -> ResumeDecision {
    let token = Token::parse(metadata).zip(committed);
    let token = token.map(|(token, offset)| Token { offset, ..token }.to_string());
    decide(identity, known, committed, token.as_deref().unwrap_or(metadata))
}

/// Treats all histories as one.
pub(super) fn any_history(
    identity: u128,
    known: Journal<'_>,
    committed: Committed,
    metadata: &str,
) -> ResumeDecision {
    let token = Token::parse(metadata).zip(known);
    let token = token.map(|(token, known)| Token { epoch: known.epoch, ..token }.to_string());
    decide(identity, known, committed, token.as_deref().unwrap_or(metadata))
}

/// Treats a journal's own tokens as those of another journal.
pub(super) fn any_journal(
    identity: u128,
    known: Journal<'_>,
    committed: Committed,
    metadata: &str,
) -> ResumeDecision {
    decide(!identity, known, committed, metadata)
}

/// Treats a journal's own tokens as those of another journal if they name another history.
pub(super) fn own_of_this_history(
    identity: u128,
    known: Journal<'_>,
    committed: Committed,
    metadata: &str,
) -> ResumeDecision {
    let this = Token::parse(metadata).zip(known).is_some_and(|(token, known)| token.epoch == known.epoch);
    decide(if this { identity } else { !identity }, known, committed, metadata)
}

/// Does not notice a reset that goes exactly to the journal's position.
pub(super) fn by_position(
    identity: u128,
    known: Journal<'_>,
    committed: Committed,
    metadata: &str,
) -> ResumeDecision {
    match decide(identity, known, committed, metadata) {
        ResumeDecision::Moved(to, _) if known.is_some_and(|known| known.position == to) => {
            ResumeDecision::Journal
        }
        start => start,
    }
}

/// The journal keeps no offsets.
pub(super) fn no_values(
    identity: u128,
    known: Journal<'_>,
    committed: Committed,
    metadata: &str,
) -> ResumeDecision {
    decide(identity, known.map(|known| KnownPosition { committed: &[], ..known }), committed, metadata)
}

/// The journal keeps no histories that it has left.
pub(super) fn no_histories(
    identity: u128,
    known: Journal<'_>,
    committed: Committed,
    metadata: &str,
) -> ResumeDecision {
    decide(identity, known.map(|known| KnownPosition { left: &[], ..known }), committed, metadata)
}

/// Follows a journal's own token if the journal does not know the partition.
pub(super) fn followed(
    identity: u128,
    known: Journal<'_>,
    committed: Committed,
    metadata: &str,
) -> ResumeDecision {
    decide(if known.is_some() { identity } else { !identity }, known, committed, metadata)
}
