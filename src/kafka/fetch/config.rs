//! The settings of [`super::fetcher::BrokerFetcher`]: limits, sizes and intervals.

use std::time::Duration;

use crate::kafka::client::connection::ConnectionLimits;

/// Limits, sizes and intervals of fetching.
#[derive(Debug, Clone, Copy)]
pub struct FetchConfig {
    /// The limits of connections.
    pub limits: ConnectionLimits,
    /// How long a broker that has nothing new may hold a Fetch request.
    pub max_wait: Duration,
    /// The most bytes of one reply. A single larger batch is still sent whole.
    pub reply_bytes: usize,
    /// The most bytes of one partition in a reply.
    pub partition_bytes: usize,
    /// After this time the leaders are asked for again, each time of another broker, even if nothing has
    /// failed.
    pub refresh_interval: Duration,
    /// After this time another broker is asked, if one says something that may be out of date.
    pub doubt_interval: Duration,
    /// The pause before a retry grows from the first to the second.
    pub retry_pauses: (Duration, Duration),
    /// A partition that an open transaction blocks for longer is reported.
    pub blocked_log_after: Duration,
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self {
            // Room for a batch of the largest size, and for the same number of bytes of other batches
            // in the same reply.
            limits: ConnectionLimits { answer_bytes_max: 2 * BATCH_BYTES_MAX, ..ConnectionLimits::default() },
            max_wait: Duration::from_millis(500),
            reply_bytes: 2 * 1024 * 1024,
            partition_bytes: 1024 * 1024,
            refresh_interval: Duration::from_secs(20),
            doubt_interval: Duration::from_secs(1),
            retry_pauses: (Duration::from_millis(100), Duration::from_secs(10)),
            blocked_log_after: Duration::from_secs(60),
        }
    }
}

/// The largest batch that is read, in bytes.
pub const BATCH_BYTES_MAX: usize = 128 * 1024 * 1024;
