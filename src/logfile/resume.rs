//! Where to start reading a partition: one pure function of what the journal and the group say.
//!
//! A commit carries a token if the group's storage has room for one. An offset without a token, or with a
//! token that names another offset, was set by somebody else: an operator's reset, a tool that copied
//! metadata, another program of the group. Where there is room for a token, such an offset is claimed
//! before this function gets it.

use std::borrow::Cow;
use std::ops::Range;

use super::journal::{Landmark, PartitionState};
use crate::record::Token;

/// What the journal knows of the partition.
#[derive(Debug, Clone, Copy)]
pub struct KnownPosition<'a> {
    /// The next offset to be written.
    pub position: i64,
    /// The history that the position belongs to.
    pub epoch: u64,
    /// Offsets that the group may hold because this journal committed them without a token.
    pub committed: &'a [i64],
    /// The histories that the partition has left.
    pub left: &'a [u64],
}

impl<'a> KnownPosition<'a> {
    /// What a journal holds of the partition.
    pub(super) fn of(state: &'a PartitionState) -> Self {
        let PartitionState { position, epoch, committed, left, .. } = state;
        Self { position: *position, epoch: *epoch, committed, left }
    }
}

/// Where to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeDecision {
    /// At the journal's position.
    Journal,
    /// At the journal's position, with a warning. The group's offset has this journal's token, but the
    /// journal has no record of that commit: either an older copy of journal and log file was put back, or
    /// the commit arrived late.
    JournalWentBack,
    /// At the first record of the log, in the history that the token names. The group's offset has this
    /// journal's token, but the journal does not know the partition: an older copy of the journal was put
    /// back, made when the file had no record of the partition.
    NeverKnew(u64),
    /// At the group's offset, in the history that its token names.
    Follow(i64, u64),
    /// At the group's offset, which somebody else has set, in a new history. If the offset was claimed, the
    /// claim has named that history.
    Moved(i64, Option<u64>),
    /// Nobody has a position: `kafka['start']` decides.
    Nowhere,
}

/// Where a partition is to be read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed {
    /// The first offset to fetch; `None` if nobody has a position.
    pub position: Option<i64>,
    /// The last records written before that offset, oldest first.
    pub landmarks: Vec<Landmark>,
    /// The offsets from the journal's former position on that are passed over, because somebody set the
    /// group's offset behind them. Empty if there are none.
    pub skipped: Range<i64>,
}

/// The metadata as if the journal itself had committed it, if it is a token of a journal that this one has
/// taken over: the partition's state came from there, so the token tells nothing new, whatever it says.
pub(super) fn as_own<'a>(
    identity: u128,
    is_former: impl Fn(u128) -> bool,
    committed: Option<i64>,
    metadata: &'a str,
) -> Cow<'a, str> {
    let token = committed.and_then(|committed| Token::naming(committed, metadata));
    match token.filter(|token| token.identity != identity && is_former(token.identity)) {
        Some(token) => Cow::Owned(Token { identity, ..token }.to_string()),
        None => Cow::Borrowed(metadata),
    }
}

/// Decides by the journal's identity, what it knows of the partition, and the group's offset with
/// its metadata.
pub fn decide(
    identity: u128,
    known: Option<KnownPosition<'_>>,
    committed: Option<i64>,
    metadata: &str,
) -> ResumeDecision {
    let Some(committed) = committed else {
        return if known.is_some() { ResumeDecision::Journal } else { ResumeDecision::Nowhere };
    };
    let values = known.map_or(&[][..], |known| known.committed);
    match (Token::naming(committed, metadata), known) {
        // A token of this journal's own tells the journal nothing new, whatever history it names. Either
        // the commit arrived late, or the commit that should have followed it was lost, or an older copy of
        // the journal was put back.
        (Some(token), Some(known)) if token.identity == identity => {
            let was_here = token.epoch == known.epoch && committed <= known.position;
            let left = known.left.contains(&token.epoch);
            if was_here || left { ResumeDecision::Journal } else { ResumeDecision::JournalWentBack }
        }
        (Some(token), None) if token.identity == identity => ResumeDecision::NeverKnew(token.epoch),
        (Some(token), Some(known)) if token.epoch == known.epoch && committed <= known.position => {
            ResumeDecision::Journal
        }
        (Some(token), Some(known)) if token.epoch == known.epoch => {
            ResumeDecision::Follow(committed, token.epoch)
        }
        // The partition has followed this claim before. Either the claim arrived late, or no commit has
        // replaced it yet.
        (Some(token), Some(known)) if token.is_claim() && known.left.contains(&token.epoch) => {
            ResumeDecision::Journal
        }
        // The offset equals the journal's position. If the claim were taken for this journal's own commit,
        // nothing would be gained, and a second reset to the same offset would be missed.
        (Some(token), Some(known)) if token.is_claim() && committed == known.position => {
            ResumeDecision::Moved(committed, Some(token.epoch))
        }
        (Some(token), _) if token.is_claim() => {
            if values.contains(&committed) {
                ResumeDecision::Journal
            } else {
                ResumeDecision::Moved(committed, Some(token.epoch))
            }
        }
        (Some(token), _) => ResumeDecision::Follow(committed, token.epoch),
        (None, Some(known)) if values.contains(&committed) || committed == known.position => {
            ResumeDecision::Journal
        }
        (None, _) => ResumeDecision::Moved(committed, None),
    }
}

