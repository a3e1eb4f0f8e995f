//! The job `kafka_to_file`: Kafka records become lines in an ordinary log file, each exactly once.

mod cluster;
mod completeness;
mod cut;
mod failed_syncs;
mod file_appender;
mod file_end;
mod file_opener;
mod file_router;
mod formatter;
mod line_router;
mod reopen_requests;
mod run_error;
mod shared_ledger;
mod sink;
mod source;
mod split;
#[cfg(test)]
mod tests;
mod watermarks;
mod write_gate;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Job;
use completeness::Completeness;
use file_appender::FileAppender;
use file_end::{OpenFile, OpenLog};
use file_opener::FileOpener;
use file_router::FileRouter;
use formatter::Formatter;
use reopen_requests::ReopenRequests;
use run_error::RunError;
use shared_ledger::SharedLedger;
use sink::{FileSink, FileSyncer};
use source::{KafkaSource, SourceParts};
use watermarks::Watermarks;
use write_gate::WriteGate;

use crate::config::{self, KafkaToFileConfig as Section, Membership, OffsetLocation};
use crate::error::{ConfigFault, Fault};
use crate::kafka::group::{Coordinated, GroupIntervals, MemberConfig, SubscribedTopics};
use crate::kafka::{self, AutoFetcher, ClaimNamer, Cluster, GroupClient, OffsetStorage};
use crate::logfile::{self, FileNumber, Ledger, OpenError};
use crate::pipeline::{self, Parts, PipelineLimits};
use crate::recycle::BufferPool;
use crate::report::{CountedUnit, Counters, Stage};
use crate::shutdown::Stop;
use crate::status::JobRoute;

pub(super) const NAME: &str = "kafka_to_file";
/// While few records come, syncs are at least this far apart.
const SETTLE_INTERVAL_MIN: Duration = Duration::from_millis(50);

/// See the module.
pub(super) struct KafkaToFile {
    section: Section,
    memory: u64,
    /// The path of the .inv, for faults.
    inv: String,
    counters: Arc<Counters>,
    /// What `prepare` has opened for the first run.
    opened: Option<OpenLog>,
    /// Whether the last run left its group because the disk refused every write.
    has_left_group: bool,
    /// What to change in the configuration, if another pandad has fenced the last run.
    fenced: Option<String>,
    opener: FileOpener,
    /// The name under which this process is a member of its group.
    instance: Option<String>,
}

impl KafkaToFile {
    pub(super) fn new(section: Section, memory: u64, inv: String) -> Self {
        let counters = Counters::shared(NAME, CountedUnit::Records);
        let opener = FileOpener::new(&section, &counters.conditions);
        Self {
            section,
            memory,
            inv,
            counters,
            opened: None,
            has_left_group: false,
            fenced: None,
            opener,
            instance: None,
        }
    }

    /// A configuration fault about this machine: a file that `path` names cannot be used here.
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

    fn is_member(&self) -> bool {
        self.section.kafka.membership == Membership::Coordinated
    }

    /// The membership of the group, or the standalone group client. A member's identity comes from the
    /// journal. `topics` are those of the files that are open, if the job has several.
    fn group_client(
        &mut self,
        cluster: Cluster,
        journal: &Ledger,
        topics: &[String],
        names: ClaimNamer,
    ) -> Result<Box<dyn GroupClient>, Fault> {
        let is_member = self.is_member();
        let kafka = &self.section.kafka;
        let named = |names: &[String]| if topics.is_empty() { names.to_vec() } else { topics.to_vec() };
        if !is_member {
            let storage = match kafka.offsets {
                OffsetLocation::Kafka => OffsetStorage::Kafka,
                OffsetLocation::ZooKeeper => OffsetStorage::ZooKeeper,
            };
            return Ok(Box::new(kafka::standalone(
                cluster,
                &kafka.group,
                &named(kafka.topics.names()),
                storage,
                names,
            )?));
        }
        let instance = self.instance.get_or_insert_with(|| format!("pandad-{:032x}", journal.identity()));
        let setup = MemberConfig {
            group: kafka.group.clone(),
            topics: match &kafka.topics {
                config::TopicSelection::Named(names) => SubscribedTopics::Named(named(names)),
                config::TopicSelection::Like(pattern) => SubscribedTopics::Like(pattern.clone()),
            },
            session: kafka.session,
            instance: instance.clone(),
            id: journal.member().map(|member| member.id),
            pace: GroupIntervals::of(kafka.session),
        };
        Ok(Box::new(Coordinated::new(&cluster, setup, names)?))
    }

