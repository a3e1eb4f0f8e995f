//! Rules between keys and between sections, checked after every key has been read.

mod tls;

use std::path::PathBuf;

use super::choices::{
    CameBackCheck, ClientChoice, FileFormat, Membership, OffsetLocation, TombstonePolicy, TopicSelection,
};
use super::key::Key;
use super::keys::{self, RedisKeys};
use super::reader::ConfigReader;
use crate::log_names;
use crate::path_template::{self, FUTURE, PathTemplate};

/// Notes every fault and warning of this kind. A value that has a fault already is not checked further.
pub fn run(r: &mut ConfigReader) {
    sections(r);
    if r.has(keys::LOG) {
        topics(r);
        zookeeper(r);
        template(r);
        crate_can_filter(r);
        tls::kafka(r);
        log_is_apart(r);
        log_names_fit(r);
        rotated_files_fit(r);
        placeholders_are_used(r);
    }
    if r.has(keys::REDIS) {
        let (clear, server) = (r.has(keys::CLEAR), r.has(keys::SERVER));
        server_is_named(r, &keys::REDIS_EXPIRE, clear || looks_for_markers(r));
        server_is_named(r, &keys::REDIS_LIST, clear || server);
        server_is_named(r, &keys::REDIS_AR, server);
        for server in [&keys::REDIS_EXPIRE, &keys::REDIS_LIST, &keys::REDIS_AR] {
            tls::redis(r, server);
        }
    }
}

/// Whether `list_to_hash` looks for the markers of users who came back.
pub fn looks_for_markers(r: &ConfigReader) -> bool {
    let knows_markers =
        || r.has(keys::CLEAR) && r.value(&keys::EXPIRED_PREFIX).is_some_and(|prefix| !prefix.is_empty());
    r.has(keys::SERVER)
        && match r.value(&keys::CAME_BACK) {
            Some(CameBackCheck::Yes) => true,
            Some(CameBackCheck::Auto) => knows_markers(),
            Some(CameBackCheck::No) | None => false,
        }
}

fn sections(r: &mut ConfigReader) {
    if ![keys::LOG, keys::CLEAR, keys::SERVER].into_iter().any(|job| r.has(job)) {
        r.fault_file(
            "no job is configured: one of [log_section], [clearCache_section] and [panda_server_section] \
             is expected",
        );
    }
    for job in [keys::CLEAR, keys::SERVER] {
        if r.has(job) && !r.has(keys::REDIS) {
            r.fault_section(job, "this job needs Redis: [redis_env_section] is expected in the file");
        }
    }
}

fn topics(r: &mut ConfigReader) {
    if !matches!(r.value(&keys::TOPICS), Some(TopicSelection::Like(_))) {
        return;
    }
    let zookeeper = r.value(&keys::OFFSETS) == Some(OffsetLocation::ZooKeeper);
    let membership = r.value(&keys::MEMBERSHIP);
    if membership == Some(Membership::Standalone) || (zookeeper && membership.is_some()) {
        r.fault(&keys::TOPICS, "a pattern needs kafka['membership']='coordinated': name the topics instead");
    }
}

fn zookeeper(r: &mut ConfigReader) {
    if r.value(&keys::OFFSETS) != Some(OffsetLocation::ZooKeeper) {
        return;
    }
    if r.value(&keys::MEMBERSHIP) == Some(Membership::Coordinated) {
        r.warn(
            &keys::MEMBERSHIP,
            "a group whose offsets are in ZooKeeper has no members: pandad acts as with 'alone', \
             run only one for this group",
        );
    }
    if r.value(&keys::GROUP).is_some_and(|group| group.contains('/')) {
        r.fault(&keys::GROUP, "in ZooKeeper a group is a node: a name without / is expected");
    }
}

fn template(r: &mut ConfigReader) {
    let (Some(format), Some(template)) = (r.value(&keys::FILE_FORMAT), r.value(&keys::FILE_TEMPLATE)) else {
        return;
    };
    match (format == FileFormat::Template, template.is_empty()) {
        (true, true) => r.fault(
            &keys::FILE_FORMAT,
            "this format needs a line in log_file['template'], as '{timestamp:%F %T} {value}'",
        ),
        (true, false) | (false, true) => {}
        (false, false) => r.fault(&keys::FILE_TEMPLATE, "a template needs log_file['format']='template'"),
    }
}

