use super::*;
use crate::expiry::context::Reconciliation;
use crate::expiry::context::tests::context_on;
use crate::redis::fake_server::FakeRedis;
use crossbeam_channel::Sender;

#[test]
fn a_beat_that_changes_shows_that_its_holder_lives() {
    let (mut beat, mut now) = (SeenBeat::default(), Instant::now());
    assert!(!beat.is_alive(now), "there is none");
    for number in 0..9_u8 {
        now += Duration::from_secs(2);
        beat.record(Some(vec![number]), now);
        assert!(beat.is_alive(now));
    }
    for (after, is_alive) in [(2, true), (4, true), (6, false)] {
        let now = now + Duration::from_secs(after);
        beat.record(Some(vec![8]), now);
        assert_eq!(beat.is_alive(now), is_alive, "{after} s");
    }
    beat.record(None, now);
    assert!(!beat.is_alive(now));
}

/// What a Sentinel refuses is no question of rights, and nobody may listen meanwhile.
#[test]
fn a_sentinel_is_no_lack_of_rights() {
    let mut bench = Bench::new();
    bench.redis.data().sentinel_of = Some("mymaster".to_owned());
    bench.redis.data().refuses.insert("GET".to_owned(), "ERR unknown command 'GET'".to_owned());
    assert!(bench.keeper.turn().is_err() && bench.keeper.status.is_none());
    bench.redis.data().sentinel_of = None;
    assert!(bench.checks() && matches!(bench.keeper.status, Some(LeaseStatus::Denied(_))));
}

/// A keeper of one pandad at a server that evicts keys.
struct Bench {
    redis: FakeRedis,
    keeper: LeaseKeeper,
    _owner: Sender<()>,
}

impl Bench {
    fn new() -> Self {
        let redis = FakeRedis::start();
        set_policy(&redis, "volatile-ttl");
        let (context, _owner) = context_on(Reconciliation::Off, redis.port(), 1000);
        Self { keeper: LeaseKeeper::new(&context), redis, _owner }
    }

    /// Makes a check; whether this pandad may listen after that.
    fn checks(&mut self) -> bool {
        self.keeper.turn().unwrap();
        self.keeper.context.listen_state.may_listen()
    }

    fn lease(&self) -> String {
        self.keeper.context.fence.key().to_owned()
    }

    fn beat(&self) -> String {
        self.lease().replace(":lease", ":beat")
    }

    /// Another pandad on another machine has this beat.
    fn set_other_beat(&self, number: u32) {
        self.redis.set(&self.beat(), &format!("0e elsewhere:1 1 {number}"));
    }
}

fn set_policy(redis: &FakeRedis, policy: &str) {
    redis.data().info = format!("maxmemory:7\r\nmaxmemory_policy:{policy}\r\n");
}

/// Its lease was evicted, but its beat goes on. This pandad had the lease before, or never had it.
#[test]
fn a_living_holder_is_left_alone() {
    for held in [true, false] {
        let mut bench = Bench::new();
        if held {
            assert!(bench.checks() && bench.redis.holds(&bench.beat()));
            bench.redis.remove(&bench.lease());
            assert!(bench.checks(), "its own beat keeps nobody away");
            bench.redis.remove(&bench.lease());
        }
        for number in 0..3 {
            bench.set_other_beat(number);
            assert!(!bench.checks() && !bench.redis.holds(&bench.lease()), "held before: {held}");
        }
        // The list's server is away for a moment. The other pandad is known to live.
        bench.redis.data().refuses.insert("GET".to_owned(), "LOADING".to_owned());
        bench.redis.data().loses_answers.insert("GET".to_owned());
        assert!(bench.keeper.turn().is_err() && bench.keeper.status.is_some());
    }
}

/// The beat of whoever has taken over is not deleted by the end of the one before.
#[test]
fn the_end_deletes_no_beat_of_others() {
    for is_other in [true, false] {
        let mut bench = Bench::new();
        assert!(bench.checks());
        bench.redis.remove(&bench.lease());
        if is_other {
            bench.set_other_beat(1);
        }
        let (beat, redis) = (bench.beat(), bench.redis.clone());
        drop(bench._owner);
        bench.keeper.run();
        assert_eq!(redis.holds(&beat), is_other);
    }
}

/// A beat of a time in which the server did evict keys keeps nobody waiting.
#[test]
fn a_stale_beat_is_deleted() {
    let mut bench = Bench::new();
    assert!(bench.checks() && bench.redis.holds(&bench.beat()));
    set_policy(&bench.redis, "noeviction");
    (0..CHECKS_PER_POLICY).for_each(|_| assert!(bench.checks()));
    assert!(!bench.redis.holds(&bench.beat()) && bench.redis.holds(&bench.lease()));
}

/// A proxy closes the connection at CONFIG and INFO. The lease is taken and renewed all the same.
#[test]
fn a_question_that_ends_the_connection_stops_no_lease() {
    let mut bench = Bench::new();
    for name in ["CONFIG", "INFO"] {
        bench.redis.data().loses_answers.insert(name.to_owned());
    }
    for _ in 0..9 {
        assert!(bench.checks() && bench.redis.holds(&bench.lease()));
    }
    assert_eq!(["CONFIG", "INFO"].map(|name| bench.redis.count(name)), [2, 2]);
}
