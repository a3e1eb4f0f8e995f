//! A second look at an offset at which the crate cannot read what the broker gave it.
//!
//! A broker converts its records for so old a client. Where there is none to convert at or
//! behind the offset in what it has read of the log (compaction took the end of a batch, or
//! only a transaction's marker is there), Kafka 0.11 to 1.1 send the log's own bytes instead
//! (`FileRecords.downConvert`; since 2.0, KIP-283, something too short to be read). To the
//! crate such a batch of format 2 is a record with a wrong CRC.
//!
//! So the broker is asked what really is there, by our own client and in the format of its
//! log. Only what whole entries with right checksums show to be empty is stepped over; what
//! is corrupt stays where it is.

use std::ops::ControlFlow;
use std::time::Duration;

use super::fetch_sizes::{FETCH_BYTES_FIRST, FETCH_BYTES_MAX};
use crate::kafka::client::address::BrokerAddress;
use crate::kafka::client::connection::{Connection, ConnectionLimits};
use crate::kafka::cluster::Cluster;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::frame::Frame;
use crate::kafka::protocol::messages::fetch::PartitionFetch;
use crate::kafka::protocol::messages::{Fetch, Isolation};
use crate::kafka::protocol::records::{self, Scratch};
use crate::record::TopicPartition;

#[cfg(test)]
mod tests;

/// How long a connection is kept that nothing was asked on: brokers close it after ten minutes.
const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(240);

/// A stretch of a partition in which no record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    /// The offset behind it.
    pub(super) next: i64,
    /// The partition's end, for readers.
    pub(super) end: i64,
}

/// See the module.
pub(super) struct SecondLook {
    client_id: String,
    limits: ConnectionLimits,
    scratch: Scratch,
    /// To the broker that was asked last.
    connection: Option<Connection>,
}

impl SecondLook {
    pub(super) fn new(cluster: &Cluster) -> Self {
        // A batch of any size comes whole, and is the first one only.
        let answer_bytes_max = usize::try_from(FETCH_BYTES_MAX).unwrap_or(usize::MAX);
        Self {
            client_id: cluster.client_id.clone(),
            limits: ConnectionLimits { answer_bytes_max, ..cluster.limits() },
            scratch: Scratch::default(),
            connection: None,
        }
    }

    /// Whether there is no record at an offset, and then up to where there is none. `None`:
    /// there is one, or what is there cannot be read.
    ///
    /// # Errors
    /// Why the leader did not tell.
    pub(super) fn at(
        &mut self,
        leader: &BrokerAddress,
        partition: &TopicPartition,
        offset: i64,
    ) -> Result<Option<Gap>, String> {
        let known =
            self.connection.take().filter(|one| one.address() == leader && one.idle() < CONNECTION_IDLE_MAX);
        let mut connection = match known {
            Some(connection) => connection,
            None => Connection::open(leader, &self.client_id, self.limits, None)?,
        };
        let max_bytes = FETCH_BYTES_FIRST;
        let fetch = Fetch {
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes,
            isolation: Isolation::ReadUncommitted,
            partitions: &[PartitionFetch { partition: partition.clone(), epoch: -1, offset, max_bytes }],
        };
        let mut frame = Frame::default();
        let sent = connection.send(&fetch, Duration::ZERO).map_err(|fault| fault.to_string())?;
        let answer = connection.receive::<Fetch<'_>>(sent, &mut frame).map_err(|fault| fault.to_string())?;
        self.connection = Some(connection);
        let found = answer.partitions.into_iter().find(|(one, _)| one == partition);
        let Some((_, found)) = found else { return Err("the broker does not tell of it".to_owned()) };
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

/// Up to which offset a record set of a partition that ends at `end` shows that there is no
/// record from this one on.
fn empty_until(set: &[u8], from: i64, end: i64, scratch: &mut Scratch) -> Option<i64> {
    let mut first = None;
    // From 0 on: of an entry that ends below the offset asked for the decoder looks at no
    // checksum, and that end may be what is corrupt.
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
        // The entries before the one that cannot be read are good.
        (None, Err(broken)) => broken.next,
    };
    // No checksum covers where a batch begins.
    Some(proven).filter(|next| *next > from && *next <= end)
}
