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
use crate::logfile::{self, Before, Every, Ledger, Lock, LogFile, OpenError, Rotation, line};
use crate::pipeline::{self, Limits, Parts};
use crate::record::TopicPartition;
use crate::report::{Counters, Shown, Stage};
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
    /// What was said of the files since they were last well.
    before: Before,
}

impl KafkaToFile {
    pub(super) fn new(section: Section, memory: u64, inv: String) -> Self {
        let counters = Counters::shared(NAME, Shown::Records);
        Self { section, memory, inv, counters, opened: None, before: Before::default() }
    }

    /// Every file, or why one of them could not be opened.
    fn open(&mut self) -> Result<Vec<OpenFile>, (PathBuf, OpenError)> {
        if !self.counters.standing.is_down() {
            self.before.say_again();
        }
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
        let (sync, paths) = (file.sync == Sync::Always, self.section.paths());
        let open = |path: PathBuf| match logfile::open(&path, sync, &rotation, &mut self.before) {
            Ok(log) => Ok(OpenFile { path, log }),
            Err(error) => Err((path, error)),
        };
        paths.into_iter().map(open).collect()
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

    fn place(&self, which: Which, ledgers: Vec<Ledger>) -> Result<Alone, Fault> {
        let kafka = &self.section.kafka;
        let storage = match kafka.offsets {
            Offsets::Kafka => Storage::Kafka,
            Offsets::ZooKeeper => Storage::ZooKeeper,
        };
        let name = move |partition: &TopicPartition, offset| {
            ledgers.get(which.of(&partition.topic)).map_or(0, |ledger| ledger.claim_name(partition, offset))
        };
        Alone::new(self.cluster(), &kafka.group, &kafka.topics, storage, Box::new(name))
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
            Err((_, OpenError::Wait(why))) => self.counters.standing.down(Stage::Opening, &why),
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
                OpenError::Wait(why) => {
                    self.counters.standing.down(Stage::Opening, &why);
                    Fault::Told
                }
                OpenError::Never(why) => Fault::Never(why),
            })?,
        };
        self.counters.standing.up(Stage::Opening, "opened");
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
                Box::new(self.place(which.clone(), ledgers.clone())?),
                Ledgers::new(which.clone(), ledgers.clone()),
                self.section.kafka.start,
                counters(),
            ),
            build_worker: move || worker::Lines::new(format, worker_buffers.clone()),
            sink: sink::Land { which, files, buffers, counters: counters(), stop: stop.clone() },
            settle: sink::Sync { settlers, counters: counters() },
        };
        let limits = Limits {
            workers: self.section.workers,
            memory: self.memory,
            settle_min: SETTLE_MIN,
            settle_max: self.section.log_file.settle,
        };
        let (topics, path) = (self.section.kafka.topics.join(", "), self.section.log_file.path.display());
        // A run that is tried again and again says so once.
        let level = if self.counters.standing.is_down() { log::Level::Debug } else { log::Level::Info };
        log::log!(level, "{NAME}: running, {topics} into {path}");
        let ended = pipeline::run(NAME, &limits, parts, stop, &self.counters);
        for ledger in &ledgers {
            if let Err(error) = ledger.close() {
                log::warn!("{NAME}: cannot close the journal: {error}; the next start looks more closely");
            }
        }
        self.before.sync_failed =
            matches!(ended, Err(Fault::Rebuild(_))) || ledgers.iter().any(Ledger::has_failed);
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
