//! The state of a job as people ask for it: does it run, for whom does it wait, since when and why. Every
//! surface shows this: the state line, the status command, the page, the metrics.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::conditions::ConditionState;
use super::counters::Counters;
use super::partitions::PartitionView;
use super::phase::JobPhase;
use crate::plural::counted;

/// How many kinds of blocked partitions are told apart.
const BLOCKED_REASONS_MAX: usize = 3;

/// The state of a job, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// It is opening what it needs, for the first time.
    Starting,
    /// It makes progress, or has nothing to do.
    Running,
    /// It runs, and another pandad does the work.
    Standby,
    /// It waits for something that does not work.
    Waiting,
    /// It makes progress, but some partitions cannot be read.
    Blocked,
    /// It has failed for good, and is only tried again now and then.
    Failed,
    /// It has ended.
    Ended,
}

impl JobState {
    /// Whether nobody needs to look after the job.
    pub fn is_well(self) -> bool {
        matches!(self, JobState::Running | JobState::Standby)
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            JobState::Starting => "starting",
            JobState::Running => "running",
            JobState::Standby => "standby",
            JobState::Waiting => "waiting",
            JobState::Blocked => "blocked",
            JobState::Failed => "failed",
            JobState::Ended => "ended",
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One thing that the job waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What does not work, e.g. `redis_list 127.0.0.1:6379`.
    pub subject: String,
    /// Since when.
    pub since: Instant,
    /// Why, and what to do about it where that is known.
    pub why: String,
    /// Whether it is a server.
    pub is_server: bool,
}

/// The state of a job, and what it waits for: servers first, then by age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobView {
    /// The state.
    pub state: JobState,
    /// Since when it lasts.
    pub since: Instant,
    /// What the job waits for, or why it has failed.
    pub reasons: Vec<Reason>,
}

impl Counters {
    /// The state of the job now.
    pub fn view(&self) -> JobView {
        self.view_with(&self.partitions.look().unwrap_or_default())
    }

    /// As [`Counters::view`], for whoever has looked at the partitions already.
    pub fn view_with(&self, partitions: &[PartitionView]) -> JobView {
        let (phase, since) = self.phase.get();
        let running = match phase {
            JobPhase::Failed { why } => {
                let subject = "the job".to_owned();
                let reasons = vec![Reason { subject, since, why, is_server: false }];
                return JobView { state: JobState::Failed, since, reasons };
            }
            JobPhase::Ended => return JobView { state: JobState::Ended, since, reasons: Vec::new() },
            JobPhase::Starting => JobState::Starting,
            JobPhase::Running if self.standby.load(Relaxed) => JobState::Standby,
            JobPhase::Running => JobState::Running,
        };
        let down = self.conditions.list().into_iter().filter_map(|one| match one.state {
            ConditionState::Down { since, why } => {
                Some(Reason { subject: one.subject, since, why, is_server: one.server.is_some() })
            }
            ConditionState::Unknown | ConditionState::Up { .. } => None,
        });
        let mut reasons: Vec<Reason> = down.collect();
        let (blocked, is_every) = blocked_reasons(partitions);
        let is_waiting = !reasons.is_empty() || is_every;
        reasons.extend(blocked);
        // A server that is down explains the other reasons.
        reasons.sort_by_key(|reason| (!reason.is_server, reason.since));
        let state = match reasons.is_empty() {
            _ if is_waiting => JobState::Waiting,
            false => JobState::Blocked,
            true => running,
        };
        let since = reasons.iter().map(|reason| reason.since).min().unwrap_or(since);
        JobView { state, since, reasons }
    }
}

