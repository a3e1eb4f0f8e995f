//! One broker of the simulator: it answers as a broker of its era does, in every version of Fetch
//! from 0 to 11, and applies the faults of the schedule to its answers.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::thread::sleep;
use std::time::{Duration, Instant};

use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiVersionsResponse, FindCoordinatorResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest,
    MetadataResponse,
};

use super::fault::Fault;
use super::sessions::Place;
use super::wire::{Asking, FetchAsked, Found, Rest, put_string, read_fetch, write_fetch};
use super::{Cluster, World};
use crate::kafka::client::tests::{API_VERSIONS, Asked, Reply, framed, framed_for, receive, say, text};

const FETCH: i16 = 1;
const LIST_OFFSETS: i16 = 2;
const METADATA: i16 = 3;
const FIND_COORDINATOR: i16 = 10;

const OUT_OF_RANGE: i16 = 1;
const UNKNOWN_TOPIC: i16 = 3;
const NO_LEADER: i16 = 5;
const NOT_LEADER: i16 = 6;
const NO_COORDINATOR: i16 = 15;
const FENCED_EPOCH: i16 = 74;
const UNKNOWN_EPOCH: i16 = 75;
/// The codes that a partition may get: unknown, out of range, corrupt, moved, timed out, not
/// authorized, storage error, fenced, not available.
const CODES: [i16; 9] = [-1, 3, 2, 6, 7, 29, 56, 74, 78];

pub(super) fn serve(world: &Arc<World>, node: usize, mut stream: TcpStream) {
    while let Some(asked) = receive(&mut stream, 0) {
        if world.over.load(SeqCst) {
            break;
        }
        let fault = roll(world).filter(|fault| *fault != Fault::Stall || may_stall(world, &asked));
        let Some(body) = answer(world, node, &asked, fault) else { continue };
        let bytes = framed_for(&asked, &body);
        if !send(world, &mut stream, asked.correlation, bytes, fault) {
            break;
        }
    }
    // Others hold this connection, too, so dropping it would not close it.
    let _ = stream.shutdown(Shutdown::Both);
}

/// The answer to ApiVersions may be withheld only once: a broker that answers everything but ApiVersions
/// would be one of Kafka 0.9.
fn may_stall(world: &World, asked: &Asked) -> bool {
    asked.key != API_VERSIONS || !world.kept_silent.swap(true, SeqCst)
}

fn roll(world: &World) -> Option<Fault> {
    if !world.faulty.load(SeqCst) {
        return None;
    }
    let mut cluster = world.cluster();
    world.plan.faults.iter().find(|(_, percent)| cluster.dice.u8(..100) < *percent).map(|(fault, _)| *fault)
}

/// Sends what the fault leaves of the answer. False if the connection cannot be used any more.
fn send(
    world: &World,
    stream: &mut TcpStream,
    correlation: i32,
    mut bytes: Vec<u8>,
    fault: Option<Fault>,
) -> bool {
    let mut dice = world.cluster().dice.fork();
    match fault {
        Some(Fault::Cut) => bytes.truncate(dice.usize(..=bytes.len())),
        Some(Fault::Delay) => sleep(Duration::from_millis(dice.u64(1..120))),
        Some(Fault::Stall) => return true,
        Some(Fault::Garbage) => bytes = (0..dice.usize(1..200)).map(|_| dice.u8(..)).collect(),
        Some(Fault::Stranger) => bytes[4..8].copy_from_slice(&(correlation ^ dice.i32(1..8)).to_be_bytes()),
        Some(Fault::Nonsense) => {
            let body: Vec<u8> = (0..dice.usize(..100)).map(|_| dice.u8(..)).collect();
            bytes = framed(correlation, &body);
        }
        _ => {}
    }
    // The client may have closed the connection.
    stream.write_all(&bytes).is_ok() && fault != Some(Fault::Cut)
}

