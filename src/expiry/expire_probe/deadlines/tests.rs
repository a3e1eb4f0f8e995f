use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A moment, and a millisecond.
const BASE: u64 = 1_700_000_000_000_000;
const MS: u64 = 1000;

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
            prop_assert_eq!(deadlines.live(), expected);
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
        let most = deadlines.live() * 2 + STALE_BYTES_MIN + cost(b"lock:999");
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

/// The keys that are there, with their deadlines, beside a queue that has too little memory for all of these.
#[derive(Default)]
struct Model {
    known: BTreeMap<Vec<u8>, u64>,
    /// The keys that the sweep under way has not seen.
    unseen: Option<Vec<Vec<u8>>>,
}

impl Model {
    fn bytes(&self) -> usize {
        self.known.keys().map(|key| cost(key)).sum()
    }

    fn see(&mut self, key: &[u8]) {
        if let Some(unseen) = &mut self.unseen {
            unseen.retain(|other| other != key);
        }
    }
}

/// A limit so small that it is reached.
const SMALL: usize = 40_000;

/// Learns a key's deadline, with some of the memory lent.
fn learn(deadlines: &mut Deadlines, model: &mut Model, key: Vec<u8>, due: u64, lent: usize) {
    deadlines.set_lent(lent as u64);
    match deadlines.learn(&key, due) {
        Learned::Kept => {
            model.see(&key);
            model.known.insert(key, due);
        }
        Learned::AlreadyKnown => {
            model.see(&key);
            assert!(model.known.get(&key).is_some_and(|known| *known <= due + 2 * MS));
        }
        Learned::Full => {
            let (needed, limit) = (model.bytes() + cost(&key), SMALL - lent);
            assert!(needed > limit - SMALL / STALE_DIVISOR, "{needed} of {limit} bytes are too much");
            assert!(deadlines.has_room() == (model.bytes() < limit / 4 * 3));
        }
    }
    assert!(deadlines.bytes <= SMALL.max(2 * model.bytes() + STALE_BYTES_MIN));
}

proptest! {
    /// What a key takes is free again when the key has left, however it left, and whatever the others do: the
    /// bytes in use are those of the keys that are there and as much again at most, and a key finds no room
    /// only if these need the memory.
    #[test]
    fn only_keys_that_are_there_take_memory(
        steps in prop::collection::vec((0_u8..12, 0_u16..400, 0_u64..90_000, 0_usize..10_000), 0..600),
    ) {
        let mut deadlines = Deadlines::new(SMALL as u64);
        let (mut model, mut now) = (Model::default(), BASE);
        for (what, key, after, lent) in steps {
            // Names of each size class, and some longer.
            let key = format!("{key:0width$}", width = usize::from(key) % 37 * 8 + 3).into_bytes();
            match what {
                0..=6 => learn(&mut deadlines, &mut model, key, now + after * MS, lent),
                7 => {
                    model.known.remove(&key);
                    deadlines.forget(&key);
                }
                8 => {
                    prop_assert_eq!(deadlines.record_seen(&key), model.known.contains_key(&key));
                    model.see(&key);
                }
                9 if model.unseen.is_none() => {
                    deadlines.begin_sweep();
                    model.unseen = Some(model.known.keys().cloned().collect());
                }
                9 => {
                    deadlines.end_sweep();
                    let unseen = model.unseen.take().unwrap_or_default();
                    unseen.iter().for_each(|key| _ = model.known.remove(key));
                }
                _ => {
                    now += after / 8 * MS;
                    while let Some((key, due)) = deadlines.pop(now) {
                        prop_assert_eq!(model.known.remove(&key), Some(due));
                    }
                    prop_assert!(model.known.values().all(|due| *due > now));
                }
            }
            deadlines.give_memory_back();
            prop_assert_eq!(deadlines.live(), model.bytes());
            prop_assert!(deadlines.bytes <= 2 * model.bytes() + STALE_BYTES_MIN);
            prop_assert!(deadlines.allocated() <= 2 * model.bytes() + SPARE_BYTES_MIN);
        }
    }
}

/// Half of the memory is that of keys that are there, and ten locks are taken and released all the time: each
/// finds room, and a sweep finds room for every key.
#[test]
fn locks_find_room_beside_many_keys() {
    for percent in [0, 45, 60, 74, 90, 97] {
        let mut deadlines = Deadlines::new(SMALL as u64);
        let mut keys = 0;
        while deadlines.live() < SMALL * percent / 100 - 10 * cost(b"lock:9").min(SMALL * percent / 100) {
            assert_eq!(deadlines.learn(format!("key {keys}").as_bytes(), BASE + MS), Learned::Kept);
            keys += 1;
        }
        for round in 0..10_000 {
            let lock = format!("lock:{}", round % 10);
            let learned = deadlines.learn(lock.as_bytes(), BASE + (3_600_000 + round) * MS);
            assert_eq!((learned, deadlines.has_room()), (Learned::Kept, true), "{percent} %, {round}");
            deadlines.forget(lock.as_bytes());
        }
    }
}

/// What is measured in memory follows what is counted, also if it falls.
#[test]
fn memory_is_given_back() {
    let mut deadlines = Deadlines::new(1 << 30);
    let mut measured = 0;
    for (learned, left) in [(100_000, 100_000), (0, 30_000), (0, 9000), (0, 1000), (5000, 6000), (0, 0)] {
        let used = allocation_counter::measure(|| {
            for n in 0..learned {
                deadlines.learn(format!("k:{n:014}").as_bytes(), BASE + n * MS);
            }
            while deadlines.known() > left {
                deadlines.pop(u64::MAX);
            }
            deadlines.give_memory_back();
        });
        measured += used.bytes_current;
        let counted = left * cost(b"k:00000000000000");
        assert_eq!((deadlines.known(), deadlines.bytes), (left, counted));
        let most = (2 * counted + SPARE_BYTES_MIN) as i64;
        assert!(measured <= most, "{left} keys: {measured} of {most} bytes");
        // What is computed is what is measured, but for the tables' ends.
        let error = (deadlines.allocated() as i64 - measured).abs();
        assert!(error <= measured / 8 + 32_000, "{left} keys: {} for {measured}", deadlines.allocated());
    }
}
