//! The workers beside a Redis in the process.

use std::sync::atomic::Ordering::Relaxed;
use std::thread::spawn;
use std::time::{Duration, Instant};

use super::deletion::DeleterContext;
use super::marker::MarkerSettings;
use super::worker::Deleter;
use super::*;
use crate::pipeline::{Source as _, Worker as _};
use crate::queue::WorkBatch;
use crate::queue::dead_list::{DEAD_LIST_ITEMS_MAX, DeadItem};
use crate::redis::ServerAddress;
use crate::redis::fake_server::FakeRedis;

const LIST: &str = "work";
const LONG: Duration = Duration::from_secs(20);

/// The servers of the work list and of the hashes, and one worker.
struct Bench {
    list: FakeRedis,
    ar: FakeRedis,
    source: source::Batches,
    worker: Deleter,
    shared: Arc<DeleterContext>,
}

type Task = Mutex<Option<WorkBatch>>;

impl Bench {
    fn new() -> Self {
        Self::of(None, Duration::from_secs(30))
    }

    /// Markers with the prefix `K:` on this server; or, if it is `None`, on none.
    fn of(markers: Option<&FakeRedis>, ttl: Duration) -> Self {
        Self::over(FakeRedis::start(), markers, ttl)
    }

    fn over(ar: FakeRedis, markers: Option<&FakeRedis>, ttl: Duration) -> Self {
        let list = FakeRedis::start();
        let (keys, slots, lease) = (QueueKeys::new(LIST), BatchSlots::new(2), QueueLease::new(ttl));
        let counters = Counters::shared(NAME, CountedUnit::Items);
        let shared = Arc::new(DeleterContext {
            hashes: ["h1", "h2"].map(str::to_owned).into(),
            keys: keys.clone(),
            slots: slots.clone(),
            lease: lease.clone(),
            counters: Arc::clone(&counters),
            no_hashes: Mutex::default(),
            dead: dead_report::DeadReport::default(),
        });
        let targets = Targets::default();
        let taker = Taker::start(NAME, &list.server(), &list.health(), keys, slots, &lease, targets).unwrap();
        let markers = markers.map(|on| MarkerSettings::new(on.server(), &ar.server(), "K:".to_owned()));
        let markers = markers.map(|markers| markers.for_worker());
        let worker = Deleter::new(ar.link(), list.link(), markers, Arc::clone(&shared));
        let bench = Self {
            list,
            ar,
            source: source::Batches { taker, counters, dead: shared.dead.clone() },
            worker,
            shared,
        };
        for hash in ["h1", "h2"] {
            bench.ar.set_fields(hash, &[("7", "x"), ("8", "x"), ("9", "x")]);
        }
        bench
    }

    /// The batch of these items.
    #[track_caller]
    fn polls(&mut self, items: &[&str]) -> Task {
        self.list.push(LIST, items);
        let (mut tasks, until) = (Vec::new(), Instant::now() + LONG);
        while tasks.is_empty() {
            assert!(Instant::now() < until, "no batch came");
            self.source.poll(Instant::now() + Duration::from_millis(50), &mut tasks).unwrap();
        }
        tasks.remove(0).task
    }

    /// The fields of both hashes.
    fn left(&self) -> [Vec<String>; 2] {
        ["h1", "h2"].map(|hash| self.ar.fields(hash))
    }

    /// The items that stand on batch lists.
    fn unfinished(&self) -> usize {
        let data = self.list.data();
        data.keys.keys().filter(|key| key.ends_with(b":batch")).count()
    }

    fn counted(&self) -> [u64; 4] {
        let counters = &self.shared.counters;
        [&counters.done, &counters.fields, &counters.came_back, &counters.dead].map(|one| one.load(Relaxed))
    }
}

fn both(fields: &[&str]) -> [Vec<String>; 2] {
    let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
    [fields.clone(), fields]
}

#[track_caller]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < until, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn the_fields_of_the_items_are_deleted_from_every_hash() {
    let mut bench = Bench::new();
    bench.ar.set_fields("h2", &[("7", "x"), ("9", "x")]);
    let task = bench.polls(&["K:7_1", "K:8"]);
    assert_eq!(bench.unfinished(), 1);
    assert_eq!(bench.worker.work(&task), Ok(((), 0)));
    assert_eq!((bench.left(), bench.unfinished()), (both(&["9"]), 0));
    assert_eq!(bench.counted(), [2, 3, 0, 0]);
    assert!(task.lock().unwrap().is_none(), "the list's number is free");
    assert_eq!(bench.worker.work(&task), Ok(((), 0)), "a task that is done is not done again");
    assert_eq!(bench.counted(), [2, 3, 0, 0]);
}

