//! Servers that delete keys because their memory is full, and clients that need more and more of it.

use super::redis::Redis;
use super::wait::{self, millis, seconds};
use redis_crate::pipe;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What the log says of the servers here.
pub const POLICY: &str = "maxmemory-policy is volatile-ttl";

/// A server that evicts keys.
pub fn evicting(version: &str) -> Redis {
    let redis = Redis::new(version).line("maxmemory 30mb").line("maxmemory-policy volatile-ttl");
    redis.line("appendonly no").started()
}

/// Runs `body` while others need memory all the time.
pub fn under_pressure(redis: &Redis, body: impl FnOnce()) {
    let (ends, mut others) = (AtomicBool::new(false), redis.connect());
    std::thread::scope(|scope| {
        let ends = &ends;
        scope.spawn(move || {
            let (value, mut number) = ("x".repeat(1000), 0);
            while !ends.load(Relaxed) {
                let mut pipe = pipe();
                for _ in 0..500 {
                    number += 1;
                    pipe.cmd("SET").arg(format!("cache:{number}")).arg(&value).arg("EX").arg(36_000).ignore();
                }
                let _: () = pipe.exec(&mut others).unwrap();
                std::thread::sleep(millis(20));
            }
        });
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
        ends.store(true, Relaxed);
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    });
}

#[track_caller]
pub fn wait_evicting(redis: &Redis) {
    wait::until("keys are evicted", seconds(60), || {
        redis.figure("stats", "evicted_keys").is_some_and(|count| count != "0")
    });
}
