//! Why the coordinator did not serve one partition of a request about offsets.

use super::error_code::{ErrorCode, Reaction};
use crate::error::Fault;

/// Why the coordinator did not serve one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The answer has this code for the partition.
    Code(ErrorCode),
    /// The answer does not name the partition.
    Unanswered,
}

impl Refusal {
    /// What to do about the refusal.
    pub fn reaction(self) -> Reaction {
        match self {
            Refusal::Code(code) => code.reaction(),
            Refusal::Unanswered => Reaction::Retry,
        }
    }

    /// The fault of the whole operation; `what` names the operation ("commit …").
    pub fn fault(self, what: &str) -> Fault {
        let text = match self {
            Refusal::Code(code) => format!("cannot {what}: Kafka answers {code}"),
            Refusal::Unanswered => format!("cannot {what}: Kafka's answer does not name this partition"),
        };
        if self.reaction() == Reaction::Fatal { Fault::Fatal(text) } else { Fault::Retry(text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_that_no_time_mends_ends_the_job() {
        let cases = [
            (Refusal::Unanswered, Reaction::Retry, "Kafka's answer does not name this partition"),
            (Refusal::Code(ErrorCode(14)), Reaction::Retry, "Kafka answers COORDINATOR_LOAD_IN_PROGRESS"),
            (Refusal::Code(ErrorCode(16)), Reaction::FindCoordinator, "Kafka answers NOT_COORDINATOR"),
            (Refusal::Code(ErrorCode(25)), Reaction::Membership, "Kafka answers UNKNOWN_MEMBER_ID"),
        ];
        for (refusal, reaction, why) in cases {
            assert_eq!(refusal.reaction(), reaction);
            assert_eq!(refusal.fault("commit"), Fault::Retry(format!("cannot commit: {why}")));
        }
        let fatal = Refusal::Code(ErrorCode(24));
        assert_eq!(fatal.reaction(), Reaction::Fatal);
        let Fault::Fatal(text) = fatal.fault("commit") else { panic!("{:?}", fatal.fault("commit")) };
        assert!(text.starts_with("cannot commit: Kafka answers INVALID_GROUP_ID ("), "{text}");
    }
}
