use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use super::*;

fn member(id: &str, topics: &str) -> RangeMember {
    let topics = topics.split_whitespace().map(str::to_owned).collect();
    let (id, instance) = id.split_once('=').map_or((id, None), |(id, name)| (id, Some(name.to_owned())));
    RangeMember { id: id.to_owned(), instance, topics }
}

/// The assignments as text: `member: topic/number …`.
fn assigned(members: &[RangeMember], counts: &[(&str, usize)]) -> Vec<String> {
    let counts = counts.iter().map(|(topic, count)| ((*topic).to_owned(), *count)).collect();
    let ranges = assign_ranges(members, &counts);
    let line = |(id, partitions): (String, Vec<TopicPartition>)| {
        partitions.iter().fold(format!("{id}:"), |line, one| format!("{line} {one}"))
    };
    ranges.into_iter().map(line).collect()
}

/// The cases of `RangeAssignorTest` (Apache Kafka 3.9), with their results.
#[test]
fn assignments_are_those_of_the_java_client() {
    let one = [member("c1", "t1 t2")];
    assert_eq!(assigned(&[member("c1", "")], &[("t1", 3)]), ["c1:"]);
    assert_eq!(assigned(&[member("c1", "t1")], &[]), ["c1:"]);
    assert_eq!(assigned(&[member("c1", "t1")], &[("t1", 3)]), ["c1: t1/0 t1/1 t1/2"]);
    assert_eq!(assigned(&one, &[("t1", 1), ("t2", 2)]), ["c1: t1/0 t2/0 t2/1"]);
    let two = [member("c2", "t1"), member("c1", "t1")];
    assert_eq!(assigned(&two, &[("t1", 1)]), ["c1: t1/0", "c2:"]);
    assert_eq!(assigned(&two, &[("t1", 2)]), ["c1: t1/0", "c2: t1/1"]);
    let mixed = [member("c1", "t1"), member("c2", "t1 t2"), member("c3", "t1")];
    assert_eq!(assigned(&mixed, &[("t1", 3), ("t2", 2)]), ["c1: t1/0", "c2: t1/1 t2/0 t2/1", "c3: t1/2"]);
    let both = [member("c1", "t1 t2"), member("c2", "t1 t2")];
    assert_eq!(assigned(&both, &[("t1", 3), ("t2", 3)]), ["c1: t1/0 t1/1 t2/0 t2/1", "c2: t1/2 t2/2"]);
    let statics = [member("c1=i1", "t1 t2"), member("c2=i2", "t1 t2"), member("c3=i3", "t1 t2")];
    assert_eq!(
        assigned(&statics, &[("t1", 5), ("t2", 4)]),
        ["c1: t1/0 t1/1 t2/0 t2/1", "c2: t1/2 t1/3 t2/2", "c3: t1/4 t2/3"]
    );
}

/// A static member that restarts gets another member id and the same partitions.
#[test]
fn static_members_come_first() {
    let before = [member("a", "t"), member("x=one", "t"), member("y=two", "t")];
    let after = [member("a", "t"), member("z=one", "t"), member("y=two", "t")];
    assert_eq!(assigned(&before, &[("t", 3)]), ["a: t/2", "x: t/0", "y: t/1"]);
    assert_eq!(assigned(&after, &[("t", 3)]), ["a: t/2", "y: t/1", "z: t/0"]);
}

proptest! {
    #[test]
    fn every_partition_has_one_member(
        wants in btree_map("[a-f]{1,3}", btree_set(0..4usize, 0..4), 0..6),
        counts in vec(0..20usize, 4),
    ) {
        let name = |one: &usize| format!("t{one}");
        let members: Vec<RangeMember> = wants.iter().map(|(id, topics)| {
            RangeMember { id: id.clone(), instance: None, topics: topics.iter().map(name).collect() }
        }).collect();
        let sizes: BTreeMap<String, usize> =
            counts.iter().copied().enumerate().map(|(i, n)| (name(&i), n)).collect();
        let ranges = assign_ranges(&members, &sizes);
        prop_assert_eq!(ranges.len(), members.len());
        for (topic, count) in &sizes {
            let wanting = members.iter().filter(|one| one.topics.contains(topic));
            let runs: Vec<Vec<i32>> = wanting.map(|one| {
                let all = ranges[&one.id].iter().filter(|one| *one.topic == **topic);
                all.map(|one| one.partition).collect()
            }).collect();
            let mut all: Vec<i32> = runs.concat();
            all.sort_unstable();
            let expected = if runs.is_empty() { 0 } else { *count };
            prop_assert_eq!(all, (0..i32::try_from(expected).unwrap()).collect::<Vec<_>>());
            let sizes = runs.iter().map(Vec::len);
            prop_assert!(sizes.clone().max().unwrap_or(0) - sizes.min().unwrap_or(0) <= 1);
        }
        let given: usize = ranges.values().map(Vec::len).sum();
        let is_wanted = |topic: &String| members.iter().any(|one| one.topics.contains(topic));
        let wanted: usize =
            sizes.iter().filter(|(topic, _)| is_wanted(topic)).map(|(_, count)| count).sum();
        prop_assert_eq!(given, wanted);
    }
}
