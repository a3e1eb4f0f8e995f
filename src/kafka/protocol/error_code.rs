//! Kafka's error codes (`Errors.java`): their names, and what a client of a group's offsets does
//! about each.

use std::fmt;

/// An error code of an answer; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode(pub i16);

/// What a client does about an error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// The client does nothing: the code is no error.
    None,
    /// The client asks the same broker again, after a pause.
    Retry,
    /// The client finds the group's coordinator, which is another broker by now, and asks that broker.
    FindCoordinator,
    /// The client cannot act for the group: the group has members, and this client is not, or no longer,
    /// one of them.
    Membership,
    /// The client gives up. The configuration of pandad or of the broker is wrong.
    Fatal,
}

impl ErrorCode {
    /// No error.
    pub const NONE: Self = Self(0);
    /// The requested offset is below the log's start or above its end.
    pub const OFFSET_OUT_OF_RANGE: Self = Self(1);
    /// The broker does not know the topic or the partition, perhaps not yet.
    pub const UNKNOWN_TOPIC_OR_PARTITION: Self = Self(3);
    /// The partition has no leader just now, perhaps because its topic is being created.
    pub const LEADER_NOT_AVAILABLE: Self = Self(5);
    /// The metadata of a committed offset is longer than the broker allows.
    pub const OFFSET_METADATA_TOO_LARGE: Self = Self(12);
    /// The coordinator is still loading the group's offsets.
    pub const COORDINATOR_LOAD_IN_PROGRESS: Self = Self(14);
    /// The group has no coordinator yet.
    pub const COORDINATOR_NOT_AVAILABLE: Self = Self(15);
    /// Another broker coordinates the group.
    pub const NOT_COORDINATOR: Self = Self(16);
    /// The group has live members, and the sender of the request is not one of them.
    pub const UNKNOWN_MEMBER_ID: Self = Self(25);

    /// The broker does not know the fetch session: it has started anew, or others needed the room.
    pub const FETCH_SESSION_ID_NOT_FOUND: Self = Self(70);
    /// The request is not the next one of its fetch session.
    pub const INVALID_FETCH_SESSION_EPOCH: Self = Self(71);
    /// The records of the partition have no timestamps (message format 0).
    pub const UNSUPPORTED_FOR_MESSAGE_FORMAT: Self = Self(43);

    /// Whether the code is no error.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// What to do about the code.
    pub fn reaction(self) -> Reaction {
        match self.0 {
            0 => Reaction::None,
            7 | 15 | 16 => Reaction::FindCoordinator,
            22 | 25 | 27 | 79 | 82 | 113 => Reaction::Membership,
            // A broker can refuse the token in a commit's metadata as too long. Without the token
            // the commit would look like an operator's reset, so this ends the job.
            12 | 28 | 23 | 24 | 26 => Reaction::Fatal,
            // The other errors end without a change in pandad: after some time, or when somebody grants a
            // missing right.
            _ => Reaction::Retry,
        }
    }

