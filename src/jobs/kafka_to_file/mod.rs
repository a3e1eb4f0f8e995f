//! The job `kafka_to_file`: Kafka records become lines in an ordinary log file, each
//! exactly once.

mod sink;
mod source;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::Job;
use crate::config::{self, Format, Isolation, KafkaToFile as Section, Offsets, Sync};
use crate::error::{ConfigFault, Fault};
use crate::kafka::{Cluster, CrateFetch, CratePlace, Storage};
use crate::logfile::{self, Every, LogFile, OpenError, Rotation, line};
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
    opened: Option<LogFile>,
}

impl KafkaToFile {
    pub(super) fn new(section: Section, memory: u64, inv: String) -> Self {
        Self { section, memory, inv, counters: Counters::shared(Shown::Records), opened: None }
    }

    fn open(&self) -> Result<LogFile, OpenError> {
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
        logfile::open(&file.path, file.sync == Sync::Always, &rotation)
    }

    fn cluster(&self) -> Cluster {
        Cluster {
            brokers: self.section.brokers.clone(),
            client_id: self.section.worker_name.clone(),
            read_committed: self.section.kafka.isolation == Isolation::ReadCommitted,
        }
    }

    fn place(&self) -> Result<CratePlace, Fault> {
        let kafka = &self.section.kafka;
        let storage = match kafka.offsets {
            Offsets::Kafka => Storage::Kafka,
            Offsets::ZooKeeper => Storage::ZooKeeper,
        };
        CratePlace::new(self.cluster(), &kafka.group, &kafka.topics, storage)
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
            Err(OpenError::Wait(_)) => {}
            Err(OpenError::Never(why)) => {
                return Err(vec![ConfigFault {
                    file: self.inv.clone(),
                    line: None,
                    section: "log_section".to_owned(),
                    key: "log_file['path']".to_owned(),
                    value: Some(self.section.log_file.path.display().to_string()),
                    expected: why,
                }]);
            }
        }
        Ok(())
    }

    fn run(&mut self, stop: &Stop) -> Result<(), Fault> {
        let opened = match self.opened.take() {
            Some(opened) => opened,
            None => self.open().map_err(|error| match error {
                OpenError::Wait(why) => Fault::Wait(why),
                OpenError::Never(why) => Fault::Never(why),
            })?,
        };
        let LogFile { writer, settler, ledger, lock } = opened;
        // Held until every thread of the run has ended.
        let _lock = lock.clone();
        // The first tick says that the file has just been opened.
        let reopening = sink::Reopening { stop: stop.clone(), lock, done: u64::MAX };
        let buffers = Buffers::new(self.section.workers);
        let format = match self.section.log_file.format {
            Format::Original => line::Format::Original,
            Format::Raw => line::Format::Raw,
            Format::Json => line::Format::Json,
        };
        let fetch = Box::new(CrateFetch::new(self.cluster()));
        let place = Box::new(self.place()?);
        let start = self.section.kafka.start;
        let closing = ledger.clone();
        let worker_buffers = buffers.clone();
        let path = self.section.log_file.path.clone();
        let parts = Parts {
            source: source::Records::new(fetch, place, ledger.clone(), start, Arc::clone(&self.counters)),
            build_worker: move || worker::Lines::new(format, worker_buffers.clone()),
            sink: sink::Land::new(
                writer,
                ledger,
                path.clone(),
                buffers,
                Arc::clone(&self.counters),
                reopening,
            ),
            settle: sink::Sync::new(settler, path),
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
        if let Err(error) = closing.close() {
            log::warn!("{NAME}: cannot close the journal: {error}; the next start looks more closely");
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
