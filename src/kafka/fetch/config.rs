//! What [`super::fetcher::BrokerFetcher`] is set to: limits, sizes and intervals.

use std::time::Duration;

use crate::kafka::client::connection::ConnectionLimits;

/// How long, how much and how often.
#[derive(Debug, Clone, Copy)]
pub struct FetchConfig {
    /// Of connections and answers.
    pub limits: ConnectionLimits,
    /// How long a broker that has nothing new may wait before it says so.
    pub max_wait: Duration,
    /// What one reply holds, in bytes; more only where a single batch is larger.
    pub reply_bytes: usize,
    /// What it holds of one partition, in bytes.
    pub partition_bytes: usize,
    /// Leaders are asked for again after this time though nothing has failed.
    pub refresh_interval: Duration,
    /// The pause before what failed is tried again grows from the first to the second.
    pub retry_pauses: (Duration, Duration),
    /// A transaction that holds a partition up for longer is talked about.
    pub blocked_log_after: Duration,
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self {
            // Such a batch, and as much again of others that came with it.
            limits: ConnectionLimits { answer_bytes_max: 2 * BATCH_BYTES_MAX, ..ConnectionLimits::default() },
            max_wait: Duration::from_millis(500),
            reply_bytes: 2 * 1024 * 1024,
            partition_bytes: 1024 * 1024,
            refresh_interval: Duration::from_secs(300),
            retry_pauses: (Duration::from_millis(100), Duration::from_secs(10)),
            blocked_log_after: Duration::from_secs(60),
        }
    }
}

/// The largest batch that is taken in, in bytes.
pub const BATCH_BYTES_MAX: usize = 128 * 1024 * 1024;