/// A server that refuses, or that is a replica, keeps the batch for another attempt.
#[test]
fn what_is_not_deleted_stays_on_the_batch_list() {
    let mut bench = Bench::new();
    let task = bench.polls(&["K:7_1"]);
    bench.ar.data().refuses.insert("HDEL".to_owned(), "OOM command not allowed".to_owned());
    assert_eq!(bench.worker.work(&task), Err(Fault::RetryLogged));
    bench.ar.data().refuses.clear();
    bench.ar.data().is_replica = true;
    assert_eq!(bench.worker.work(&task), Err(Fault::RetryLogged));
    assert_eq!((bench.left(), bench.unfinished(), bench.counted()), (both(&["7", "8", "9"]), 1, [0; 4]));
    bench.ar.data().is_replica = false;
    assert_eq!(bench.worker.work(&task), Ok(((), 0)));
    assert_eq!((bench.left(), bench.unfinished()), (both(&["8", "9"]), 0));
}

/// One of the names in the configuration is no hash.
#[test]
fn a_key_without_a_hash_keeps_no_other_from_being_done() {
    let mut bench = Bench::new();
    bench.ar.set("h1", "text");
    let task = bench.polls(&["K:7_1"]);
    assert_eq!(bench.worker.work(&task), Ok(((), 0)));
    assert_eq!((bench.ar.fields("h2"), bench.counted()), (both(&["8", "9"])[0].clone(), [1, 1, 0, 0]));
    let is_down = || bench.shared.no_hashes.lock().unwrap()["h1"].is_down();
    assert!(is_down());
    bench.ar.set_fields("h1", &[("8", "x")]);
    let mut again = Bench { worker: bench.worker, ..bench };
    let task = again.polls(&["K:8"]);
    assert_eq!(again.worker.work(&task), Ok(((), 0)));
    assert!(!again.shared.no_hashes.lock().unwrap()["h1"].is_down());
}

/// An item without a field is kept where a person finds it, and the others are done.
#[test]
fn items_without_a_field_go_to_the_dead_list() {
    let mut bench = Bench::new();
    let task = bench.polls(&["K:7_1", "K:"]);
    assert_eq!(bench.worker.work(&task), Ok(((), 0)));
    let dead = bench.list.list(&bench.shared.keys.dead_list());
    let dead: Vec<DeadItem> = dead.iter().map(|entry| DeadItem::decode(entry.as_bytes())).collect();
    assert_eq!((dead.len(), dead[0].item.as_slice()), (1, b"K:".as_slice()));
    assert!(dead[0].reason.contains("no field"));
    assert_eq!((bench.left(), bench.counted()), (both(&["8", "9"]), [2, 2, 0, 1]));
    let task = bench.polls(&["K:"]);
    bench.list.data().refuses.insert("LPUSH".to_owned(), "OOM command not allowed".to_owned());
    assert_eq!(bench.worker.work(&task), Err(Fault::RetryLogged));
    assert_eq!(bench.unfinished(), 1, "it would be nowhere");
}

#[test]
fn the_dead_list_keeps_the_newest() {
    let mut bench = Bench::new();
    let (dead_list, most) = (bench.shared.keys.dead_list(), usize::try_from(DEAD_LIST_ITEMS_MAX).unwrap());
    bench.list.push(&dead_list, &vec!["old"; most]);
    let task = bench.polls(&["K:"]);
    assert_eq!(bench.worker.work(&task), Ok(((), 0)));
    let dead = bench.list.list(&dead_list);
    assert!(dead.len() == most && dead[0].ends_with("K:"), "{} entries", dead.len());
}

/// A user came back: the marker key exists again.
#[test]
fn the_fields_of_users_who_came_back_stay() {
    for is_one_server in [true, false] {
        let ar = FakeRedis::start();
        let on = if is_one_server { ar.clone() } else { FakeRedis::start() };
        let mut bench = Bench::over(ar, Some(&on), LONG);
        on.set("K:7_1", "here");
        on.set("other:9", "no marker, since the prefix is another");
        let task = bench.polls(&["K:7_1", "K:8", "other:9"]);
        assert_eq!(bench.worker.work(&task), Ok(((), 0)));
        assert_eq!((bench.left(), bench.counted()), (both(&["7"]), [3, 4, 1, 0]), "{is_one_server}");
        assert_eq!(bench.ar.count("WATCH") > 0, is_one_server);
        let task = bench.polls(&["K:7_1"]);
        assert_eq!(bench.worker.work(&task), Ok(((), 0)));
        assert_eq!((bench.left(), bench.counted()), (both(&["7"]), [4, 4, 2, 0]));
    }
}

