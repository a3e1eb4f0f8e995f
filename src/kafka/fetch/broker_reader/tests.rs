use super::*;

#[test]
fn each_partition_is_requested_in_its_turn() {
    for partitions in [1, 2, 999, 1000, 1001, 4500] {
        let (mut turn, mut asked) = (0, vec![false; partitions]);
        for _ in 0..partitions.div_ceil(FETCH_PARTITIONS_MAX) {
            turn = next_turn(turn, partitions);
            (0..FETCH_PARTITIONS_MAX).for_each(|one| asked[(turn + one) % partitions] = true);
        }
        assert!(asked.iter().all(|asked| *asked), "{partitions} partitions");
        let firsts: Vec<usize> = std::iter::successors(Some(0), |turn| Some(next_turn(*turn, partitions)))
            .take(partitions)
            .collect();
        assert!(partitions < 2 || firsts.windows(2).all(|two| two[0] != two[1]), "the order rotates");
    }
}
