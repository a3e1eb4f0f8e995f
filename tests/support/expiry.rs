//! One server on which keys expire and another one with the work list, and the state that the
//! tests of expired_to_list compare.

use super::daemon::Daemon;
use super::inv::Inv;
use super::queue::LIST;
use super::redis::Redis;
use super::wait;
use redis_crate::{cmd, pipe};
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::{Duration, Instant};

pub struct Expiry {
    pub expire: Redis,
    pub list: Redis,
}

impl Expiry {
    /// Two ordinary servers of one version.
    #[track_caller]
    pub fn up(version: &str) -> Expiry {
        Expiry { expire: Redis::up(version), list: Redis::up(version) }
    }

    pub fn inv(&self) -> Inv {
        Inv::expiry(&self.expire, &self.list)
    }

    /// Sets keys that expire after a random time in this range of milliseconds. The server notices at any
    /// time after that.
    #[track_caller]
    pub fn set<K: AsRef<[u8]>>(&self, keys: &[K], after: Range<u64>) {
        for some in keys.chunks(1000) {
            let mut pipe = pipe();
            for key in some {
                let time = fastrand::u64(after.clone());
                // Redis 3.2 keeps the deadline of this in its append-only file, and of SET PX the time.
                pipe.cmd("PSETEX").arg(key.as_ref()).arg(time).arg("").ignore();
            }
            self.expire.run_all(&pipe);
        }
    }

    /// Sets keys; when this returns they have expired, and the server has noticed that.
    #[track_caller]
    pub fn expire_now<K: AsRef<[u8]>>(&self, keys: &[K]) {
        self.set(keys, 1..2);
        std::thread::sleep(wait::millis(5));
        self.touch(keys);
    }

    /// Makes the server look at the keys, so that it notices those that have expired.
    #[track_caller]
    pub fn touch<K: AsRef<[u8]>>(&self, keys: &[K]) {
        for some in keys.chunks(1000) {
            let mut pipe = pipe();
            for key in some {
                pipe.cmd("EXISTS").arg(key.as_ref()).ignore();
            }
            self.expire.run_all(&pipe);
        }
    }

    /// Sets other keys, with a long time to live.
    #[track_caller]
    pub fn others(&self, count: usize) {
        let keys: Vec<String> = (0..count).map(|n| format!("other:{n}")).collect();
        self.set(&keys, 3_600_000..7_200_000);
    }

    /// How many deadlines are stored beside the list.
    pub fn remembered(&self) -> u64 {
        let sets = self.list.keys("pandad:expiry:*:deadlines");
        sets.iter().map(|set| self.list.ask::<u64>(&["ZCARD", set])).sum()
    }

    /// The stored deadline of a key.
    pub fn deadline(&self, key: &str) -> Option<String> {
        let sets = self.list.keys("pandad:expiry:*:deadlines");
        sets.iter().find_map(|set| self.list.ask::<Option<String>>(&["ZSCORE", set, key]))
    }

    /// Waits until the first sweep is over: from then on pandad knows only keys with an event.
    #[track_caller]
    pub fn wait_swept(&self) {
        let mut steps = self.expire.calls("scan");
        wait::until("the sweep is over", wait::seconds(30), || {
            std::thread::sleep(wait::millis(300));
            let before = std::mem::replace(&mut steps, self.expire.calls("scan"));
            steps == before && steps > 0
        });
    }

    #[track_caller]
    pub fn wait_remembered(&self, keys: usize) {
        wait::until(&format!("{keys} deadlines are stored"), wait::seconds(30), || {
            self.remembered() >= keys as u64
        });
    }

    /// Waits until this many items are on the list.
    #[track_caller]
    pub fn wait_pushed(&self, daemon: &mut Daemon, items: usize, limit: Duration) {
        self.wait_pushed_before(daemon, items, wait::deadline(limit));
    }

    /// As [`Self::wait_pushed`], for keys that must be on the list within this time, however loaded the
    /// machine is.
    #[track_caller]
    pub fn wait_pushed_in_time(&self, daemon: &mut Daemon, items: usize, limit: Duration) {
        self.wait_pushed_before(daemon, items, Instant::now() + limit);
    }

    #[track_caller]
    fn wait_pushed_before(&self, daemon: &mut Daemon, items: usize, deadline: Instant) {
        let began = Instant::now();
        let mut there = 0;
        let all = wait::before(deadline, || {
            assert!(daemon.running(), "the daemon ended");
            there = self.list.len(LIST) as usize;
            there >= items
        });
        assert!(all, "after {:?} there are {there} of {items} items on the list", began.elapsed());
    }

    /// Fails unless these keys and no others are on the list, some perhaps more than once.
    #[track_caller]
    pub fn assert_pushed<K: AsRef<[u8]>>(&self, keys: &[K]) {
        let items: BTreeSet<Vec<u8>> = self.list.items(LIST).into_iter().collect();
        let wanted: BTreeSet<Vec<u8>> = keys.iter().map(|key| key.as_ref().to_vec()).collect();
        assert!(items == wanted, "{} different items for {} keys", items.len(), wanted.len());
    }

    /// Fails unless these keys and no others are on the list, each once.
    #[track_caller]
    pub fn assert_pushed_once<K: AsRef<[u8]>>(&self, keys: &[K]) {
        let mut items = self.list.items(LIST);
        let mut wanted: Vec<Vec<u8>> = keys.iter().map(|key| key.as_ref().to_vec()).collect();
        items.sort();
        wanted.sort();
        if items != wanted {
            let shown = |items: &[Vec<u8>], without: &[Vec<u8>]| {
                let others = items.iter().filter(|item| without.binary_search(item).is_err());
                others.take(8).map(|item| item.escape_ascii().to_string()).collect::<Vec<_>>()
            };
            let (missing, foreign) = (shown(&wanted, &items), shown(&items, &wanted));
            let twice = items.windows(2).filter(|pair| pair[0] == pair[1]).count();
            let (have, want) = (items.len(), wanted.len());
            panic!(
                "{have} items for {want} keys: missing {missing:?} …, foreign {foreign:?} …, {twice} twice"
            );
        }
        assert!(
            self.expire.port == self.list.port || !self.expire.exists(LIST),
            "pushed to the wrong server"
        );
    }

    /// Lets one more key expire, and waits until it is on the list.
    #[track_caller]
    pub fn assert_receives(&self, daemon: &mut Daemon, key: &str) {
        let before = self.list.len(LIST) as usize;
        self.expire_now(&[key]);
        self.wait_pushed(daemon, before + 1, wait::seconds(10));
        assert_eq!(self.list.ask::<String>(&["LINDEX", LIST, "0"]), key);
    }

    /// Checks that pandad has left none of its own keys on either server.
    #[track_caller]
    pub fn assert_clean(&self) {
        for redis in [&self.expire, &self.list] {
            assert_eq!(redis.keys("pandad:*"), [""; 0], "keys of its own are left");
        }
    }

    /// The connections that have subscribed to a channel: their lines in CLIENT LIST.
    pub fn subscribers(&self) -> Vec<String> {
        let clients: String = self.expire.run(cmd("CLIENT").arg("LIST"));
        clients.lines().filter(|line| !line.contains(" sub=0 ")).map(str::to_string).collect()
    }
}
