//! Outcomes that could not be written as they were fetched: refused ones, and those of partitions whose
//! records cannot be read. Such a partition is blocked at the first unreadable record. The records are
//! fetched again after growing pauses, until a record after them is written.

use std::time::Instant;

use super::outages::OutageCause;
use super::{KafkaSource, Truncated, UnreadableBatch};
use crate::kafka::FailureKind;
use crate::record::TopicPartition;

impl KafkaSource {
    /// Takes a refusal: an outcome did not begin at `position`, where the written lines end.
    ///
    /// Only the first refusal of an assignment counts. The outcomes that follow it under the same
    /// assignment are refused as well, but their records are being fetched again already.
    pub(super) fn take_refused(&mut self, partition: &TopicPartition, assignment: u64, position: i64) {
        if self.tracked(partition, assignment).is_some() && !self.drop_diverged(partition, position) {
            self.resume_from(partition, position);
        }
    }

    /// Takes the message that an outcome of the partition ends at `position`, although more was fetched.
    pub(super) fn take_truncated(
        &mut self,
        partition: &TopicPartition,
        assignment: u64,
        position: i64,
        truncated: Truncated,
    ) {
        if self.tracked(partition, assignment).is_none() || self.drop_diverged(partition, position) {
            return;
        }
        match truncated {
            Truncated::Full => self.resume_from(partition, position),
            Truncated::Broken(UnreadableBatch { why, end }) => {
                let why = format!("{why}{}", self.way_past(partition, position, end));
                self.fetcher.unassign(partition);
                self.drop_in_flight(partition, position);
                if let Some(tracked) = self.partitions.get_mut(partition) {
                    let now = Instant::now();
                    tracked.block(now);
                    let cause =
                        OutageCause { broker: tracked.broker.clone(), kind: FailureKind::Partition, why };
                    self.outages.begin(now, partition, tracked.polled, cause);
                }
            }
        }
    }

    /// What a person does to give a batch up that cannot be read.
    fn way_past(&self, partition: &TopicPartition, position: i64, end: Option<i64>) -> String {
        let Some(end) = end.filter(|end| *end > position) else { return String::new() };
        let inv = shell_word(&self.inv);
        format!(
            "; to give up offset {position} to {}, stop all members of the group and run: pandad seek {inv} \
             {partition} {end} --go",
            end - 1
        )
    }

    /// If the partition's log has diverged, drops what is in flight of the old log. True if it has.
    fn drop_diverged(&mut self, partition: &TopicPartition, position: i64) -> bool {
        let is_diverged = self.partitions.get(partition).is_some_and(|tracked| tracked.is_diverged());
        if is_diverged {
            self.drop_in_flight(partition, position);
        }
        is_diverged
    }

    pub(super) fn drop_in_flight(&mut self, partition: &TopicPartition, position: i64) {
        self.assignments += 1;
        if let Some(tracked) = self.partitions.get_mut(partition) {
            tracked.drop_in_flight(position, self.assignments);
        }
    }
}

/// The text as one word of a shell's command line.
fn shell_word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+,:@%".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_for_a_shell() {
        assert_eq!(shell_word("/etc/pandad-1.inv"), "/etc/pandad-1.inv");
        assert_eq!(shell_word("/etc/it's mine"), "'/etc/it'\\''s mine'");
        assert_eq!(shell_word("$(x)"), "'$(x)'");
    }
}
