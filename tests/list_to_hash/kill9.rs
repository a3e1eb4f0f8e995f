//! Goal: kill -9 leaves no item undone and nothing on any list. Method: a stream of items, random
//! kills of which at least half fall between an item's move off the list and its acknowledgement;
//! other instances take over what a killed one held.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::proxy::Proxy;
use crate::support::queue::{INSTANCES, LIST, Queue, item};
use crate::support::redis::{NEWEST, Redis, newest};
use crate::support::wait::{millis, seconds};
use crate::support::{all, wait};
use redis_crate::cmd;
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The delay of the hashes' server, as if on another machine, so that a batch is in flight for a realistic
/// time.
pub const DISTANCE: Duration = millis(3);

/// A stream of items, and the counts of kills of those who work on it.
pub struct Run {
    pub queue: Queue,
    ar: Proxy,
    kills: u64,
    /// Kills that fell between a move and its acknowledgement.
    pub between: u64,
    seed: u64,
    pub dice: fastrand::Rng,
}

impl Run {
    pub fn new(version: &str, users: u64) -> Run {
        let queue = Queue::up(version, users);
        let ar = Proxy::in_front_of(&queue.ar, DISTANCE);
        let seed = std::env::var("PANDAD_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed: u64 = seed.unwrap_or_else(|| fastrand::u64(..));
        println!("Redis {version}, {users} items, PANDAD_TEST_SEED={seed}");
        Run { queue, ar, kills: 0, between: 0, seed, dice: fastrand::Rng::with_seed(seed) }
    }

    /// A daemon with changes to the configuration.
    pub fn daemon(&self, inv: impl Fn(Inv) -> Inv) -> Daemon {
        Daemon::new(&inv(self.queue.inv().server("redis_ar", "port", &self.ar.port.to_string())))
    }

    fn instances(&self) -> BTreeSet<String> {
        self.queue.list.ask::<BTreeSet<String>>(&["HKEYS", INSTANCES])
    }

    /// Starts the daemon and returns its instance id in the queue.
    #[track_caller]
    pub fn start(&self, daemon: &mut Daemon) -> String {
        let before = self.instances();
        daemon.start();
        let mut new = Vec::new();
        wait::until("the instance is registered", seconds(20), || {
            assert!(daemon.running(), "it ended by itself");
            new = self.instances().difference(&before).cloned().collect();
            !new.is_empty()
        });
        new.remove(0)
    }

    /// Number of items in its batch lists.
    pub fn held(&self, instance: &str) -> u64 {
        let held = |key: &String| if key.contains(instance) { self.queue.list.len(key) } else { 0 };
        self.queue.list.keys(&format!("pandad:queue:*{instance}:*:batch")).iter().map(held).sum()
    }

    /// Lets the daemon run until a random moment, every other time until it holds a batch of some items;
    /// then kills it. The batch is counted while the daemon is paused, because counting takes as long as a
    /// batch.
    pub fn run_and_kill(&mut self, daemon: &mut Daemon, instance: &str, longest: u64) {
        std::thread::sleep(millis(self.dice.u64(0..longest)));
        if self.kills.is_multiple_of(2) {
            // The batch must have more than the first item: other commands move the others.
            wait::until("the instance holds a batch", seconds(30), || {
                daemon.signal(Signal::STOP);
                let held = self.held(instance) >= 5;
                if !held {
                    daemon.signal(Signal::CONT);
                    std::thread::sleep(millis(self.dice.u64(0..4)));
                }
                held
            });
        }
        assert!(daemon.running(), "it ended by itself");
        daemon.kill9();
        self.between += u64::from(self.held(instance) > 0);
        self.kills += 1;
    }

    /// Kills a daemon that has taken nothing yet.
    fn kill_at_start(&mut self, daemon: &mut Daemon) {
        daemon.start();
        std::thread::sleep(millis(self.dice.u64(0..40)));
        daemon.kill9();
    }

    /// Waits until all is done; only names of killed instances may be left.
    #[track_caller]
    pub fn finish(&mut self, daemons: &mut [Daemon]) {
        self.queue.wait_done(&mut daemons[0], seconds(60));
        for daemon in daemons {
            daemon.stop();
        }
        self.queue.assert_clean_but_for_names();
        println!("{} kills, {} of them between a move and its acknowledgement", self.kills, self.between);
        assert!(
            self.between * 2 >= self.kills,
            "only {} of {} kills were between (PANDAD_TEST_SEED={})",
            self.between,
            self.kills,
            self.seed
        );
    }
}

/// Numbers of kills, of items, and of items a second: the kills take about as long as the stream.
fn counts() -> (u64, u64, u64) {
    if all() { (30, 100_000, 2500) } else { (6, 20_000, 2500) }
}

/// Upper limit of one run in milliseconds: the mean run is half of it, and starts and looks take time
/// as well.
fn longest_run((kills, items, rate): (u64, u64, u64)) -> u64 {
    items * 1000 / rate / kills
}

#[test]
fn kill_9_between_list_and_hash() {
    let (kills, items, rate) = counts();
    for version in newest() {
        let mut run = Run::new(&version, items);
        let tested = run.queue.list.tested("list_to_hash", "kill -9 in mid-stream");
        let feed = run.queue.feed_until_finished(0..items, rate);
        let mut daemon = run.daemon(|inv| inv);
        for kill in 0..kills {
            let instance = run.start(&mut daemon);
            run.run_and_kill(&mut daemon, &instance, longest_run(counts()));
            if kill % 5 == 4 {
                run.kill_at_start(&mut daemon);
            }
        }
        daemon.start();
        feed.finish();
        run.finish(&mut [daemon]);
        tested.passed(format_args!("{kills} kills, {items} items"));
    }
}

#[test]
fn kill_9_of_one_of_two() {
    let (kills, items, rate) = counts();
    for version in newest() {
        let mut run = Run::new(&version, items);
        let tested = run.queue.list.tested("list_to_hash", "kill -9 of one of two pandads on the list");
        let feed = run.queue.feed_until_finished(0..items, rate);
        let mut daemons = [run.daemon(|inv| inv), run.daemon(|inv| inv)];
        let mut instances = [String::new(), String::new()];
        for (daemon, instance) in daemons.iter_mut().zip(&mut instances) {
            *instance = run.start(daemon);
        }
        for kill in 0..kills {
            let one = (kill % 2) as usize;
            run.run_and_kill(&mut daemons[one], &instances[one], longest_run(counts()));
            instances[one] = run.start(&mut daemons[one]);
        }
        feed.finish();
        run.finish(&mut daemons);
        for daemon in &daemons {
            let ended = daemon.log_lines("list_to_hash: ended");
            assert!(!ended[0].contains(" items=0 "), "one of the two did nothing: {ended:?}");
        }
        tested.passed(format_args!("{kills} kills, {items} items"));
    }
}

/// The hashes' server hangs, so that a batch stays in flight; then the pandad with the batch is killed. A
/// start on the same machine sees that its process has ended.
#[test]
fn batch_is_taken_up_at_the_next_start() {
    for version in newest() {
        let queue = Queue::up(&version, 500);
        let tested = queue.list.tested("list_to_hash", "a batch is taken up at the next start");
        let mut daemon = Daemon::new(&queue.inv());
        killed_with_a_batch(&queue, &mut daemon);
        let began = Instant::now();
        daemon.start();
        queue.wait_done(&mut daemon, seconds(30));
        println!("all is done {:?} after the start", began.elapsed());
        // The heartbeat of the killed instance would last for ten seconds.
        assert!(began.elapsed() < seconds(3), "not at once: {:?}", began.elapsed());
        assert!(!daemon.log_lines("took over").is_empty(), "it does not say what it took over");
        tested.passed("500 items");
    }
}

/// Another instance works on the same list all the time.
#[test]
fn batch_is_taken_over_by_another() {
    let queue = Queue::up(NEWEST, 500);
    let tested = queue.list.tested("list_to_hash", "a batch is taken over by another instance");
    let (mut one, mut other) = (Daemon::new(&queue.inv()), Daemon::new(&queue.inv()));
    killed_with_a_batch(&queue, &mut one);
    // The second instance starts after the kill.
    other.start();
    queue.wait_done(&mut other, seconds(30));
    // The same once more, with the second instance running.
    queue.fill(0..300);
    queue.ar.hang();
    one.start();
    queue.push(0..300);
    wait::until("both hold batches", seconds(20), || queue.list.len(LIST) == 0);
    one.kill9();
    queue.ar.resume();
    // Both instances are on this machine, so nobody waits for the heartbeat to expire.
    let killed = Instant::now();
    queue.wait_done(&mut other, seconds(25));
    assert!(killed.elapsed() < seconds(25), "taken over after {:?}", killed.elapsed());
    other.stop();
    queue.assert_clean_but_for_names();
    tested.passed("800 items");
}

/// Leaves batches with items whose instance was killed.
#[track_caller]
fn killed_with_a_batch(queue: &Queue, daemon: &mut Daemon) {
    daemon.start_and_wait();
    queue.ar.hang();
    queue.push(0..500);
    wait::until("a batch is taken", seconds(20), || !queue.batches().is_empty());
    std::thread::sleep(millis(200));
    daemon.kill9();
    queue.ar.resume();
    let held = queue.batches();
    println!("left behind: {held:?}");
    assert!(held.values().sum::<u64>() > 0, "nothing was left behind");
}

/// On another machine nobody can see that a process has ended: its heartbeat key must expire first.
#[test]
fn batch_elsewhere_waits_for_the_heartbeat() {
    for version in newest() {
        let queue = Queue::up(&version, 1000);
        let tested =
            queue.list.tested("list_to_hash", "a batch of another machine, once its heartbeat has expired");
        // The keys that a killed instance leaves: three slots, two of them with a batch.
        let elsewhere = "00000000deadbeef";
        let batch = |slot: u32| format!("pandad:queue:{LIST}:{elsewhere}:{slot}:batch");
        queue.list.ask::<u64>(&["HSET", INSTANCES, elsewhere, "3"]);
        let alive = format!("pandad:queue:{LIST}:{elsewhere}:alive");
        for user in 0..400 {
            queue.list.push(&batch(0), &item(user));
            queue.list.push(&batch(2), &item(user + 400));
        }
        queue.push(800..1000);
        // The heartbeat names a process of this boot and number, but of another process namespace.
        queue.list.ask::<String>(&["SET", &alive, "00000000000000000000000000000001 1 1", "PX", "6000"]);
        let began = Instant::now();
        let mut daemon = Daemon::new(&queue.inv());
        daemon.start();
        wait::until("the list is done", seconds(10), || queue.fields_left() == 800 * 17);
        while began.elapsed() < millis(5500) {
            let left = queue.fields_left();
            // A slow answer may come from a time when the heartbeat had expired.
            assert!(left == 800 * 17 || began.elapsed() > millis(5900), "taken from one that lives");
            std::thread::sleep(millis(50));
        }
        queue.wait_done(&mut daemon, seconds(20));
        let took = began.elapsed();
        println!("the key died after 6 s, all is done after {took:?}");
        assert!(took < seconds(6 + 10), "long after the heartbeat expired: {took:?}");
        daemon.stop();
        tested.passed("800 items");
    }
}

/// An instance is paused for longer than its heartbeat lasts, loses its batches to another one, and is
/// resumed: no item is lost and none is left.
#[test]
fn paused_instance_does_no_harm() {
    let queue = Queue::up(NEWEST, 2000);
    let tested =
        queue.list.tested("list_to_hash", "one of two is paused for longer than its heartbeat lasts");
    let proxy = Proxy::in_front_of(&queue.ar, millis(200));
    let slow = queue.inv().server("redis_ar", "port", &proxy.port.to_string());
    let (mut still, mut other) = (Daemon::new(&slow), Daemon::new(&queue.inv()));
    still.start_and_wait();
    queue.push(0..1000);
    wait::until("a batch is taken", seconds(20), || !queue.batches().is_empty());
    still.signal(Signal::STOP);
    assert!(!queue.batches().is_empty(), "it had done it all");
    other.start_and_wait();
    queue.push(1000..2000);
    // The heartbeat lasts ten seconds, and the other instance checks it from time to time.
    let paused = Instant::now();
    queue.wait_done(&mut other, seconds(30));
    assert!(paused.elapsed() < seconds(30), "taken over after {:?}", paused.elapsed());
    assert!(!other.log_lines("took over").is_empty());
    still.signal(Signal::CONT);
    queue.fill(2000..3000);
    queue.feed(2000..3000, 1000).finish();
    queue.wait_done(&mut still, seconds(20));
    assert!(other.running());
    still.stop();
    other.stop();
    queue.assert_clean_but_for_names();
    tested.passed("3000 items");
}

/// The server has carried out a command and its answer is lost: afterwards neither server keeps an item.
#[test]
fn lost_answers_lose_no_item() {
    let (users, cuts) = if all() { (40_000, 100) } else { (8000, 20) };
    for version in newest() {
        let queue = Queue::up(&version, users);
        let tested = queue.list.tested("list_to_hash", "connections cut, answers lost");
        let (list, ar) =
            (Proxy::in_front_of(&queue.list, millis(2)), Proxy::in_front_of(&queue.ar, millis(2)));
        let inv = queue.inv().server("redis_list", "port", &list.port.to_string());
        let mut daemon = Daemon::new(&inv.server("redis_ar", "port", &ar.port.to_string()));
        daemon.start_and_wait();
        let feed = queue.feed(0..users, users * 1000 / (cuts * 150));
        for cut in 0..cuts {
            std::thread::sleep(millis(fastrand::u64(50..250)));
            if if cut % 4 == 3 { ar.cut() } else { list.cut() } {
                continue;
            }
            println!("nothing to cut");
        }
        feed.finish();
        queue.wait_done(&mut daemon, seconds(60));
        daemon.stop();
        queue.assert_clean_but_for_names();
        tested.passed(format_args!("{users} items, {cuts} cuts"));
    }
}

#[test]
fn two_lists_on_one_server() {
    let (list, ar) = (Redis::up(NEWEST), Redis::up(NEWEST));
    let tested = list.tested("list_to_hash", "two lists on one server");
    let keys = ["one", "one:more"];
    for (key, field) in keys.iter().zip(["1", "2"]) {
        for hash in ["hash-one", "hash-one:more"] {
            ar.run::<u64>(cmd("HSET").arg(hash).arg(field).arg("x"));
        }
        list.push(key, &format!("a:{field}_1"));
    }
    let mut daemons = keys.map(|key| {
        let inv = Inv::queue(&list, &ar).server("redis_list", "key", key);
        Daemon::new(&inv.server("redis_ar", "hashes", &format!("hash-{key}")))
    });
    daemons.iter_mut().for_each(Daemon::start_and_wait);
    let left = |hash: &str| ar.ask::<Vec<String>>(&["HKEYS", hash]);
    wait::until("both are done", seconds(20), || left("hash-one") == ["2"] && left("hash-one:more") == ["1"]);
    for mut daemon in daemons {
        daemon.stop();
    }
    assert_eq!(list.keys("*"), [""; 0]);
    tested.passed("2 items");
}
