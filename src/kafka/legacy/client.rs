//! A `KafkaClient` of the crate, created for a broker that has just answered, and dropped after any
//! error that is not an error code of Kafka.
//!
//! The crate never closes broken sockets, does not compare correlation ids, and waits up to 120 s for
//! an answer. A new client avoids the consequences of all three.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kafka_crate::client::KafkaClient;
use kafka_crate::error::{Error, KafkaCode};

use super::error::LegacyError;
use super::second_look::{Gap, SecondLook};
use super::watchdog::Watchdog;
use crate::error::Fault;
use crate::kafka::client::address::BrokerAddress;
use crate::kafka::client::connection::Connection;
use crate::kafka::client::dialer::Dialer;
use crate::kafka::cluster::Cluster;
use crate::kafka::fetch::leader_queries::{QueryError, withheld};
use crate::kafka::protocol::versions::Versions;
use crate::kafka::seam::StartBasis;
use crate::record::TopicPartition;
use crate::threads;

/// The crate's client. Panics are contained in each call. During a call the caller's watchdog knows which
/// broker is waited for; it is reset after the call.
pub(super) struct LegacyClient {
    kafka: KafkaClient,
    /// The bootstrap broker.
    broker: String,
    watchdog: Arc<Watchdog>,
    look: SecondLook,
}

impl LegacyClient {
    /// Calls into the crate, and contains its panics.
    pub(super) fn call<T>(
        &mut self,
        call: impl FnOnce(&mut KafkaClient) -> Result<T, Error>,
    ) -> Result<T, LegacyError> {
        let kafka = &mut self.kafka;
        let answer = match threads::contain(|| call(kafka)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(LegacyError::of(&error)),
            Err(panic) => {
                Err(LegacyError::Client(format!("internal error: the kafka crate panicked: {panic}")))
            }
        };
        self.watchdog.beat();
        answer
    }

    /// [`Self::call`] with a request to the leader of a partition.
    pub(super) fn call_leader<T>(
        &mut self,
        partition: &TopicPartition,
        call: impl FnOnce(&mut KafkaClient) -> Result<T, Error>,
    ) -> Result<T, LegacyError> {
        self.watchdog.asks(self.leader(partition).into_iter().collect());
        self.call(call)
    }

    /// [`Self::call`] with a request to every leader of a topic, one after the other.
    pub(super) fn call_leaders<T>(
        &mut self,
        topic: &str,
        call: impl FnOnce(&mut KafkaClient) -> Result<T, Error>,
    ) -> Result<T, LegacyError> {
        let topics = self.kafka.topics();
        let partitions = topics.partitions(topic).into_iter().flat_map(|found| found.iter());
        let leaders: BTreeSet<String> =
            partitions.filter_map(|one| Some(one.leader()?.host().to_owned())).collect();
        self.watchdog.asks(leaders.into_iter().collect());
        self.call(call)
    }

    /// The bootstrap broker, `host:port`.
    pub(super) fn broker(&self) -> &str {
        &self.broker
    }

    /// The leader of a partition by the metadata, `host:port`.
    pub(super) fn leader(&self, partition: &TopicPartition) -> Option<String> {
        let topics = self.kafka.topics();
        let found = topics.partitions(&partition.topic)?.partition(partition.partition)?;
        Some(found.leader()?.host().to_owned())
    }

    /// Loads the topics' metadata.
    pub(super) fn load_metadata(&mut self, topics: &[String]) -> Result<(), LegacyError> {
        self.watchdog.asks(vec![self.broker.clone()]);
        self.call(|kafka| kafka.load_metadata(topics))
    }

    /// The number of partitions of a topic by the metadata; 0 if the topic is unknown.
    pub(super) fn partitions(&self, topic: &str) -> usize {
        self.kafka.topics().partitions(topic).map_or(0, |found| found.len())
    }

    /// Looks a second time at an offset where the crate cannot read the reply; see [`SecondLook::at`].
    ///
    /// # Errors
    /// The reason why the leader could not be asked.
    pub(super) fn look(&mut self, partition: &TopicPartition, offset: i64) -> Result<Option<Gap>, String> {
        let leader = self.leader(partition).and_then(|leader| BrokerAddress::parse(&leader));
        let seen = self.look.at(&leader.ok_or("it has no leader")?, partition, offset);
        self.watchdog.beat();
        seen
    }
}

/// The crate asks for a time in a version that knows segments only.
impl LegacyClient {
    /// The offset at which the records since a moment begin; see [`SecondLook::since`].
    pub(super) fn since(
        &mut self,
        partition: &TopicPartition,
        since: i64,
    ) -> Result<(i64, StartBasis), LegacyError> {
        let leader = self.leader(partition).and_then(|leader| BrokerAddress::parse(&leader));
        let leader = leader.ok_or(LegacyError::Code(KafkaCode::LeaderNotAvailable))?;
        self.watchdog.asks(vec![leader.to_string()]);
        let found = self.look.since(&leader, partition, since);
        self.watchdog.beat();
        found.map_err(|error| match error {
            QueryError::Lost(fault) => LegacyError::Client(fault.to_string()),
            QueryError::Code(code) if code.leader_moved() => {
                LegacyError::Code(KafkaCode::NotLeaderForPartition)
            }
            QueryError::Code(code) => LegacyError::Records(format!("Kafka answers {code}")),
            QueryError::Records(why) => LegacyError::Records(why),
            QueryError::Withheld(time) => LegacyError::Records(withheld(time)),
        })
    }
}

