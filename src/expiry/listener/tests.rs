//! The listener, beside a server in the process.

use super::*;
use crate::expiry::context::ExpiryContext;
use crate::expiry::context::tests::context_on;
use crate::redis::fake_server::FakeRedis;
use crossbeam_channel::Sender;
use std::thread::{self, JoinHandle};

const CHANNEL: &str = "__keyevent@0__:expired";
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A listener that runs beside a server, and may listen.
struct Bench {
    redis: FakeRedis,
    context: Arc<ExpiryContext>,
    owner: Option<Sender<()>>,
    running: Option<JoinHandle<()>>,
}

impl Bench {
    fn start(redis: FakeRedis) -> Self {
        let (context, owner) = context_on(Reconciliation::Off, redis.port(), 1000);
        context.listen_state.set_leased_elsewhere(false);
        let listener = Listener::new(&context);
        let running = Some(thread::spawn(|| listener.run()));
        Self { redis, context, owner: Some(owner), running }
    }

    fn wait_until(&self, what: &str, done: impl Fn() -> bool) {
        let began = Instant::now();
        while !done() {
            assert!(began.elapsed() < WAIT_MAX, "{what}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn wait_for_subscription(&self) -> u64 {
        self.wait_until("it is not subscribed", || self.context.listen_state.subscription().is_some());
        self.context.listen_state.subscription().unwrap()
    }

    /// Waits until this key has expired and was received.
    fn receives(&self, key: &str) {
        self.wait_until("no event is received", || {
            self.redis.publish(CHANNEL, key.as_bytes());
            let taken = self.context.inbox.take(99, Instant::now());
            self.context.inbox.record_done(&taken);
            taken.keys.iter().any(|received| received.key == key.as_bytes())
        });
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.owner = None;
        // A message ends its wait.
        self.redis.publish(CHANNEL, b"other");
        if let Some(Err(panic)) = self.running.take().map(JoinHandle::join)
            && !thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn it_listens_only_with_the_lease() {
    let bench = Bench::start(FakeRedis::start());
    let first = bench.wait_for_subscription();
    bench.receives("k:a");
    bench.context.listen_state.set_leased_elsewhere(true);
    let state = &bench.context.listen_state;
    bench.wait_until("it goes on without the lease", || {
        bench.redis.publish(CHANNEL, b"other");
        state.subscription().is_none()
    });
    bench.context.inbox.take(999, Instant::now());
    bench.redis.publish(CHANNEL, b"k:lost");
    assert!(bench.context.inbox.take(9, Instant::now()).keys.is_empty());
    state.set_leased_elsewhere(false);
    assert!(bench.wait_for_subscription() > first);
    bench.receives("k:b");
}

#[test]
fn it_connects_again_when_asked() {
    let bench = Bench::start(FakeRedis::start());
    let first = bench.wait_for_subscription();
    bench.context.listen_state.request_reconnect();
    bench.wait_until("it has the same subscription", || {
        bench.redis.publish(CHANNEL, b"other");
        bench.context.listen_state.subscription().is_some_and(|now| now > first)
    });
    assert!(bench.redis.count("CONFIG") >= 2, "the setting is read at each connect");
    bench.receives("k:a");
}

/// A replica announces nothing; it may become a master.
#[test]
fn it_waits_until_a_replica_is_a_master() {
    let redis = FakeRedis::start();
    redis.data().is_replica = true;
    let bench = Bench::start(redis);
    bench.wait_until("it did not ask again", || bench.redis.count("ROLE") >= 2);
    assert_eq!((bench.context.listen_state.subscription(), bench.redis.count("SUBSCRIBE")), (None, 0));
    bench.redis.data().is_replica = false;
    bench.wait_for_subscription();
    bench.receives("k:a");
}

/// The channels of deadlines may be refused while that of expired keys is allowed.
#[test]
fn it_goes_on_without_the_channels_of_deadlines() {
    let redis = FakeRedis::start();
    redis.data().refuses.insert("SUBSCRIBE".to_owned(), "NOPERM no permission".to_owned());
    let bench = Bench::start(redis);
    let subscribes = |words: usize| {
        let said = &bench.redis.data().said;
        said.iter().any(|line| line.starts_with("SUBSCRIBE") && line.split(' ').count() == words)
    };
    bench.wait_until("it insists on the channels of deadlines", || subscribes(2));
    assert!(subscribes(2 + key_events::CHANGES.len()), "it did not try the others");
    bench.redis.data().refuses.clear();
    bench.wait_for_subscription();
    bench.receives("k:a");
}

/// Proxies such as twemproxy know no SUBSCRIBE, and close the connection.
#[test]
fn a_proxy_without_subscribe_is_named() {
    let redis = FakeRedis::start();
    redis.data().loses_answers.insert("SUBSCRIBE".to_owned());
    let (context, _owner) = context_on(Reconciliation::Off, redis.port(), 1000);
    context.listen_state.set_leased_elsewhere(false);
    let why = Listener::new(&context).listen().unwrap_err().to_string();
    assert!(why.contains("closed at SUBSCRIBE") && why.contains("name the Redis server itself"), "{why}");
}

/// Services that others run refuse CONFIG or answer it with nothing, and pandad says which.
#[test]
fn what_config_says_is_told_as_it_is() {
    let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
    let pair = Value::Array(vec![bulk("notify-keyspace-events"), bulk("Ex")]);
    assert_eq!(shown_flags(Ok(pair)), Ok(Ok("Ex".to_owned())));
    for empty in [Value::Array(Vec::new()), Value::Nil] {
        let why = shown_flags(Ok(empty)).unwrap().unwrap_err();
        assert!(!why.contains("refused"), "{why}");
    }
    let refusal = RedisError::Refused { code: "NOPERM".to_owned(), text: "no CONFIG".to_owned() };
    let why = shown_flags(Err(refusal)).unwrap().unwrap_err();
    assert!(why.contains("is refused: NOPERM no CONFIG"), "{why}");
    let lost = RedisError::Lost("gone".to_owned());
    assert_eq!(shown_flags(Err(lost.clone())), Err(lost));
}
