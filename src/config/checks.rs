//! Rules between keys and between sections, checked after every key has been read.

use std::path::PathBuf;

use super::choices::{CameBackCheck, Membership, OffsetLocation, TopicSelection};
use super::keys::{self, RedisKeys};
use super::reader::ConfigReader;
use super::settings::{self, TOPIC};

/// Notes every fault and warning of this kind. A value that is faulty by itself is not checked further.
pub fn run(r: &mut ConfigReader) {
    sections(r);
    if r.has(keys::LOG) {
        topics(r);
        zookeeper(r);
        log_is_apart(r);
    }
    if r.has(keys::REDIS) {
        let (clear, server) = (r.has(keys::CLEAR), r.has(keys::SERVER));
        server_is_named(r, &keys::REDIS_EXPIRE, clear || looks_for_markers(r));
        server_is_named(r, &keys::REDIS_LIST, clear || server);
        server_is_named(r, &keys::REDIS_AR, server);
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
    if r.value(&keys::FILE_PATH).is_some_and(|path| path.to_string_lossy().contains(TOPIC)) {
        r.fault(
            &keys::FILE_PATH,
            "with {topic} in the path the topics must be named: name them, or write one path for all of them",
        );
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

/// Two writers in one file would spoil the records.
fn log_is_apart(r: &mut ConfigReader) {
    let (Some(path), Some(topics)) = (r.value(&keys::FILE_PATH), r.value(&keys::TOPICS)) else { return };
    let files = settings::paths(&path, &topics);
    let text = "this is the file that the records go to: write another path";
    if r.value(&keys::DAEMON_LOG).is_some_and(|log| files.contains(&PathBuf::from(log))) {
        r.fault(&keys::DAEMON_LOG, text);
    }
    if r.value(&keys::PIDFILE).is_some_and(|pidfile| files.contains(&pidfile)) {
        r.fault(&keys::PIDFILE, text);
    }
}
