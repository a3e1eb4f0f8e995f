//! The comparison of logs that a test makes up.

use std::collections::BTreeMap;

use super::*;
use crate::record::EpochStart;

/// Records by offset; the end; the leader epochs and where each ends.
struct Fake(BTreeMap<i64, u32>, i64, Vec<(i32, i64)>);

impl PartitionLog for Fake {
    type Error = ();

    fn fingerprint_at(&mut self, offset: i64) -> Result<Option<u32>, ()> {
        Ok(self.0.get(&offset).copied())
    }

    fn bounds(&mut self) -> Result<(i64, i64), ()> {
        Ok((self.0.keys().next().copied().unwrap_or(self.1), self.1))
    }

    fn epoch_end(&mut self, epoch: i32) -> Result<Option<(i32, i64)>, ()> {
        Ok(self.2.iter().rev().find(|(one, _)| *one <= epoch).copied())
    }
}

fn checked(log: &[(i64, u32)], end: i64, at: i64, landmarks: &[(i64, u32)]) -> Comparison {
    compare(&mut Fake(log.iter().copied().collect(), end, Vec::new()), at, landmarks, None).unwrap()
}

/// The log has the records 0 to 99 of epoch 1, and others of epoch 4 up to 110. What was read has the same
/// records up to 99, and then some of epoch 2 and 3.
#[test]
fn leader_epochs_say_where_the_logs_part() {
    let record = |at: i64, epoch: i32| (at, if at < 100 { 7 } else { epoch as u32 });
    let log: BTreeMap<i64, u32> = (0..110).map(|at| record(at, 4)).collect();
    let read = |starts: &[(i32, i64)]| {
        let mut all = LeaderEpochs::default();
        for (epoch, from) in starts {
            all.record(EpochStart { epoch: *epoch, from: *from });
        }
        all
    };
    let checked = |ends: &[(i32, i64)], at: i64, landmarks: &[(i64, u32)], starts: &[(i32, i64)]| {
        let mut log = Fake(log.clone(), 110, ends.to_vec());
        compare(&mut log, at, landmarks, Some(&read(starts))).unwrap()
    };
    let (ends, lost) = ([(1, 100), (4, 110)], [(104, 2), (105, 3)]);
    let all_read = [(1, 0), (2, 100), (3, 105)];
    assert_eq!(checked(&ends, 106, &lost, &all_read), Comparison::Diverged(100));
    assert_eq!(
        checked(&ends, 120, &[(119, 3)], &all_read),
        Comparison::Diverged(100),
        "no landmark is there"
    );
    // What was read of epoch 1 is more than the leader has of it.
    assert_eq!(checked(&ends, 106, &lost, &[(1, 0)]), Comparison::Diverged(100));
    // What was read of it is less: the rest of it comes.
    assert_eq!(checked(&ends, 106, &lost, &[(1, 0), (2, 90)]), Comparison::Diverged(90));
    // Landmarks alone: nobody knows epochs, or the kept ones do not reach back so far.
    assert_eq!(checked(&[], 106, &lost, &all_read), Comparison::Diverged(0));
    assert_eq!(checked(&ends, 106, &lost, &[(2, 100)]), Comparison::Diverged(0));
    assert_eq!(checked(&ends, 106, &lost, &[(-1, 0)]), Comparison::Diverged(0));
    // A landmark contradicts the epochs.
    assert_eq!(checked(&ends, 106, &[(98, 6), (105, 3)], &all_read), Comparison::Diverged(0));
    assert_eq!(checked(&ends, 106, &[(98, 7), (105, 3)], &all_read), Comparison::Diverged(100));
    assert_eq!(checked(&ends, 106, &[(105, 4)], &all_read), Comparison::Same);
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
        compare_other_topic(&mut Fake(log.into_iter().collect(), 6, Vec::new()), at, landmarks).unwrap()
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
