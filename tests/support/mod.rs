//! The base of the integration tests: the real daemon, real servers, real producers, disks that fail, bad
//! networks, and the checker.

pub mod all_jobs;
pub mod check;
pub mod cluster;
pub mod content;
pub mod daemon;
pub mod disk;
pub mod eviction;
pub mod expiry;
pub mod file_set;
pub mod groups;
pub mod inv;
pub mod name_server;
pub mod network;
pub mod old_kernel;
pub mod pandads;
pub mod produce;
pub mod proxy;
pub mod queue;
pub mod redis;
mod redis_roles;
pub mod relay;
pub mod run;
pub mod segment;
pub mod servers;
pub mod stuck;
pub mod tail;
pub mod tested;
pub mod together;
pub mod unsettled;
pub mod wait;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// Whether the long forms of the tests run: all versions, larger counts (`scripts/test --all`).
pub fn all() -> bool {
    std::env::var("PANDAD_TEST_ALL").is_ok_and(|value| value == "1")
}

/// The seed of a test's random choices; a test prints it, so that it can be repeated.
pub fn seed() -> u64 {
    let given = std::env::var("PANDAD_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| fastrand::u64(..))
}

/// A name that nobody else has: tests share brokers and run at the same time.
pub fn unique(stem: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{stem}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A directory of the test's own. The caller removes it.
pub fn directory(stem: &str) -> PathBuf {
    let path = std::env::temp_dir().join(unique(&format!("pandad-{stem}")));
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}
