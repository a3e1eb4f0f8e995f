//! Why the coordinator did not serve one partition of a request about offsets.

use super::error_code::{ErrorCode, Remedy};
use crate::error::Fault;

/// Why the coordinator did not serve one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It gave this code.
    Code(ErrorCode),
    /// It did not answer for this partition, or only for the others.
    Unanswered,
}

impl Refusal {
    /// What is to be done about it.
    pub fn remedy(self) -> Remedy {
        match self {
            Refusal::Code(code) => code.remedy(),
            Refusal::Unanswered => Remedy::Retry,
        }
    }

    /// As a fault of the whole: `what` was to be done.
    pub fn fault(self, what: &str) -> Fault {
        let text = match self {
            Refusal::Code(code) => format!("cannot {what}: Kafka answers {code}"),
            Refusal::Unanswered => format!("cannot {what}: Kafka left it out of its answer"),
        };
        if self.remedy() == Remedy::Fatal { Fault::Fatal(text) } else { Fault::Retry(text) }
    }
}
