//! The job `kafka_to_file`: Kafka records become lines in an ordinary log file, each
//! exactly once.

mod file_router;
mod formatter;
mod ledgers;
mod sink;
mod source;
#[cfg(test)]
mod tests;
mod write_gate;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::Job;
use file_router::FileRouter;
use ledgers::Ledgers;
use write_gate::WriteGate;

use crate::config::{self, FileFormat, KafkaToFileConfig as Section, Membership, OffsetLocation, SyncPolicy};
use crate::error::{ConfigFault, Fault};
use crate::kafka::group::{Coordinated, GroupIntervals, MemberConfig, SubscribedTopics};
use crate::kafka::{self, AutoFetcher, ClaimNamer, Cluster, FetcherKind, GroupClient, OffsetStorage};
use crate::logfile::{
    self, Ledger, Lock, LogFile, OpenError, RestartMemory, Rotation, RotationInterval, line,
};
use crate::pipeline::{self, Parts, PipelineLimits};
use crate::report::{CountedUnit, Counters, Stage};
use crate::shutdown::Stop;

pub(super) const NAME: &str = "kafka_to_file";
/// On a trickle, syncs are at least this far apart.
const SETTLE_INTERVAL_MIN: Duration = Duration::from_millis(50);

/// One of the files, open.
struct OpenFile {
    path: PathBuf,
    log: LogFile,
}

/// See the module.
pub(super) struct KafkaToFile {
    section: Section,
    memory: u64,
    /// The .inv, for faults.
    inv: String,
    counters: Arc<Counters>,
    /// Opened by `prepare`, for the first run.
    opened: Option<Vec<OpenFile>>,
    /// The last run left its group because the disk takes nothing.
    gave_up: bool,
    /// Why the last run failed, if that is a matter of where this pandad runs.
    config_fault: Option<String>,
    /// What was said of the files since they were last well.
    before: RestartMemory,
}

impl KafkaToFile {
    pub(super) fn new(section: Section, memory: u64, inv: String) -> Self {
        Self {
            section,
            memory,
            inv,
            counters: Counters::shared(NAME, CountedUnit::Records),
            opened: None,
            gave_up: false,
            config_fault: None,
            before: RestartMemory::default(),
        }
    }

    /// Every file, or why one of them could not be opened.
    fn open(&mut self) -> Result<Vec<OpenFile>, (PathBuf, OpenError)> {
        if !self.counters.health.is_down() {
            self.before.forget_findings();
        }
        let file = &self.section.log_file;
        let rotation = Rotation {
            size: file.rotate_size,
            every: file.rotate_every.map(|every| match every {
                config::RotationPeriod::Hour => RotationInterval::Hour,
                config::RotationPeriod::Day => RotationInterval::Day,
            }),
            keep: file.rotate_keep as usize,
            gzip: file.rotate_gzip,
            ..Rotation::off()
        };
        let (sync, paths) = (file.sync == SyncPolicy::Always, self.section.paths());
        let open = |path: PathBuf| match logfile::open(&path, sync, &rotation, &mut self.before) {
            Ok(log) => Ok(OpenFile { path, log }),
            Err(error) => Err((path, error)),
        };
        paths.into_iter().map(open).collect()
    }

    /// A fault of where this pandad runs.
    fn local_fault(&self, path: &Path, expected: String) -> ConfigFault {
        ConfigFault {
            file: self.inv.clone(),
            line: None,
            section: "log_section".to_owned(),
            key: "log_file['path']".to_owned(),
            value: Some(path.display().to_string()),
            expected,
        }
    }

    fn client(&self) -> FetcherKind {
        match self.section.kafka.client {
            config::ClientChoice::Auto => {
                FetcherKind::Auto { zookeeper: self.section.kafka.offsets == OffsetLocation::ZooKeeper }
            }
            config::ClientChoice::Crate => FetcherKind::Crate,
            config::ClientChoice::Native => FetcherKind::Native,
        }
    }

    fn is_member(&self) -> bool {
        self.section.kafka.membership == Membership::Coordinated
    }

    /// Who we are in the group is what the first file's journal is.
    fn group_client(
        &self,
        cluster: Cluster,
        journal: &Ledger,
        names: ClaimNamer,
    ) -> Result<Box<dyn GroupClient>, Fault> {
        let kafka = &self.section.kafka;
        if !self.is_member() {
            let storage = match kafka.offsets {
                OffsetLocation::Kafka => OffsetStorage::Kafka,
                OffsetLocation::ZooKeeper => OffsetStorage::ZooKeeper,
            };
            return Ok(Box::new(kafka::standalone(
                cluster,
                &kafka.group,
                kafka.topics.names(),
                storage,
                names,
            )?));
        }
        let setup = MemberConfig {
            group: kafka.group.clone(),
            topics: match &kafka.topics {
                config::TopicSelection::Named(names) => SubscribedTopics::Named(names.clone()),
                config::TopicSelection::Like(pattern) => SubscribedTopics::Like(pattern.clone()),
            },
            session: kafka.session,
            instance: format!("pandad-{:032x}", journal.identity()),
            id: journal.member().map(|member| member.id),
            pace: GroupIntervals::of(kafka.session),
        };
        Ok(Box::new(Coordinated::new(&cluster, setup, names)?))
    }

