//! The faults of a Redis server that the tests of outages begin and end.
//!
//! Fault model. The server is stopped, killed or paused; it wants a password, is a replica, is
//! busy with a script, loads its data, takes no writes, or holds a string in place of the list.
//! It keeps what it has acknowledged.

use crate::support::queue::LIST;
use crate::support::redis::{Redis, newest};
use redis_crate::{cmd, pipe};

/// The faults of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    Stopped,
    Killed,
    Hangs,
    WantsAPassword,
    IsAReplica,
    Busy,
    Loading,
    Full,
    ListIsAString,
}

impl Outage {
    /// The text for docs/tested.md, after the server's name.
    pub fn words(self) -> &'static str {
        match self {
            Outage::Stopped => "was stopped",
            Outage::Killed => "was killed",
            Outage::Hangs => "hangs",
            Outage::WantsAPassword => "wants a password",
            Outage::IsAReplica => "is a replica",
            Outage::Busy => "is busy",
            Outage::Loading => "is loading",
            Outage::Full => "is full",
            Outage::ListIsAString => "has a string in place of the list",
        }
    }

    /// The log line must have one of these texts, so that a person can act on it.
    pub fn phrases(self) -> &'static [&'static str] {
        match self {
            Outage::Stopped | Outage::Killed => &["refused", "closed", "reset"],
            Outage::Hangs => &["no answer"],
            Outage::WantsAPassword => &["password"],
            Outage::IsAReplica => &["replica"],
            Outage::Busy => &["BUSY"],
            // The server was killed before it began to load.
            Outage::Loading => &["LOADING", "refused", "closed", "reset"],
            Outage::Full => &["maxmemory"],
            Outage::ListIsAString => &["WRONGTYPE"],
        }
    }

    pub fn begin(self, redis: &mut Redis) {
        match self {
            Outage::Stopped => redis.stop(),
            Outage::Killed => redis.kill(),
            Outage::Hangs => redis.hang(),
            Outage::WantsAPassword => {
                redis.protect("a new one");
                disconnect_others(redis);
            }
            Outage::IsAReplica => {
                // A replica without a master keeps its data.
                redis.ask::<String>(&["SLAVEOF", "127.0.0.1", "1"]);
                disconnect_others(redis);
            }
            Outage::Busy => {
                redis.set("lua-time-limit", "100");
                let script = cmd("EVAL").arg("while true do end").arg(0).get_packed_command();
                redis.connect().send_packed_command(&script).unwrap();
            }
            Outage::Loading => {
                // Loading takes a few seconds: one millisecond for each of these keys.
                let mut pipe = pipe();
                for n in 0..5000 {
                    pipe.cmd("SET").arg(format!("pad {n}")).arg("").ignore();
                }
                redis.run_all(&pipe);
                redis.kill();
                redis.add_line("key-load-delay 1000");
                redis.spawn();
            }
            Outage::Full => redis.set("maxmemory", "1"),
            Outage::ListIsAString => redis.ask::<()>(&["SET", LIST, "somebody's string"]),
        }
    }

    pub fn end(self, redis: &mut Redis) {
        match self {
            Outage::Stopped | Outage::Killed => redis.start(),
            Outage::Hangs => redis.resume(),
            Outage::WantsAPassword => {
                redis.protect("");
                disconnect_others(redis);
            }
            Outage::IsAReplica => redis.ask::<()>(&["SLAVEOF", "NO", "ONE"]),
            Outage::Busy => {
                redis.ask::<()>(&["SCRIPT", "KILL"]);
                // The script ends some time after this.
                redis.wait_ready();
            }
            Outage::Loading => redis.wait_ready(),
            Outage::Full => redis.set("maxmemory", "0"),
            Outage::ListIsAString => redis.ask::<()>(&["DEL", LIST]),
        }
    }

    pub fn versions(self) -> Vec<String> {
        let mut versions = newest();
        // Older versions cannot be made to load slowly.
        versions.retain(|version| self != Outage::Loading || !version.starts_with("3."));
        versions
    }
}

/// Closes the connections of all other clients, as a restart, a failover or a time limit does.
fn disconnect_others(redis: &Redis) {
    for kind in ["normal", "pubsub"] {
        redis.ask::<u64>(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]);
    }
}
