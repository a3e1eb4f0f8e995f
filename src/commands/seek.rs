//! `pandad seek FILE TOPIC[/PARTITION] TARGET [--go]`: sets the group's offsets while no pandad reads for the
//! group. Without `--go` it only says what that would do.
//!
//! The offsets are set without a token, as other tools set them, and the next start follows them as it
//! follows any reset.

mod plan;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crossbeam_channel::unbounded;

use crate::config::{Config, KafkaToFileConfig, OffsetLocation, TopicSelection};
use crate::error::{Error, Fault};
use crate::jobs;
use crate::kafka::group::{ForeignMembers, SubscribedTopics};
use crate::kafka::{Cluster, GroupOperator, OffsetStorage, StartOffset};
use crate::logfile::journal_view::JournalView;
use crate::logfile::{Lock, OpenError};
use crate::moment::Moment;
use crate::plural::counted;
use crate::record::{OffsetMetadata, TopicPartition};
use crate::threads;
use plan::PartitionPlan;

/// How long a broker may take for a connection, or for an answer.
const BROKER_PATIENCE: Duration = Duration::from_secs(3);
/// For how long a question that fails is asked again.
const RETRY_TIME: Duration = Duration::from_secs(6);
const RETRY_PAUSE: Duration = Duration::from_millis(300);
/// The longest time until the next answer, whatever hangs.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(15);

/// Where to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeekTarget {
    /// To the first record.
    Earliest,
    /// To the end.
    Latest,
    /// To the first record since this moment.
    Since(Moment),
    /// To this offset.
    Offset(i64),
}

impl SeekTarget {
    /// Reads `earliest`, `latest`, an offset, or a moment.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            _ if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().map(Self::Offset).map_err(|_| format!("{text} is too high for an offset"))
            }
            _ => Moment::parse(text)
                .map(Self::Since)
                .map_err(|expected| format!("earliest, latest, an offset or a time is expected; {expected}")),
        }
    }

    fn start(self) -> StartOffset {
        match self {
            Self::Earliest => StartOffset::Earliest,
            Self::Latest => StartOffset::Latest,
            Self::Since(moment) => StartOffset::Since(moment.millis_now()),
            Self::Offset(offset) => StartOffset::At(offset, Vec::new()),
        }
    }
}

/// What is asked for on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeekOrder {
    /// The topic.
    pub topic: String,
    /// The partition; `None` for all of the topic.
    pub partition: Option<i32>,
    /// Where to go.
    pub target: SeekTarget,
    /// Whether to do it.
    pub go: bool,
}

impl SeekOrder {
    /// Reads `TOPIC` or `TOPIC/PARTITION`, and the target.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(subject: &str, target: &str, go: bool) -> Result<Self, String> {
        let (topic, partition) = match subject.split_once('/') {
            None => (subject, None),
            Some((topic, number)) => {
                let number = number.parse().ok().filter(|number: &i32| *number >= 0);
                (topic, Some(number.ok_or_else(|| format!("{subject}: TOPIC/PARTITION is expected"))?))
            }
        };
        if topic.is_empty() {
            return Err("the name of a topic is expected".to_owned());
        }
        Ok(Self { topic: topic.to_owned(), partition, target: SeekTarget::parse(target)?, go })
    }
}

/// Says what the seek does, partition by partition, and does it if it is asked to.
///
/// # Errors
/// `Failed`: the seek is refused, with everything that stands in its way; or the brokers do not answer in
/// time; or the group has other offsets afterwards.
pub fn run(
    config: &Config,
    order: &SeekOrder,
    mut print: impl FnMut(&str) -> Result<(), Error>,
) -> Result<(), Error> {
    let job = config.kafka_to_file.as_ref();
    let job =
        job.ok_or_else(|| Error::Failed("there is no [log_section], so no topic is read".to_owned()))?;
    let file = file_of(job, &order.topic)?;
    // Held until the end, so that no pandad of this configuration starts meanwhile.
    let _locks = lock(job)?;
    let journal = JournalView::read(&file).map_err(Error::Failed)?;
    let cluster = jobs::kafka_cluster(job, false);
    let storage = match job.kafka.offsets {
        OffsetLocation::Kafka => OffsetStorage::Kafka,
        OffsetLocation::ZooKeeper => OffsetStorage::ZooKeeper,
    };
    let group = job.kafka.group.clone();
    if let Some(note) = nobody_is_in(&cluster, &group, storage)? {
        print(&note)?;
    }
    let operator = GroupOperator::new(&cluster, &group, storage, BROKER_PATIENCE);
    let (operator, plans) = survey(operator, journal, order)?;
    plans.iter().try_for_each(|plan| print(&plan.text()))?;
    let refusals: Vec<String> = plans.iter().filter_map(|plan| plan.refusal(&file)).collect();
    if !refusals.is_empty() {
        return Err(Error::Failed(format!("{}\nnothing was changed", refusals.join("\n"))));
    }
    if !order.go {
        return print("nothing was changed: the same command with --go does it");
    }
    let offsets = plans.iter().map(|plan| (plan.partition.clone(), plan.found.target)).collect();
    set(operator, offsets)?;
    print(&format!(
        "{} of the group '{group}' set and read back; the next start follows",
        counted(plans.len(), "offset")
    ))
}