    /// Checks that the disk accepts writes again. Until then the job does not join its group.
    fn try_disk(&self) -> Result<(), Fault> {
        let mut refused = Ok(());
        for path in self.opener.paths() {
            match logfile::try_disk(path) {
                // The files that do not take anything wait by themselves.
                Ok(()) => return Ok(()),
                Err(error) => {
                    let path = path.display();
                    refused = refused.and(Err(Fault::Retry(format!("cannot write beside {path}: {error}"))));
                }
            }
        }
        refused
    }
}

/// One run: builds a pipeline from open files, and keeps the facts that the next run must know.
impl KafkaToFile {
    /// What `prepare` has opened, or what is opened now.
    fn take_log(&mut self) -> Result<OpenLog, Fault> {
        if let Some(log) = self.opened.take() {
            return Ok(log);
        }
        let (log, mut refused) = self.open();
        let Some(log) = log else {
            match refused.pop() {
                // Not only a person can end these faults: a file system may be mounted again, for example.
                Some((_, OpenError::Retry(why) | OpenError::Mend(why))) => {
                    self.counters.health.down(Stage::Opening, &why);
                }
                Some((_, OpenError::Fatal(why))) => return Err(Fault::Fatal(why)),
                // Every file is waited for already.
                None => {}
            }
            return Err(Fault::RetryLogged);
        };
        self.opener.await_files(refused)?;
        Ok(log)
    }

    fn open(&mut self) -> (Option<OpenLog>, Vec<(PathBuf, OpenError)>) {
        if !self.counters.health.is_down() {
            self.opener.forget_findings();
        }
        self.opener.open_all()
    }

    /// Builds the parts of a pipeline from the files, the group and the brokers.
    fn assemble(
        &mut self,
        log: OpenLog,
        stop: &Stop,
    ) -> Result<Parts<KafkaSource, impl Fn() -> Formatter + Send + Sync + use<>, FileSink, FileSyncer>, Fault>
    {
        let OpenLog { files, settler, ledger, lock, file_locks: _ } = log;
        let topics = files.iter().filter_map(|file| Some(file.topic.as_ref()?.topic.clone()));
        let topics: Vec<String> = topics.collect();
        let router = FileRouter::new(topics.clone());
        let cluster = cluster::of(&self.section, &ledger);
        let versions_seen = cluster.versions_seen.clone();
        let names = cluster::claim_names(ledger.clone());
        let group_client = self.group_client(cluster.clone(), &ledger, &topics, names)?;
        let gate = WriteGate::new(group_client.lease(), self.is_member());
        let watermarks = self.show_partitions(&ledger);
        let grace = self.section.log_file.grace;
        let routing = self.opener.routing();
        let completeness = routing.map(|routing| Completeness::new(watermarks.clone(), routing, grace));
        let numbers = files.iter().map(|file| file.end.number()).collect();
        let paths = paths_by_number(&files);
        let appender = |OpenFile { path, end, topic }| {
            let appender =
                FileAppender::new(path, end, ledger.clone(), watermarks.clone()).guarded(gate.guard());
            let appender = appender.finishing(completeness.clone());
            match topic {
                Some(topic) => appender.among_others(topic.health),
                None => appender,
            }
        };
        let appenders = files.into_iter().map(appender).collect();
        let line_formatter = super::line_formatter(&self.section.log_file);
        let buffers = BufferPool::new(self.section.workers * 2);
        let worker_buffers = buffers.clone();
        let routing = self.opener.routing();
        let is_cut = self.section.log_file.rotate_size.is_some();
        let counters = || Arc::clone(&self.counters);
        Ok(Parts {
            source: KafkaSource::new(SourceParts {
                fetcher: Box::new(AutoFetcher::new(cluster, super::fetcher_kind(&self.section))),
                group_client,
                ledger: SharedLedger::new(router.clone(), ledger.clone(), numbers),
                cluster_id: Box::new(move || versions_seen.cluster_id()),
                start: self.section.kafka.start,
                inv: self.inv.clone(),
                brokers: self.section.brokers.join(","),
                counters: counters(),
                gate: gate.clone(),
                watermarks,
                full_disk_patience: self.section.kafka.full_disk,
                is_file_back: self.opener.watch(),
                stop: stop.clone(),
            }),
            build_worker: move || {
                let formatter = Formatter::new(line_formatter.clone(), worker_buffers.clone(), is_cut);
                formatter.routed(routing.clone())
            },
            sink: FileSink {
                router,
                files: appenders,
                ledger,
                requests: ReopenRequests::new(lock),
                buffers,
                counters: counters(),
                stop: stop.clone(),
                gate,
            },
            settle: FileSyncer { settler, paths, counters: counters() },
        })
    }

