//! Prints a configuration as an .inv that pandad reads again to the same configuration.
//!
//! Every key is there, defaults too, so that it shows what holds; passwords are masked.

use std::fmt::Write;

use super::convert::{Words, bytes, in_seconds};
use super::keys::{self, Key, RedisKeys};
use super::settings::{
    Config, ExpiredToListConfig, KafkaToFileConfig, ListToHashConfig, RedisAddress, RedisConfig,
};
use super::value::quote;

impl Config {
    /// The effective configuration as an .inv; `********` stands for each password.
    pub fn to_inv(&self) -> String {
        let mut out = InvPrinter { text: String::new(), section: "" };
        if let Some(job) = &self.kafka_to_file {
            kafka_to_file(&mut out, job);
        }
        if let Some(job) = &self.expired_to_list {
            expired_to_list(&mut out, job);
        }
        redis(&mut out, self.expired_to_list.as_ref(), self.list_to_hash.as_ref());
        if let Some(job) = &self.list_to_hash {
            list_to_hash(&mut out, job);
        }
        let daemon = &self.daemon;
        out.put(keys::STOP_TIMEOUT, &in_seconds(daemon.stop_timeout));
        out.put(keys::MEMORY, &bytes(daemon.memory));
        out.put(keys::HTTP, &daemon.http);
        out.put(keys::PIDFILE, &daemon.pidfile);
        out.put(keys::DAEMON_LOG, &daemon.log);
        out.put(keys::LOG_LEVEL, daemon.log_level.word());
        out.text
    }
}

/// The text so far; a key of another section begins that section.
struct InvPrinter {
    text: String,
    section: &'static str,
}

impl InvPrinter {
    fn put(&mut self, key: Key, value: &str) {
        if self.section != key.section {
            let gap = if self.section.is_empty() { "" } else { "\n" };
            // Writing to a String cannot fail.
            let _ = writeln!(self.text, "{gap}[{}]", key.section);
            self.section = key.section;
        }
        let _ = writeln!(self.text, "{} = {}", key.name, quote(value));
    }
}

fn kafka_to_file(out: &mut InvPrinter, job: &KafkaToFileConfig) {
    let (kafka, file) = (&job.kafka, &job.log_file);
    out.put(keys::LOG_PROCESS, &job.group_name);
    out.put(keys::BROKER_LIST, &job.brokers.join(","));
    out.put(keys::LOG_MASTER, &job.name);
    out.put(keys::LOG_CHILD, &job.worker_name);
    out.put(keys::LOG_WORKERS, &job.workers.to_string());
    out.put(keys::TOPICS, &kafka.topics.to_string());
    out.put(keys::GROUP, &kafka.group);
    out.put(keys::START, kafka.start.word());
    out.put(keys::OFFSETS, kafka.offsets.word());
    out.put(keys::CLIENT, kafka.client.word());
    out.put(keys::MEMBERSHIP, kafka.membership.word());
    out.put(keys::SESSION, &kafka.session.as_millis().to_string());
    out.put(keys::FULL_DISK, &kafka.full_disk.as_secs().to_string());
    out.put(keys::ISOLATION, kafka.isolation.word());
    out.put(keys::FILE_PATH, &file.path.to_string_lossy());
    out.put(keys::FILE_FORMAT, file.format.word());
    out.put(keys::FILE_SYNC, file.sync.word());
    out.put(keys::FILE_SETTLE, &file.settle.as_millis().to_string());
    out.put(keys::ROTATE_SIZE, &file.rotate_size.map(bytes).unwrap_or_default());
    out.put(keys::ROTATE_EVERY, file.rotate_every.map(Words::word).unwrap_or_default());
    out.put(keys::ROTATE_KEEP, &file.rotate_keep.to_string());
    out.put(keys::ROTATE_GZIP, file.rotate_gzip.word());
}

fn expired_to_list(out: &mut InvPrinter, job: &ExpiredToListConfig) {
    out.put(keys::CLEAR_PROCESS, &job.group_name);
    out.put(keys::CLEAR_MASTER, &job.name);
    out.put(keys::CLEAR_CHILD, &job.worker_name);
    out.put(keys::CLEAR_WORKERS, &job.workers.to_string());
    out.put(keys::EXPIRED_PREFIX, &job.prefix);
    out.put(keys::RECONCILE, job.reconcile.word());
    out.put(keys::EXPIRED_RATE, &job.rate.to_string());
    out.put(keys::EXPIRED_MEMORY, &bytes(job.memory));
}

fn list_to_hash(out: &mut InvPrinter, job: &ListToHashConfig) {
    out.put(keys::SERVER_PROCESS, &job.group_name);
    out.put(keys::SERVER_MASTER, &job.name);
    out.put(keys::SERVER_CHILD, &job.worker_name);
    out.put(keys::SERVER_WORKERS, &job.workers.to_string());
    out.put(keys::QUEUE_LIFE, &in_seconds(job.life));
    out.put(keys::CAME_BACK, job.guard.word());
}

/// The servers that a job uses, the list's once though both jobs use it.
fn redis(out: &mut InvPrinter, expired: Option<&ExpiredToListConfig>, hash: Option<&ListToHashConfig>) {
    let markers = hash.and_then(|job| job.came_back.as_ref());
    if let Some(expire) = expired.map(|job| &job.expire).or(markers.map(|markers| &markers.expire)) {
        server(out, keys::REDIS_EXPIRE, expire);
    }
    let list = expired.map(|job| (&job.list, &job.list_key)).or(hash.map(|job| (&job.list, &job.list_key)));
    if let Some((list, key)) = list {
        server(out, keys::REDIS_LIST, list);
        out.put(keys::LIST_KEY, key);
    }
    if let Some(job) = hash {
        server(out, keys::REDIS_AR, &job.ar);
        out.put(keys::HASHES, &job.hashes.join(" "));
    }
}

fn server(out: &mut InvPrinter, k: RedisKeys, redis: &RedisConfig) {
    match &redis.address {
        RedisAddress::Tcp { host, port } => {
            out.put(k.socket_type, "");
            out.put(k.host, host);
            out.put(k.port, &port.to_string());
        }
        RedisAddress::Unix(path) => {
            out.put(k.socket_type, "unix");
            out.put(k.socket, &path.to_string_lossy());
        }
    }
    out.put(k.user, &redis.user);
    out.put(k.password, if redis.password.is_empty() { "" } else { keys::MASK });
    out.put(k.database, &redis.database.to_string());
    out.put(k.timeout, &in_seconds(redis.connect_timeout));
}