/// The `kafka` crate gives no headers, and shows an empty value as null.
fn crate_can_filter(r: &mut ConfigReader) {
    if r.value(&keys::CLIENT) != Some(ClientChoice::Crate) {
        return;
    }
    if r.value(&keys::TOMBSTONES) == Some(TombstonePolicy::Drop) {
        r.fault(
            &keys::TOMBSTONES,
            "with kafka['client']='crate' an empty value is taken for null: only 'keep' is expected, or the \
             client 'native'",
        );
    }
    for key in [&keys::INCLUDE_HEADER, &keys::EXCLUDE_HEADER] {
        if r.value(key).flatten().is_some() {
            r.fault(
                key,
                "with kafka['client']='crate' there are no headers: the client 'native' is expected",
            );
        }
    }
}

/// A server that no job uses may stay without an address.
fn server_is_named(r: &mut ConfigReader, k: &RedisKeys, is_needed: bool) {
    if !is_needed {
        return;
    }
    match r.value(&k.socket_type) {
        Some(true) if r.value(&k.socket).is_some_and(|path| path.as_os_str().is_empty()) => {
            r.fault(&k.socket, "the path of the socket is expected, as ['socket_type'] is 'unix'");
        }
        Some(false) if r.value(&k.host).is_some_and(|host| host.is_empty()) => {
            let text = "a host is expected, as '127.0.0.1', because a job in this file uses this server";
            r.fault(&k.host, text);
        }
        _ => {}
    }
}

/// The other log and the pidfile must not be the file of the records, or a file beside it: two writers
/// would spoil the file.
fn log_is_apart(r: &mut ConfigReader) {
    let (Some(path), Some(topics)) = (r.value(&keys::FILE_PATH), r.value(&keys::TOPICS)) else { return };
    let complete = r.value(&keys::COMPLETE_DIR).filter(|directory| !directory.as_os_str().is_empty());
    let moved = complete.map(|directory| path.in_directory(&directory));
    let taken = |other: &PathBuf| {
        let clash = |path: &PathTemplate| path.clash(other, topics.names());
        clash(&path).or_else(|| moved.as_ref().and_then(clash)).map(|what| match what {
            path_template::LOG_FILE => {
                "this is the file that the records go to: write another path".to_owned()
            }
            what => format!("this is the name of {what} of {path}: write another path"),
        })
    };
    if let Some(text) = r.value(&keys::DAEMON_LOG).map(PathBuf::from).as_ref().and_then(taken) {
        r.fault(&keys::DAEMON_LOG, text);
    }
    if let Some(text) = r.value(&keys::PIDFILE).as_ref().and_then(taken) {
        r.fault(&keys::PIDFILE, text);
    }
}

/// The names of the log files, and of the files beside these, must be distinct and must fit the file system.
fn log_names_fit(r: &mut ConfigReader) {
    let (Some(path), Some(topics)) = (r.value(&keys::FILE_PATH), r.value(&keys::TOPICS)) else { return };
    let is_rotated =
        r.value(&keys::ROTATE_SIZE).flatten().is_some() || r.value(&keys::ROTATE_EVERY).flatten().is_some();
    // What records route to has room for all that is appended. Only the journal's name has the whole path.
    let suffix = if path.has_placeholders() {
        log_names::suffix_bytes_max(false, false)
    } else {
        log_names::suffix_bytes_max(is_rotated, r.value(&keys::ROTATE_GZIP) == Some(true))
    };
    let name = path.journal_name();
    if name.len() + suffix > log_names::NAME_BYTES_MAX {
        let text = format!(
            "the name {name} has {} bytes, and up to {suffix} are appended for files beside it, but a file \
             system takes names of {}: write a shorter one",
            name.len(),
            log_names::NAME_BYTES_MAX
        );
        r.fault(&keys::FILE_PATH, text);
    }
    let clash = match path.known_paths(topics.names()) {
        Some(files) => files.iter().find_map(|file| {
            let beside = |other: &PathBuf| log_names::clash(file, other);
            let (other, what) = files.iter().find_map(|other| Some((other, beside(other)?)))?;
            Some(format!("{} would be a log file and {what} of {}", other.display(), file.display()))
        }),
        None => path.own_clash().map(|form| {
            format!("records could go to a file whose name is that of another with {form} appended")
        }),
    };
    if let Some(clash) = clash {
        let text = format!("{clash}: let names end in a word of their own, as {{topic}}.log");
        r.fault(&keys::FILE_PATH, text);
    }
}

