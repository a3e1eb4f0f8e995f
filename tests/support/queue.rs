//! A work list on one server and the hashes on another, filled with users, and the state that
//! the tests of list_to_hash compare.

use super::daemon::Daemon;
use super::inv::Inv;
use super::redis::Redis;
use super::wait::{self, seconds};
use redis_crate::{cmd, pipe};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The work list, with the default name that all of the original's installations use.
pub const LIST: &str = "panda_user_expire";
pub const DEAD: &str = "pandad:queue:panda_user_expire:dead";
pub const INSTANCES: &str = "pandad:queue:panda_user_expire:instances";
pub const TARGETS: &str = "pandad:queue:panda_user_expire:targets";
/// How many fields of each hash no item names.
const BYSTANDERS: u64 = 7;

/// The 17 hashes that the original had in its code.
pub const ORIGINAL_HASHES: [&str; 17] = [
    "users.id",
    "active_config.netbar_id",
    "users_netbar.user_id",
    "users_netbar_person.user_id",
    "overwatch_activity_config.netbar_id",
    "netbar_notice.netbar_id",
    "base_config.netbar_id",
    "voice_config.netbar_id",
    "client_config.netbar_id",
    "startup_info.netbar_id",
    "integral_config.netbar_id",
    "lucky_draw_config.netbar_id",
    "online_vod.netbar_id",
    "second_kill_config.netbar_id",
    "alipay_netbar.netbar_id",
    "xm_activity_config.netbar_id",
    "recharge_config.netbar_id",
];

/// The name that producers give a user's marker key.
pub fn item(user: u64) -> String {
    format!("USER_CACHE_OVERDUE:{}_{}", field(user), user % 97)
}

pub fn field(user: u64) -> String {
    (1_000_000 + user).to_string()
}

pub struct Queue {
    pub list: Redis,
    pub ar: Redis,
    pub hashes: Vec<String>,
}

impl Queue {
    /// Two ordinary servers of one version.
    #[track_caller]
    pub fn up(version: &str, users: u64) -> Queue {
        Queue::on(Redis::up(version), Redis::up(version), users)
    }

    /// The original's hashes, each with a field for every user and some for nobody.
    #[track_caller]
    pub fn on(list: Redis, ar: Redis, users: u64) -> Queue {
        let hashes = ORIGINAL_HASHES.map(str::to_string).to_vec();
        let queue = Queue { list, ar, hashes };
        queue.fill(0..users);
        queue
    }

    pub fn inv(&self) -> Inv {
        Inv::queue(&self.list, &self.ar)
    }

    /// Users whose fields are in every hash.
    #[track_caller]
    pub fn fill(&self, users: Range<u64>) {
        for hash in &self.hashes {
            let mut pairs: Vec<(String, &str)> =
                (0..BYSTANDERS).map(|n| (format!("bystander {n}"), "stays")).collect();
            pairs.extend(users.clone().map(|user| (field(user), "x")));
            for part in pairs.chunks(10_000) {
                self.ar.run::<String>(cmd("HMSET").arg(hash).arg(part));
            }
        }
    }

    /// An item for each of the users.
    #[track_caller]
    pub fn push(&self, users: Range<u64>) {
        let items: Vec<String> = users.map(item).collect();
        for part in items.chunks(1000) {
            self.list.run::<u64>(cmd("LPUSH").arg(LIST).arg(part));
        }
    }

    /// A stream of items beside the test.
    pub fn feed(&self, users: Range<u64>, rate: u64) -> Feed {
        Feed::start(&self.list, users, rate, true)
    }

    /// As [`Self::feed`], but the stream repeats the items until [`Feed::finish`]. So there is a stream
    /// during the kills even on a slow machine.
    pub fn feed_until_finished(&self, users: Range<u64>, rate: u64) -> Feed {
        Feed::start(&self.list, users, rate, false)
    }

    /// Fields that items were to delete and that are still there, over all hashes.
    #[track_caller]
    pub fn fields_left(&self) -> u64 {
        let counts = self.hashes.iter().map(|hash| self.ar.ask::<u64>(&["HLEN", hash]));
        counts.map(|count| count.checked_sub(BYSTANDERS).expect("a field that nobody named is gone")).sum()
    }

