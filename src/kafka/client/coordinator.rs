//! Finds the coordinator of a group.

use super::address::BrokerAddress;
use super::brokers::Brokers;
use super::connection::Connection;
use crate::error::Fault;
use crate::kafka::protocol::messages::FindCoordinator;
use crate::kafka::protocol::refusal::Refusal;

/// Finds the coordinator of the group and connects to it.
///
/// # Errors
/// `Retry`: the group has no coordinator now, or it cannot be reached. `Fatal`: the group cannot
/// have one.
pub fn find(brokers: &mut Brokers, group: &str) -> Result<Connection, Fault> {
    let found = brokers.ask_another(&FindCoordinator { group })?;
    if !found.code.is_none() {
        return Err(Refusal::Code(found.code).fault(&format!("find the coordinator of the group '{group}'")));
    }
    let address = BrokerAddress::new(&found.host, found.port).ok_or_else(|| {
        Fault::Retry(format!(
            "Kafka names {}:{} as the coordinator of the group, which is no valid address",
            found.host, found.port
        ))
    })?;
    brokers.open(&address).map_err(Fault::Retry)
}
