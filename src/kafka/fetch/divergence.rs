//! Compares a partition's log with landmarks, which are records that were written to the log file.
//! The log differs if the topic was deleted and recreated, or truncated by a leader that had fewer
//! records.

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
    /// The log is the same, as far as the landmarks show.
    Same,
    /// The log is not the one that was read. Reading resumes at this offset.
    Diverged(i64),
    /// The end of the log, given here, is below the position. The comparison must be repeated when
    /// the log has grown.
    Behind(i64),
}

/// Compares the log with the landmarks before `at`; each is an offset and a fingerprint, oldest
/// first.
///
/// A landmark whose record is gone (compacted, or deleted by retention) shows nothing, and counts
/// as equal.
pub(in crate::kafka) fn compare<L: PartitionLog>(
    log: &mut L,
    at: i64,
    landmarks: &[(i64, u32)],
) -> Result<Comparison, L::Error> {
    let before = || landmarks.iter().rev().filter(|(offset, _)| *offset < at);
    // In the usual case one fetch is enough; the bounds cost two more requests.
    match before().next() {
        None => return Ok(Comparison::Same),
        Some((offset, fingerprint)) => {
            if log.fingerprint_at(*offset)? == Some(*fingerprint) {
                return Ok(Comparison::Same);
            }
        }
    }
    let (first, end) = log.bounds()?;
    let mut differs = false;
    for (offset, fingerprint) in before().filter(|(offset, _)| (first..end).contains(offset)) {
        match log.fingerprint_at(*offset)? {
            Some(found) if found != *fingerprint => differs = true,
            Some(_) if differs => return Ok(Comparison::Diverged(offset + 1)),
            Some(_) => break,
            None => {}
        }
    }
    Ok(match (differs, at > end) {
        (true, _) => Comparison::Diverged(first),
        (false, true) => Comparison::Behind(end),
        (false, false) => Comparison::Same,
    })
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
        assert_eq!(checked(&log, 6, 6, &[]), Comparison::Same);
        assert_eq!(checked(&log, 6, 6, &[(3, 30), (5, 50)]), Comparison::Same);
        assert_eq!(checked(&log, 6, 6, &[(3, 30), (5, 51)]), Comparison::Diverged(4));
        assert_eq!(checked(&log, 6, 6, &[(3, 31), (5, 51)]), Comparison::Diverged(2));
        assert_eq!(checked(&log, 6, 5, &[(4, 40)]), Comparison::Same, "compacted away");
        assert_eq!(checked(&log, 6, 9, &[(8, 80)]), Comparison::Behind(6));
        assert_eq!(checked(&log, 6, 9, &[(5, 51), (8, 80)]), Comparison::Diverged(2));
        assert_eq!(checked(&log, 6, 5, &[(5, 51)]), Comparison::Same, "not before the position");
    }
}
