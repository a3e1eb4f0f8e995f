//! A `KafkaClient` that may be trusted for a while: built for brokers that have just
//! answered, thrown away after any error that is not Kafka's own.
//!
//! The crate keeps dead sockets for ever, does not compare correlation ids, and has a
//! fixed time limit of 120 s; a new client cures all three.

use std::time::Duration;

use kafka_crate::client::KafkaClient;
use kafka_crate::error::Error;

use super::error::LegacyError;
use super::second_look::{Gap, SecondLook};
use crate::error::Fault;
use crate::kafka::client::address::BrokerAddress;
use crate::kafka::client::connection::Connection;
use crate::kafka::cluster::Cluster;
use crate::kafka::protocol::versions::Versions;
use crate::record::TopicPartition;
use crate::threads;

/// The crate's client, each call contained, and the caller's watchdog fed after it.
pub(super) struct LegacyClient {
    kafka: KafkaClient,
    beat: Box<dyn Fn() + Send>,
    look: SecondLook,
}

impl LegacyClient {
    /// Calls into the crate and contains its panics.
    pub(super) fn call<T>(
        &mut self,
        call: impl FnOnce(&mut KafkaClient) -> Result<T, Error>,
    ) -> Result<T, LegacyError> {
        let kafka = &mut self.kafka;
        let answer = match threads::contain(|| call(kafka)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(LegacyError::of(&error)),
            Err(panic) => Err(LegacyError::Client(format!("the kafka crate panicked: {panic}"))),
        };
        (self.beat)();
        answer
    }

    /// Loads the topics' metadata.
    pub(super) fn load_metadata(&mut self, topics: &[String]) -> Result<(), LegacyError> {
        self.call(|kafka| kafka.load_metadata(topics))
    }

    /// How many partitions of a topic the metadata names; 0 when it does not know it.
    pub(super) fn partitions(&self, topic: &str) -> usize {
        self.kafka.topics().partitions(topic).map_or(0, |found| found.len())
    }

    /// A second look at an offset at which the crate cannot read what came: see [`SecondLook::at`].
    ///
    /// # Errors
    /// Why nothing could be found out.
    pub(super) fn look(&mut self, partition: &TopicPartition, offset: i64) -> Result<Option<Gap>, String> {
        let topics = self.kafka.topics();
        let found =
            topics.partitions(&partition.topic).and_then(|found| found.partition(partition.partition));
        let leader = found.and_then(|found| BrokerAddress::parse(found.leader()?.host()));
        let seen = self.look.at(&leader.ok_or("it has no leader")?, partition, offset);
        (self.beat)();
        seen
    }
}

/// Builds clients, each on the next bootstrap broker that answers.
pub(super) struct LegacyConnector {
    cluster: Cluster,
    next: usize,
    /// What the brokers speak, once one of them has also answered the crate.
    known: Option<Versions>,
    asked: Option<Versions>,
}

impl LegacyConnector {
    /// `first` is the number of the broker to begin with, so that a hung one is not
    /// begun with again and again.
    pub(super) fn new(cluster: Cluster, first: usize) -> Self {
        Self { cluster, next: first, known: None, asked: None }
    }

    /// A client for the next bootstrap broker that answers. `beat` is called after
    /// each of its calls, and for each broker that is tried.
    ///
    /// # Errors
    /// `Retry`: none answers. `Fatal`: one does, and this crate cannot work with it.
    pub(super) fn connect(&mut self, beat: impl Fn() + Send + 'static) -> Result<LegacyClient, Fault> {
        let mut last = "no broker is configured".to_owned();
        for _ in 0..self.cluster.brokers.len() {
            let index = self.next % self.cluster.brokers.len();
            self.next = self.next.wrapping_add(1);
            let Some(broker) = self.cluster.brokers.get(index) else { continue };
            let Some(address) = BrokerAddress::parse(broker) else { continue };
            let known = self.known.clone();
            let answer = Connection::open(&address, &self.cluster.client_id, self.cluster.limits(), known);
            beat();
            match answer {
                Ok(connection) => {
                    self.check(broker, connection.versions())?;
                    self.asked = Some(connection.versions().clone());
                    return Ok(self.client(broker, Box::new(beat)));
                }
                Err(why) => last = why,
            }
        }
        self.known = None;
        Err(Fault::Retry(last))
    }

    /// The client works: what its broker said need not be asked again. Silence alone
    /// would also come from a broker that hangs.
    pub(super) fn confirm(&mut self) {
        self.known = self.asked.clone();
    }

    /// Only one host: the crate would ask the first of a list for ever, were it hung.
    fn client(&self, broker: &str, beat: Box<dyn Fn() + Send>) -> LegacyClient {
        let mut kafka = KafkaClient::new(vec![broker.to_owned()]);
        kafka.set_client_id(self.cluster.client_id.clone());
        kafka.set_connection_idle_timeout(CONNECTION_IDLE_MAX);
        LegacyClient { kafka, beat, look: SecondLook::new(&self.cluster) }
    }

    fn check(&self, broker: &str, versions: &Versions) -> Result<(), Fault> {
        let Some((lowest, highest)) = versions.range(FETCH_API_KEY) else { return Ok(()) };
        if lowest > 0 {
            return Err(Fault::Fatal(format!(
                "{broker} is Kafka 4 or later, which the kafka crate cannot read (it serves Fetch from \
                 version {lowest}, the crate speaks 0): use a broker before 4.0 until pandad's own client is \
                 there"
            )));
        }
        // Fetch version 4 came with transactions, in 0.11.
        if highest >= 4 && self.cluster.read_committed {
            return Err(Fault::Fatal(format!(
                "{broker} has transactions (Kafka 0.11 or later), which the kafka crate cannot filter: say \
                 kafka['isolation']='read_uncommitted' in [log_section] to read without a filter"
            )));
        }
        Ok(())
    }
}

/// The number of the request Fetch.
const FETCH_API_KEY: i16 = 1;
/// How long an idle connection is kept: less than the ten minutes after which brokers
/// close it, and the crate would find that out only by failing.
const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(240);