/// The path beside which the journal of the topic is, if this configuration reads the topic.
fn file_of(job: &KafkaToFileConfig, topic: &str) -> Result<PathBuf, Error> {
    let subscribed = match &job.kafka.topics {
        TopicSelection::Named(names) => SubscribedTopics::Named(names.clone()),
        TopicSelection::Like(pattern) => SubscribedTopics::Like(pattern.clone()),
    };
    match subscribed.contains(topic) {
        true => Ok(job.journal()),
        false => Err(Error::Failed(format!(
            "{topic}: this configuration does not read the topic, only {subscribed}"
        ))),
    }
}

fn lock(job: &KafkaToFileConfig) -> Result<Lock, Error> {
    Lock::take(&job.journal()).map_err(|error| {
        Error::Failed(match error {
            OpenError::Fatal(why) => format!("{why}; stop it before a seek"),
            OpenError::Retry(why) | OpenError::Mend(why) => why,
        })
    })
}

/// Refuses a group with live members. Returns what cannot be known about them.
fn nobody_is_in(cluster: &Cluster, group: &str, storage: OffsetStorage) -> Result<Option<String>, Error> {
    if storage == OffsetStorage::ZooKeeper {
        // ZooKeeper knows no members.
        return Ok(None);
    }
    let (cluster, name) = (cluster.clone(), group.to_owned());
    let members = in_time(move |_| retried(|| ForeignMembers::look(&cluster, &name, BROKER_PATIENCE)))?;
    let members = members.map_err(|fault| Error::Failed(fault.to_string()))?;
    match members.live() {
        Some(live) => Err(Error::Failed(format!(
            "the group '{group}' has {live}: stop all members first; one that was killed leaves when its \
             session is over"
        ))),
        None => Ok(members.is_later().then(|| {
            format!(
                "note: the group '{group}' uses the later protocol (KIP-848): if it has live members, the \
                 brokers refuse the offsets"
            )
        })),
    }
}

/// Finds out what the seek would do with each partition.
fn survey(
    mut operator: GroupOperator,
    journal: JournalView,
    order: &SeekOrder,
) -> Result<(GroupOperator, Vec<PartitionPlan>), Error> {
    let order = order.clone();
    let found = in_time(move |has_answered| {
        let plans = plan(&mut operator, &journal, &order, has_answered);
        plans.map(|plans| (operator, plans))
    })?;
    found.map_err(|fault| Error::Failed(fault.to_string()))
}

fn plan(
    operator: &mut GroupOperator,
    journal: &JournalView,
    order: &SeekOrder,
    has_answered: &dyn Fn(),
) -> Result<Vec<PartitionPlan>, Fault> {
    let all = retried(|| operator.partitions(&order.topic))?;
    has_answered();
    let wanted = |one: &TopicPartition| order.partition.is_none_or(|number| one.partition == number);
    let partitions: Vec<TopicPartition> = all.iter().filter(|one| wanted(one)).cloned().collect();
    if partitions.is_empty() {
        return Err(Fault::Fatal(match (order.partition, all.len()) {
            (Some(number), count) if count > 0 => {
                format!("{}/{number}: the topic has {}, from 0", order.topic, counted(count, "partition"))
            }
            _ => format!("{}: the brokers do not know the topic", order.topic),
        }));
    }
    let committed = retried(|| operator.committed(&partitions))?;
    let start = order.target.start();
    let mut plans = Vec::new();
    for (partition, (group, metadata)) in partitions.into_iter().zip(committed) {
        has_answered();
        let found = retried(|| {
            // The partition may be led by another broker by now.
            operator.look_up(&partition, &start).inspect_err(|_| drop(operator.partitions(&order.topic)))
        })?;
        let bare = match metadata {
            OffsetMetadata::Unsupported => OffsetMetadata::Unsupported,
            OffsetMetadata::Text(_) => OffsetMetadata::Text(String::new()),
        };
        plans.push(PartitionPlan {
            group,
            journal: journal.position(&partition),
            before: journal.written_up_to(&partition, group, &metadata),
            after: journal.resumes_at(&partition, Some(found.target), &bare),
            partition,
            found,
        });
    }
    Ok(plans)
}