fn answer(world: &World, node: usize, asked: &Asked, fault: Option<Fault>) -> Option<Vec<u8>> {
    let era = &world.plan.era;
    if asked.key == API_VERSIONS && !era.speaks {
        return None;
    }
    let spoken = [(FETCH, era.fetch), (LIST_OFFSETS, era.list_offsets), (METADATA, era.metadata)];
    if let Some((_, (lowest, highest))) = spoken.iter().find(|(key, _)| *key == asked.key) {
        assert!((*lowest..=*highest).contains(&asked.version), "version {} of {}", asked.version, asked.key);
    }
    let reply = match asked.key {
        API_VERSIONS => {
            let own = [(API_VERSIONS, (0, 0))];
            let keys = spoken.iter().chain(&own).map(|(key, (lowest, highest))| {
                ApiVersion::default().with_api_key(*key).with_min_version(*lowest).with_max_version(*highest)
            });
            say(&ApiVersionsResponse::default().with_api_keys(keys.collect()), 0)
        }
        METADATA => metadata(&mut world.cluster(), asked),
        LIST_OFFSETS => Reply::Say(list_offsets(world, node, asked)),
        FETCH => Reply::Say(fetch(world, node, asked, fault)),
        // There are no groups. Each broker names itself as coordinator.
        FIND_COORDINATOR => {
            say(&FindCoordinatorResponse::default().with_error_code(NO_COORDINATOR), asked.version)
        }
        other => panic!("a reader does not send requests of kind {other}"),
    };
    match reply {
        Reply::Say(body) => Some(body),
        _ => None,
    }
}

fn metadata(cluster: &mut Cluster, asked: &Asked) -> Reply {
    let request: MetadataRequest = asked.read();
    let brokers = cluster.ports.iter().enumerate().map(|(node, port)| {
        let node = i32::try_from(node).unwrap();
        MetadataResponseBroker::default()
            .with_node_id(node.into())
            .with_host(text("127.0.0.1"))
            .with_port(i32::from(*port))
    });
    let brokers = brokers.collect();
    let topics = request.topics.unwrap().into_iter().map(|topic| {
        let name = topic.name.unwrap();
        let mut found = Vec::new();
        for ((_, number), partition) in cluster.partitions.iter().filter(|((one, _), _)| one[..] == name[..])
        {
            let leader = partition.leader.map_or(-1, |leader| i32::try_from(leader).unwrap());
            let one = MetadataResponsePartition::default().with_partition_index(*number);
            let one =
                one.with_leader_id(leader.into()).with_error_code(if leader < 0 { NO_LEADER } else { 0 });
            found.push(if asked.version >= 7 { one.with_leader_epoch(partition.epoch) } else { one });
        }
        let code = if found.is_empty() { UNKNOWN_TOPIC } else { 0 };
        let topic = MetadataResponseTopic::default().with_name(Some(name)).with_partitions(found);
        topic.with_error_code(code)
    });
    let topics = topics.collect();
    let answer = MetadataResponse::default().with_brokers(brokers).with_topics(topics);
    say(
        &if asked.version >= 2 { answer.with_cluster_id(Some(text("simulated"))) } else { answer },
        asked.version,
    )
}

/// The partition, if this broker leads it; otherwise the error code.
fn led<'a>(
    cluster: &'a mut Cluster,
    node: usize,
    topic: &str,
    number: i32,
    epoch: i32,
) -> Result<&'a mut super::Partition, i16> {
    let partition = cluster.partitions.get_mut(&(topic.to_owned(), number)).ok_or(UNKNOWN_TOPIC)?;
    if partition.leader != Some(node) {
        return Err(NOT_LEADER);
    }
    match epoch {
        -1 => Ok(partition),
        older if older < partition.epoch => Err(FENCED_EPOCH),
        newer if newer > partition.epoch => Err(UNKNOWN_EPOCH),
        _ => Ok(partition),
    }
}

fn list_offsets(world: &World, node: usize, asked: &Asked) -> Vec<u8> {
    let mut cluster = world.cluster();
    if asked.version == 0 {
        return list_offsets_0(&mut cluster, node, asked);
    }
    let request: ListOffsetsRequest = asked.read();
    let committed = request.isolation_level == 1;
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|one| {
            let number = one.partition_index;
            let epoch = one.current_leader_epoch;
            let found = led(&mut cluster, node, topic.name.as_str(), number, epoch).map(|partition| {
                let log = partition.log();
                let end = if committed { log.stable() } else { log.end };
                if one.timestamp == -2 { log.start } else { end }
            });
            let answer = ListOffsetsPartitionResponse::default().with_partition_index(number);
            match found {
                Ok(offset) => answer.with_offset(offset),
                Err(code) => answer.with_error_code(code).with_offset(-1),
            }
        });
        let partitions = partitions.collect();
        ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions)
    });
    let topics = topics.collect();
    let Reply::Say(body) = say(&ListOffsetsResponse::default().with_topics(topics), asked.version) else {
        unreachable!("that is what it makes")
    };
    body
}