/// With a smaller limit no rotated file would ever be kept.
fn rotated_files_fit(r: &mut ConfigReader) {
    let keep = r.value(&keys::KEEP_BYTES).flatten();
    let size = r.value(&keys::ROTATE_SIZE).flatten();
    if let (Some(keep), Some(size)) = (keep, size)
        && keep < size
    {
        r.fault(&keys::KEEP_BYTES, "a size of at least log_file['rotate_size'] is expected; '' is off");
    }
}

/// Keys that a path with placeholders has no use for, and those that have no use without some of these.
fn placeholders_are_used(r: &mut ConfigReader) {
    let (Some(path), Some(topics)) = (r.value(&keys::FILE_PATH), r.value(&keys::TOPICS)) else { return };
    if path.known_paths(topics.names()).is_none() {
        not_rotated(r);
    } else {
        let why = "this has no effect: it is known which files there are";
        unused(r, &keys::FILE_OPEN, why);
        unused(r, &keys::NEW_FILES, why);
    }
    compressed_files_are_moved(r);
    if path.names_time() {
        return complete_files_are_apart(r, &path);
    }
    let why = "this has no effect: the path names no time, as {%Y-%m-%d}";
    unused(r, &keys::PATH_TIME, why);
    unused(r, &keys::PATH_ZONE, why);
    unused(r, &keys::FILE_FUTURE, why);
    unused(r, &keys::FILE_GRACE, why);
    if r.is_changed(&keys::COMPLETE_DIR) {
        let why = "a time in the path is expected, as {%Y-%m-%d}: otherwise no file is ever complete";
        r.fault(&keys::COMPLETE_DIR, why);
    }
}

/// If records decide which files there are, none of these is rotated.
fn not_rotated(r: &mut ConfigReader) {
    refuse_rotation(r, &keys::ROTATE_SIZE);
    refuse_rotation(r, &keys::ROTATE_EVERY);
    refuse_rotation(r, &keys::ROTATE_KEEP);
    refuse_rotation(r, &keys::ROTATE_GZIP);
    refuse_rotation(r, &keys::KEEP_BYTES);
    refuse_rotation(r, &keys::KEEP_DAYS);
}

fn refuse_rotation<T>(r: &mut ConfigReader, key: &Key<T>) {
    if !r.is_changed(key) {
        return;
    }
    r.fault(
        key,
        "the files of a path with {partition}, {key} or a time, or with {topic} and a pattern of topics, are \
         not rotated: leave this key out, let a time in the path, as {%Y-%m-%d}, begin new files, and \
         compress and delete the complete ones by other means",
    );
}

fn unused<T>(r: &mut ConfigReader, key: &Key<T>, why: &str) {
    if r.is_changed(key) {
        r.warn(key, why);
    }
}

fn compressed_files_are_moved(r: &mut ConfigReader) {
    let is_moved = r.value(&keys::COMPLETE_DIR).is_some_and(|directory| !directory.as_os_str().is_empty());
    if !is_moved && r.value(&keys::COMPLETE_GZIP) == Some(true) {
        let why = "complete files are compressed when they are moved: log_file['complete'] is expected, too";
        r.fault(&keys::COMPLETE_GZIP, why);
    }
}

/// Complete files must not get the names of those that are written.
fn complete_files_are_apart(r: &mut ConfigReader, path: &PathTemplate) {
    let Some(complete) = r.value(&keys::COMPLETE_DIR) else { return };
    let fixed = path.fixed_directory();
    if complete == fixed || complete == fixed.join(FUTURE) {
        r.fault(&keys::COMPLETE_DIR, "log files are written in this directory: write another one");
    }
}
