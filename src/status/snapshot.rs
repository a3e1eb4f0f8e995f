//! One look at every job of the process, at one moment.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::report::{
    ConditionState, CountedUnit, Counters, Figure, FigureValue, JobState, PartitionView, Reason, ServerKind,
};

/// From where to where a job moves things, in words for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobRoute {
    /// From where, e.g. `topic test of 127.0.0.1:9092`.
    pub from: String,
    /// To where, e.g. `/var/log/consumer.log`.
    pub to: String,
    /// The consumer group, for a job that has one; otherwise empty.
    pub group: String,
}

/// One job as the process runs it.
#[derive(Debug, Clone)]
pub struct ShownJob {
    /// The job's name.
    pub name: &'static str,
    /// What it moves.
    pub route: JobRoute,
    /// Its counters.
    pub counters: Arc<Counters>,
}

/// Where snapshots come from. Clones look at the same process.
#[derive(Debug, Clone)]
pub struct StatusSource {
    /// The path of the .inv.
    pub config: String,
    /// When the process began to run its jobs.
    pub started: SystemTime,
    /// Every job, in the order of their start.
    pub jobs: Arc<Vec<ShownJob>>,
}

/// See the module. Durations count back from the moment of the look.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The version of pandad.
    pub version: &'static str,
    /// The number of the process.
    pub pid: u32,
    /// The path of the .inv.
    pub config: String,
    /// When the jobs were started, in milliseconds since 1970.
    pub started_ms: i64,
    /// When this look was taken, in milliseconds since 1970.
    pub taken_ms: i64,
    /// Every job.
    pub jobs: Vec<JobSnapshot>,
}

/// One job.
#[derive(Debug, Clone)]
pub struct JobSnapshot {
    /// The job's name.
    pub name: &'static str,
    /// What it counts.
    pub unit: CountedUnit,
    /// What it moves.
    pub route: JobRoute,
    /// Its state.
    pub state: JobState,
    /// For how long the state has lasted.
    pub lasts: Duration,
    /// What it waits for, each with the time that it has lasted; the oldest first.
    pub reasons: Vec<(Reason, Duration)>,
    /// Its servers.
    pub servers: Vec<ServerSnapshot>,
    /// Its figures, by their names.
    pub figures: Vec<Figure>,
    /// Its partitions, if it reads any.
    pub partitions: Option<Vec<PartitionView>>,
}

/// One server of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSnapshot {
    /// Its kind.
    pub kind: ServerKind,
    /// Its name in the .inv and its address.
    pub name: String,
    /// Whether it serves; `None` if nothing is known yet.
    pub up: Option<bool>,
    /// For how long that has lasted.
    pub lasts: Duration,
    /// How long ago it answered last; `None` if it never did.
    pub heard: Option<Duration>,
    /// Why it does not serve; empty if it does.
    pub why: String,
}

impl StatusSource {
    /// Looks at every job now. Locks of the jobs are held only while values are copied.
    pub fn look(&self) -> Snapshot {
        let now = Instant::now();
        Snapshot {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            config: self.config.clone(),
            started_ms: millis(self.started),
            taken_ms: millis(SystemTime::now()),
            jobs: self.jobs.iter().map(|job| job.look(now)).collect(),
        }
    }
}

impl Snapshot {
    /// Whether nobody needs to look after any job.
    pub fn is_well(&self) -> bool {
        self.jobs.iter().all(|job| job.state.is_well())
    }
}

impl JobSnapshot {
    /// How much is not done yet: records that are not written, keys or items that wait. `None` if nobody
    /// knows it.
    ///
    /// Records count until they are written: the job's own figure counts those that are not fetched yet, as
    /// of the last answer.
    pub fn behind(&self) -> Option<u64> {
        match &self.partitions {
            Some(partitions) if !partitions.is_empty() => partitions.iter().map(PartitionView::lag).sum(),
            _ => self.figures.iter().find_map(|figure| match (figure.key, &figure.value) {
                ("lag" | "waiting", FigureValue::Count(count)) => Some(*count),
                _ => None,
            }),
        }
    }
}

impl ShownJob {
    fn look(&self, now: Instant) -> JobSnapshot {
        let partitions = self.counters.partitions.look();
        let view = self.counters.view_with(partitions.as_deref().unwrap_or_default());
        let figures = self.counters.figures_with(&view);
        let ago = |since: Instant| now.saturating_duration_since(since);
        let servers = self.counters.conditions.list().into_iter().filter_map(|one| {
            let (up, since, why) = match one.state {
                ConditionState::Unknown => (None, now, String::new()),
                ConditionState::Up { since } => (Some(true), since, String::new()),
                ConditionState::Down { since, why } => (Some(false), since, why),
            };
            let (lasts, heard) = (ago(since), one.heard.map(ago));
            Some(ServerSnapshot { kind: one.server?, name: one.subject, up, lasts, heard, why })
        });
        let reasons = view.reasons.into_iter().map(|reason| {
            let lasts = ago(reason.since);
            (reason, lasts)
        });
        JobSnapshot {
            name: self.name,
            unit: self.counters.unit(),
            route: self.route.clone(),
            state: view.state,
            lasts: ago(view.since),
            reasons: reasons.collect(),
            servers: servers.collect(),
            figures,
            partitions,
        }
    }
}

fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    fn partition(position: Option<i64>, end: Option<i64>) -> PartitionView {
        let (topic, partition) = ("t".into(), 0);
        PartitionView { topic, partition, position, committed: None, end, last_time: None, blocked: None }
    }

    #[test]
    fn records_are_behind_until_they_are_written() {
        let counters = Counters::shared("test", CountedUnit::Records);
        let job = ShownJob { name: "test", route: JobRoute::default(), counters: Arc::clone(&counters) };
        let behind = || job.look(Instant::now()).behind();
        assert_eq!(behind(), None, "no broker has answered");
        counters.lag.store(0, Relaxed);
        assert_eq!(behind(), Some(0), "everything is fetched");
        counters.partitions.set(|| vec![partition(Some(5), Some(7)), partition(Some(10), Some(13))]);
        assert_eq!(behind(), Some(5), "but not written");
        counters.partitions.set(|| vec![partition(Some(5), Some(7)), partition(Some(10), None)]);
        assert_eq!(behind(), None, "the end of one is unknown");
        counters.partitions.set(Vec::new);
        assert_eq!(behind(), Some(0), "the group gave this member none");

        let counters = Counters::shared("test", CountedUnit::Items);
        counters.lag.store(12, Relaxed);
        let job = ShownJob { name: "test", route: JobRoute::default(), counters };
        assert_eq!(job.look(Instant::now()).behind(), Some(12));
    }
}
