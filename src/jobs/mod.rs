//! The jobs of pandad. Each is built from its configuration, a pipeline and the servers that it needs. No
//! job knows another.

mod expired_to_list;
mod kafka_to_file;
mod list_to_hash;

use std::sync::Arc;

use crate::config::{
    ClientChoice, Config, FileFormat, KafkaSecurity, KafkaToFileConfig, LogFileConfig, NewlinePolicy,
    OffsetLocation, ReadIsolation, RedisAddress, RedisConfig, TlsConfig, TlsVerify, TombstonePolicy,
};
use crate::error::{ConfigFault, Fault};
use crate::kafka::{Cluster, FetcherKind, VersionsSeen};
use crate::logfile::line::{LineFormat, LineFormatter, RecordFilter};
use crate::net::{TlsClient, TlsSettings};
use crate::redis::{LeftOutCommands, RedisServer, ServerAddress};
use crate::report::Counters;
use crate::shutdown::Stop;
use crate::status::JobRoute;

/// One job, which a thread of its own can run.
pub trait Job: Send {
    /// The job's name on the command line and in every log line.
    fn name(&self) -> &'static str;

    /// From where to where the job moves things, for people.
    fn route(&self) -> JobRoute;

    /// The job's counters, which the state line shows.
    fn counters(&self) -> Arc<Counters>;

    /// Looks for local faults, such as a missing directory or a lock that is held. Called once,
    /// before any job runs.
    ///
    /// # Errors
    /// Every fault found.
    fn prepare(&mut self) -> Result<(), Vec<ConfigFault>>;

    /// Runs until the stop.
    ///
    /// # Errors
    /// `Fatal`: the job has failed for good. The others: call it again after a pause.
    fn run(&mut self, stop: &Stop) -> Result<(), Fault>;

    /// What to change in the configuration, if the last run failed because of it.
    fn config_fault(&self) -> Option<ConfigFault> {
        None
    }
}

/// The names of all jobs, as `--only` takes them.
pub const NAMES: [&str; 3] = [kafka_to_file::NAME, expired_to_list::NAME, list_to_hash::NAME];

/// The section that configures the job of this name, without brackets.
pub fn section_of(name: &str) -> &'static str {
    match name {
        kafka_to_file::NAME => "log_section",
        expired_to_list::NAME => "clearCache_section",
        _ => "panda_server_section",
    }
}

/// The jobs that the configuration asks for.
pub fn configured(config: &Config) -> Vec<Box<dyn Job>> {
    let mut jobs: Vec<Box<dyn Job>> = Vec::new();
    if let Some(section) = &config.kafka_to_file {
        let file = config.path.display().to_string();
        jobs.push(Box::new(kafka_to_file::KafkaToFile::new(section.clone(), config.daemon.memory, file)));
    }
    if let Some(section) = &config.expired_to_list {
        jobs.push(Box::new(expired_to_list::ExpiredToListJob::new(section.clone(), config.daemon.memory)));
    }
    if let Some(section) = &config.list_to_hash {
        jobs.push(Box::new(list_to_hash::ListToHash::new(section.clone(), config.daemon.memory)));
    }
    jobs
}

/// The Redis server of a section of the configuration.
///
/// `name` is the server's name in the .inv, `client` the name that its client list shows.
pub fn redis_server(name: &'static str, redis: &RedisConfig, client: &str) -> RedisServer {
    RedisServer {
        name,
        address: match &redis.address {
            RedisAddress::Tcp { host, port } => ServerAddress::Tcp(host.clone(), *port),
            RedisAddress::Unix(path) => ServerAddress::Unix(path.clone()),
        },
        user: redis.user.clone(),
        password: redis.password.clone(),
        database: redis.database,
        connect_timeout: redis.connect_timeout,
        client_name: client.to_owned(),
        left_out: LeftOutCommands::default(),
        tls: redis.encrypted.then(|| tls_client(&redis.tls)),
    }
}

/// The Kafka cluster of the job `kafka_to_file`.
///
/// `silent`: see [`Cluster::silent`].
pub fn kafka_cluster(section: &KafkaToFileConfig, silent: bool) -> Cluster {
    Cluster {
        brokers: section.brokers.clone(),
        client_id: section.worker_name.clone(),
        read_committed: section.kafka.isolation == ReadIsolation::ReadCommitted,
        silent,
        versions_seen: VersionsSeen::default(),
        tls: (section.kafka.security == KafkaSecurity::Ssl).then(|| tls_client(&section.kafka.tls)),
    }
}

fn tls_client(tls: &TlsConfig) -> TlsClient {
    TlsClient::new(TlsSettings {
        ca: tls.ca.clone(),
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
        name: tls.name.clone(),
        any_name: tls.verify == TlsVerify::Ca,
        pin: tls.pin,
    })
}

/// Which client reads for the job `kafka_to_file`.
pub fn fetcher_kind(section: &KafkaToFileConfig) -> FetcherKind {
    match section.kafka.client {
        ClientChoice::Auto if section.log_file.filters_beyond_crate() => FetcherKind::Native,
        ClientChoice::Auto => {
            FetcherKind::Auto { zookeeper: section.kafka.offsets == OffsetLocation::ZooKeeper }
        }
        ClientChoice::Crate => FetcherKind::Crate,
        ClientChoice::Native => FetcherKind::Native,
    }
}

/// What makes the lines of the job `kafka_to_file`, and says which records have none.
pub fn line_formatter(log_file: &LogFileConfig) -> LineFormatter {
    let formatter = match log_file.format {
        FileFormat::Original => LineFormatter::new(LineFormat::Original),
        FileFormat::Raw => LineFormatter::new(LineFormat::Raw),
        FileFormat::Json => LineFormatter::new(LineFormat::Json),
        FileFormat::Template => LineFormatter::by_template(log_file.template.clone()),
    };
    let filter = RecordFilter {
        include_key: log_file.include_key.clone(),
        exclude_key: log_file.exclude_key.clone(),
        include_header: log_file.include_header.clone(),
        exclude_header: log_file.exclude_header.clone(),
        drops_tombstones: log_file.tombstones == TombstonePolicy::Drop,
    };
    let formatter = formatter.filtered(filter);
    match log_file.newline {
        NewlinePolicy::Keep => formatter,
        NewlinePolicy::Escape => formatter.escaping_newlines(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn each_job_has_a_section_of_its_own() {
        let redis = "[redis_env_section]\nredis_kv_expire[host]=k\nredis_list[host]=l\nredis_ar[host]=a\n";
        for name in NAMES {
            let section = section_of(name);
            let text = format!("{redis}[{section}]\nbroker_list=b\n");
            let text = if name == "kafka_to_file" { text } else { format!("{redis}[{section}]\n") };
            let config = Config::parse(&text, std::path::Path::new("test.inv")).unwrap();
            let jobs = configured(&config);
            assert_eq!(jobs.iter().map(|job| job.name()).collect::<Vec<_>>(), [name]);
        }
    }

    #[test]
    fn the_isolation_reaches_the_cluster() {
        for (isolation, read_committed) in [("read_committed", true), ("read_uncommitted", false)] {
            let text = format!("[log_section]\nbroker_list=b\nkafka['isolation']={isolation}\n");
            let config = Config::parse(&text, std::path::Path::new("test.inv")).unwrap();
            let cluster = kafka_cluster(&config.kafka_to_file.unwrap(), false);
            assert_eq!(cluster.read_committed, read_committed);
        }
    }
}
