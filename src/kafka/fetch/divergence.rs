//! Compares a partition's log with landmarks, which are records that were written to the log file.
//! The log differs if the topic was deleted and recreated, or truncated by a leader that had fewer
//! records.

use crate::kafka::seam::DivergenceCause;

/// The log of a partition: what a client can ask its leader.
pub(in crate::kafka) trait PartitionLog {
    /// The reason why the log cannot be read now.
    type Error;

    /// The fingerprint of the record at this offset; `None` if there is no record.
    fn fingerprint_at(&mut self, offset: i64) -> Result<Option<u32>, Self::Error>;

    /// The first offset and the end of the log.
    fn bounds(&mut self) -> Result<(i64, i64), Self::Error>;
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
/// A landmark whose record is gone (compacted, or deleted by retention) shows nothing.
pub(in crate::kafka) fn compare<L: PartitionLog>(
    log: &mut L,
    at: i64,
    landmarks: &[(i64, u32)],
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
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Records by offset; the end.
    struct Fake(BTreeMap<i64, u32>, i64);

    impl PartitionLog for Fake {
        type Error = ();

        fn fingerprint_at(&mut self, offset: i64) -> Result<Option<u32>, ()> {
            Ok(self.0.get(&offset).copied())
        }

        fn bounds(&mut self) -> Result<(i64, i64), ()> {
            Ok((self.0.keys().next().copied().unwrap_or(self.1), self.1))
        }
    }

    fn checked(log: &[(i64, u32)], end: i64, at: i64, landmarks: &[(i64, u32)]) -> Comparison {
        compare(&mut Fake(log.iter().copied().collect(), end), at, landmarks).unwrap()
    }

    #[test]
    fn another_log_is_told_from_the_same_one_and_a_shorter_one() {
        let log = [(2, 20), (3, 30), (5, 50)];
        assert_eq!(checked(&log, 6, 6, &[]), Comparison::Unseen);
        assert_eq!(checked(&log, 6, 6, &[(3, 30), (5, 50)]), Comparison::Same);
        assert_eq!(checked(&log, 6, 6, &[(3, 30), (5, 51)]), Comparison::Diverged(4));
        assert_eq!(checked(&log, 6, 6, &[(3, 31), (5, 51)]), Comparison::Diverged(2));
        assert_eq!(checked(&log, 6, 5, &[(4, 40)]), Comparison::Unseen, "compacted away");
        assert_eq!(checked(&log, 6, 9, &[(8, 80)]), Comparison::Behind(6));
        assert_eq!(checked(&log, 6, 9, &[(5, 51), (8, 80)]), Comparison::Diverged(2));
        assert_eq!(checked(&log, 6, 5, &[(5, 51)]), Comparison::Unseen, "not before the position");
    }

    #[test]
    fn another_id_starts_a_comparison_and_never_decides_alone() {
        let log = [(2, 20), (3, 30), (5, 50)];
        let checked = |at, landmarks: &[(i64, u32)]| {
            compare_other_topic(&mut Fake(log.into_iter().collect(), 6), at, landmarks).unwrap()
        };
        assert_eq!(checked(6, &[(3, 30), (5, 50)]), OtherTopic::SameLog);
        assert_eq!(checked(6, &[(1, 10), (4, 40), (5, 50)]), OtherTopic::SameLog, "others are gone");
        let other = |cause| OtherTopic::Other(2, cause);
        assert_eq!(checked(7, &[(5, 50)]), other(DivergenceCause::EndsBefore));
        assert_eq!(checked(6, &[(3, 31), (5, 50)]), other(DivergenceCause::OtherRecords));
        assert_eq!(checked(6, &[(3, 30), (5, 51)]), other(DivergenceCause::OtherRecords), "from the first");
        for none in [&[][..], &[(1, 10), (4, 40)], &[(6, 60)]] {
            assert_eq!(checked(6, none), other(DivergenceCause::NothingToCompare));
        }
    }
}
