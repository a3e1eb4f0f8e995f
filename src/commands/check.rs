//! `pandad -t FILE`: says that the configuration has no fault, and prints warnings about it and about other
//! members of its Kafka group.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
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
    for text in keys_open_to_others(config) {
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

/// The private keys of TLS that other users of this machine may read, or that are not there.
fn keys_open_to_others(config: &Config) -> Vec<String> {
    let kafka = config.kafka_to_file.iter().map(|job| &job.kafka.tls);
    let redis = config.expired_to_list.iter().flat_map(|job| [&job.expire, &job.list]);
    let redis = redis.chain(config.list_to_hash.iter().flat_map(|job| [&job.list, &job.ar]));
    let all = kafka.chain(redis.map(|server| &server.tls)).map(|tls| tls.key.as_path());
    let named: BTreeSet<&Path> = all.filter(|path| !path.as_os_str().is_empty()).collect();
    let judge = |path: &&Path| match std::fs::metadata(path) {
        Ok(facts) if facts.mode() & 0o077 == 0 => None,
        Ok(_) => Some(format!("others may read the key {0}: chmod 600 {0}", path.display())),
        Err(error) => Some(format!("the key {} cannot be read: {error}", path.display())),
    };
    named.iter().filter_map(judge).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_that_others_may_read_is_warned_of() {
        let path = std::env::temp_dir().join(format!("pandad-check-{}.key", std::process::id()));
        let text = format!(
            "[panda_server_section]\n[redis_env_section]\nredis_list['host']=a\nredis_ar['host']=b\n\
             redis_ar['tls']='yes'\nredis_ar['tls_cert']='c'\nredis_ar['tls_key']='{}'\n",
            path.display()
        );
        let config = Config::parse(&text, Path::new("/etc/pandad/.inv")).unwrap();
        let missing = keys_open_to_others(&config);
        assert!(missing.len() == 1 && missing[0].contains("cannot be read: No such file"), "{missing:?}");
        std::fs::write(&path, "").unwrap();
        for (mode, is_open) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let found = keys_open_to_others(&config);
            assert_eq!(found.len(), usize::from(is_open), "{mode:o} {found:?}");
            assert!(found.iter().all(|text| text.contains("chmod 600")), "{found:?}");
        }
        std::fs::remove_file(&path).unwrap();
    }
}
