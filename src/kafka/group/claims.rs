//! Which committed offsets of a group are to be claimed, and which are to be committed again before
//! brokers delete them. Pure.

use std::collections::BTreeMap;

use super::offset_store::{ClaimNamer, HeldOffset, HeldOffsets};
use crate::record::{Commit, OffsetMetadata, Token, TopicPartition};

/// The commits that claim every offset that somebody else has set: the same offset, with a token. The
/// claims must succeed before pandad reads from these offsets. If somebody then sets the same offset once
/// more, the missing token shows it. In `held` the metadata of each claimed offset becomes its token.
pub(super) fn claims(
    held: &mut BTreeMap<TopicPartition, HeldOffset>,
    names: &ClaimNamer,
    generation: i32,
) -> Vec<Commit> {
    let mut claims = Vec::new();
    for (partition, (committed, beside)) in held.iter_mut() {
        let (Some(offset), OffsetMetadata::Text(text)) = (*committed, beside) else { continue };
        if Token::naming(offset, text).is_none() {
            *text = Token::claim(names(partition, offset, generation), offset).to_string();
            claims.push(Commit { partition: partition.clone(), offset, metadata: text.clone() });
        }
    }
    claims
}

/// The commits of our own to repeat: those that the group still has, and those that it has deleted. An
/// offset or metadata that differs was set by somebody else, as by an operator's reset, and must not be
/// overwritten.
pub(super) fn to_renew(own: &BTreeMap<TopicPartition, Commit>, answers: HeldOffsets) -> Vec<Commit> {
    let ours = answers.into_iter().filter_map(|(partition, held)| {
        let commit = own.get(&partition)?;
        match held {
            Ok((None, OffsetMetadata::Text(_))) => Some(commit.clone()),
            Ok((Some(offset), OffsetMetadata::Text(text))) => {
                (offset == commit.offset && text == commit.metadata).then(|| commit.clone())
            }
            Ok((_, OffsetMetadata::Unsupported)) | Err(_) => None,
        }
    });
    ours.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Fault;
    use crate::kafka::group::fake_store::{commit, t};

    /// An operator may reset an offset to the value that it has, or copy the metadata of another one.
    #[test]
    fn only_our_own_commits_are_renewed() {
        let ours = commit(0, 5);
        let own = BTreeMap::from([(t(0), ours.clone())]);
        let held = |offset, text: &str| Ok((offset, OffsetMetadata::Text(text.to_owned())));
        let renewed = |partition, held| to_renew(&own, vec![(partition, held)]);
        for held in [held(Some(5), &ours.metadata), held(None, "")] {
            assert_eq!(renewed(t(0), held), std::slice::from_ref(&ours));
        }
        for held in [
            held(Some(5), ""),
            held(Some(4), &ours.metadata),
            held(Some(4), ""),
            Ok((None, OffsetMetadata::Unsupported)),
            Err(Fault::Retry("loading".to_owned())),
        ] {
            assert_eq!(renewed(t(0), held), []);
        }
        assert_eq!(renewed(t(1), held(None, "")), [], "it has never been ours");
    }
}
