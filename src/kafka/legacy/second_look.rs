//! A second look at an offset where the crate cannot read the broker's reply.
//!
//! A broker converts records to the old format of this client. It may find no record to convert from the
//! offset on: compaction removed the end of a batch, or there is only a transaction's marker. Then Kafka
//! 0.11 to 1.1 send the unconverted bytes of the log (`FileRecords.downConvert`); since 2.0 (KIP-283) they
//! send a stub that is too short to read. To the crate, such a batch of format 2 is a record with a wrong
//! CRC.
//!
//! So the native client reads the same offset in the format of the log. An offset range is skipped only if
//! whole entries with correct checksums show that it is empty; a corrupt entry is never skipped.

use std::ops::ControlFlow;
use std::time::Duration;

use super::fetch_sizes::{FETCH_BYTES_FIRST, FETCH_BYTES_MAX};
use crate::error::Fault;
use crate::kafka::client::address::BrokerAddress;
use crate::kafka::client::connection::{Connection, ConnectionLimits};
use crate::kafka::client::dialer::Dialer;
use crate::kafka::cluster::Cluster;
use crate::kafka::fetch::leader_queries::{LeaderQueries, QueryError};
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::frame::Frame;
use crate::kafka::protocol::messages::fetch::{PartitionFetch, SessionPlace};
use crate::kafka::protocol::messages::{Fetch, Isolation};
use crate::kafka::protocol::records::{self, Scratch};
use crate::kafka::seam::StartBasis;
use crate::record::TopicPartition;

#[cfg(test)]
mod tests;

/// How long an idle connection is used. Brokers close one after ten minutes.
const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(240);

/// An offset range without records, from the requested offset on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    /// The offset after the range.
    pub(super) next: i64,
    /// The high watermark of the partition.
    pub(super) end: i64,
}

/// See the module.
pub(super) struct SecondLook {
    dialer: Dialer,
    scratch: Scratch,
    /// The connection to the broker that was asked last.
    connection: Option<Connection>,
}

impl SecondLook {
    pub(super) fn new(cluster: &Cluster) -> Self {
        // The first batch comes whole, of whatever size; it may be larger than `max_bytes`.
        let answer_bytes_max = usize::try_from(FETCH_BYTES_MAX).unwrap_or(usize::MAX);
        Self {
            dialer: cluster.dialer().with_limits(ConnectionLimits { answer_bytes_max, ..cluster.limits() }),
            scratch: Scratch::default(),
            connection: None,
        }
    }

    /// A connection to the leader. Put it back when it has answered.
    fn connect(&mut self, leader: &BrokerAddress) -> Result<Connection, String> {
        let known =
            self.connection.take().filter(|one| one.address() == leader && one.idle() < CONNECTION_IDLE_MAX);
        known.map_or_else(|| self.dialer.reopen(leader), Ok)
    }

    /// The offset at which the records since a moment begin; see [`LeaderQueries::since`].
    pub(super) fn since(
        &mut self,
        leader: &BrokerAddress,
        partition: &TopicPartition,
        since: i64,
    ) -> Result<(i64, StartBasis), QueryError> {
        let mut connection = self.connect(leader).map_err(Fault::Retry)?;
        let scratch = &mut self.scratch;
        let mut queries = LeaderQueries { connection: &mut connection, partition, epoch: -1, scratch };
        // The legacy client does not leave out the records of aborted transactions.
        let found = queries.since(since, Isolation::ReadUncommitted)?;
        self.dialer.confirm(&connection);
        self.connection = Some(connection);
        Ok(found)
    }

    /// The offset range without records that begins at `offset`. `None`: there is a record, or the entry
    /// cannot be read.
    ///
    /// # Errors
    /// The reason why the leader gave no answer for the partition.
    pub(super) fn at(
        &mut self,
        leader: &BrokerAddress,
        partition: &TopicPartition,
        offset: i64,
    ) -> Result<Option<Gap>, String> {
        let mut connection = self.connect(leader)?;
        let max_bytes = FETCH_BYTES_FIRST;
        let fetch = Fetch {
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes,
            isolation: Isolation::ReadUncommitted,
            session: SessionPlace::NONE,
            forgotten: &[],
            partitions: &[PartitionFetch { partition: partition.clone(), epoch: -1, offset, max_bytes }],
        };
        let mut frame = Frame::default();
        let sent = connection.send(&fetch, Duration::ZERO).map_err(|fault| fault.to_string())?;
        let answer = connection.receive::<Fetch<'_>>(sent, &mut frame).map_err(|fault| fault.to_string())?;
        self.dialer.confirm(&connection);
        self.connection = Some(connection);
        let found = answer.partitions.into_iter().find(|(one, _)| one == partition);
        let Some((_, found)) = found else {
            return Err("the broker left the partition out of its answer".to_owned());
        };
        for code in [answer.code, found.code] {
            if code != ErrorCode::NONE {
                return Err(format!("Kafka answers {code}"));
            }
        }
        let set = frame.bytes().get(found.records).unwrap_or_default();
        let end = found.high_watermark;
        Ok(empty_until(set, offset, end, &mut self.scratch).map(|next| Gap { next, end }))
    }
}

/// The offset up to which a record set proves that there is no record from `from` on. `end`: the high
/// watermark. `None`: nothing is proven.
fn empty_until(set: &[u8], from: i64, end: i64, scratch: &mut Scratch) -> Option<i64> {
    let mut first = None;
    // Decodes from offset 0 on, because the decoder does not check the checksum of entries that end
    // below the requested offset, and that end may be the corrupt field.
    let read = records::decode(set, 0, None, scratch, &mut |record| {
        if record.offset < from {
            return ControlFlow::Continue(());
        }
        first = Some(record.offset);
        ControlFlow::Break(())
    });
    let proven = match (first, read) {
        (Some(first), _) => first,
        (None, Ok(decoded)) => decoded.next,
        // The entries before the unreadable one are correct.
        (None, Err(broken)) => broken.next,
    };
    // No checksum covers the base offset of a batch.
    Some(proven).filter(|next| *next > from && *next <= end)
}