    /// Every batch list and how many items it holds.
    pub fn batches(&self) -> BTreeMap<String, u64> {
        let keys = self.list.keys("pandad:queue:*:batch");
        keys.into_iter().map(|key| (key.clone(), self.list.len(&key))).filter(|(_, len)| *len > 0).collect()
    }

    /// pandad's own keys, without the dead list.
    pub fn own_keys(&self) -> Vec<String> {
        let mut keys = self.list.keys("pandad:*");
        keys.retain(|key| key != DEAD);
        keys
    }

    /// Waits until every item is done: none is on the list, in a batch or in a hash.
    #[track_caller]
    pub fn wait_done(&self, daemon: &mut Daemon, limit: Duration) {
        // A daemon that has not started its jobs cannot be stopped cleanly.
        daemon.wait_log("list_to_hash: running, ", seconds(30));
        let mut left = (0, 0, BTreeMap::new());
        let done = wait::within(limit, || {
            assert!(daemon.running(), "the daemon ended");
            left = (self.list.len(LIST), self.fields_left(), self.batches());
            left.0 == 0 && left.1 == 0 && left.2.is_empty()
        });
        assert!(done, "after {limit:?}: {} items, {} fields, batches {:?}", left.0, left.1, left.2);
    }

    /// Waits until every item is done, stops the daemon with 0, and checks that it leaves no keys.
    #[track_caller]
    pub fn finish(&self, daemon: &mut Daemon, limit: Duration) {
        self.wait_done(daemon, limit);
        daemon.stop();
        self.assert_clean();
    }

    /// Checks which keys are left when nobody works and everything is done.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert_eq!(self.own_keys(), [""; 0], "keys of its own are left");
        self.assert_done();
    }

    /// As [`Self::assert_clean`], after kills and lost answers: the names of instances that may still have
    /// a command under way are kept for a while, and the heartbeat of a killed one lasts some seconds.
    #[track_caller]
    pub fn assert_clean_but_for_names(&self) {
        let mut left = self.own_keys();
        left.retain(|key| ![INSTANCES, TARGETS].contains(&key.as_str()) && !key.ends_with(":alive"));
        assert_eq!(left, [""; 0], "keys of its own are left");
        self.assert_done();
    }

    #[track_caller]
    fn assert_done(&self) {
        assert!(!self.list.exists(DEAD), "on the dead list: {:?}", self.list.items(DEAD));
        assert_eq!((self.list.len(LIST), self.fields_left()), (0, 0), "items and fields left");
    }
}

/// A paced stream of items.
pub struct Feed {
    /// Whether the stream ends with its last user.
    enough: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Feed {
    fn start(list: &Redis, users: Range<u64>, rate: u64, enough: bool) -> Feed {
        let mut redis = list.connect();
        let (enough, ended) = (Arc::new(AtomicBool::new(enough)), Arc::new(AtomicBool::new(false)));
        let (whole, over) = (Arc::clone(&enough), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            let (began, total) = (Instant::now(), users.end - users.start);
            let mut done = 0;
            while (done < total || !whole.load(Relaxed)) && !over.load(Relaxed) {
                let mut due = began.elapsed().as_millis() as u64 * rate / 1000;
                if whole.load(Relaxed) {
                    due = due.min(total);
                }
                let mut pipe = pipe();
                for number in done..due {
                    pipe.cmd("LPUSH").arg(LIST).arg(item(users.start + number % total)).ignore();
                }
                if due > done {
                    pipe.exec(&mut redis).unwrap();
                }
                done = done.max(due);
                std::thread::sleep(wait::millis(10));
            }
        });
        Feed { enough, ended, thread: Some(thread) }
    }

    /// Waits for the last item.
    #[track_caller]
    pub fn finish(mut self) {
        self.enough.store(true, Relaxed);
        self.thread.take().unwrap().join().expect("the stream of items");
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
