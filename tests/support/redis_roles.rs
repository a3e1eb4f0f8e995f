//! Replicas, and a Sentinel.

use super::redis::Redis;
use super::wait;

impl Redis {
    /// A replica that runs and has caught up. Its master listens on this port.
    #[track_caller]
    pub fn replica(version: &str, master: u16) -> Redis {
        let replica = Redis::new(version).line(format!("slaveof 127.0.0.1 {master}")).started();
        wait::until("the replica has caught up", wait::seconds(30), || {
            replica.figure("replication", "master_link_status").as_deref() == Some("up")
        });
        replica
    }

    /// A Sentinel that watches the master on this port.
    #[track_caller]
    pub fn sentinel(version: &str, master: u16) -> Redis {
        let mut sentinel =
            Redis::new(version).line(format!("sentinel monitor mymaster 127.0.0.1 {master} 1"));
        sentinel.is_sentinel = true;
        sentinel.started()
    }

    /// Makes a replica a master, as Sentinel does.
    #[track_caller]
    pub fn promote(&self) {
        self.ask::<String>(&["SLAVEOF", "NO", "ONE"]);
    }

    /// Makes a master a replica of the new one.
    #[track_caller]
    pub fn demote(&self, master: &Redis) {
        self.ask::<String>(&["SLAVEOF", "127.0.0.1", &master.port.to_string()]);
    }
}