/// The user comes back between the check and the deletion.
#[test]
fn check_and_deletion_are_one_step() {
    let ar = FakeRedis::start();
    let mut bench = Bench::over(ar.clone(), Some(&ar), LONG);
    let task = bench.polls(&["K:7_1", "K:8"]);
    ar.data().slow.insert("EXEC".to_owned(), Duration::from_millis(300));
    let comes = ar.clone();
    let user = spawn(move || {
        wait_until("the deletion", || comes.count("HDEL") > 0);
        comes.set("K:7_1", "here");
    });
    assert_eq!(bench.worker.work(&task), Ok(((), 0)));
    user.join().unwrap();
    assert_eq!((bench.left(), bench.counted()), (both(&["7", "9"]), [2, 2, 1, 0]));
}

/// Without the right to WATCH the check comes just before the deletion.
#[test]
fn a_server_without_watch_is_checked_before() {
    let ar = FakeRedis::start();
    ar.data().refuses.insert("WATCH".to_owned(), "NOPERM no permission".to_owned());
    let mut bench = Bench::over(ar.clone(), Some(&ar), LONG);
    ar.set("K:7_1", "here");
    for (item, left) in [("K:7_1", ["7", "8", "9"].as_slice()), ("K:8", &["7", "9"])] {
        let task = bench.polls(&[item]);
        assert_eq!(bench.worker.work(&task), Ok(((), 0)));
        assert_eq!(bench.left(), both(left));
    }
    assert_eq!((ar.count("WATCH"), ar.count("MULTI")), (1, 0), "it is asked once");
}

/// A transaction that the server refuses deletes nothing.
#[test]
fn a_refused_transaction_is_tried_again() {
    let ar = FakeRedis::start();
    let mut bench = Bench::over(ar.clone(), Some(&ar), LONG);
    let task = bench.polls(&["K:7_1"]);
    ar.data().refuses.insert("EXEC".to_owned(), "EXECABORT discarded".to_owned());
    assert_eq!(bench.worker.work(&task), Err(Fault::RetryLogged));
    assert_eq!((bench.left(), bench.unfinished()), (both(&["7", "8", "9"]), 1));
    assert_eq!(ar.count("EXEC"), 1, "a refusal is no change of a marker");
}

/// The markers have a database of their own on the server of the hashes.
#[test]
fn after_the_check_the_hashes_are_selected_again() {
    let ar = FakeRedis::start();
    let server = crate::redis::RedisServer { database: 2, ..(*ar.server()).clone() };
    let mut bench = Bench::over(ar.clone(), Some(&ar), LONG);
    let markers = MarkerSettings::new(Arc::new(server), &ar.server(), "K:".to_owned()).for_worker();
    bench.worker = Deleter::new(ar.link(), bench.list.link(), Some(markers), Arc::clone(&bench.shared));
    let task = bench.polls(&["K:7_1"]);
    assert_eq!(bench.worker.work(&task), Ok(((), 0)));
    let said = ar.data().said.clone();
    let place = |line: &str| said.iter().position(|said| said == line);
    assert!(place("SELECT 2") < place("SELECT 0") && place("SELECT 0") < place("MULTI"), "{said:?}");
    assert_eq!(bench.left(), both(&["8", "9"]));
}

/// The instance sent no heartbeat for a while. Until it knows what is still its own, it deletes nothing; and
/// what another one has taken over is that one's.
#[test]
fn a_batch_that_was_taken_over_is_not_done() {
    for (is_taken_over, left) in [(true, ["7", "8", "9"].as_slice()), (false, &["8", "9"])] {
        let mut bench = Bench::of(None, Duration::from_millis(600));
        let task = bench.polls(&["K:7_1"]);
        bench.list.data().refuses.insert("SET".to_owned(), "OOM command not allowed".to_owned());
        wait_until("the lease ends", || bench.shared.lease.term().is_none());
        assert_eq!(bench.worker.work(&task), Err(Fault::RetryLogged));
        assert_eq!(bench.left(), both(&["7", "8", "9"]), "it may be another's");
        // The term ends only after the whole time to live.
        std::thread::sleep(Duration::from_millis(300));
        if is_taken_over {
            let mut data = bench.list.data();
            let batch = data.keys.keys().find(|key| key.ends_with(b":batch")).cloned().unwrap();
            data.keys.remove(&batch);
        }
        bench.list.data().refuses.clear();
        wait_until("the lease holds", || bench.shared.lease.term().is_some());
        let until = Instant::now() + LONG;
        while bench.worker.work(&task).is_err() {
            assert!(Instant::now() < until, "it is never done");
        }
        assert_eq!((bench.left(), bench.unfinished()), (both(left), 0));
        assert_eq!(bench.counted()[0], u64::from(!is_taken_over));
    }
}

