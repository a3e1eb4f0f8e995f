//! Three brokers in this process, over logs in memory, that do what a schedule from a
//! seed has them do: cut, stall, lie, refuse, move their partitions. Then it is over
//! with that, and all that there is must have been delivered, each record once.

mod broker;
mod fault;
mod log;
mod reader;
mod run;
mod wire;

use std::collections::BTreeMap;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use fault::Plan;
use log::Log;

/// As many as a cluster needs for leaders to move.
const BROKERS: usize = 3;
const TOPICS: [&str; 2] = ["first", "second"];
const PARTITIONS: usize = 2;

/// One partition. A topic that is made anew has another log; the old ones are kept for
/// whoever has to say what was in them.
struct Partition {
    logs: Vec<Log>,
    /// Which broker leads it.
    leader: Option<usize>,
    epoch: i32,
    /// Led the log that is no more.
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
    /// A broker that is down closes what is opened to it.
    down: [bool; BROKERS],
    dice: fastrand::Rng,
}

/// See the module.
struct World {
    plan: Plan,
    cluster: Mutex<Cluster>,
    /// Whether it may still do harm.
    faulty: AtomicBool,
    over: AtomicBool,
    /// Whether what a broker speaks has been kept from somebody.
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
        let cluster = Mutex::new(Cluster { partitions, ports, down: [false; BROKERS], dice });
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

    /// Every connection that there is.
    fn cut_all(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// From now on it does as brokers should.
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
            // A log that was made anew grows beyond what was read of the old one: before
            // that nobody can tell it from one that lost its end.
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