    /// Whether a disk that took nothing takes something again: before that is seen, no
    /// group is joined.
    fn try_disk(&self) -> Result<(), Fault> {
        for path in self.section.paths() {
            logfile::try_disk(&path)
                .map_err(|error| Fault::Retry(format!("cannot write beside {}: {error}", path.display())))?;
        }
        Ok(())
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
            Err((_, OpenError::Retry(why))) => self.counters.health.down(Stage::Opening, &why),
            Err((path, OpenError::Fatal(why))) => {
                return Err(vec![self.local_fault(&path, why)]);
            }
        }
        Ok(())
    }

    fn config_fault(&self) -> Option<ConfigFault> {
        let expected = self.config_fault.clone()?;
        Some(self.local_fault(&self.section.log_file.path, expected))
    }

    fn run(&mut self, stop: &Stop) -> Result<(), Fault> {
        if self.gave_up {
            self.try_disk()?;
            self.gave_up = false;
        }
        let opened = match self.opened.take() {
            Some(opened) => opened,
            None => self.open().map_err(|(_, error)| match error {
                OpenError::Retry(why) => {
                    self.counters.health.down(Stage::Opening, &why);
                    Fault::RetryLogged
                }
                OpenError::Fatal(why) => Fault::Fatal(why),
            })?,
        };
        self.counters.health.up(Stage::Opening, "opened");
        let router = FileRouter::new(if opened.len() > 1 {
            self.section.kafka.topics.names().to_vec()
        } else {
            Vec::new()
        });
        // Held until every thread of the run has ended.
        let _locks: Vec<Lock> = opened.iter().map(|file| file.log.lock.clone()).collect();
        let ledgers: Vec<Ledger> = opened.iter().map(|file| file.log.ledger.clone()).collect();
        let journal = ledgers.first().ok_or_else(|| Fault::Fatal("there is no log file".to_owned()))?;
        let silent = journal.member().is_some_and(|member| member.silent);
        let group_client = self.group_client(
            super::kafka_cluster(&self.section, silent),
            journal,
            claim_names(router.clone(), ledgers.clone()),
        )?;
        let gate = WriteGate::new(group_client.lease(), self.is_member());
        let (mut files, mut settlers) = (Vec::new(), Vec::new());
        for OpenFile { path, log: LogFile { writer, settler, ledger, lock } } in opened {
            files.push(sink::FileAppender::new(path.clone(), writer, ledger, lock).under(gate.lease()));
            settlers.push((path, settler));
        }
        let buffers = Buffers::new(self.section.workers);
        let format = match self.section.log_file.format {
            FileFormat::Original => line::LineFormat::Original,
            FileFormat::Raw => line::LineFormat::Raw,
            FileFormat::Json => line::LineFormat::Json,
        };
        let worker_buffers = buffers.clone();
        let counters = || Arc::clone(&self.counters);
        let parts = Parts {
            source: source::KafkaSource::new(source::SourceParts {
                fetcher: Box::new(AutoFetcher::new(
                    super::kafka_cluster(&self.section, silent),
                    self.client(),
                )),
                group_client,
                ledgers: Ledgers::new(router.clone(), ledgers.clone()),
                start: self.section.kafka.start,
                counters: counters(),
                gate: gate.clone(),
                patience: self.section.kafka.full_disk,
                stop: stop.clone(),
            }),
            build_worker: move || formatter::Formatter::new(format, worker_buffers.clone()),
            sink: sink::FileSink {
                router,
                files,
                buffers,
                counters: counters(),
                stop: stop.clone(),
                gate: gate.clone(),
            },
            settle: sink::FileSyncer { settlers, counters: counters() },
        };
        let limits = PipelineLimits {
            workers: self.section.workers,
            memory: self.memory,
            settle_min: SETTLE_INTERVAL_MIN,
            settle_max: self.section.log_file.settle,
        };
        let topics = self.section.kafka.topics.to_string().replace(',', ", ");
        let path = self.section.log_file.path.display();
        // A run that is tried again and again says so once.
        let level = if self.counters.health.is_down() { log::Level::Debug } else { log::Level::Info };
        log::log!(level, "{NAME}: running, {topics} into {path}");
        let ended = pipeline::run(NAME, &limits, parts, stop, &self.counters);
        for ledger in &ledgers {
            if let Err(error) = ledger.close() {
                log::warn!("{NAME}: cannot close the journal: {error}; the next start looks more closely");
            }
        }
        self.gave_up = gate.gave_up();
        self.config_fault = match &ended {
            Err(Fault::Fatal(why)) if gate.is_fenced() => Some(why.clone()),
            _ => None,
        };
        self.before.sync_failed = (matches!(ended, Err(Fault::Restart(_))) && !gate.lost_in_write())
            || ledgers.iter().any(Ledger::has_failed);
        ended
    }
}

/// Under which name an offset that somebody else has set is claimed.
fn claim_names(router: FileRouter, ledgers: Vec<Ledger>) -> ClaimNamer {
    Box::new(move |partition, offset, generation| {
        let ledger = ledgers.get(router.of(&partition.topic));
        ledger.map_or(0, |ledger| ledger.claim_name(partition, offset, generation))
    })
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
