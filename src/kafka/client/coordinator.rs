//! Which broker coordinates a group, and a connection to it.

use super::address::BrokerAddress;
use super::brokers::Brokers;
use super::connection::Connection;
use crate::error::Fault;
use crate::kafka::protocol::messages::FindCoordinator;
use crate::kafka::protocol::refusal::Refusal;

/// Finds the group's coordinator and connects to it.
///
/// # Errors
/// `Retry`: there is none just now, or it is unreachable. `Fatal`: there cannot be one.
pub fn find(brokers: &mut Brokers, group: &str) -> Result<Connection, Fault> {
    let found = brokers.ask(&FindCoordinator { group })?;
    if !found.code.is_none() {
        return Err(Refusal::Code(found.code).fault(&format!("find the coordinator of the group '{group}'")));
    }
    let address = BrokerAddress::new(&found.host, found.port).ok_or_else(|| {
        Fault::Retry(format!("Kafka names {}:{} as the group's coordinator", found.host, found.port))
    })?;
    brokers.open(&address).map_err(Fault::Retry)
}