/// Sets the offsets, and reads them back.
fn set(mut operator: GroupOperator, offsets: Vec<(TopicPartition, i64)>) -> Result<(), Error> {
    let unknown = |why: String| {
        Error::Failed(format!("{why}; what the group has now, the same command without --go shows"))
    };
    let held = in_time(move |has_answered| {
        retried(|| operator.set(&offsets))?;
        has_answered();
        let partitions: Vec<TopicPartition> =
            offsets.iter().map(|(partition, _)| partition.clone()).collect();
        let held = retried(|| operator.committed(&partitions))?;
        let held: Vec<Option<i64>> = held.into_iter().map(|(held, _)| held).collect();
        difference(&offsets, &held).map_or(Ok(()), |why| Err(Fault::Retry(why)))
    });
    match held {
        Ok(Ok(())) => Ok(()),
        Ok(Err(fault)) => Err(unknown(fault.to_string())),
        Err(error) => Err(unknown(error.to_string())),
    }
}

/// What differs between the offsets that were set and those that the group has.
fn difference(set: &[(TopicPartition, i64)], held: &[Option<i64>]) -> Option<String> {
    let ((partition, offset), held) =
        set.iter().zip(held).find(|((_, offset), held)| **held != Some(*offset))?;
    let held = held.map_or_else(|| "no offset".to_owned(), |held| format!("offset {held}"));
    Some(format!("{partition}: the group has {held} and not {offset}: another program has set it meanwhile"))
}

/// Asks again for a while what fails only now.
fn retried<T>(mut ask: impl FnMut() -> Result<T, Fault>) -> Result<T, Fault> {
    let until = Instant::now() + RETRY_TIME;
    loop {
        match ask() {
            Err(Fault::Retry(_)) if Instant::now() < until => std::thread::sleep(RETRY_PAUSE),
            done => return done,
        }
    }
}

/// Does something in a thread of its own, which may take [`ANSWER_TIME_MAX`] from one answer to the next.
///
/// # Errors
/// It took longer. The thread is left behind.
fn in_time<T: Send + 'static>(work: impl FnOnce(&dyn Fn()) -> T + Send + 'static) -> Result<T, Error> {
    let (send, received) = unbounded();
    let working = threads::spawn("seek", move || {
        // If sending fails, the time is over and nobody waits.
        let done = work(&|| drop(send.send(None)));
        drop(send.send(Some(done)));
    });
    working.map_err(|error| Error::Failed(error.to_string()))?;
    loop {
        match received.recv_timeout(ANSWER_TIME_MAX) {
            Ok(Some(done)) => return Ok(done),
            Ok(None) => {}
            Err(_) => {
                let seconds = ANSWER_TIME_MAX.as_secs();
                return Err(Error::Failed(format!("no broker has answered within {seconds} s")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read() {
        let order = |subject, target| SeekOrder::parse(subject, target, false);
        let read = order("app-1/12", "300").unwrap();
        assert_eq!((read.topic.as_str(), read.partition), ("app-1", Some(12)));
        assert_eq!(read.target, SeekTarget::Offset(300));
        assert_eq!(order("app", "latest").unwrap().partition, None);
        let target = |text| SeekTarget::parse(text);
        assert_eq!(target("earliest"), Ok(SeekTarget::Earliest));
        assert_eq!(target("1970-01-01T00:00:01Z"), Ok(SeekTarget::Since(Moment::At(1000))));
        assert_eq!(target("-2h"), Ok(SeekTarget::Since(Moment::Ago(7_200_000))));
        for (subject, at) in [
            ("app/", "0"),
            ("app/x", "0"),
            ("app/-1", "0"),
            ("app/1/2", "0"),
            ("/1", "0"),
            ("", "0"),
            ("app", ""),
            ("app", "first"),
            ("app", "99999999999999999999"),
            ("app", "-1"),
        ] {
            assert!(order(subject, at).is_err(), "{subject} {at}");
        }
    }

    #[test]
    fn what_the_group_has_is_compared_with_what_was_set() {
        let set = [0, 1].map(|number| (TopicPartition::new("t", number), 7));
        assert_eq!(difference(&set, &[Some(7), Some(7)]), None);
        assert!(
            difference(&set, &[Some(7), Some(8)])
                .unwrap()
                .starts_with("t/1: the group has offset 8 and not 7")
        );
        assert!(difference(&set, &[None, Some(7)]).unwrap().starts_with("t/0: the group has no offset"));
    }

    #[test]
    fn what_hangs_is_left_and_what_fails_is_asked_again() {
        assert_eq!(in_time(|has_answered| (has_answered(), 7).1).ok(), Some(7));
        let mut asked = 0;
        let done = retried(|| {
            asked += 1;
            if asked < 3 { Err(Fault::Retry("later".to_owned())) } else { Ok(asked) }
        });
        assert_eq!(done, Ok(3));
        let never: Result<(), _> = retried(|| Err(Fault::Fatal("no".to_owned())));
        assert_eq!(never, Err(Fault::Fatal("no".to_owned())));
    }
}
