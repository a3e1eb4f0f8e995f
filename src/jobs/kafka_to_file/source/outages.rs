//! The outages of partitions. An outage is logged when it has lasted for a while: as a line of its own, or
//! in one line with all partitions whose broker is lost or gives the same error. A second line says when
//! the outage is over. Pure: no clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::NAME;
use crate::jobs::kafka_to_file::watermarks::Watermarks;
use crate::kafka::FailureKind;
use crate::record::TopicPartition;

/// A shorter outage is not logged: errors that occur while leadership moves to another broker end by
/// themselves.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a log line waits for more partitions with the same cause.
const GATHER_TIME: Duration = Duration::from_secs(1);
/// How many partitions a line names.
const NAMED_MAX: usize = 3;

/// Why a partition cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OutageCause {
    /// The broker that was asked, or the last one that sent records.
    pub(super) broker: Option<Arc<str>>,
    pub(super) kind: FailureKind,
    pub(super) why: String,
}

/// What the partitions of one line have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum CommonCause {
    /// The partitions' broker is lost. Some partitions have noticed that it does not answer, others that no
    /// broker leads them now.
    BrokerLost(Option<Arc<str>>),
    /// The same broker gave the same error for all of them.
    SameError(OutageCause),
}

impl OutageCause {
    /// The broker, the error, and what to do about it.
    fn text(&self) -> String {
        let why = match &self.broker {
            _ if self.kind == FailureKind::NoLeader => self.why.clone(),
            Some(broker) if !self.why.contains(&**broker) => format!("broker {broker}: {}", self.why),
            _ => self.why.clone(),
        };
        match (self.kind, &self.broker) {
            (FailureKind::Broker, _) => format!("{why}: look at this broker and the network"),
            (FailureKind::NoLeader, Some(broker)) => format!("{why}; its last leader was {broker}"),
            _ => why,
        }
    }

    fn common(&self) -> CommonCause {
        match self.kind {
            FailureKind::Partition => CommonCause::SameError(self.clone()),
            FailureKind::Broker | FailureKind::NoLeader => CommonCause::BrokerLost(self.broker.clone()),
        }
    }
}

/// One partition that cannot be read.
struct PartitionOutage {
    since: Instant,
    /// The partition's next offset; -1 if it is not known yet.
    offset: i64,
    cause: OutageCause,
    /// Since when the partition has had its present cause, counting causes of one log line as the same.
    cause_since: Instant,
    /// Whether the next log lines are to cover the partition.
    is_due: bool,
    /// The number of the log line that covers the partition.
    line: Option<u64>,
}

/// An outage that was logged.
struct LoggedOutage {
    since: Instant,
    common: CommonCause,
    /// `TOPIC/P`, or the number of partitions and the names of the first few.
    subject: String,
    /// How many of the partitions that the log line named still cannot be read.
    waiting: usize,
    /// How many of the partitions that the log line named can be read again.
    back: usize,
    /// How many of the partitions that the log line named stand in a later log line with another cause.
    moved: usize,
}

/// The partitions that cannot be read.
#[derive(Default)]
pub(super) struct PartitionOutages {
    /// Where whoever looks at the process sees them.
    shown: Watermarks,
    partitions: BTreeMap<TopicPartition, PartitionOutage>,
    logged: BTreeMap<u64, LoggedOutage>,
    /// How many lines were logged.
    lines: u64,
    log_at: Option<Instant>,
}

impl PartitionOutages {
    /// No outages yet. They are seen in `shown` from their first moment, logged or not.
    pub(super) fn shown_in(shown: Watermarks) -> Self {
        Self { shown, ..Self::default() }
    }

    /// Records that a partition cannot be read at this offset (-1: not known yet).
    pub(super) fn begin(
        &mut self,
        now: Instant,
        partition: &TopicPartition,
        offset: i64,
        mut cause: OutageCause,
    ) {
        if let Some(before) = self.partitions.get(partition)
            && cause.kind == FailureKind::NoLeader
        {
            // Keeps the broker that failed at the beginning of the outage.
            cause.broker = before.cause.broker.clone().or(cause.broker);
        }
        let new = || PartitionOutage {
            since: now,
            offset,
            cause: cause.clone(),
            cause_since: now,
            is_due: false,
            line: None,
        };
        let outage = self.partitions.entry(partition.clone()).or_insert_with(new);
        let common = cause.common();
        if outage.cause.common() != common {
            outage.cause_since = now;
        }
        let is_news = outage.cause != cause || outage.since == now;
        (outage.offset, outage.cause) = (offset, cause);
        if is_news {
            self.shown.set_blocked(partition, Some((outage.since, outage.cause.text())));
        }
        let lasts_since = match outage.line.and_then(|line| self.logged.get(&line)) {
            None => outage.since,
            // Other partitions of the line can be read again, and this one now waits for another cause.
            Some(line) if line.back > 0 && line.common != common => outage.cause_since,
            Some(_) => return,
        };
        if now.saturating_duration_since(lasts_since) >= PATIENCE {
            outage.is_due = true;
            self.log_at.get_or_insert(now + GATHER_TIME);
        }
    }

    /// Records that a partition can be read.
    pub(super) fn end(&mut self, now: Instant, partition: &TopicPartition) {
        let Some(outage) = self.partitions.remove(partition) else { return };
        self.shown.set_blocked(partition, None);
        if let Some(line) = outage.line {
            self.leave(now, line, |logged| logged.back += 1);
        }
    }

