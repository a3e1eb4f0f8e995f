//! The configuration: an .inv file becomes typed values, or every fault in it at once.
//!
//! The way of a text: `scan` finds what each line is and what PHP would misread, `inv` makes
//! keys of it that are taken one by one, and here each becomes a value and is checked against
//! the others. Nobody further in sees a string that is not yet a value.

mod convert;
mod dump;
mod faults;
mod inv;
mod key_name;
mod keys;
mod not_yet;
mod reader;
mod scan;
mod settings;
mod suggest;
#[cfg(test)]
mod tests;
mod value;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use settings::*;

use crate::error::Error;
use convert::{
    any, brokers, hashes, host, name, number, port, seconds, size, size_or_off, timeout, topics, word,
    word_or_off, workers,
};
use faults::{FaultList, FaultPlace};
use keys::RedisKeys;
use reader::ConfigReader;

impl Config {
    /// Reads the file; on failure every fault in it, in the order of lines.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = read(path).map_err(|(line, expected)| {
            let mut faults = FaultList::new(path.display().to_string());
            faults.push(FaultPlace { line, ..FaultPlace::default() }, expected);
            faults.finish().err().unwrap_or(Error::Config(Vec::new()))
        })?;
        Self::parse(&text, path)
    }

    /// Reads a text as if it stood in the file `path`.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        parse(ConfigReader::new(text, path, false), path)
    }

    /// Like [`Config::parse`], but takes what `-T` printed: masks stand for passwords.
    pub fn parse_allowing_mask(text: &str, path: &Path) -> Result<Self, Error> {
        parse(ConfigReader::new(text, path, true), path)
    }
}