/// The epoch of the history that begins at an offset that somebody else has set in the group.
///
/// The epoch follows from what the journal knew when it found the offset. Until the journal has recorded
/// the claim, each attempt, also after a kill, claims the same epoch, so a claim that arrives late says
/// nothing new. Afterwards, a second reset to the same offset gets another epoch.
///
/// `generation` is that of the group whose member this pandad is, or -1 if it is no member. The coordinator
/// refuses claims of an earlier generation, so no such claim arrives late. The generation is part of the
/// epoch for another case: without it, an older copy of a journal could choose, for another reset to the
/// same offset, an epoch that another member has left long ago.
pub fn claim_name(identity: u128, epoch: Option<u64>, offset: i64, generation: i32) -> u64 {
    // FNV-1a: the result changes with each of the four inputs.
    let (epoch, bytes) = (epoch.unwrap_or(0).to_be_bytes(), identity.to_be_bytes());
    let bytes = bytes.into_iter().chain(epoch).chain(offset.to_be_bytes()).chain(generation.to_be_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |name: u64, byte| {
        (name ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SELF: u128 = 7;

    fn known(committed: &[i64]) -> Option<KnownPosition<'_>> {
        Some(KnownPosition { position: 100, epoch: 1, committed, left: &[2] })
    }

    fn token(identity: u128, epoch: u64, offset: i64) -> String {
        Token { identity, epoch, offset }.to_string()
    }

    #[test]
    fn each_row_of_the_table_gives_its_decision() {
        let cases = [
            (None, None, String::new(), ResumeDecision::Nowhere),
            (known(&[]), None, String::new(), ResumeDecision::Journal),
            (known(&[]), Some(90), token(SELF, 1, 90), ResumeDecision::Journal),
            (known(&[]), Some(110), token(9, 1, 110), ResumeDecision::Follow(110, 1)),
            (known(&[]), Some(110), token(SELF, 1, 110), ResumeDecision::JournalWentBack),
            (known(&[]), Some(90), token(9, 2, 90), ResumeDecision::Follow(90, 2)),
            (None, Some(90), token(9, 2, 90), ResumeDecision::Follow(90, 2)),
            (known(&[80, 90]), Some(90), String::new(), ResumeDecision::Journal),
            (known(&[80, 90]), Some(85), String::new(), ResumeDecision::Moved(85, None)),
            (known(&[]), Some(100), String::new(), ResumeDecision::Journal),
            (None, Some(90), "copied by a tool".to_owned(), ResumeDecision::Moved(90, None)),
            // The journal began another history, and the first commit of that history was lost.
            (known(&[90]), Some(90), token(SELF, 2, 90), ResumeDecision::Journal),
            (known(&[90]), Some(90), token(9, 2, 90), ResumeDecision::Follow(90, 2)),
            (known(&[]), Some(110), token(SELF, 2, 110), ResumeDecision::Journal),
            (known(&[]), Some(95), token(SELF, 3, 95), ResumeDecision::JournalWentBack),
            (None, Some(95), token(SELF, 3, 95), ResumeDecision::NeverKnew(3)),
            // Another program set the offset, and pandad has claimed it in the meantime.
            (known(&[]), Some(90), Token::claim(5, 90).to_string(), ResumeDecision::Moved(90, Some(5))),
            (None, Some(90), Token::claim(5, 90).to_string(), ResumeDecision::Moved(90, Some(5))),
            (known(&[]), Some(100), Token::claim(5, 100).to_string(), ResumeDecision::Moved(100, Some(5))),
            (known(&[90]), Some(90), Token::claim(5, 90).to_string(), ResumeDecision::Journal),
            (known(&[]), Some(90), Token::claim(1, 90).to_string(), ResumeDecision::Journal),
            (known(&[]), Some(90), Token::claim(2, 90).to_string(), ResumeDecision::Journal),
            // A second reset to an offset that was this journal's own is one, too.
            (known(&[100]), Some(100), Token::claim(5, 100).to_string(), ResumeDecision::Moved(100, Some(5))),
            (known(&[]), Some(110), Token::claim(1, 110).to_string(), ResumeDecision::Follow(110, 1)),
            // Another journal's history may begin where this one is.
            (known(&[]), Some(100), token(9, 2, 100), ResumeDecision::Follow(100, 2)),
            // A token that names another offset than the one beside it does not count.
            (known(&[]), Some(90), token(SELF, 1, 91), ResumeDecision::Moved(90, None)),
        ];
        for (known, committed, metadata, start) in cases {
            assert_eq!(decide(SELF, known, committed, &metadata), start, "{committed:?} {metadata}");
        }
    }

    /// Two different resets get two different histories.
    #[test]
    fn a_claim_is_named_after_all_that_it_depends_on() {
        let mut names = std::collections::HashSet::new();
        let mut count = 0;
        for offset in 0..4000 {
            let epoch = offset as u64 * 77;
            names.insert(claim_name(SELF, None, offset, -1));
            names.insert(claim_name(SELF, Some(epoch + 1), 90, 7));
            names.insert(claim_name(SELF + 1 + offset as u128, Some(1), 90, 7));
            names.insert(claim_name(SELF, Some(2), 91, 100 + offset as i32));
            count += 4;
        }
        assert_eq!(names.len(), count);
    }
}
