use super::unproved::REMEMBERED_OVERHEAD_BYTES;
use super::*;
use crate::expiry::context::tests::context_on;
use crate::redis::fake_server::{FakeRedis, FakeValue};
use crossbeam_channel::Sender;

const HOUR_MS: u64 = 3_600_000;

/// A reconciler of one server that is both servers, and how its clock stands.
struct Bench {
    redis: FakeRedis,
    context: Arc<ExpiryContext>,
    reconciler: Reconciler,
    now_ms: u64,
    _owner: Sender<()>,
}

impl Bench {
    fn new() -> Self {
        Self::with_memory(1 << 20)
    }

    /// `memory`: bytes that deadlines may take.
    fn with_memory(memory: u64) -> Self {
        let redis = FakeRedis::start();
        let (mut context, _owner) = context_on(Reconciliation::On, redis.port(), 1_000_000);
        Arc::get_mut(&mut context).unwrap().memory = memory;
        context.listen_state.set_leased_elsewhere(false);
        context.listen_state.mark_listening();
        let now_ms = context.clock.at_ms(Instant::now());
        let reconciler = Reconciler::new(&context);
        Self { redis, context, reconciler, now_ms, _owner }
    }

    /// Writes what has become known of keys: deadlines so many milliseconds ahead, or that they were deleted.
    fn write(&mut self, entries: impl IntoIterator<Item = (String, Option<u64>)>) {
        let now_ms = self.now_ms;
        let entry = |(key, ahead): (String, Option<u64>)| KeyDeadline {
            key: key.into_bytes(),
            deadline_ms: ahead.map(|ahead| now_ms + ahead),
        };
        self.reconciler.pending.extend(entries.into_iter().map(entry));
        self.reconciler.write_pending().unwrap();
    }

    /// Has keys remembered whose deadlines passed an hour ago and a millisecond after each other.
    fn remember_overdue(&self, count: u64) {
        let began = self.now_ms.saturating_sub(HOUR_MS).cast_signed();
        let members = names(count).map(String::into_bytes).zip(began..).collect();
        let set = self.context.remembered.set_name().as_bytes().to_vec();
        self.redis.data().keys.insert(set, FakeValue::Sorted(members));
    }

    fn remembered(&self) -> Vec<String> {
        let data = self.redis.data();
        let sets = data.keys.values().filter_map(|value| match value {
            FakeValue::Sorted(set) => Some(set),
            _ => None,
        });
        sets.flat_map(|set| set.keys()).map(|key| String::from_utf8(key.clone()).unwrap()).collect()
    }
}

fn names(count: u64) -> impl Iterator<Item = String> {
    (0..count).map(|n| format!("k:{n:05}"))
}

/// A lock that is taken for an hour and released at once leaves nothing behind. A key that is gone about its
/// deadline may have expired, if the server has become a replica.
#[test]
fn a_deleted_key_is_forgotten() {
    let mut bench = Bench::new();
    bench.write(
        [("k:lock", HOUR_MS), ("k:near", 1500), ("k:alive", HOUR_MS)].map(|(k, at)| (k.to_owned(), Some(at))),
    );
    assert_eq!(bench.remembered().len(), 3);
    bench.write(["k:lock", "k:near", "k:unknown"].map(|key| (key.to_owned(), None)));
    assert_eq!(bench.remembered(), ["k:alive", "k:near"]);
}

/// What is known of a key is written in order, over several packets and in one.
#[test]
fn a_key_that_is_set_again_is_remembered() {
    let mut bench = Bench::new();
    let count = PACKET_KEYS_MAX as u64 * 3;
    for kinds in [[Some(HOUR_MS), None, Some(HOUR_MS)], [None, Some(HOUR_MS), None]] {
        bench.write(kinds.into_iter().flat_map(|kind| names(count).map(move |key| (key, kind))));
        bench.write(kinds.into_iter().map(|kind| ("k:one".to_owned(), kind)));
        let expected = if kinds[2].is_some() { count as usize + 1 } else { 0 };
        assert_eq!(bench.remembered().len(), expected);
    }
}

/// Without a canary nothing shows whether keys that are gone were missed: events may be switched off for an
/// hour. What finds room in the memory for deadlines is kept, however few keys are alive, and pushed when
/// canaries are announced again. What does not is counted, the oldest first, but not before a sweep has seen
/// every key.
#[test]
fn keys_without_a_proof_are_bounded_by_memory() {
    let room = 12_000;
    let mut bench = Bench::with_memory(room * (7 + REMEMBERED_OVERHEAD_BYTES) as u64);
    let now = Instant::now();
    let seen = |bench: &mut Bench, seconds: &[u64]| -> Vec<u64> {
        let check = |seconds: &u64| {
            bench.reconciler.check(now + Duration::from_secs(*seconds)).unwrap();
            bench.remembered().len() as u64
        };
        seconds.iter().map(check).collect()
    };
    bench.remember_overdue(room);
    bench.context.has_swept.store(true, Relaxed);
    assert_eq!(seen(&mut bench, &[0, 1, 60, 61, 62]), [room; 5]);
    let (all, more) = (room + 700, 700);
    bench.remember_overdue(all);
    bench.context.has_swept.store(false, Relaxed);
    assert_eq!(seen(&mut bench, &[63, 64]), [all; 2]);
    bench.context.has_swept.store(true, Relaxed);
    assert_eq!(seen(&mut bench, &[65, 66]), [room; 2]);
    assert_eq!(bench.context.counters.unsettled.load(Relaxed), more);
    assert!(bench.remembered().contains(&format!("k:{:05}", all - 1)), "the oldest are dropped");
    assert!(!bench.redis.holds("work"), "something was pushed");
}