fn list_offsets_0(cluster: &mut Cluster, node: usize, asked: &Asked) -> Vec<u8> {
    let mut rest = Rest(&asked.body);
    assert_eq!(rest.i32(), -1, "it asks as a replica");
    let mut out = Vec::new();
    let topics = rest.i32();
    out.extend(topics.to_be_bytes());
    for _ in 0..topics {
        let topic = rest.string();
        put_string(&mut out, &topic);
        let partitions = rest.i32();
        out.extend(partitions.to_be_bytes());
        for _ in 0..partitions {
            let (number, time, most) = (rest.i32(), rest.i64(), rest.i32());
            assert!(most >= 1);
            let found = led(cluster, node, &topic, number, -1).map(|partition| {
                let log = partition.log();
                if time == -2 { log.start } else { log.end }
            });
            out.extend(number.to_be_bytes());
            match found {
                Ok(offset) => {
                    out.extend([0; 2]);
                    out.extend(1_i32.to_be_bytes());
                    out.extend(offset.to_be_bytes());
                }
                Err(code) => {
                    out.extend(code.to_be_bytes());
                    out.extend(0_i32.to_be_bytes());
                }
            }
        }
    }
    assert!(rest.0.is_empty(), "bytes are left behind the request");
    out
}

fn fetch(world: &World, node: usize, asked: &Asked, fault: Option<Fault>) -> Vec<u8> {
    let asking = read_fetch(asked);
    let version = asked.version;
    let opened = world.cluster().sessions[node].open(&asking, fault);
    let (of, partitions) = match opened {
        Ok(opened) => opened,
        Err(code) => return write_fetch(version, (code, 0), &[]),
    };
    let until = Instant::now() + asking.wait;
    loop {
        let mut found = look(world, node, version, &asking, &partitions);
        let quiet = found.iter().all(|one| one.code == 0 && one.set.is_empty());
        if quiet && Instant::now() < until && !world.over.load(SeqCst) {
            sleep(Duration::from_millis(3));
            continue;
        }
        let mut cluster = world.cluster();
        let mut dice = cluster.dice.fork();
        spoil(&mut found, fault, &mut dice);
        let named: Vec<_> = partitions.iter().cloned().zip(found).collect();
        let denies = world.plan.denies_sessions || version < 7;
        let (session, mut named) = cluster.sessions[node].close(of, named, denies, &mut dice);
        // Within a session, what is left out counts as unchanged.
        if fault == Some(Fault::LeftOutCommands) && !named.is_empty() && of == Place::First {
            named.remove(dice.usize(..named.len()));
        }
        return write_fetch(version, (0, session), &named);
    }
}

fn look(world: &World, node: usize, version: i16, asking: &Asking, partitions: &[FetchAsked]) -> Vec<Found> {
    let mut cluster = world.cluster();
    let mut left = asking.max_bytes;
    let mut first = true;
    let found = partitions.iter().map(|(topic, number, epoch, offset, max_bytes)| {
        let partition = match led(&mut cluster, node, topic, *number, *epoch) {
            Ok(partition) => partition,
            Err(code) => return Found::code(code),
        };
        let log = partition.log();
        if !(log.start..=log.end).contains(offset) {
            return Found { start: log.start, ..Found::code(OUT_OF_RANGE) };
        }
        // From 0.10.1 on the first batch of an answer is whole, however large it is.
        let whole = version >= 3 && first;
        let (set, aborts) = log.read(*offset, (*max_bytes).min(left), whole, asking.committed);
        left = left.saturating_sub(set.len());
        first &= set.is_empty();
        Found { code: 0, end: log.end, stable: log.stable(), start: log.start, aborts, set }
    });
    found.collect()
}

fn spoil(found: &mut [Found], fault: Option<Fault>, dice: &mut fastrand::Rng) {
    for one in found.iter_mut().filter(|one| one.code == 0) {
        match fault {
            Some(Fault::Short) => one.set.truncate(dice.usize(..=one.set.len())),
            Some(Fault::Empty) => one.set.clear(),
            // Only bytes that a checksum covers are flipped; no checksum covers the first ones.
            Some(Fault::Flip) if one.set.len() > 30 => {
                let body = if one.set[16] == 2 { 21 } else { 18 };
                let size = u32::from_be_bytes(one.set[8..12].try_into().unwrap()) as usize;
                let end = (12 + size).min(one.set.len());
                if end > body {
                    one.set[dice.usize(body..end)] ^= 1 << dice.u8(..8);
                }
            }
            Some(Fault::Code) => {
                let code = CODES[dice.usize(..CODES.len())];
                *one = Found::code(code);
            }
            _ => {}
        }
    }
}
