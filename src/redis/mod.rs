//! Redis over blocking connections: connects, logs in, limits every wait, explains refusals, and logs when
//! a server goes down and when it is back. Knows no list, no key and no job.

mod answers;
mod connection;
mod error;
mod eviction;
#[cfg(test)]
pub(crate) mod fake_server;
mod foreign_server;
mod health;
mod left_out;
mod link;
mod requests;
mod server;
mod server_watch;
#[cfg(test)]
mod tests;

pub use connection::RedisConnection;
pub use error::RedisError;
pub use eviction::EvictionCheck;
pub use health::Health;
pub use left_out::LeftOutCommands;
pub use link::Link;
pub use redis_crate::{Cmd, Value, cmd};
pub use requests::{Args, Requests};
pub use server::{RedisServer, ServerAddress};
pub use server_watch::ServerWatch;