/// The text of the file, or the line and the reason why there is none.
fn read(path: &Path) -> Result<String, (Option<usize>, String)> {
    let read = || -> io::Result<Vec<u8>> {
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::Error::other("it is a directory, the .inv itself is expected"));
        }
        let mut bytes = Vec::new();
        file.take(keys::MAX_FILE + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|why| (None, format!("the configuration cannot be read: {why}")))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > keys::MAX_FILE {
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

/// Where a path is, whatever the working directory becomes.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Every section, then what one says against another; everything is read before anything is refused.
fn parse(mut reader: ConfigReader, path: &Path) -> Result<Config, Error> {
    let r = &mut reader;
    let daemon = daemon(r);
    let log = r.has(keys::LOG);
    let clear = r.has(keys::CLEAR);
    let server = r.has(keys::SERVER);
    let kafka_to_file = if log { Some(kafka_to_file(r)) } else { None };

    let redis = r.has(keys::REDIS);
    let guard = r.get(keys::CAME_BACK, word);
    let prefix = if clear { r.get(keys::EXPIRED_PREFIX, any) } else { Some(String::new()) };
    let guarded = server
        && match guard {
            Some(CameBackCheck::Yes) => true,
            Some(CameBackCheck::Auto) => prefix.as_ref().is_some_and(|prefix| !prefix.is_empty()),
            Some(CameBackCheck::No) | None => false,
        };
    let expire = if redis { redis_server(r, keys::REDIS_EXPIRE, clear || guarded) } else { None };
    let list = if redis { redis_server(r, keys::REDIS_LIST, clear || server) } else { None };
    let ar = if redis { redis_server(r, keys::REDIS_AR, server) } else { None };
    let list_key = r.get(keys::LIST_KEY, name);
    let hash_names = r.get(keys::HASHES, hashes);
    let expired_to_list = if clear {
        Some(expired_to_list(r, expire.clone(), list.clone(), list_key.clone(), prefix.clone()))
    } else {
        None
    };
    let came_back = guarded.then_some((expire, prefix));
    let list_to_hash =
        if server { Some(list_to_hash(r, list, list_key, ar, hash_names, guard, came_back)) } else { None };

    if !(log || clear || server) {
        let at = FaultPlace::default();
        let text = "no job is configured: one of [log_section], [clearCache_section] and [panda_server_section] is expected";
        r.faults.push(at, text);
    }
    for (section, there) in [(keys::CLEAR, clear), (keys::SERVER, server)] {
        if there && !redis {
            r.fault_section(section, "this job needs Redis: [redis_env_section] is expected in the file");
        }
    }
    if let Some(Some(job)) = &kafka_to_file
        && matches!(job.kafka.topics, TopicSelection::Like(_))
        && job.log_file.path.to_string_lossy().contains(TOPIC)
    {
        r.fault(
            keys::FILE_PATH,
            "{topic} needs topics by name: name them, or write one path for all of them",
        );
    }
    if let (Some(daemon), Some(Some(job))) = (&daemon, &kafka_to_file) {
        files_apart(r, daemon, &job.paths());
    }
    not_yet::check(r);

    // Whatever gave no value has noted why.
    let config = daemon.map(|daemon| Config {
        path: absolute(path),
        daemon,
        kafka_to_file: kafka_to_file.flatten(),
        expired_to_list: expired_to_list.flatten(),
        list_to_hash: list_to_hash.flatten(),
        warnings: Vec::new(),
    });
    let warnings = reader.finish().finish()?;
    // Without faults there is a value for everything; this is never seen.
    let missing = || Error::Failed("the configuration gave neither values nor faults".into());
    Ok(Config { warnings, ..config.ok_or_else(missing)? })
}

fn daemon(r: &mut ConfigReader) -> Option<DaemonConfig> {
    let stop_timeout = r.get(keys::STOP_TIMEOUT, |text| seconds(text, 1, 3_600));
    let memory = r.get(keys::MEMORY, |text| size(text, 1 << 20, 4 << 30));
    let http = r.get(keys::HTTP, any);
    let pidfile = r.path(keys::PIDFILE, any);
    let log = r.get(keys::DAEMON_LOG, name);
    let log_level = r.get(keys::LOG_LEVEL, word);
    Some(DaemonConfig {
        stop_timeout: stop_timeout?,
        memory: memory?,
        http: http?,
        pidfile: pidfile?.to_string_lossy().into_owned(),
        log: log.map(|log| if log == "stderr" { log } else { r.resolve(&log) })?,
        log_level: log_level?,
    })
}

fn kafka_to_file(r: &mut ConfigReader) -> Option<KafkaToFileConfig> {
    let group_name = r.get(keys::LOG_PROCESS, any);
    let brokers = r.get(keys::BROKER_LIST, brokers);
    let name = r.get(keys::LOG_MASTER, any);
    let worker_name = r.get(keys::LOG_CHILD, any);
    let workers = r.get(keys::LOG_WORKERS, workers);
    let kafka = kafka(r);
    let log_file = log_file(r);
    Some(KafkaToFileConfig {
        group_name: group_name?,
        name: name?,
        worker_name: worker_name?,
        brokers: brokers?,
        workers: workers?,
        kafka: kafka?,
        log_file: log_file?,
    })
}

fn kafka(r: &mut ConfigReader) -> Option<KafkaConfig> {
    let topics = r.get(keys::TOPICS, topics);
    let group = r.get(keys::GROUP, name);
    let start = r.get(keys::START, word);
    let offsets = r.get(keys::OFFSETS, word);
    let client = r.get(keys::CLIENT, word);
    let membership = r.get(keys::MEMBERSHIP, word);
    let session_ms = r.get(keys::SESSION, |text| number(text, 1_000, 1_800_000));
    let full_disk = r.get(keys::FULL_DISK, |text| seconds(text, 1, 86_400));
    let isolation = r.get(keys::ISOLATION, word);
    let membership = membership.map(|membership| share(r, membership, offsets, topics.as_ref()));
    if offsets == Some(OffsetLocation::ZooKeeper) && group.as_ref().is_some_and(|group| group.contains('/')) {
        r.fault(keys::GROUP, "in ZooKeeper a group is a node: a name without / is expected");
    }
    Some(KafkaConfig {
        topics: topics?,
        group: group?,
        start: start?,
        offsets: offsets?,
        client: client?,
        membership: membership?,
        session: std::time::Duration::from_millis(session_ms?),
        full_disk: full_disk?,
        isolation: isolation?,
    })
}

/// Whether partitions can be shared out, and what else depends on that.
fn share(
    r: &mut ConfigReader,
    wanted: Membership,
    offsets: Option<OffsetLocation>,
    topics: Option<&TopicSelection>,
) -> Membership {
    let zookeeper = offsets == Some(OffsetLocation::ZooKeeper);
    if zookeeper && wanted == Membership::Coordinated {
        r.warn(
            keys::MEMBERSHIP,
            "a group whose offsets are in ZooKeeper has no members: acts as 'alone', run one pandad for it",
        );
    }
    let membership = if zookeeper { Membership::Alone } else { wanted };
    if membership == Membership::Alone && matches!(topics, Some(TopicSelection::Like(_))) {
        r.fault(keys::TOPICS, "a pattern needs kafka['membership']='coordinated': name the topics");
    }
    membership
}

fn log_file(r: &mut ConfigReader) -> Option<LogFileConfig> {
    let path = r.path(keys::FILE_PATH, convert::file);
    let format = r.get(keys::FILE_FORMAT, word);
    let sync = r.get(keys::FILE_SYNC, word);
    let settle_ms = r.get(keys::FILE_SETTLE, |text| number(text, 50, 60_000));
    let rotate_size = r.get(keys::ROTATE_SIZE, |text| size_or_off(text, 64 << 10, 1 << 40));
    let rotate_every = r.get(keys::ROTATE_EVERY, word_or_off);
    let rotate_keep = r.get(keys::ROTATE_KEEP, |text| number(text, 1, 100_000));
    let rotate_gzip = r.get(keys::ROTATE_GZIP, word);
    Some(LogFileConfig {
        path: path?,
        format: format?,
        sync: sync?,
        settle: std::time::Duration::from_millis(settle_ms?),
        rotate_size: rotate_size?,
        rotate_every: rotate_every?,
        rotate_keep: u32::try_from(rotate_keep?).ok()?,
        rotate_gzip: rotate_gzip?,
    })
}

fn expired_to_list(
    r: &mut ConfigReader,
    expire: Option<RedisConfig>,
    list: Option<RedisConfig>,
    list_key: Option<String>,
    prefix: Option<String>,
) -> Option<ExpiredToListConfig> {
    let group_name = r.get(keys::CLEAR_PROCESS, any);
    let name = r.get(keys::CLEAR_MASTER, any);
    let worker_name = r.get(keys::CLEAR_CHILD, any);
    let workers = r.get(keys::CLEAR_WORKERS, workers);
    let reconcile = r.get(keys::RECONCILE, word);
    let rate = r.get(keys::EXPIRED_RATE, |text| number(text, 100, 1_000_000));
    let memory = r.get(keys::EXPIRED_MEMORY, |text| size(text, 1 << 20, 16 << 30));
    Some(ExpiredToListConfig {
        group_name: group_name?,
        name: name?,
        worker_name: worker_name?,
        workers: workers?,
        prefix: prefix?,
        reconcile: reconcile?,
        rate: u32::try_from(rate?).ok()?,
        memory: memory?,
        expire: expire?,
        list: list?,
        list_key: list_key?,
    })
}

fn list_to_hash(
    r: &mut ConfigReader,
    list: Option<RedisConfig>,
    list_key: Option<String>,
    ar: Option<RedisConfig>,
    hashes: Option<Vec<String>>,
    guard: Option<CameBackCheck>,
    came_back: Option<(Option<RedisConfig>, Option<String>)>,
) -> Option<ListToHashConfig> {
    let group_name = r.get(keys::SERVER_PROCESS, any);
    let name = r.get(keys::SERVER_MASTER, any);
    let worker_name = r.get(keys::SERVER_CHILD, any);
    let workers = r.get(keys::SERVER_WORKERS, workers);
    let life = r.get(keys::QUEUE_LIFE, |text| seconds(text, 1, 3_600));
    let came_back = match came_back {
        Some((expire, prefix)) => Some(MarkerSource { expire: expire?, prefix: prefix? }),
        None => None,
    };
    Some(ListToHashConfig {
        group_name: group_name?,
        name: name?,
        worker_name: worker_name?,
        workers: workers?,
        list: list?,
        list_key: list_key?,
        ar: ar?,
        hashes: hashes?,
        life: life?,
        guard: guard?,
        came_back,
    })
}

/// One server of [redis_env_section]; `needed` says whether a job in the file uses it.
fn redis_server(r: &mut ConfigReader, k: RedisKeys, needed: bool) -> Option<RedisConfig> {
    let socket_type = r.get(k.socket_type, convert::socket_type);
    let socket = r.path(k.socket, any);
    let host = r.get(k.host, host);
    let port = r.get(k.port, port);
    let user = r.get(k.user, any);
    let password = r.password(k.password);
    let database = r.get(k.database, |text| number(text, 0, i32::MAX.unsigned_abs().into()));
    let connect_timeout = r.get(k.timeout, timeout);
    let unix = socket_type?;
    // Looked at apart from the rest, so that one fault does not hide another.
    let address = if unix {
        let path = socket?;
        if needed && path.as_os_str().is_empty() {
            r.fault(k.socket, "the path of the socket is expected, as ['socket_type'] is 'unix'");
            return None;
        }
        RedisAddress::Unix(path)
    } else {
        let host = host?;
        if needed && host.is_empty() {
            r.fault(
                k.host,
                "a host is expected, as '127.0.0.1', because a job in this file uses this server",
            );
            return None;
        }
        RedisAddress::Tcp { host, port: port? }
    };
    Some(RedisConfig {
        address,
        user: user?,
        password: password?,
        database: u32::try_from(database?).ok()?,
        connect_timeout: connect_timeout?,
    })
}

/// Two writers in one file would spoil the records.
fn files_apart(r: &mut ConfigReader, daemon: &DaemonConfig, files: &[PathBuf]) {
    for (key, path) in [(keys::DAEMON_LOG, &daemon.log), (keys::PIDFILE, &daemon.pidfile)] {
        if files.iter().any(|file| file == Path::new(path)) {
            r.fault(key, "this is the file the records go to: write another path");
        }
    }
}
