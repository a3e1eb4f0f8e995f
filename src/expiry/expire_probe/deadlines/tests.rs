use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A moment, and a millisecond.
const BASE: u64 = 1_700_000_000_000_000;
const MS: u64 = 1000;

/// What entries that are not stale take.
fn live(deadlines: &Deadlines) -> usize {
    deadlines.bytes - deadlines.stale
}

proptest! {
    /// The queue is compared with a plain map: a key comes when the earliest of its deadlines has passed,
    /// and never before. Some keys are deleted.
    #[test]
    fn each_key_comes_at_its_earliest_deadline(
        steps in prop::collection::vec((0_u8..30, 0_u64..5000, 0_u64..300, 0_u8..4), 0..300),
    ) {
        let mut deadlines = Deadlines::new(1 << 20);
        let mut model: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        let mut now = BASE;
        for (key, after, pause, what) in steps {
            let key = vec![key; 1 + usize::from(key)];
            if what == 0 {
                model.remove(&key);
                deadlines.forget(&key);
                continue;
            }
            let due = now + after * MS;
            let expected = match model.get(&key) {
                Some(known) if *known <= due + 2 * MS => Learned::AlreadyKnown,
                _ => {
                    model.insert(key.clone(), due);
                    Learned::Kept
                }
            };
            prop_assert_eq!(deadlines.learn(&key, due), expected);
            prop_assert!(deadlines.record_seen(&key));
            now += pause * MS;
            let mut popped = Vec::new();
            while let Some((key, due)) = deadlines.pop(now) {
                popped.push((due, key));
            }
            let mut wanted: Vec<_> = model.iter().filter(|(_, due)| **due <= now)
                .map(|(key, due)| (*due, key.clone())).collect();
            model.retain(|_, due| *due > now);
            wanted.sort();
            popped.sort();
            prop_assert_eq!(popped, wanted);
            let expected: usize = model.keys().map(|key| cost(key)).sum();
            prop_assert_eq!(live(&deadlines), expected);
        }
    }
}

#[test]
fn full_memory_has_room_again_after_pops() {
    let mut deadlines = Deadlines::new(10_000);
    let mut kept = 0;
    while deadlines.learn(format!("key {kept}").as_bytes(), BASE + kept * MS) == Learned::Kept {
        kept += 1;
    }
    assert!((150..250).contains(&kept), "{kept} keys in 10,000 bytes");
    assert!(!deadlines.has_room());
    deadlines.learn_always(b"own", BASE);
    assert!(deadlines.pop(BASE).is_some() && deadlines.pop(BASE).is_some());
    while deadlines.pop(BASE + kept * MS).is_some() {}
    assert!(deadlines.has_room() && deadlines.bytes == 0);
}

#[test]
fn a_forgotten_key_does_not_come() {
    let mut deadlines = Deadlines::new(10_000);
    deadlines.learn(b"a", BASE + MS);
    deadlines.forget(b"a");
    assert!(!deadlines.record_seen(b"a") && deadlines.pop(BASE + 9 * MS).is_none());
    deadlines.learn(b"a", BASE + 20 * MS);
    assert_eq!(deadlines.pop(BASE + 30 * MS), Some((b"a".to_vec(), BASE + 20 * MS)));
}

/// Moments on both sides of 31 and of 32 bits of ticks work like others.
#[test]
fn moments_beyond_32_bits() {
    for border in [1_u64 << 31, 1 << 32, 5 << 31].map(|ticks| ticks * TICK_MICROS) {
        let mut deadlines = Deadlines::new(10_000);
        assert_eq!(deadlines.learn(b"a", border + 5 * MS), Learned::Kept);
        assert_eq!(deadlines.learn(b"a", border + 3_600_000 * MS), Learned::AlreadyKnown);
        assert_eq!(deadlines.learn(b"a", border - 5 * MS), Learned::Kept);
        assert!(deadlines.pop(border - 6 * MS).is_none());
        assert_eq!(deadlines.pop(border), Some((b"a".to_vec(), border - 5 * MS)));
        assert!(deadlines.pop(border + 9 * MS).is_none(), "the later deadline is stale");
    }
}

/// Names that are set and deleted again and again, or get ever earlier deadlines, take no more room than
/// twice that of the keys that are there.
#[test]
fn stale_entries_take_no_more_room_than_others() {
    let mut deadlines = Deadlines::new(1 << 20);
    let names: Vec<String> = (0..1000).map(|n| format!("lock:{n}")).collect();
    for round in 0..200 {
        for name in &names {
            // The same moment as in other rounds, too.
            deadlines.learn(name.as_bytes(), BASE + 3_600_000 * MS - round % 50 * 3 * MS);
            if round % 3 == 0 {
                deadlines.forget(name.as_bytes());
            }
        }
        let most = live(&deadlines) * 2 + STALE_BYTES_MIN + cost(b"lock:999");
        assert!(deadlines.bytes <= most, "round {round}: {} of {most}", deadlines.bytes);
    }
    let mut popped = Vec::new();
    while let Some((key, _)) = deadlines.pop(BASE + 4_000_000 * MS) {
        popped.push(key);
    }
    popped.sort();
    let count = popped.len();
    popped.dedup();
    assert_eq!((count, popped.len(), deadlines.bytes, deadlines.stale), (1000, 1000, 0, 0));
}

/// FLUSHALL announces nothing: a sweep finds out.
#[test]
fn what_a_sweep_has_not_seen_is_gone() {
    let mut deadlines = Deadlines::new(1 << 20);
    let names: Vec<String> = (0..1000).map(|n| format!("k:{n}")).collect();
    names.iter().for_each(|name| _ = deadlines.learn(name.as_bytes(), BASE + MS));
    for round in 0..3 {
        deadlines.begin_sweep();
        assert!(deadlines.record_seen(b"k:7"));
        deadlines.learn(b"k:8", BASE + MS);
        deadlines.learn(b"new", BASE + MS);
        deadlines.end_sweep();
        assert!(deadlines.bytes < STALE_BYTES_MIN * 2, "round {round}: {}", deadlines.bytes);
    }
    let mut popped = Vec::new();
    while let Some((key, _)) = deadlines.pop(BASE + MS) {
        popped.push(key);
    }
    popped.sort();
    assert_eq!(popped, [b"k:7".as_slice(), b"k:8", b"new"]);
}
