//! One daemon with all three jobs, their servers, and work for each of them.

use super::daemon::Daemon;
use super::inv::Inv;
use super::produce::Produce;
use super::queue::{Queue, item};
use super::redis::{NEWEST, Redis};
use super::servers::{Kafka, kafka};
use super::unique;
use super::wait::seconds;

/// Work for each of the three jobs.
pub struct AllJobs {
    pub kafka: Kafka,
    pub topic: String,
    pub inv: Inv,
    queue: Queue,
    expire: Redis,
    /// In each of the two partitions.
    pub records: u64,
    pub users: u64,
}

impl AllJobs {
    pub fn new() -> AllJobs {
        let kafka = kafka("3.9.1");
        let topic = unique("old-kernel");
        kafka.create(&topic, 2);
        let (queue, expire) = (Queue::up(NEWEST, 0), Redis::up(NEWEST));
        let inv = Inv::member(&kafka, &topic, &topic).and(queue.inv()).and(Inv::expiry(&expire, &queue.list));
        let inv = inv.job("log_file['rotate_size']", "64K").job("log_file['rotate_keep']", "1000");
        AllJobs { kafka, topic, inv, queue, expire, records: 0, users: 0 }
    }

    /// Records, items, and keys that expire soon.
    pub fn give_work(&mut self) {
        let produce = Produce::seq(&self.kafka, &self.topic, 2000).with("--partitions", 2);
        produce.with("--first", self.records).run();
        self.records += 1000;
        let (from, half, to) = (self.users, self.users + 100, self.users + 200);
        self.queue.fill(from..to);
        self.queue.push(from..half);
        for user in half..to {
            self.expire.ask::<String>(&["SET", &item(user), "", "PX", "100"]);
        }
        self.users = to;
    }

    /// Waits until all of it is done.
    #[track_caller]
    pub fn wait_done(&self, daemon: &mut Daemon) {
        daemon.wait_written(&[self.records; 2], seconds(30));
        self.queue.wait_done(daemon, seconds(30));
    }

    /// Waits until all of it is done, stops the daemon with 0, and checks what is left.
    #[track_caller]
    pub fn finish(&self, daemon: &mut Daemon) {
        self.wait_done(daemon);
        daemon.stop();
        daemon.assert_whole(&[self.records; 2]);
        self.queue.assert_clean_but_for_names();
    }
}