/// Creates clients, each for the next bootstrap broker that answers.
pub(super) struct LegacyConnector {
    cluster: Cluster,
    next: usize,
    dialer: Dialer,
    /// The connection on which the last client's broker answered.
    asked: Option<Connection>,
}

impl LegacyConnector {
    /// `first` is the index of the broker to try first, so that not every client begins with the same
    /// hung one.
    pub(super) fn new(cluster: Cluster, first: usize) -> Self {
        let dialer = cluster.dialer();
        Self { cluster, next: first, dialer, asked: None }
    }

    /// A client for the next bootstrap broker that answers. `watchdog` is reset after each call of the
    /// client, and after each broker that was tried.
    ///
    /// # Errors
    /// `Retry`: no broker answers. `Fatal`: the crate cannot read from a broker that answers.
    pub(super) fn connect(&mut self, watchdog: &Arc<Watchdog>) -> Result<LegacyClient, Fault> {
        let mut last = "no broker is configured".to_owned();
        for _ in 0..self.cluster.brokers.len() {
            let index = self.next % self.cluster.brokers.len();
            self.next = self.next.wrapping_add(1);
            let Some(broker) = self.cluster.brokers.get(index) else { continue };
            let Some(address) = BrokerAddress::parse(broker) else { continue };
            let answer = self.dialer.reopen(&address);
            watchdog.beat();
            match answer {
                Ok(connection) => {
                    self.check(broker, connection.versions())?;
                    self.asked = Some(connection);
                    return Ok(self.client(broker, Arc::clone(watchdog)));
                }
                Err(why) => last = why,
            }
        }
        Err(Fault::Retry(last))
    }

    /// Records that the last client works, so that the next one for the same broker need not ask for
    /// versions again. A broker that leaves ApiVersions unanswered may also hang; only a working client
    /// shows that the broker is Kafka 0.9.
    pub(super) fn confirm(&mut self) {
        if let Some(connection) = self.asked.take() {
            self.dialer.confirm(&connection);
        }
    }

    /// The client gets only one host: from a list the crate would ask the first host again and again, even
    /// if that broker hangs.
    fn client(&self, broker: &str, watchdog: Arc<Watchdog>) -> LegacyClient {
        let mut kafka = KafkaClient::new(vec![broker.to_owned()]);
        kafka.set_client_id(self.cluster.client_id.clone());
        kafka.set_connection_idle_timeout(CONNECTION_IDLE_MAX);
        LegacyClient { kafka, broker: broker.to_owned(), watchdog, look: SecondLook::new(&self.cluster) }
    }

    fn check(&self, broker: &str, versions: &Versions) -> Result<(), Fault> {
        let Some((lowest, highest)) = versions.range(FETCH_API_KEY) else { return Ok(()) };
        if lowest > 0 {
            return Err(Fault::Fatal(format!(
                "{broker} is Kafka 4 or later, which the legacy client cannot read (Fetch from version \
                 {lowest} on, the client sends version 0): set kafka['client']='native'"
            )));
        }
        // Transactions came in Kafka 0.11, with version 4 of Fetch.
        if highest >= 4 && self.cluster.read_committed {
            return Err(Fault::Fatal(format!(
                "{broker} supports transactions (Kafka 0.11 or later), and the legacy client cannot leave \
                 out the records of aborted ones: set kafka['client']='native', or \
                 kafka['isolation']='read_uncommitted' to read them, too"
            )));
        }
        Ok(())
    }
}

/// The API key of Fetch.
const FETCH_API_KEY: i16 = 1;
/// How long an idle connection is used. Brokers close one after ten minutes, and the crate notices only
/// when a request fails.
const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(240);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::client::tests::{API_VERSIONS, Asked, Reply, Scripted, say, text};
    use crate::kafka::client::versions_seen::VersionsSeen;
    use kafka_protocol::messages::FindCoordinatorResponse;

    fn as_kafka_0_9(asked: &Asked) -> Reply {
        if asked.key == API_VERSIONS {
            return Reply::Silence;
        }
        let answer = FindCoordinatorResponse::default().with_host(text("h")).with_port(9);
        say(&answer, asked.version)
    }

    #[test]
    fn the_detection_of_0_9_is_not_repeated_once_a_client_works() {
        let broker = Scripted::new(as_kafka_0_9);
        let cluster = Cluster {
            brokers: vec![broker.host()],
            client_id: "c".to_owned(),
            read_committed: true,
            silent: true,
            versions_seen: VersionsSeen::default(),
            tls: None,
        };
        let connect = || {
            // Each thread has a connector of its own.
            let mut connector = LegacyConnector::new(cluster.clone(), 0);
            assert!(connector.connect(&Arc::new(Watchdog::new())).is_ok());
            connector
        };
        // Each detection of Kafka 0.9 sends one request other than ApiVersions.
        let detections = || broker.asked().len();
        connect();
        assert_eq!(detections(), 1);
        connect().confirm();
        assert_eq!(detections(), 2, "no client worked before");
        connect().confirm();
        connect();
        assert_eq!(detections(), 2);
        connect();
        assert_eq!(detections(), 3, "the last client did not work");
    }
}
