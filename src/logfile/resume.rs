//! Where to start reading a partition: one pure function over what the journal and
//! the group say.
//!
//! Each commit that can carry one has a token beside it. An offset without a token, or
//! with a token that names another one, was set by somebody else: an operator's reset,
//! a tool that copied metadata, another program of the group. Where there is room for a
//! token such an offset has been claimed before it comes here.

use super::journal::Landmark;
use crate::record::Token;

/// What the journal knows of the partition.
#[derive(Debug, Clone, Copy)]
pub struct KnownPosition<'a> {
    /// The next offset to land.
    pub position: i64,
    /// The history it belongs to.
    pub epoch: u64,
    /// Values that the group may hold by commits of this journal's own without a token.
    pub committed: &'a [i64],
    /// The histories that it was in before.
    pub left: &'a [u64],
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeDecision {
    /// Go on where the journal is.
    Journal,
    /// The group's offset is this journal's own, and the journal does not know of it: an
    /// old copy of it and of its file was put back, or the commit came late. Go on where
    /// the journal is, loudly.
    JournalWentBack,
    /// The group's offset is this journal's own, and the journal does not know the partition:
    /// an old copy was put back, of when there was nothing of it in the file. Go to the
    /// log's beginning, in the history that the token names.
    NeverKnew(u64),
    /// Go on at the group's offset, in the history that its token names.
    Follow(i64, u64),
    /// Somebody set the group's offset: go there, as a new history, whose name it may
    /// have been claimed with.
    Moved(i64, Option<u64>),
    /// Nobody has a position: `kafka['start']` decides.
    Nowhere,
}

/// Where a partition is to be read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed {
    /// The first offset to fetch; `None`: nobody has a position.
    pub position: Option<i64>,
    /// The last records that landed, oldest first.
    pub landmarks: Vec<Landmark>,
}

/// Decides by the journal's identity and knowledge, the committed offset and its metadata.
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
        // What this journal committed itself is no news to it, in whatever history: the commit
        // came late, or the one that should have followed it did not come through, or an old
        // copy of the journal was put back.
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
        // A claim that was taken over before: it came late, or nothing has replaced it yet.
        (Some(token), Some(known)) if token.is_claim() && known.left.contains(&token.epoch) => {
            ResumeDecision::Journal
        }
        // Where the journal is: nothing is gained by believing that it was put there by
        // this journal's own commit, and a second one to the same place would be missed.
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

/// The name of the history that begins where somebody else has set the group's offset.
///
/// It follows from what the journal knew when it found the offset there. Until the journal
/// has taken the claim over, every try claims under the same name, also after a kill, so a
/// claim that comes late says nothing new; and when it has, the same offset set once more
/// gets another name.
///
/// `generation`: the group's, of which this pandad is a member; -1 if it is none's. A claim of
/// an earlier one is refused, and so never late; but an older copy of a journal would find,
/// for another reset to the same offset, the name that another member has long left.
pub fn claim_name(identity: u128, epoch: Option<u64>, offset: i64, generation: i32) -> u64 {
    // FNV-1a: a name that differs when any of the four does.
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
    fn every_row_of_the_table() {
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
            // The journal went on to another history, and its commit was lost.
            (known(&[90]), Some(90), token(SELF, 2, 90), ResumeDecision::Journal),
            (known(&[90]), Some(90), token(9, 2, 90), ResumeDecision::Follow(90, 2)),
            (known(&[]), Some(110), token(SELF, 2, 110), ResumeDecision::Journal),
            (known(&[]), Some(95), token(SELF, 3, 95), ResumeDecision::JournalWentBack),
            (None, Some(95), token(SELF, 3, 95), ResumeDecision::NeverKnew(3)),
            // Set by somebody else, and claimed since.
            (known(&[]), Some(90), Token::claim(5, 90).to_string(), ResumeDecision::Moved(90, Some(5))),
            (None, Some(90), Token::claim(5, 90).to_string(), ResumeDecision::Moved(90, Some(5))),
            (known(&[]), Some(100), Token::claim(5, 100).to_string(), ResumeDecision::Moved(100, Some(5))),
            (known(&[90]), Some(90), Token::claim(5, 90).to_string(), ResumeDecision::Journal),
            (known(&[]), Some(90), Token::claim(1, 90).to_string(), ResumeDecision::Journal),
            (known(&[]), Some(90), Token::claim(2, 90).to_string(), ResumeDecision::Journal),
            // A token that does not name its own offset is no token.
            (known(&[]), Some(90), token(SELF, 1, 91), ResumeDecision::Moved(90, None)),
        ];
        for (known, committed, metadata, start) in cases {
            assert_eq!(decide(SELF, known, committed, &metadata), start, "{committed:?} {metadata}");
        }
    }
}
