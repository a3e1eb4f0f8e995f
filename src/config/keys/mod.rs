//! All keys, each declared once, in the order of the shipped .inv.
//!
//! A new key needs its declaration here and one field in `settings`. Its default is written as in the .inv,
//! so that it passes the same checks as a value from the file.

mod daemon;
mod expired_to_list;
mod kafka_to_file;
mod list_to_hash;
mod many_files;
mod redis;
mod tls;

pub use daemon::*;
pub use expired_to_list::*;
pub use kafka_to_file::*;
pub use list_to_hash::*;
pub use many_files::*;
pub use redis::*;
pub use tls::TlsKeys;

/// Section of the job `kafka_to_file`.
pub const LOG: &str = "log_section";
/// Section of the job `expired_to_list`.
pub const CLEAR: &str = "clearCache_section";
/// Section that names the Redis servers.
pub const REDIS: &str = "redis_env_section";
/// Section of the job `list_to_hash`.
pub const SERVER: &str = "panda_server_section";
/// Section for the whole process.
pub const DAEMON: &str = "daemon_section";
