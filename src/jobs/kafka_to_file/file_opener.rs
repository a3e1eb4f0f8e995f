//! Opens the log files of a run. One of several that cannot be opened does not hold up the others: a
//! run has the files that are open, and ends when another one is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::NAME;
use super::failed_syncs::FailedSyncs;
use super::file_end::OpenLog;
use super::line_router::Routing;
use crate::config::{self, KafkaToFileConfig as Section, SyncPolicy};
use crate::error::Fault;
use crate::logfile::{
    self, ClosedLog, FileSetOptions, LogFile, LogFileOptions, OpenError, Reopener, RestartMemory, Rotation,
    RotationInterval,
};
use crate::report::{JobHealth, Stage};

/// One of the log files, open.
pub(super) struct OpenFile {
    pub(super) path: PathBuf,
    pub(super) log: OpenLog,
    /// What only one of several files has.
    pub(super) topic: Option<TopicFile>,
}

/// The topic of a file, and what is logged of the file's disk.
#[derive(Clone)]
pub(super) struct TopicFile {
    pub(super) topic: String,
    pub(super) health: Arc<JobHealth>,
}

/// See the module.
pub(super) struct FileOpener {
    /// Every file, in the order of topics.
    files: Vec<(PathBuf, Option<TopicFile>)>,
    options: LogFileOptions,
    /// If the records decide which files there are: where their journal is, and how they are routed.
    set: Option<(FileSetOptions, Routing)>,
    /// What is remembered of the files between two runs.
    memory: RestartMemory,
    /// The files whose last run may have lost writes.
    unsynced: BTreeSet<PathBuf>,
    /// The files whose own syncs have failed.
    pub(super) failed_syncs: FailedSyncs,
    /// Has the files that cannot be opened.
    reopener: Option<Reopener<LogFile>>,
}

impl FileOpener {
    pub(super) fn new(section: &Section) -> Self {
        let file = &section.log_file;
        let rotation = Rotation {
            size: file.rotate_size,
            every: file.rotate_every.map(|every| match every {
                config::RotationPeriod::Hour => RotationInterval::Hour,
                config::RotationPeriod::Day => RotationInterval::Day,
            }),
            keep: file.rotate_keep as usize,
            keep_bytes: file.keep_bytes,
            keep_days: file.keep_days,
            gzip: file.rotate_gzip,
            ..Rotation::off()
        };
        let options = LogFileOptions { job: NAME, sync: file.sync == SyncPolicy::Always, rotation };
        let (mut paths, mut set) = (section.paths(), None);
        if paths.is_empty() {
            paths = section.journals();
            let base = paths.first().cloned().unwrap_or_default();
            let complete_dir = Some(file.complete.clone()).filter(|path| !path.as_os_str().is_empty());
            let open_max = file.open as usize;
            let new_max = file.new_files as usize;
            let set_options = FileSetOptions {
                base,
                log_file: options.clone(),
                complete_dir,
                complete_gzip: file.complete_gzip,
                open_max,
                new_max,
            };
            let routing = Routing::of(file, set_options.files_max());
            set = Some((set_options, routing));
        }
        let topics = if paths.len() > 1 { section.kafka.topics.names() } else { &[] };
        let of_topic = |topic: &String| TopicFile {
            topic: topic.clone(),
            health: Arc::new(JobHealth::new(format!("{NAME}: the topic {topic}"))),
        };
        let topics = topics.iter().map(|topic| Some(of_topic(topic)));
        Self {
            files: paths.into_iter().zip(topics.chain(std::iter::repeat(None))).collect(),
            options,
            set,
            memory: RestartMemory::default(),
            unsynced: BTreeSet::new(),
            failed_syncs: FailedSyncs::default(),
            reopener: None,
        }
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, _)| path.as_path())
    }

    /// Findings from now on are logged again.
    pub(super) fn forget_findings(&mut self) {
        self.memory.forget_findings();
    }

    /// Opens every file that is not open, in the order of topics, and says why others cannot be.
    pub(super) fn open_all(&mut self) -> (Vec<OpenFile>, Vec<(PathBuf, OpenError)>) {
        let mut reopened: Vec<_> = std::iter::from_fn(|| self.reopener.as_mut()?.take()).collect();
        let (mut opened, mut refused) = (Vec::new(), Vec::new());
        for (path, topic) in self.files.clone() {
            let found = reopened.iter().position(|(other, _)| *other == path);
            let log = match found.map(|at| reopened.swap_remove(at)) {
                Some((_, log)) => Ok(log.into()),
                None if self.is_awaited(&path) => continue,
                None => self.open(&path, topic.is_some()),
            };
            match log {
                Ok(log) => {
                    self.unsynced.remove(&path);
                    if let Some(topic) = &topic {
                        topic.health.up(Stage::Opening, "opened");
                    }
                    opened.push(OpenFile { path, log, topic });
                }
                Err(error) => refused.push((path, error)),
            }
        }
        (opened, refused)
    }

    fn is_awaited(&self, path: &Path) -> bool {
        self.reopener.as_ref().is_some_and(|reopener| reopener.has(path))
    }

    fn open(&mut self, path: &Path, is_one_of_several: bool) -> Result<OpenLog, OpenError> {
        let sync_failed = self.unsynced.contains(path);
        if sync_failed && is_one_of_several {
            // Otherwise a disk that opens files and syncs none would end one run after the other. A trial
            // beside the file does not show that the file itself can be synced.
            if self.failed_syncs.held_until(path).is_some_and(|until| Instant::now() < until) {
                return Err(OpenError::Retry(format!("cannot sync {}, again and again", path.display())));
            }
            let refused =
                |error| OpenError::Retry(format!("cannot write beside {}: {error}", path.display()));
            logfile::try_disk(path).map_err(refused)?;
        }
        self.memory.sync_failed = sync_failed;
        match &self.set {
            Some((options, _)) => logfile::open_set(options, &mut self.memory).map(OpenLog::from),
            None => logfile::open(path, &self.options, &mut self.memory).map(OpenLog::from),
        }
    }

    /// How records are routed, if they decide which files there are.
    pub(super) fn routing(&self) -> Option<Routing> {
        self.set.as_ref().map(|(_, routing)| routing.clone())
    }

    /// Has these files opened as soon as that is possible, and logs what they wait for.
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn await_files(&mut self, refused: Vec<(PathBuf, OpenError)>) -> Result<(), Fault> {
        for (path, error) in refused {
            let topic = self.files.iter().find(|(one, _)| *one == path).and_then(|(_, topic)| topic.as_ref());
            if let Some(topic) = topic {
                topic.health.down(Stage::Opening, &error.into_text());
            }
            let sync_failed = self.unsynced.contains(&path);
            let no_thread = |error: std::io::Error| Fault::Retry(error.to_string());
            let reopener = match &mut self.reopener {
                Some(reopener) => reopener,
                none => none.insert(logfile::start_reopener(self.options.clone()).map_err(no_thread)?),
            };
            let held_until = self.failed_syncs.held_until(&path);
            reopener.add(ClosedLog { path, sync_failed, held_until });
        }
        Ok(())
    }

    /// Says whether a file is open that was not before.
    pub(super) fn watch(&self) -> Box<dyn Fn() -> bool + Send> {
        match &self.reopener {
            Some(reopener) => Box::new(reopener.watch()),
            None => Box::new(|| false),
        }
    }

    /// A run has ended that may have lost writes to this file.
    pub(super) fn record_lost_writes(&mut self, path: PathBuf) {
        self.unsynced.insert(path);
    }
}
