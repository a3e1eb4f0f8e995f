//! A simulator of the fetcher against three brokers in this process, over logs in memory, on real
//! sockets and in real time. A seed decides the schedule.
//!
//! Fault model: a broker cuts, delays or withholds answers, sends garbage, answers to other
//! requests, shortened or empty record sets, flipped bits, error codes, and answers without a
//! partition ([`fault`]). The cluster moves leaders, deletes and recreates topics, takes brokers
//! down and cuts connections. When the schedule is over, all faults stop; then every record must
//! have been delivered exactly once.
//!
//! Not simulated: the group, slow networks below TCP, and brokers that answer with well-formed
//! records that were never written.

mod broker;
mod fault;
mod log;
mod reader;
mod run;
mod sessions;
mod wire;

use std::collections::BTreeMap;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use fault::Plan;
use log::Log;

/// Enough brokers for leaders to move.
const BROKERS: usize = 3;
const TOPICS: [&str; 2] = ["first", "second"];
const PARTITIONS: usize = 2;

/// One partition. A recreated topic gets another log. The old logs are kept, to check what was read
/// of them.
struct Partition {
    logs: Vec<Log>,
    /// The broker that leads it.
    leader: Option<usize>,
    epoch: i32,
    /// The broker that led the log that was deleted.
    barred: Option<usize>,
}

impl Partition {
    fn log(&mut self) -> &mut Log {
        self.logs.last_mut().unwrap()
    }
}

struct Cluster {
    partitions: BTreeMap<(String, i32), Partition>,
    ports: Vec<u16>,
    /// A broker that is down closes each new connection.
    down: [bool; BROKERS],
    sessions: [sessions::Sessions; BROKERS],
    dice: fastrand::Rng,
}

/// The brokers and their state.
struct World {
    plan: Plan,
    cluster: Mutex<Cluster>,
    /// Whether faults may still happen.
    faulty: AtomicBool,
    over: AtomicBool,
    /// Whether a broker has left ApiVersions unanswered.
    kept_silent: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl World {
    fn new(plan: Plan, seed: u64) -> Arc<World> {
        let mut dice = fastrand::Rng::with_seed(seed);
        let mut partitions = BTreeMap::new();
        for topic in TOPICS {
            for number in 0..PARTITIONS {
                let mut log = Log::new(format!("{topic}/{number}#0"), plan.magic(), plan.remakes());
                for _ in 0..dice.u8(1..30) {
                    log.append(&mut dice);
                }
                let leader = Some(dice.usize(..BROKERS));
                let key = (topic.to_owned(), i32::try_from(number).unwrap());
                partitions.insert(key, Partition { logs: vec![log], leader, epoch: 0, barred: None });
            }
        }
        let listeners: Vec<TcpListener> =
            (0..BROKERS).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports = listeners.iter().map(|one| one.local_addr().unwrap().port()).collect();
        let cluster = Mutex::new(Cluster {
            partitions,
            ports,
            down: [false; BROKERS],
            sessions: Default::default(),
            dice,
        });
        let (faulty, over) = (AtomicBool::new(true), AtomicBool::new(false));
        let (kept_silent, open) = (AtomicBool::new(false), Mutex::default());
        let world = Arc::new(World { plan, cluster, faulty, over, kept_silent, open });
        for (node, listener) in listeners.into_iter().enumerate() {
            let world = Arc::clone(&world);
            thread::spawn(move || world.accept(node, &listener));
        }
        world
    }

    fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap()
    }

    fn accept(self: &Arc<Self>, node: usize, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.over.load(SeqCst) {
                return;
            }
            let stream = stream.unwrap();
            if self.cluster().down[node] {
                continue;
            }
            self.open.lock().unwrap().push(stream.try_clone().unwrap());
            let world = Arc::clone(self);
            thread::spawn(move || broker::serve(&world, node, stream));
        }
    }

    fn bootstrap(&self) -> Vec<String> {
        self.cluster().ports.iter().map(|port| format!("127.0.0.1:{port}")).collect()
    }

    /// Closes every connection.
    fn cut_all(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Ends all faults.
    fn heal(&self) {
        self.faulty.store(false, SeqCst);
        let mut cluster = self.cluster();
        let Cluster { partitions, down, dice, .. } = &mut *cluster;
        *down = [false; BROKERS];
        for partition in partitions.values_mut() {
            if partition.leader.is_none() {
                partition.leader = Some(dice.usize(..BROKERS));
                partition.epoch += 1;
            }
            let decided = dice.bool();
            partition.log().decide(decided);
            // A recreated log grows beyond what was read of the old one. Before that it
            // looks like a log that lost its end.
            let before = partition.logs.iter().map(|log| log.end).max().unwrap();
            while partition.log().end <= before {
                partition.log().append(dice);
            }
        }
    }

    fn end(&self) {
        self.over.store(true, SeqCst);
        self.cut_all();
        for address in self.bootstrap() {
            // Wakes the thread that accepts.
            let _ = TcpStream::connect(address);
        }
    }
}
