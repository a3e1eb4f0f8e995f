//! The job `kafka_to_file`: Kafka records become lines in an ordinary log file, each
//! exactly once.

mod files;
mod sink;
mod source;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::Job;
use files::{Ledgers, OpenFile, Which};

use crate::config::{self, Format, Isolation, KafkaToFile as Section, Offsets, Sync};
use crate::error::{ConfigFault, Fault};
use crate::kafka::{Alone, AutoFetch, Client, Cluster, Storage};
use crate::logfile::{self, Every, Ledger, Lock, LogFile, OpenError, Rotation, line};
use crate::pipeline::{self, Limits, Parts};
use crate::report::{Counters, Shown};
use crate::shutdown::Stop;

pub(super) const NAME: &str = "kafka_to_file";
/// On a trickle, syncs are at least this far apart.
const SETTLE_MIN: Duration = Duration::from_millis(50);

/// See the module.
pub(super) struct KafkaToFile {
    section: Section,
    memory: u64,
    /// The .inv, for faults.
    inv: String,
    counters: Arc<Counters>,
    /// Opened by `prepare`, for the first run.
    opened: Option<Vec<OpenFile>>,
}

impl KafkaToFile {
    pub(super) fn new(section: Section, memory: u64, inv: String) -> Self {
        Self { section, memory, inv, counters: Counters::shared(Shown::Records), opened: None }
    }

    /// Every file, or why one of them could not be opened.
    fn open(&self) -> Result<Vec<OpenFile>, (PathBuf, OpenError)> {
        let file = &self.section.log_file;
        let rotation = Rotation {
            size: file.rotate_size,
            every: file.rotate_every.map(|every| match every {
                config::Every::Hour => Every::Hour,
                config::Every::Day => Every::Day,
            }),
            keep: file.rotate_keep as usize,
            gzip: file.rotate_gzip,
            ..Rotation::off()
        };
        let open = |path: PathBuf| match logfile::open(&path, file.sync == Sync::Always, &rotation) {
            Ok(log) => Ok(OpenFile { path, log }),
            Err(error) => Err((path, error)),
        };
        self.section.paths().into_iter().map(open).collect()
    }

    fn cluster(&self) -> Cluster {
        Cluster {
            brokers: self.section.brokers.clone(),
            client_id: self.section.worker_name.clone(),
            read_committed: self.section.kafka.isolation == Isolation::ReadCommitted,
        }
    }

    fn client(&self) -> Client {
        match self.section.kafka.client {
            config::Client::Auto => {
                Client::Auto { zookeeper: self.section.kafka.offsets == Offsets::ZooKeeper }
            }
            config::Client::Crate => Client::Crate,
            config::Client::Native => Client::Native,
        }
    }

    fn place(&self) -> Result<Alone, Fault> {
        let kafka = &self.section.kafka;
        let storage = match kafka.offsets {
            Offsets::Kafka => Storage::Kafka,
            Offsets::ZooKeeper => Storage::ZooKeeper,
        };
        Alone::new(self.cluster(), &kafka.group, &kafka.topics, storage)
    }
}

impl Job for KafkaToFile {
    fn name(&self) -> &'static str {
        NAME
    }

    fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    fn prepare(&mut self) -> Result<(), Vec<ConfigFault>> {
        match self.open() {
            Ok(opened) => self.opened = Some(opened),
            // A full or failing disk is waited out by `run`.
            Err((_, OpenError::Wait(_))) => {}
            Err((path, OpenError::Never(why))) => {
                return Err(vec![ConfigFault {
                    file: self.inv.clone(),
                    line: None,
                    section: "log_section".to_owned(),
                    key: "log_file['path']".to_owned(),
                    value: Some(path.display().to_string()),
                    expected: why,
                }]);
            }
        }
        Ok(())
    }

    fn run(&mut self, stop: &Stop) -> Result<(), Fault> {
        let opened = match self.opened.take() {
            Some(opened) => opened,
            None => self.open().map_err(|(_, error)| match error {
                OpenError::Wait(why) => Fault::Wait(why),
                OpenError::Never(why) => Fault::Never(why),
            })?,
        };
        let which = Which::new(if opened.len() > 1 { self.section.kafka.topics.clone() } else { Vec::new() });
        // Held until every thread of the run has ended.
        let _locks: Vec<Lock> = opened.iter().map(|file| file.log.lock.clone()).collect();
        let ledgers: Vec<Ledger> = opened.iter().map(|file| file.log.ledger.clone()).collect();
        let (mut files, mut settlers) = (Vec::new(), Vec::new());
        for OpenFile { path, log: LogFile { writer, settler, ledger, lock } } in opened {
            files.push(sink::File::new(path.clone(), writer, ledger, lock));
            settlers.push((path, settler));
        }
        let buffers = Buffers::new(self.section.workers);
        let format = match self.section.log_file.format {
            Format::Original => line::Format::Original,
            Format::Raw => line::Format::Raw,
            Format::Json => line::Format::Json,
        };
        let worker_buffers = buffers.clone();
        let counters = || Arc::clone(&self.counters);
        let parts = Parts {
            source: source::Records::new(
                Box::new(AutoFetch::new(self.cluster(), self.client())),
                Box::new(self.place()?),
                Ledgers::new(which.clone(), ledgers.clone()),
                self.section.kafka.start,
                counters(),
            ),
            build_worker: move || worker::Lines::new(format, worker_buffers.clone()),
            sink: sink::Land { which, files, buffers, counters: counters(), stop: stop.clone() },
            settle: sink::Sync { settlers },
        };
        let limits = Limits {
            workers: self.section.workers,
            memory: self.memory,
            settle_min: SETTLE_MIN,
            settle_max: self.section.log_file.settle,
        };
        log::info!(
            "{NAME}: running, {} into {}",
            self.section.kafka.topics.join(", "),
            self.section.log_file.path.display()
        );
        let ended = pipeline::run(NAME, &limits, parts, stop, &self.counters);
        for ledger in ledgers {
            if let Err(error) = ledger.close() {
                log::warn!("{NAME}: cannot close the journal: {error}; the next start looks more closely");
            }
        }
        ended
    }
}

/// Line buffers going round between the workers and the sink: allocating and freeing
/// a megabyte each time is slow with musl's allocator.
#[derive(Clone)]
struct Buffers {
    give: Sender<Vec<u8>>,
    take: Receiver<Vec<u8>>,
}

impl Buffers {
    /// A buffer that grew beyond this for one large record is not kept.
    const LARGEST: usize = 8 * 1024 * 1024;

    fn new(workers: usize) -> Self {
        let (give, take) = bounded(workers * 2);
        Self { give, take }
    }

    fn take(&self) -> Vec<u8> {
        self.take.try_recv().unwrap_or_default()
    }

    fn give_back(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= Self::LARGEST {
            buffer.clear();
            // When enough of them go round already, this one is freed.
            let _enough = self.give.try_send(buffer);
        }
    }
}