/// The partitions that cannot be read, those with the same cause together; and whether these are all
/// partitions.
fn blocked_reasons(partitions: &[PartitionView]) -> (Vec<Reason>, bool) {
    let mut reasons: Vec<(Vec<String>, Instant, String)> = Vec::new();
    let mut others = 0_u64;
    let is_every = !partitions.is_empty() && partitions.iter().all(|one| one.blocked.is_some());
    for one in partitions {
        let Some((since, why)) = one.blocked.clone() else { continue };
        let name = format!("{}/{}", one.topic, one.partition);
        if let Some((names, oldest, _)) = reasons.iter_mut().find(|(_, _, known)| *known == why) {
            names.push(name);
            *oldest = since.min(*oldest);
        } else if reasons.len() < BLOCKED_REASONS_MAX {
            reasons.push((vec![name], since, why));
        } else {
            others += 1;
        }
    }
    let mut reasons: Vec<Reason> = reasons
        .into_iter()
        .map(|(names, since, why)| Reason { subject: blocked_subject(&names), since, why, is_server: false })
        .collect();
    if let Some(last) = reasons.last_mut().filter(|_| others > 0) {
        last.why.push_str(&format!(" (and {} for other reasons)", counted(others, "partition")));
    }
    (reasons, is_every)
}

/// `TOPIC/P`, or the number of partitions and the first of them.
fn blocked_subject(names: &[String]) -> String {
    match names {
        [one] => format!("the partition {one}"),
        [first, ..] => format!("{} partitions ({first} and others)", names.len()),
        [] => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::{CountedUnit, PartitionView, ServerKind};

    fn partition(number: i32, blocked: Option<(Instant, &str)>) -> PartitionView {
        PartitionView {
            topic: "t".into(),
            partition: number,
            position: Some(5),
            committed: None,
            end: Some(7),
            last_time: None,
            blocked: blocked.map(|(since, why)| (since, why.to_owned())),
        }
    }

    #[test]
    fn the_state_says_for_whom_the_job_waits() {
        let counters = Counters::shared("test", CountedUnit::Records);
        let state = || counters.view().state;
        assert_eq!(state(), JobState::Starting);
        counters.phase.begin_run();
        assert_eq!(state(), JobState::Running);
        counters.standby.store(true, Relaxed);
        assert_eq!(state(), JobState::Standby);
        counters.standby.store(false, Relaxed);

        let now = Instant::now();
        let mut server = counters.conditions.server(ServerKind::Kafka, "a:9092");
        assert_eq!(state(), JobState::Running, "nothing is known of the server");
        counters.partitions.set(move || vec![partition(0, None), partition(1, Some((now, "no leader")))]);
        let view = counters.view();
        assert_eq!((view.state, view.reasons[0].subject.as_str()), (JobState::Blocked, "the partition t/1"));
        server.down(now - Duration::from_secs(5), "refused");
        let view = counters.view();
        assert_eq!((view.state, view.since), (JobState::Waiting, now - Duration::from_secs(5)));
        assert_eq!((view.reasons[0].subject.as_str(), view.reasons[0].why.as_str()), ("a:9092", "refused"));
        server.up(now);
        counters.partitions.clear();
        assert_eq!(state(), JobState::Running);
        counters.phase.set(JobPhase::Failed { why: "no".to_owned() });
        assert!(!state().is_well() && counters.view().reasons[0].why == "no");
        counters.phase.set(JobPhase::Ended);
        assert_eq!(state(), JobState::Ended);
    }

    #[test]
    fn partitions_with_one_cause_are_one_reason() {
        let counters = Counters::shared("test", CountedUnit::Records);
        counters.phase.begin_run();
        let now = Instant::now();
        counters.partitions.set(move || {
            let why = ["a", "a", "b", "c", "d", "e"];
            (0..6).zip(why).map(|(number, why)| partition(number, Some((now, why)))).collect()
        });
        let reasons = counters.view().reasons;
        assert_eq!(reasons.len(), BLOCKED_REASONS_MAX);
        assert_eq!(reasons[0].subject, "2 partitions (t/0 and others)");
        assert_eq!(reasons[2].why, "c (and 2 partitions for other reasons)");
    }
}
