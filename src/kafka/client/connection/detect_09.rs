//! Opens a connection: asks for the versions that the broker supports, and distinguishes a broker of
//! Kafka 0.9, which does not answer that, from one that hangs.

use std::time::Instant;

use super::{Connection, ConnectionLimits, Sent};
use crate::kafka::client::address::BrokerAddress;
use crate::kafka::client::transport::ConnectionLost;
use crate::kafka::protocol::frame::Frame;
use crate::kafka::protocol::messages::{ApiVersions, FindCoordinator, Request};
use crate::kafka::protocol::versions::Versions;

impl Connection {
    /// Connects, and asks for the supported versions unless they are known.
    ///
    /// # Errors
    /// Why the broker cannot be reached, or that it does not answer as a Kafka broker does.
    pub fn open(
        address: &BrokerAddress,
        client_id: &str,
        limits: ConnectionLimits,
        known: Option<Versions>,
    ) -> Result<Self, String> {
        let connect = |versions| Self::connect(address, client_id, limits, versions);
        match known {
            Some(versions) => connect(versions),
            None => match connect(Versions::Silent)?.ask_versions()? {
                ApiVersionsAnswer::With(connection) => Ok(connection),
                ApiVersionsAnswer::Silence(first, sent) => {
                    match first.confirm_silence(sent, connect(Versions::Silent)?)? {
                        Some(connection) => Ok(connection),
                        // A broker of 0.9 still has the unknown request on the other two connections,
                        // so they are of no use.
                        None => connect(Versions::Silent),
                    }
                }
            },
        }
    }

    /// Distinguishes Kafka 0.9 from a broker that hangs or is far away. This connection got no answer
    /// to ApiVersions. `other` is a second connection. A broker of 0.9 answers FindCoordinator on it,
    /// and does not answer ApiVersions there either. Any other broker has answered ApiVersions on one
    /// of the two by then; that connection is returned. `None`: the broker is of 0.9.
    fn confirm_silence(mut self, sent: Sent, mut other: Self) -> Result<Option<Self>, String> {
        let asked = Instant::now();
        // No group has this name, but each answer serves, also an error.
        other.ask(&FindCoordinator { group: "pandad" }).map_err(|fault| fault.to_string())?;
        other.limits.versions_timeout = self.limits.versions_timeout.max(asked.elapsed() * 3);
        if let ApiVersionsAnswer::With(other) = other.ask_versions()? {
            return Ok(Some(other));
        }
        let until = Instant::now() + self.limits.versions_timeout / 10;
        match self.read::<ApiVersions>(&Sent { until, ..sent }, &mut Frame::default()) {
            Ok((_code, ranges)) => {
                self.versions = Versions::Spoken(ranges);
                Ok(Some(self))
            }
            Err(ConnectionLost::Silent) => Ok(None),
            Err(lost) => Err(self.describe(&lost)),
        }
    }

    fn ask_versions(mut self) -> Result<ApiVersionsAnswer, String> {
        let sent = self.write(&ApiVersions, ApiVersions::LOWEST, self.limits.versions_timeout);
        let sent = sent.map_err(|lost| self.describe(&lost))?;
        match self.read::<ApiVersions>(&sent, &mut Frame::default()) {
            Ok((_code, ranges)) => {
                self.versions = Versions::Spoken(ranges);
                Ok(ApiVersionsAnswer::With(self))
            }
            Err(ConnectionLost::Silent) => Ok(ApiVersionsAnswer::Silence(self, sent)),
            Err(lost) => Err(self.describe(&lost)),
        }
    }
}

enum ApiVersionsAnswer {
    With(Connection),
    /// No answer yet. The answer may still come on this connection.
    Silence(Connection, Sent),
}
