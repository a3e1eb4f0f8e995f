//! Opens every connection of pandad's own client, and does everything that comes before the first request
//! on a connection.

use std::time::Instant;

use super::address::BrokerAddress;
use super::connection::{ApiVersionsAnswer, Connection, ConnectionLimits};
use super::named_brokers::{NamedBrokers, OtherCluster};
use super::versions_seen::{KnownVersions, VersionsSeen};
use crate::error::Fault;
use crate::kafka::protocol::messages::{ClusterMetadata, ClusterOnly};
use crate::kafka::protocol::versions::Versions;
use crate::net::{self, TlsClient};

pub(in crate::kafka) use super::named_brokers::JOB;

/// Opens connections to the brokers of one cluster. Clones share the [`VersionsSeen`].
#[derive(Debug, Clone)]
pub struct Dialer {
    client_id: String,
    limits: ConnectionLimits,
    versions_seen: VersionsSeen,
    tls: Option<TlsClient>,
}

impl Dialer {
    /// A dialer for a cluster whose brokers have not been asked for their versions yet. `client_id` is the
    /// `client.id` that brokers log.
    pub fn new(client_id: &str, limits: ConnectionLimits) -> Self {
        Self { client_id: client_id.to_owned(), limits, versions_seen: VersionsSeen::default(), tls: None }
    }

    /// This dialer with other limits.
    #[must_use]
    pub fn with_limits(self, limits: ConnectionLimits) -> Self {
        Self { limits, ..self }
    }

    /// This dialer, with the versions that other connections to the cluster have seen.
    #[must_use]
    pub fn with_versions_seen(self, versions_seen: &VersionsSeen) -> Self {
        Self { versions_seen: versions_seen.clone(), ..self }
    }

    /// This dialer, with connections that are encrypted.
    #[must_use]
    pub fn with_tls(self, tls: Option<TlsClient>) -> Self {
        Self { tls, ..self }
    }

    /// Connects to this broker, and asks for its versions. Use it to read records: if a broker was
    /// upgraded meanwhile and got requests in the versions of Kafka 0.9, it would send records of
    /// aborted transactions.
    ///
    /// # Errors
    /// Why the broker cannot be reached, or cannot be used.
    pub fn open(&self, address: &BrokerAddress) -> Result<Connection, String> {
        self.dial(address, None)
    }

    /// Connects to this broker, and asks for its versions unless they are known: see
    /// [`Self::confirm`].
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn reopen(&self, address: &BrokerAddress) -> Result<Connection, String> {
        self.dial(address, self.versions_seen.take(address, Instant::now()))
    }

    /// Remembers the versions of a broker that has answered a request. A broker that has only left
    /// ApiVersions unanswered may just as well hang.
    pub fn confirm(&self, connection: &Connection) {
        self.versions_seen.confirm(connection.address(), connection.known());
    }

    /// The brokers that the cluster has named.
    pub(super) fn named(&self) -> &NamedBrokers {
        self.versions_seen.named()
    }

    /// Asks a broker which cluster it belongs to, if that is known of the cluster that is read: the address
    /// may have been given to a broker of another one.
    ///
    /// # Errors
    /// `Retry`: it belongs to another cluster, or does not answer.
    pub fn check_cluster(&self, connection: &mut Connection) -> Result<(), Fault> {
        if !self.named().has_id() || connection.versions().choose::<ClusterOnly>().is_err() {
            return Ok(());
        }
        let metadata = connection.ask(&ClusterOnly)?;
        self.record_cluster(connection.address(), &metadata)
    }

    /// Takes what a broker says of its cluster.
    ///
    /// # Errors
    /// `Retry`: it belongs to another cluster.
    pub(super) fn record_cluster(
        &self,
        address: &BrokerAddress,
        metadata: &ClusterMetadata,
    ) -> Result<(), Fault> {
        let named = self.named();
        named.record(metadata, Instant::now()).map_err(|OtherCluster { own, other }| {
            named.forget(address);
            named.tell_foreign(address, &other);
            Fault::Retry(format!("{address} belongs to the cluster {other}, not to {own}"))
        })
    }

    /// A connection that is ready for its first request. A handshake that follows the exchange of versions,
    /// such as a login, belongs at the end of this function: every connection passes there.
    fn dial(&self, address: &BrokerAddress, known: Option<KnownVersions>) -> Result<Connection, String> {
        let connection = match known {
            Some(known) => self.connect(address, known)?,
            None => self.ask_versions(address)?,
        };
        self.versions_seen.record(address, connection.versions())?;
        Ok(connection)
    }

    /// Opens the socket and encrypts it, if that is asked for; nothing of Kafka is sent on it yet. Every
    /// connection begins here, including the two extra ones for a broker that does not answer ApiVersions.
    fn connect(&self, address: &BrokerAddress, known: KnownVersions) -> Result<Connection, String> {
        let until = Instant::now() + self.limits.connect_timeout;
        let stream = net::connect_tcp(&address.host, address.port, self.limits.connect_timeout);
        let mut stream = stream.map_err(|error| format!("{address} is unreachable: {error}"))?;
        if let Some(tls) = &self.tls {
            let secured = tls.secure(stream, &address.host, until);
            stream = secured.map_err(|error| format!("{address}: {error}"))?;
        }
        Ok(Connection::new(stream, address, &self.client_id, self.limits, known))
    }

    /// Connects, and finds out which versions the broker supports. A broker that does not answer
    /// costs two more connections, and is asked FindCoordinator on one of them before [`Self::dial`]
    /// goes on.
    fn ask_versions(&self, address: &BrokerAddress) -> Result<Connection, String> {
        let silent = KnownVersions { versions: Versions::Silent, asked_at: Instant::now() };
        match self.connect(address, silent.clone())?.ask_versions()? {
            ApiVersionsAnswer::With(connection) => Ok(connection),
            ApiVersionsAnswer::Silence(first, sent) => {
                let other = self.connect(address, silent.clone())?;
                match first.confirm_silence(sent, other)? {
                    Some(connection) => Ok(connection),
                    // On the other two connections a broker of 0.9 still holds the request that it does not
                    // know, so they are of no use.
                    None => self.connect(address, silent),
                }
            }
        }
    }
}