/// Both looks at a key are met by a pause that begins in the middle of the packet. What the server says of
/// the key then is not believed: it would be pushed as missed, and once more when the server announces it.
#[test]
fn a_pause_in_the_middle_of_a_look_pushes_nothing_twice() {
    let mut bench = Bench::new();
    let set = bench.context.remembered.set_name().as_bytes().to_vec();
    let overdue = bench.now_ms.cast_signed() - 9000;
    let members = names(9).map(|key| (key.into_bytes(), overdue)).collect();
    bench.redis.data().keys.insert(set, FakeValue::Sorted(members));
    bench.redis.data().unnoticed = names(9).map(String::into_bytes).collect();
    let now = Instant::now();
    for seconds in 0..3 {
        bench.redis.data().pauses_before = Some(1);
        bench.reconciler.check(now + Duration::from_secs(seconds)).unwrap();
        // A canary that is set after the look is announced.
        let canary = bench.context.canary.begin_next();
        bench.context.canary.record_event(&canary, Instant::now());
        std::thread::sleep(Duration::from_millis(2));
    }
    let unnoticed = bench.redis.data().unnoticed.clone();
    let pushed = bench.redis.list("work");
    assert!(pushed.iter().all(|key| !unnoticed.contains(key.as_bytes())), "{pushed:?} will be announced");
    assert_eq!(pushed.len(), 9, "they were missed");
}

/// A user may lack the right to MULTI, or that to EXEC only. Keys are found all the same.
#[test]
fn keys_are_found_without_transactions() {
    for denied in ["MULTI", "EXEC"] {
        let mut bench = Bench::new();
        bench.redis.data().refuses.insert(denied.to_owned(), "NOPERM no permission".to_owned());
        let keys = [b"k:a".to_vec(), b"k:b".to_vec()];
        bench.redis.set("k:b", "x");
        for _ in 0..2 {
            let found = bench.reconciler.ask(&keys).unwrap();
            assert!(matches!(found[..], [KeyLifetime::Gone, KeyLifetime::Persists]), "without {denied}");
        }
        bench.redis.data().refuses.insert("PTTL".to_owned(), "NOPERM no PTTL".to_owned());
        assert!(bench.reconciler.ask(&keys).is_err_and(|fault| fault.to_string().contains("no PTTL")));
    }
}

/// What is refused inside a transaction is told as if it were by itself.
#[test]
fn a_refused_question_is_told() {
    for (denied, is_told) in [("DEL", "no DEL"), ("PTTL", "no PTTL")] {
        let mut bench = Bench::new();
        bench.redis.data().refuses.insert(denied.to_owned(), format!("NOPERM {is_told}"));
        let asked = bench.reconciler.ask(&[b"k:a".to_vec()]);
        assert!(asked.is_err_and(|fault| fault.to_string().contains(is_told)));
        assert!(bench.reconciler.no_transactions_until.is_none());
    }
}

/// A user who gets the right to MULTI later, or a server that refused it for a while.
#[test]
fn transactions_are_tried_again() {
    let mut bench = Bench::new();
    let keys = [b"k:a".to_vec()];
    bench.redis.data().refuses.insert("MULTI".to_owned(), "NOPERM no permission".to_owned());
    for _ in 0..3 {
        bench.reconciler.ask(&keys).unwrap();
    }
    assert_eq!(bench.redis.count("MULTI"), 1);
    bench.redis.data().refuses.clear();
    bench.reconciler.no_transactions_until = Some(Instant::now());
    bench.reconciler.ask(&keys).unwrap();
    assert!(bench.reconciler.no_transactions_until.is_none() && bench.redis.count("MULTI") == 2);
}

/// Proxies close the connection when they are asked for MULTI. Keys are found all the same.
#[test]
fn keys_are_found_where_multi_ends_the_connection() {
    let mut bench = Bench::new();
    bench.redis.data().loses_answers.insert("MULTI".to_owned());
    bench.redis.set("k:b", "x");
    let keys = [b"k:a".to_vec(), b"k:b".to_vec()];
    let tries = (0..9).take_while(|_| bench.reconciler.ask(&keys).is_err()).count();
    assert!(tries < 9, "it never worked");
    let found = bench.reconciler.ask(&keys).unwrap();
    assert!(matches!(found[..], [KeyLifetime::Gone, KeyLifetime::Persists]));
    assert_eq!(bench.redis.count("MULTI"), 2);
}