/// The answer to the deletion of a batch list was lost, and no heartbeat was accepted for a while: the list
/// is gone because the batch is done, although nobody else is there.
#[test]
fn a_batch_whose_deletion_had_no_answer_is_done() {
    let mut bench = Bench::of(None, Duration::from_millis(600));
    let task = bench.polls(&["K:7_1", "K:8_1"]);
    bench.list.data().loses_answers.insert("DEL".to_owned());
    assert_eq!(bench.worker.work(&task), Err(Fault::RetryLogged));
    bench.list.data().loses_answers.clear();
    bench.list.data().refuses.insert("SET".to_owned(), "OOM command not allowed".to_owned());
    wait_until("the lease ends", || bench.shared.lease.term().is_none());
    std::thread::sleep(Duration::from_millis(300));
    bench.list.data().refuses.clear();
    wait_until("it is done", || bench.worker.work(&task).is_ok());
    assert_eq!((bench.counted()[0], bench.unfinished()), (2, 0));
}

/// Items can be missing without another pandad: the server has lost its data.
#[test]
fn another_pandad_is_named_only_where_one_is() {
    let mut bench = Bench::new();
    let task = bench.polls(&["K:7_1"]);
    let task = task.lock().unwrap();
    let (batch, keys) = (task.as_ref().unwrap(), QueueKeys::new(LIST));
    let mut link = bench.list.link();
    let mut has_other = || link.once(|connection| batch.has_other_instance(connection, &keys)).unwrap();
    assert!(!has_other(), "it is alone");
    let instance = bench.list.fields(&keys.instances()).remove(0);
    bench.list.set_fields(&keys.instances(), &[(&instance, "1"), ("other", "1")]);
    assert!(has_other());
    bench.list.remove(&keys.instances());
    assert!(!has_other(), "the register is gone, too");
}

/// What is left at the end goes back, and what others left behind is counted.
#[test]
fn the_source_counts_what_waits_and_what_it_took_over() {
    let mut bench = Bench::new();
    let keys = QueueKeys::new(LIST);
    bench.list.set_fields(&keys.instances(), &[("gone", "1")]);
    bench.list.push(&keys.batch("gone", 0), &["K:8", "K:9"]);
    let task = bench.polls(&["K:7_1"]);
    assert_eq!(bench.source.counters.taken_over.load(Relaxed), 2);
    assert_eq!(bench.worker.work(&task), Ok(((), 0)));
    assert_eq!(bench.left(), both(&["7"]));
    let _unfinished = bench.polls(&[]);
    bench.source.finish(Instant::now());
    assert_eq!((bench.list.list(LIST), bench.unfinished()), (vec!["K:7_1".to_owned()], 0));
}

/// The whole job, from the work list to its end.
#[test]
fn the_job_does_items_until_it_is_stopped() {
    let redis = FakeRedis::start();
    let ServerAddress::Tcp(_, port) = redis.server().address.clone() else { panic!("it has a port") };
    let server = |name: &str| format!("{name}[host]=127.0.0.1\n{name}[port]={port}\n");
    let text = format!(
        "[panda_server_section]\nmax_process_num=1\n[redis_env_section]\n\
         {}{}{}redis_list[key]={LIST}\nredis_ar[hashes]=h1,h2\n",
        server("redis_list"),
        server("redis_ar"),
        server("redis_kv_expire")
    );
    let config = crate::config::Config::parse(&text, std::path::Path::new("test.inv")).unwrap();
    let mut job = ListToHash::new(config.list_to_hash.unwrap(), config.daemon.memory);
    assert_eq!(job.name(), "list_to_hash");
    let counters = job.counters();
    for hash in ["h1", "h2"] {
        redis.set_fields(hash, &[("7", "x"), ("9", "x")]);
    }
    let (handle, stop) = crate::shutdown::pair();
    let running = spawn(move || job.run(&stop));
    redis.push(LIST, &["K:7_1"]);
    wait_until("it is done", || counters.done.load(Relaxed) == 1);
    handle.request();
    assert_eq!(running.join().unwrap(), Ok(()));
    assert_eq!(["h1", "h2"].map(|hash| redis.fields(hash)), both(&["9"]));
}