    /// What a person can do about the code. `None` if the error passes by itself, or if the remedy
    /// depends on the request.
    pub fn remedy(self) -> Option<&'static str> {
        Some(match self.0 {
            -1 | 42 => "see the broker's log",
            2 => "the record is damaged on the broker's disk: let another replica lead the partition",
            3 => "if it lasts, create the topic, or correct kafka['topics']",
            5 => "if it lasts, start a broker that has a replica of the partition",
            12 => "set offset.metadata.max.bytes of the brokers to 80 or more",
            15 => "if it lasts, see whether the topic __consumer_offsets has its replicas",
            17 => "correct kafka['topics']",
            23 => {
                "its members use another assignor than 'range', or are not consumers: stop them, have them \
                 use 'range', or use another kafka['group']"
            }
            24 => "correct kafka['group']",
            26 => {
                "set kafka['session_ms'] between group.min.session.timeout.ms and \
                 group.max.session.timeout.ms of the brokers"
            }
            28 => "raise max.message.bytes of the topic __consumer_offsets",
            29 => "allow User:ANONYMOUS to read the topic, in the brokers' ACLs",
            30 => "allow User:ANONYMOUS to read with the group, in the brokers' ACLs",
            31 => "allow User:ANONYMOUS this request to the cluster, in the brokers' ACLs",
            35 => "see whether all brokers run the same version of Kafka",
            56 => "see the disk of the broker",
            76 => "use kafka['client']='native', or another compression than zstd",
            81 => "raise group.max.size of the brokers, or stop other members",
            89 => "raise the quota of the client",
            _ => return None,
        })
    }

    /// Whether a request to a partition's leader failed because another broker leads the partition,
    /// or soon will.
    pub fn leader_moved(self) -> bool {
        matches!(self.0, 3 | 5 | 6 | 8 | 9 | 56 | 74 | 75 | 78 | 100)
    }

    /// Whether the answer to a commit says this of the partition's topic: it is gone, or may not be read.
    pub fn is_of_topic(self) -> bool {
        matches!(self.0, 3 | 29)
    }

    fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            -1 => "UNKNOWN_SERVER_ERROR",
            0 => "NONE",
            1 => "OFFSET_OUT_OF_RANGE",
            2 => "CORRUPT_MESSAGE",
            3 => "UNKNOWN_TOPIC_OR_PARTITION",
            4 => "INVALID_FETCH_SIZE",
            5 => "LEADER_NOT_AVAILABLE",
            6 => "NOT_LEADER_OR_FOLLOWER",
            7 => "REQUEST_TIMED_OUT",
            8 => "BROKER_NOT_AVAILABLE",
            9 => "REPLICA_NOT_AVAILABLE",
            10 => "MESSAGE_TOO_LARGE",
            11 => "STALE_CONTROLLER_EPOCH",
            12 => "OFFSET_METADATA_TOO_LARGE",
            13 => "NETWORK_EXCEPTION",
            14 => "COORDINATOR_LOAD_IN_PROGRESS",
            15 => "COORDINATOR_NOT_AVAILABLE",
            16 => "NOT_COORDINATOR",
            17 => "INVALID_TOPIC_EXCEPTION",
            18 => "RECORD_LIST_TOO_LARGE",
            19 => "NOT_ENOUGH_REPLICAS",
            20 => "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
            21 => "INVALID_REQUIRED_ACKS",
            22 => "ILLEGAL_GENERATION",
            23 => "INCONSISTENT_GROUP_PROTOCOL",
            24 => "INVALID_GROUP_ID",
            25 => "UNKNOWN_MEMBER_ID",
            26 => "INVALID_SESSION_TIMEOUT",
            27 => "REBALANCE_IN_PROGRESS",
            28 => "INVALID_COMMIT_OFFSET_SIZE",
            29 => "TOPIC_AUTHORIZATION_FAILED",
            30 => "GROUP_AUTHORIZATION_FAILED",
            31 => "CLUSTER_AUTHORIZATION_FAILED",
            32 => "INVALID_TIMESTAMP",
            33 => "UNSUPPORTED_SASL_MECHANISM",
            34 => "ILLEGAL_SASL_STATE",
            35 => "UNSUPPORTED_VERSION",
            42 => "INVALID_REQUEST",
            43 => "UNSUPPORTED_FOR_MESSAGE_FORMAT",
            56 => "KAFKA_STORAGE_ERROR",
            69 => "GROUP_ID_NOT_FOUND",
            70 => "FETCH_SESSION_ID_NOT_FOUND",
            71 => "INVALID_FETCH_SESSION_EPOCH",
            74 => "FENCED_LEADER_EPOCH",
            75 => "UNKNOWN_LEADER_EPOCH",
            76 => "UNSUPPORTED_COMPRESSION_TYPE",
            78 => "OFFSET_NOT_AVAILABLE",
            79 => "MEMBER_ID_REQUIRED",
            81 => "GROUP_MAX_SIZE_REACHED",
            82 => "FENCED_INSTANCE_ID",
            88 => "UNSTABLE_OFFSET_COMMIT",
            89 => "THROTTLING_QUOTA_EXCEEDED",
            100 => "UNKNOWN_TOPIC_ID",
            113 => "STALE_MEMBER_EPOCH",
            _ => return None,
        })
    }
}

