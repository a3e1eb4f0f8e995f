//! Errors of the `kafka` crate, by what they mean for the client.

use kafka_crate::error::{Error, KafkaCode};

use crate::kafka::protocol::error_code::ErrorCode;

/// An error of the crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LegacyError {
    /// An error code of Kafka. The client can still be used.
    Code(KafkaCode),
    /// The reply was received whole, but its records cannot be read. The client can still be used.
    Records(String),
    /// Any other error, also a panic. The client must be dropped.
    Client(String),
}

impl LegacyError {
    pub(super) fn text(&self) -> String {
        match self {
            // Others of this code are rare, and the broker's log says the same.
            LegacyError::Code(KafkaCode::Unknown) => {
                "Kafka answers UNKNOWN_SERVER_ERROR (see the broker's log; \
                 if it says that records with headers are not supported, as 0.11 does: set \
                 kafka['client']='native')"
                    .to_owned()
            }
            LegacyError::Code(code) => format!("Kafka answers {}", error_code(*code)),
            LegacyError::Records(text) | LegacyError::Client(text) => text.clone(),
        }
    }

    /// Finds the error code of Kafka inside the crate's wrappers.
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::ArcSelf(inner) => Self::of(inner),
            // The crate itself gives this code for a wrong CRC.
            Error::Kafka(KafkaCode::CorruptMessage) => Self::Records(
                "a record is corrupt: its CRC does not match; see the disk of the broker".to_owned(),
            ),
            Error::Kafka(code) | Error::TopicPartitionError { error_code: code, .. } => Self::Code(*code),
            Error::InvalidSnappy(why) => Self::Records(format!(
                "a batch is not valid snappy: {why}; see the producer and the disk of the broker"
            )),
            Error::UnsupportedProtocol => Self::Records(
                "a record has a format that the legacy client cannot read: set kafka['client']='native'"
                    .to_owned(),
            ),
            Error::UnsupportedCompression => Self::Records(
                "a batch is compressed with lz4 or zstd, which the legacy client cannot read: set \
                 kafka['client']='native'"
                    .to_owned(),
            ),
            Error::UnexpectedEOF => Self::Client("the broker closed the connection".to_owned()),
            other => Self::Client(other.to_string()),
        }
    }
}

/// The crate's code as one of the protocol.
fn error_code(code: KafkaCode) -> ErrorCode {
    ErrorCode(code as i16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_shown_with_a_remedy() {
        let shown = |code| LegacyError::Code(code).text();
        assert!(
            shown(KafkaCode::GroupAuthorizationFailed)
                .starts_with("Kafka answers GROUP_AUTHORIZATION_FAILED (")
        );
        assert_eq!(shown(KafkaCode::NotLeaderForPartition), "Kafka answers NOT_LEADER_OR_FOLLOWER");
        assert!(shown(KafkaCode::Unknown).starts_with("Kafka answers UNKNOWN_SERVER_ERROR"));
        assert!(shown(KafkaCode::Unknown).contains("kafka['client']='native'"));
    }
}
