//! Compares a partition's log with landmarks, which are records that were written to the log file.
//! The log differs if the topic was deleted and recreated, or truncated by a leader that had fewer
//! records.

use crate::kafka::seam::DivergenceCause;
use crate::record::LeaderEpochs;

/// The log of a partition: what a client can ask its leader.
pub(in crate::kafka) trait PartitionLog {
    /// The reason why the log cannot be read now.
    type Error;

    /// The fingerprint of the record at this offset; `None` if there is no record.
    fn fingerprint_at(&mut self, offset: i64) -> Result<Option<u32>, Self::Error>;

    /// The first offset and the end of the log.
    fn bounds(&mut self) -> Result<(i64, i64), Self::Error>;

    /// The highest leader epoch in the log that is not above this one, and where it ends; `None` if the
    /// leader does not tell it.
    fn epoch_end(&mut self, epoch: i32) -> Result<Option<(i32, i64)>, Self::Error>;
}

/// The result of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kafka) enum Comparison {
    /// A record that was written is there.
    Same,
    /// None of the records that were written last is there, and none differs.
    Unseen,
    /// The log is not the one that was read. Reading resumes at this offset.
    Diverged(i64),
    /// The end of the log, given here, is below the position. The comparison must be repeated when
    /// the log has grown.
    Behind(i64),
}

/// Compares the log with the landmarks before `at`; each is an offset and a fingerprint, oldest
/// first.
///
/// A landmark whose record is gone (compacted, or deleted by retention) shows nothing. `epochs`: those of
/// what was read, if it is known that the topic is the same one. Where the landmarks do not agree, they say
/// where the logs part.
pub(in crate::kafka) fn compare<L: PartitionLog>(
    log: &mut L,
    at: i64,
    landmarks: &[(i64, u32)],
    epochs: Option<&LeaderEpochs>,
) -> Result<Comparison, L::Error> {
    let before = || landmarks.iter().rev().filter(|(offset, _)| *offset < at);
    // In the usual case one fetch is enough; the bounds cost two more requests.
    match before().next() {
        None => return Ok(Comparison::Unseen),
        Some((offset, fingerprint)) => {
            if log.fingerprint_at(*offset)? == Some(*fingerprint) {
                return Ok(Comparison::Same);
            }
        }
    }
    let (first, end) = log.bounds()?;
    let found = compare_all(log, at, landmarks, (first, end))?;
    let Some(epochs) = epochs.filter(|_| found != Comparison::Same) else { return Ok(found) };
    let Some(common) = common_end(log, at, epochs)?.filter(|common| *common < at) else { return Ok(found) };
    for (offset, fingerprint) in before().filter(|(offset, _)| (first..common).contains(offset)) {
        if log.fingerprint_at(*offset)?.is_some_and(|found| found != *fingerprint) {
            // The epochs are those of another log.
            return Ok(found);
        }
    }
    Ok(Comparison::Diverged(common.max(first)))
}

/// Up to where the log has the same leader epochs as what was read; `None` if that is not known.
fn common_end<L: PartitionLog>(
    log: &mut L,
    mut position: i64,
    epochs: &LeaderEpochs,
) -> Result<Option<i64>, L::Error> {
    // Each round looks at an earlier epoch of those that are kept.
    while let Some(known) = epochs.at(position).filter(|known| known.epoch >= 0) {
        match log.epoch_end(known.epoch)? {
            Some((epoch, end)) if epoch == known.epoch => return Ok(Some(position.min(end))),
            // The leader has no record of that epoch.
            Some((epoch, end)) if epoch < known.epoch => position = known.from.min(end),
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// As [`compare`], by all landmarks. The log goes from `first` to `end`.
fn compare_all<L: PartitionLog>(
    log: &mut L,
    at: i64,
    landmarks: &[(i64, u32)],
    (first, end): (i64, i64),
) -> Result<Comparison, L::Error> {
    let before = || landmarks.iter().rev().filter(|(offset, _)| *offset < at);
    let (mut differs, mut agrees) = (false, false);
    for (offset, fingerprint) in before().filter(|(offset, _)| (first..end).contains(offset)) {
        match log.fingerprint_at(*offset)? {
            Some(found) if found != *fingerprint => differs = true,
            Some(_) if differs => return Ok(Comparison::Diverged(offset + 1)),
            Some(_) => {
                agrees = true;
                break;
            }
            None => {}
        }
    }
    Ok(match (differs, at > end) {
        (true, _) => Comparison::Diverged(first),
        (false, true) => Comparison::Behind(end),
        (false, false) if agrees => Comparison::Same,
        (false, false) => Comparison::Unseen,
    })
}

/// As [`compare`], if the topic has another id than the one that was read. The id never decides alone: an
/// unchanged log that was moved to a topic of another id is read on.
pub(in crate::kafka) fn compare_other_topic<L: PartitionLog>(
    log: &mut L,
    at: i64,
    landmarks: &[(i64, u32)],
) -> Result<OtherTopic, L::Error> {
    let (first, end) = log.bounds()?;
    if end < at {
        return Ok(OtherTopic::Other(first, DivergenceCause::EndsBefore));
    }
    let mut agrees = false;
    for (offset, fingerprint) in landmarks.iter().filter(|(offset, _)| (first..at).contains(offset)) {
        match log.fingerprint_at(*offset)? {
            Some(found) if found != *fingerprint => {
                return Ok(OtherTopic::Other(first, DivergenceCause::OtherRecords));
            }
            found => agrees |= found.is_some(),
        }
    }
    Ok(if agrees { OtherTopic::SameLog } else { OtherTopic::Other(first, DivergenceCause::NothingToCompare) })
}

/// What the log of a topic with another id is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kafka) enum OtherTopic {
    /// The one that was read: every record that was written last and is there agrees.
    SameLog,
    /// Another one, which is read from this offset on, its first one.
    Other(i64, DivergenceCause),
}

#[cfg(test)]
mod tests;
