use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

proptest! {
    /// The queue is compared with a plain map: a key comes when the earliest of its deadlines has passed,
    /// and never before.
    #[test]
    fn each_key_comes_at_its_earliest_deadline(
        steps in prop::collection::vec((0_u8..30, 0_u64..5000, 0_u64..300), 0..300),
    ) {
        let base = Instant::now();
        let mut deadlines = Deadlines::new(1 << 20, base);
        let mut model: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        let mut now = 0;
        for (key, after, pause) in steps {
            let key = vec![key; 1 + usize::from(key)];
            let due = now + after;
            let expected = match model.get(&key) {
                Some(known) if *known <= due => Learned::AlreadyKnown,
                _ => {
                    model.insert(key.clone(), due);
                    Learned::Kept
                }
            };
            prop_assert_eq!(deadlines.learn(&key, base + millis(due)), expected);
            prop_assert!(deadlines.knows(&key));
            now += pause;
            let mut popped = Vec::new();
            while let Some((key, due)) = deadlines.pop(base + millis(now)) {
                popped.push((due - base, key));
            }
            let mut wanted: Vec<_> = model.iter().filter(|(_, due)| **due <= now)
                .map(|(key, due)| (millis(*due), key.clone())).collect();
            model.retain(|_, due| *due > now);
            wanted.sort();
            popped.sort();
            prop_assert_eq!(popped, wanted);
        }
    }
}

#[test]
fn full_memory_has_room_again_after_pops() {
    let base = Instant::now();
    let mut deadlines = Deadlines::new(10_000, base);
    let mut kept = 0;
    while deadlines.learn(format!("key {kept}").as_bytes(), base + millis(kept)) == Learned::Kept {
        kept += 1;
    }
    assert!((150..250).contains(&kept), "{kept} keys in 10,000 bytes");
    assert!(!deadlines.has_room());
    deadlines.learn_always(b"own", base);
    assert!(deadlines.pop(base).is_some() && deadlines.pop(base).is_some());
    while deadlines.pop(base + millis(kept)).is_some() {}
    assert!(deadlines.has_room() && deadlines.bytes == 0);
}

#[test]
fn a_forgotten_key_does_not_come() {
    let base = Instant::now();
    let mut deadlines = Deadlines::new(10_000, base);
    deadlines.learn(b"a", base + millis(1));
    deadlines.forget(b"a");
    assert!(!deadlines.knows(b"a") && deadlines.pop(base + millis(9)).is_none());
    deadlines.learn(b"a", base + millis(20));
    assert_eq!(deadlines.pop(base + millis(30)), Some((b"a".to_vec(), base + millis(20))));
}

/// Moments beyond 32 bits of ticks work like others.
#[test]
fn moments_beyond_32_bits() {
    let Some(base) = Instant::now().checked_sub(Duration::from_secs(6 * 86_400)) else { return };
    let mut deadlines = Deadlines::new(10_000, base);
    let due = Instant::now() + millis(5);
    deadlines.learn(b"a", due);
    assert!(deadlines.pop(due - millis(1)).is_none());
    let (_, moment) = deadlines.pop(due + millis(1)).unwrap();
    assert!(moment >= due && moment < due + millis(1));
}
