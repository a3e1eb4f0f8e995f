//! The configuration: an .inv file becomes typed values, or a report of every fault in it.
//!
//! Each key is declared once, in `keys`. `scan` and `inv` turn a text into keys, `reader` takes these one
//! by one, `settings` are the typed values, and `checks` compares one value with another.

mod checks;
mod choices;
mod convert;
mod dump;
mod faults;
mod inv;
mod key;
mod key_name;
mod keys;
mod kind;
mod printer;
mod reader;
pub mod reference;
mod scan;
mod settings;
mod suggest;
#[cfg(test)]
mod tests;
mod value;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

pub use choices::{
    CameBackCheck, ClientChoice, FailurePolicy, FileFormat, HttpAddress, KafkaSecurity, Membership,
    NewlinePolicy, OffsetLocation, PathTime, ReadIsolation, ReconcileMode, RotationPeriod, StartPolicy,
    SyncPolicy, TlsVerify, TombstonePolicy, TopicSelection,
};
pub use settings::{
    Config, DaemonConfig, ExpiredToListConfig, KafkaConfig, KafkaToFileConfig, ListToHashConfig,
    LogFileConfig, MarkerSource, RedisAddress, RedisConfig, TlsConfig,
};

use crate::error::Error;
use faults::{FaultList, FaultPlace};
use reader::ConfigReader;

/// The largest size of an .inv in bytes. A larger file cannot be an .inv.
const FILE_BYTES_MAX: u64 = 1 << 20;

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// Every fault in the file at once, in the order of lines.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = read(path).map_err(|(line, expected)| {
            let mut faults = FaultList::new(path.display().to_string(), settings::KEYS);
            faults.push(FaultPlace { line, ..FaultPlace::default() }, expected);
            faults.finish().err().unwrap_or(Error::Config(Vec::new()))
        })?;
        Self::parse(&text, path)
    }

    /// Reads a text as if it stood in the file `path`.
    ///
    /// # Errors
    /// Every fault in the text at once, in the order of lines.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        parse(ConfigReader::new(text, path, settings::KEYS, false), path)
    }

    /// As [`Config::parse`], but accepts the output of `-T`, in which masks stand for passwords.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn parse_allowing_mask(text: &str, path: &Path) -> Result<Self, Error> {
        parse(ConfigReader::new(text, path, settings::KEYS, true), path)
    }
}

/// The text of the file, or the line and the reason why the text cannot be read.
fn read(path: &Path) -> Result<String, (Option<usize>, String)> {
    let read = || -> io::Result<Vec<u8>> {
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::Error::other("it is a directory, the .inv itself is expected"));
        }
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|why| (None, format!("the configuration cannot be read: {why}")))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err((None, "the file is larger than 1 MiB, an .inv is expected".into()));
    }
    String::from_utf8(bytes).map_err(|why| {
        let good = why.as_bytes().iter().take(why.utf8_error().valid_up_to());
        let line = good.filter(|b| **b == b'\n').count() + 1;
        (
            Some(line),
            "the line is not UTF-8: save the file as UTF-8 (if it is GBK: iconv -f GBK -t UTF-8)".into(),
        )
    })
}

/// Everything is read and checked before anything is refused.
fn parse(mut reader: ConfigReader, path: &Path) -> Result<Config, Error> {
    let r = &mut reader;
    let daemon = DaemonConfig::read(r);
    let kafka_to_file = r.has(keys::LOG).then(|| kafka_to_file(r));
    let redis = RedisSection {
        expire: RedisConfig::read(r, &keys::REDIS_EXPIRE),
        list: RedisConfig::read(r, &keys::REDIS_LIST),
        list_key: r.get(&keys::LIST_KEY),
        ar: RedisConfig::read(r, &keys::REDIS_AR),
        hashes: r.get(&keys::HASHES),
    };
    let expired_to_list = r.has(keys::CLEAR).then(|| expired_to_list(r, &redis));
    let list_to_hash = r.has(keys::SERVER).then(|| list_to_hash(r, &redis));

    checks::run(r);
    let warnings = reader.finish().finish()?;
    // Each missing value has given a fault, so this error is never returned.
    let missing = || Error::Failed("internal error: the configuration gave neither values nor faults".into());
    Ok(Config {
        path: reader::absolute(path),
        daemon: daemon.ok_or_else(missing)?,
        kafka_to_file: kafka_to_file.map(|job| job.ok_or_else(missing)).transpose()?,
        expired_to_list: expired_to_list.map(|job| job.ok_or_else(missing)).transpose()?,
        list_to_hash: list_to_hash.map(|job| job.ok_or_else(missing)).transpose()?,
        warnings,
    })
}

fn kafka_to_file(r: &mut ConfigReader) -> Option<KafkaToFileConfig> {
    let tls = TlsConfig::read(r, &keys::KAFKA_TLS);
    let kafka = KafkaConfig::read(r, tls).map(|kafka| match kafka.offsets {
        // A group whose offsets are in ZooKeeper has no members.
        OffsetLocation::ZooKeeper => KafkaConfig { membership: Membership::Standalone, ..kafka },
        OffsetLocation::Kafka => kafka,
    });
    let log_file = LogFileConfig::read(r);
    KafkaToFileConfig::read(r, kafka, log_file)
}

/// `[redis_env_section]`. It is read before the jobs, which need different parts of it.
struct RedisSection {
    expire: Option<RedisConfig>,
    list: Option<RedisConfig>,
    list_key: Option<String>,
    ar: Option<RedisConfig>,
    hashes: Option<Vec<String>>,
}

fn expired_to_list(r: &mut ConfigReader, redis: &RedisSection) -> Option<ExpiredToListConfig> {
    ExpiredToListConfig::read(r, redis.expire.clone(), redis.list.clone(), redis.list_key.clone())
}

fn list_to_hash(r: &mut ConfigReader, redis: &RedisSection) -> Option<ListToHashConfig> {
    let (list, list_key) = (redis.list.clone(), redis.list_key.clone());
    let (ar, hashes) = (redis.ar.clone(), redis.hashes.clone());
    let job = ListToHashConfig::read(r, list, list_key, ar, hashes, Some(None))?;
    // The prefix is a key of the other job, so the keys of both jobs must have been read before this.
    if !checks::looks_for_markers(r) {
        return Some(job);
    }
    let prefix = if r.has(keys::CLEAR) { r.value(&keys::EXPIRED_PREFIX)? } else { String::new() };
    let markers = Some(MarkerSource { expire: redis.expire.clone()?, prefix });
    Some(ListToHashConfig { markers, ..job })
}
