//! The questions of the handshake: asks for the versions that the broker supports. A broker of Kafka 0.9
//! does not answer this question; it is distinguished from a broker that hangs.

use std::time::Instant;

use super::{Connection, Sent};
use crate::kafka::client::transport::ConnectionLost;
use crate::kafka::protocol::frame::Frame;
use crate::kafka::protocol::messages::{ApiVersions, FindCoordinator, Request};
use crate::kafka::protocol::versions::Versions;

impl Connection {
    /// Distinguishes Kafka 0.9 from a broker that hangs or is far away. This connection got no answer to
    /// ApiVersions. `other` is a second connection. A broker of 0.9 answers FindCoordinator on it,
    /// and does not answer ApiVersions there either. Any other broker has answered ApiVersions on
    /// one of the two by then; that connection is returned. `None`: the broker is of 0.9.
    ///
    /// # Errors
    /// Why one of the two connections cannot be used any more.
    pub(in crate::kafka::client) fn confirm_silence(
        mut self,
        sent: Sent,
        mut other: Self,
    ) -> Result<Option<Self>, String> {
        let asked = Instant::now();
        // No group has this name. Any answer will do, even an error.
        other.ask(&FindCoordinator { group: "pandad" }).map_err(|fault| fault.to_string())?;
        other.limits.versions_timeout = self.limits.versions_timeout.max(asked.elapsed() * 3);
        if let ApiVersionsAnswer::With(other) = other.ask_versions()? {
            return Ok(Some(other));
        }
        let until = Instant::now() + self.limits.versions_timeout / 10;
        match self.read::<ApiVersions>(&Sent { until, ..sent }, &mut Frame::default()) {
            Ok((_code, ranges)) => {
                self.known.versions = Versions::Spoken(ranges);
                Ok(Some(self))
            }
            Err(ConnectionLost::Silent) => Ok(None),
            Err(lost) => Err(self.describe(&lost)),
        }
    }

    /// Asks for the versions that the broker supports; the connection has them then.
    ///
    /// # Errors
    /// The connection failed, or the broker does not answer as a Kafka broker does.
    pub(in crate::kafka::client) fn ask_versions(mut self) -> Result<ApiVersionsAnswer, String> {
        let sent = self.write(&ApiVersions, ApiVersions::LOWEST, self.limits.versions_timeout);
        let sent = sent.map_err(|lost| self.describe(&lost))?;
        match self.read::<ApiVersions>(&sent, &mut Frame::default()) {
            Ok((_code, ranges)) => {
                self.known.versions = Versions::Spoken(ranges);
                Ok(ApiVersionsAnswer::With(self))
            }
            Err(ConnectionLost::Silent) => Ok(ApiVersionsAnswer::Silence(self, sent)),
            Err(lost) => Err(self.describe(&lost)),
        }
    }
}

/// The answer to ApiVersions.
pub(in crate::kafka::client) enum ApiVersionsAnswer {
    /// The connection has the versions.
    With(Connection),
    /// No answer yet. The answer may still come on this connection.
    Silence(Connection, Sent),
}