    /// Takes one partition off a log line. If it was the last one, the outage is over.
    fn leave(&mut self, now: Instant, line: u64, note: impl FnOnce(&mut LoggedOutage)) {
        let Some(logged) = self.logged.get_mut(&line) else { return };
        logged.waiting -= 1;
        note(logged);
        if logged.waiting > 0 {
            return;
        }
        let seconds = now.saturating_duration_since(logged.since).as_secs_f64();
        let LoggedOutage { subject, back, moved, .. } = logged;
        match moved {
            0 => log::info!("{NAME}: {subject}: back after {seconds:.1} s"),
            _ => log::info!("{NAME}: {subject}: {back} of these back after {seconds:.1} s"),
        }
        self.logged.remove(&line);
    }

    /// Logs the outages that have lasted, one line for each cause.
    pub(super) fn log_due(&mut self, now: Instant) {
        if self.log_at.is_none_or(|at| now < at) {
            return;
        }
        self.log_at = None;
        for (cause, members) in self.due() {
            let is_lost = cause.kind != FailureKind::Partition;
            let standing = self.logged.iter().find(|(_, logged)| is_lost && logged.common == cause.common());
            let line = match standing.map(|(line, _)| *line) {
                Some(line) => {
                    log::debug!("{NAME}: {} waiting, too: {}", subject(&members), cause.text());
                    line
                }
                None => self.log(now, &cause, &members),
            };
            for partition in members {
                self.cover(now, &partition, line);
            }
            self.name_covered(line);
        }
    }

    /// The lines to log: the partitions with a common cause, and one of their causes that has lasted.
    /// Partitions whose outage has not lasted yet are included.
    fn due(&self) -> Vec<(OutageCause, Vec<TopicPartition>)> {
        let mut lines: BTreeMap<CommonCause, (Option<&OutageCause>, Vec<TopicPartition>)> = BTreeMap::new();
        for (partition, outage) in &self.partitions {
            if outage.is_due || outage.line.is_none() {
                let (cause, members) = lines.entry(outage.cause.common()).or_default();
                if outage.is_due {
                    cause.get_or_insert(&outage.cause);
                }
                members.push(partition.clone());
            }
        }
        lines.into_values().filter_map(|(cause, members)| Some((cause?.clone(), members))).collect()
    }

    /// Logs one line, and returns its number.
    fn log(&mut self, now: Instant, cause: &OutageCause, members: &[TopicPartition]) -> u64 {
        let outages = || members.iter().filter_map(|one| self.partitions.get(one));
        let since = outages().map(|outage| outage.since).min().unwrap_or(now);
        let (seconds, why) = (now.saturating_duration_since(since).as_secs_f64(), cause.text());
        match (members, outages().next()) {
            ([partition], Some(outage)) => {
                let place = place(outage.offset);
                log::warn!("{NAME}: {partition}: blocked at {place} for {seconds:.1} s: {why}; waiting");
            }
            _ => {
                let subject = subject(members);
                log::warn!("{NAME}: {subject}: blocked for {seconds:.1} s: {why}; waiting");
            }
        }
        self.lines += 1;
        let (common, subject) = (cause.common(), String::new());
        let logged = LoggedOutage { since, common, subject, waiting: 0, back: 0, moved: 0 };
        self.logged.insert(self.lines, logged);
        self.lines
    }

    /// Puts a partition under this log line from now on.
    fn cover(&mut self, now: Instant, partition: &TopicPartition, line: u64) {
        let Some(outage) = self.partitions.get_mut(partition) else { return };
        outage.is_due = false;
        let before = outage.line.replace(line);
        if let Some(logged) = self.logged.get_mut(&line) {
            logged.waiting += 1;
        }
        if let Some(before) = before {
            self.leave(now, before, |logged| logged.moved += 1);
        }
    }

    /// Makes the line's end name every partition that the line covers.
    fn name_covered(&mut self, line: u64) {
        let covered = self.partitions.iter().filter(|(_, outage)| outage.line == Some(line));
        let covered: Vec<TopicPartition> = covered.map(|(partition, _)| partition.clone()).collect();
        if let Some(logged) = self.logged.get_mut(&line) {
            logged.subject = subject(&covered);
        }
    }

    /// Forgets the outages that were not logged yet: the outage of all brokers includes them.
    pub(super) fn forget_unlogged(&mut self) {
        let shown = &self.shown;
        self.partitions.retain(|partition, outage| {
            if outage.line.is_none() {
                shown.set_blocked(partition, None);
            }
            outage.line.is_some()
        });
        self.log_at = None;
    }

    /// Forgets everything: the partitions do not belong to this member any more.
    pub(super) fn clear(&mut self) {
        *self = Self { lines: self.lines, shown: self.shown.clone(), ..Self::default() };
    }

    /// How many waiting partitions were logged.
    pub(super) fn logged_count(&self) -> usize {
        self.logged.values().map(|logged| logged.waiting).sum()
    }
}

/// `TOPIC/P`, or the number of partitions and the names of the first few.
fn subject(members: &[TopicPartition]) -> String {
    if let [one] = members {
        return one.to_string();
    }
    let named: Vec<String> = members.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    let more = match members.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{} partitions ({}{more})", members.len(), named.join(", "))
}

fn place(offset: i64) -> String {
    if offset < 0 { "its start".to_owned() } else { format!("offset {offset}") }
}

#[cfg(test)]
mod tests;
