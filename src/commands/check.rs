//! `pandad -t FILE`: says that the configuration has no fault, and prints warnings about it and about other
//! members of its Kafka group.

use std::time::Duration;

use crossbeam_channel::bounded;

use crate::config::{Config, KafkaToFileConfig, Membership, OffsetLocation};
use crate::error::Error;
use crate::jobs;
use crate::kafka::group::ForeignMembers;
use crate::threads;

/// How long the brokers may take to answer. It is short, because a configuration is also checked on
/// machines without a network.
const BROKERS_TIMEOUT: Duration = Duration::from_secs(3);

/// Prints the warnings, then `OK`. Brokers that do not answer do not count as a fault.
///
/// # Errors
/// Those of `print`.
pub fn run(config: &Config, mut print: impl FnMut(&str) -> Result<(), Error>) -> Result<(), Error> {
    for text in &config.warnings {
        print(&format!("warning: {text}"))?;
    }
    // If the group's offsets are in ZooKeeper, the brokers do not know the group's members.
    if let Some(job) = config.kafka_to_file.as_ref().filter(|job| job.kafka.offsets == OffsetLocation::Kafka)
    {
        match others(job) {
            Ok(others) => {
                if let Some(trouble) = others.trouble(job.kafka.membership == Membership::Coordinated) {
                    print(&format!("warning: {trouble}"))?;
                }
            }
            Err(why) => {
                print(&format!("note: the members of the group '{}' are not known: {why}", job.kafka.group))?;
            }
        }
    }
    print("OK")
}

fn others(job: &KafkaToFileConfig) -> Result<ForeignMembers, String> {
    let (cluster, name) = (jobs::kafka_cluster(job, false), job.kafka.group.clone());
    let (send, received) = bounded(1);
    // A separate thread asks, because several brokers that do not answer take longer together.
    let looking = threads::spawn("group", move || {
        // If this fails, the time limit has passed and nobody waits for the result.
        let _late = send.send(ForeignMembers::look(&cluster, &name, BROKERS_TIMEOUT / 3));
    });
    looking.map_err(|error| error.to_string())?;
    match received.recv_timeout(BROKERS_TIMEOUT) {
        Ok(found) => found.map_err(|fault| fault.to_string()),
        Err(_) => Err(format!("no broker has answered within {} s", BROKERS_TIMEOUT.as_secs())),
    }
}