/// The name, and the remedy in parentheses.
impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name)?,
            None => write!(f, "error {}", self.0)?,
        }
        self.remedy().map_or(Ok(()), |remedy| write!(f, " ({remedy})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The oracle's table has the same names, in another spelling, and knows which
    /// errors a client may try again.
    #[test]
    fn names_and_retriability_agree_with_the_oracle() {
        let plain = |name: &str| name.replace('_', "").to_lowercase();
        let mut named = 0;
        for number in -1..150 {
            let code = ErrorCode(number);
            let Some(name) = code.name().filter(|_| number != 0) else { continue };
            named += 1;
            let theirs = kafka_protocol::ResponseError::try_from_code(number).unwrap();
            let their_name = format!("{theirs:?}");
            assert_eq!(plain(name), plain(their_name.split('(').next().unwrap()), "{number}");
            if theirs.is_retriable() {
                assert!(matches!(code.reaction(), Reaction::Retry | Reaction::FindCoordinator), "{name}");
            }
        }
        assert!(named > 25);
        assert_eq!(ErrorCode(77).to_string(), "error 77");
        assert_eq!(ErrorCode::NONE.reaction(), Reaction::None);
        assert_eq!(ErrorCode::OFFSET_METADATA_TOO_LARGE.reaction(), Reaction::Fatal);
        assert_eq!(ErrorCode::UNKNOWN_MEMBER_ID.reaction(), Reaction::Membership);
        assert_eq!(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS.reaction(), Reaction::Retry);
        for code in [ErrorCode::NOT_COORDINATOR, ErrorCode::COORDINATOR_NOT_AVAILABLE] {
            assert_eq!(code.reaction(), Reaction::FindCoordinator);
        }
    }

    #[test]
    fn another_leader_is_looked_for_after_these_codes() {
        let moved: Vec<i16> = (-1..150).filter(|code| ErrorCode(*code).leader_moved()).collect();
        assert_eq!(moved, [3, 5, 6, 8, 9, 56, 74, 75, 78, 100]);
    }

    #[test]
    fn codes_are_shown_with_a_remedy() {
        let shown = |code: i16| ErrorCode(code).to_string();
        assert_eq!(shown(24), "INVALID_GROUP_ID (correct kafka['group'])");
        // Codes after which a person has to act, apart from those that the group's members handle.
        for code in [2, 3, 12, 17, 23, 24, 26, 28, 29, 30, 31, 35, 56, 76, 81, 89] {
            assert!(shown(code).ends_with(')'), "{}", shown(code));
        }
        // Each names what is to be changed.
        let named = [
            (3, "kafka['topics']"),
            (12, "offset.metadata.max.bytes"),
            (23, "another assignor than 'range'"),
            (26, "kafka['session_ms']"),
            (28, "max.message.bytes"),
            (29, "read the topic"),
            (30, "read with the group"),
            (76, "kafka['client']='native'"),
            (81, "group.max.size"),
            (89, "quota"),
        ];
        for (code, remedy) in named {
            assert!(shown(code).contains(remedy), "{}", shown(code));
        }
        // Codes that pass by themselves.
        for code in [0, 6, 7, 14, 16, 22, 27, 78] {
            assert_eq!(ErrorCode(code).remedy(), None, "{}", shown(code));
        }
        for code in (-1..150).map(ErrorCode) {
            assert!(code.remedy().is_none() || code.name().is_some(), "{}", code.0);
        }
    }
}
