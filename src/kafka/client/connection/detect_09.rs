//! Opening a connection: what the broker speaks is asked for, and a broker of Kafka 0.9, which
//! does not know the question, is told from one that hangs.

use std::time::Instant;

use super::{Connection, ConnectionLimits, Sent};
use crate::kafka::client::address::BrokerAddress;
use crate::kafka::client::transport::ConnectionLost;
use crate::kafka::protocol::frame::Frame;
use crate::kafka::protocol::messages::{ApiVersions, FindCoordinator, Request};
use crate::kafka::protocol::versions::Versions;

impl Connection {
    /// Connects, and asks what the broker speaks unless that is known.
    ///
    /// # Errors
    /// Why it cannot be reached, or is no Kafka broker.
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
                        // A broker that does not know the request still waits on those.
                        None => connect(Versions::Silent),
                    }
                }
            },
        }
    }

    /// Nothing was said to ApiVersions here. A broker of 0.9 does not know it, and still
    /// answers what it knows on another connection, and is silent there, too. One that
    /// hung, or is far away, has by then answered somewhere: that connection is used.
    fn confirm_silence(mut self, sent: Sent, mut other: Self) -> Result<Option<Self>, String> {
        let asked = Instant::now();
        // A group that nobody has: found or not, it is an answer.
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
    /// The connection on which it may still be said.
    Silence(Connection, Sent),
}
