//! What a seek does with one partition, in words, and why it may be refused. Pure.

use std::ops::Range;
use std::path::Path;

use crate::kafka::{FoundOffset, StartBasis};
use crate::record::TopicPartition;

/// One partition before and after a seek.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartitionPlan {
    pub(super) partition: TopicPartition,
    /// The group's offset.
    pub(super) group: Option<i64>,
    /// The journal's position.
    pub(super) journal: Option<i64>,
    /// Up to where records were written, as far as is known. `None` if nobody has a position.
    pub(super) before: Option<i64>,
    /// Where the next start would go on if the group had the new offset.
    pub(super) after: Option<i64>,
    /// The log, and the new offset.
    pub(super) found: FoundOffset,
}

impl PartitionPlan {
    /// Why the partition cannot go to the offset. `file` is its log file.
    pub(super) fn refusal(&self, file: &Path) -> Option<String> {
        let (partition, FoundOffset { first, end, target, .. }) = (&self.partition, self.found);
        if !(first..=end).contains(&target) {
            return Some(format!(
                "{partition}: offset {target} is outside of the log: an offset from {first} to {end} is \
                 expected"
            ));
        }
        (self.after != Some(target)).then(|| {
            format!(
                "{partition}: offset {target} is one that pandad has committed without a token, so the next \
                 start could not tell the difference: take another offset, or before the seek have the \
                 journal forget its positions: pandad journal {} --forget",
                file.display()
            )
        })
    }

    /// The positions now, the new one, and what follows from it.
    pub(super) fn text(&self) -> String {
        let or_none = |offset: Option<i64>| offset.map_or_else(|| "none".to_owned(), |at| at.to_string());
        let FoundOffset { first, end, target, basis } = self.found;
        let log = if first < end { format!("{first} to {}", end - 1) } else { format!("empty at {end}") };
        let how = match basis {
            StartBasis::Bound | StartBasis::Timestamp => "",
            StartBasis::End => " (no record is so late, so this is the end)",
            StartBasis::Segments => {
                " (perhaps earlier than asked: brokers before Kafka 0.10.1 know times of whole segments only)"
            }
            StartBasis::NoTimestamps => {
                " (perhaps earlier than asked: the partition holds records without timestamps)"
            }
        };
        format!(
            "{}: group {}, journal {}, log {log}: to {target}{how}: {}",
            self.partition,
            or_none(self.group),
            or_none(self.journal),
            self.consequence()
        )
    }

    fn consequence(&self) -> String {
        let FoundOffset { first, end, target, .. } = self.found;
        let Some(before) = self.before else {
            return "nobody has a position, so reading begins there".to_owned();
        };
        let again = target..before.min(end);
        let skipped = before.max(first)..target;
        if !again.is_empty() {
            let what = offsets(&again);
            return format!("{what} read again, and so records come twice into the file");
        }
        if !skipped.is_empty() {
            return format!("{} skipped", offsets(&skipped));
        }
        "nothing is read again or skipped".to_owned()
    }
}

/// How many offsets, with the verb, and which.
fn offsets(range: &Range<i64>) -> String {
    let (count, last) = (range.end - range.start, range.end - 1);
    match count {
        1 => format!("offset {last} is"),
        _ => format!("{count} offsets ({} to {last}) are", range.start),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(before: Option<i64>, (first, end): (i64, i64), target: i64) -> PartitionPlan {
        PartitionPlan {
            partition: TopicPartition::new("app", 3),
            group: before,
            journal: None,
            before,
            after: Some(target),
            found: FoundOffset { first, end, target, basis: StartBasis::Bound },
        }
    }

    #[test]
    fn a_plan_says_what_is_read_again_or_skipped() {
        for (before, log, target, says) in [
            (Some(120), (0, 200), 100, "20 offsets (100 to 119) are read again"),
            (Some(120), (0, 110), 100, "10 offsets (100 to 109) are read again"),
            (Some(120), (0, 200), 121, "offset 120 is skipped"),
            (Some(120), (150, 200), 160, "10 offsets (150 to 159) are skipped"),
            (Some(120), (150, 200), 150, "nothing is read again or skipped"),
            (Some(120), (0, 200), 120, "nothing is read again or skipped"),
            (None, (0, 200), 7, "nobody has a position"),
        ] {
            let plan = plan(before, log, target);
            assert_eq!(plan.refusal(Path::new("/log")), None);
            assert!(plan.text().contains(says), "{}", plan.text());
        }
        let text = plan(Some(120), (0, 200), 100).text();
        assert!(text.starts_with("app/3: group 120, journal none, log 0 to 199: to 100: "), "{text}");
        assert!(plan(None, (7, 7), 7).text().contains("log empty at 7"));
    }

    #[test]
    fn offsets_outside_of_the_log_are_refused_with_its_bounds() {
        for target in [-1, 9, 21] {
            let why = plan(Some(15), (10, 20), target).refusal(Path::new("/log")).unwrap();
            assert!(why.contains("from 10 to 20 is expected"), "{why}");
        }
        assert_eq!(
            [10, 20].map(|target| plan(Some(15), (10, 20), target).refusal(Path::new("/log"))),
            [None, None]
        );
    }

    #[test]
    fn an_offset_that_the_next_start_would_not_follow_is_refused() {
        let plan = PartitionPlan { after: Some(15), ..plan(Some(15), (10, 20), 12) };
        assert!(plan.refusal(Path::new("/log")).unwrap().contains("pandad journal /log --forget"));
    }
}
