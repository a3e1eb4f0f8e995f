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
