//! What a group holds of partitions that become ours: which of its offsets are to be
//! claimed, and which of our own are to be committed again. Pure.

use std::collections::BTreeMap;

use super::offset_store::{ClaimNamer, HeldOffset, HeldOffsets};
use crate::record::{Commit, OffsetMetadata, Token, TopicPartition};

/// Offsets that somebody else has set, to be committed once more, now with a token,
/// before anything is read from there: so they are told from the same offset set again.
/// In `held` each gets the token that it is claimed with.
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

/// Of our own commits those that the group still holds, or has forgotten: not what
/// somebody else has set meanwhile, for that is an operator's reset.
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
