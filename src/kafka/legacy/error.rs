//! What an error of the `kafka` crate means for the client that it came from.

use kafka_crate::error::{Error, KafkaCode};

use crate::kafka::protocol::error_code::ErrorCode;

/// What an error of the crate calls for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LegacyError {
    /// Kafka's own answer: the client is good, the request was not served.
    Code(KafkaCode),
    /// The reply was read whole and its records cannot be: the client is good.
    Records(String),
    /// Anything else, a panic included: the client is not to be used again.
    Client(String),
}

impl LegacyError {
    pub(super) fn text(&self) -> String {
        match self {
            LegacyError::Code(code) => format!("Kafka answers {}", error_code(*code)),
            LegacyError::Records(text) | LegacyError::Client(text) => text.clone(),
        }
    }

    /// Looks through the crate's wrappers for Kafka's own code.
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::ArcSelf(inner) => Self::of(inner),
            // The crate makes up this code for a bad CRC.
            Error::Kafka(KafkaCode::CorruptMessage) => {
                Self::Records("a record is corrupt: its CRC is not that of its bytes".to_owned())
            }
            Error::Kafka(code) | Error::TopicPartitionError { error_code: code, .. } => Self::Code(*code),
            Error::InvalidSnappy(why) => Self::Records(format!("a batch is not valid snappy: {why}")),
            Error::UnsupportedProtocol => {
                Self::Records("a record is of a format that the kafka crate cannot read".to_owned())
            }
            Error::UnsupportedCompression => Self::Records(
                "a batch is compressed by a codec that the kafka crate cannot read (lz4 or zstd)".to_owned(),
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
    }
}