    /// The watermarks of this run. Whoever looks at the process sees the run's partitions by these.
    fn show_partitions(&self, ledger: &Ledger) -> Watermarks {
        let watermarks = Watermarks::default();
        let (seen, positions) = (watermarks.clone(), ledger.clone());
        self.counters.partitions.set(move || seen.views(&positions.positions()));
        watermarks
    }

    fn limits(&self) -> PipelineLimits {
        PipelineLimits {
            workers: self.section.workers,
            memory: self.memory,
            settle_min: SETTLE_INTERVAL_MIN,
            settle_max: self.section.log_file.settle,
        }
    }

    /// Logs the start of the job: once, even if failed runs are started again.
    fn log_start(&self) {
        let level = if self.counters.health.is_down() { log::Level::Debug } else { log::Level::Info };
        let topics = self.section.kafka.topics.to_string().replace(',', ", ");
        log::log!(level, "{NAME}: running, reads {topics} into {}", self.section.log_file.path);
    }

    /// Closes the journal, and remembers which syncs have failed. `paths` are those of the files by their
    /// numbers in the journal.
    fn close(&mut self, ledger: &Ledger, paths: &[(FileNumber, PathBuf)]) {
        if let Err(error) = ledger.close() {
            let path = self.opener.base().display();
            log::warn!(
                "{NAME}: {path}: cannot close the journal: {error}; the next start compares more of the file"
            );
        }
        let failed = ledger.failed_files();
        for (_, path) in paths.iter().filter(|(number, _)| failed.contains(number)) {
            self.opener.record_failed_sync(path);
        }
        if ledger.has_failed() || !failed.is_empty() {
            self.opener.record_lost_writes();
        }
    }

    /// Keeps the facts about the end of this run that the next run must know.
    fn conclude(&mut self, ended: Result<(), RunError>) -> Result<(), Fault> {
        if ended.as_ref().is_err_and(RunError::may_have_lost_writes) {
            self.opener.record_lost_writes();
        }
        self.opener.failed_syncs.end_run(Instant::now());
        let error = ended.as_ref().err();
        self.has_left_group = error.is_some_and(RunError::has_left_group);
        self.fenced = error.and_then(RunError::fenced).map(str::to_owned);
        ended.map_err(RunError::into_fault)
    }
}

impl Job for KafkaToFile {
    fn name(&self) -> &'static str {
        NAME
    }

    fn route(&self) -> JobRoute {
        let topics = self.section.kafka.topics.to_string().replace(',', ", ");
        JobRoute {
            from: format!("{topics} of Kafka {}", self.section.brokers.join(", ")),
            to: self.section.log_file.path.to_string(),
            group: self.section.kafka.group.clone(),
        }
    }

    fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    fn prepare(&mut self) -> Result<(), Vec<ConfigFault>> {
        let (opened, mut refused) = self.open();
        let is_fault = |error: &OpenError| !matches!(error, OpenError::Retry(_));
        if refused.iter().any(|(_, error)| is_fault(error)) {
            let faults = refused.into_iter().filter(|(_, error)| is_fault(error));
            return Err(faults.map(|(path, error)| self.local_fault(&path, error.into_text())).collect());
        }
        let Some(opened) = opened else {
            // `run` waits until a full or failing disk accepts writes again.
            if let Some((_, error)) = refused.pop() {
                self.counters.health.down(Stage::Opening, &error.into_text());
            }
            return Ok(());
        };
        match self.opener.await_files(refused) {
            Ok(()) => self.opened = Some(opened),
            // `run` opens the files again.
            Err(fault) => self.counters.health.down(Stage::Opening, &fault.to_string()),
        }
        Ok(())
    }

    fn config_fault(&self) -> Option<ConfigFault> {
        let expected = self.fenced.clone()?;
        let path = self.section.log_file.path.to_string();
        Some(self.local_fault(Path::new(&path), expected))
    }

    fn run(&mut self, stop: &Stop) -> Result<(), Fault> {
        if self.has_left_group {
            self.try_disk()?;
            self.has_left_group = false;
        }
        let log = self.take_log()?;
        self.counters.health.up(Stage::Opening, "opened");
        // The locks are held until every thread of the run has ended.
        let _locks = (log.lock.clone(), log.file_locks.clone());
        let (ledger, paths) = (log.ledger.clone(), paths_by_number(&log.files));
        let parts = self.assemble(log, stop)?;
        self.log_start();
        let ended = pipeline::run(NAME, &self.limits(), parts, stop, &self.counters);
        self.counters.partitions.clear();
        self.close(&ledger, &paths);
        self.conclude(ended)
    }
}

fn paths_by_number(files: &[OpenFile]) -> Vec<(FileNumber, PathBuf)> {
    files.iter().filter_map(|file| Some((file.end.number()?, file.path.clone()))).collect()
}
