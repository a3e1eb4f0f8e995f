//! Opens the log files of a run. One of several that cannot be opened does not hold up the others: a
//! run has the files that are open, and ends when another one can be opened.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::NAME;
use super::failed_syncs::FailedSyncs;
use super::file_end::{FileEnd, OpenFile, OpenLog, TopicFile};
use super::line_router::Routing;
use crate::config::{self, KafkaToFileConfig as Section, SyncPolicy};
use crate::error::Fault;
use crate::logfile::{
    self, ClosedLog, FileSetOptions, LogFileOptions, OpenError, Reopener, RestartMemory, Rotation,
    RotationInterval, TopicFilesOptions,
};
use crate::report::{Conditions, JobHealth, Stage};

/// Which files the job has.
enum JobFiles {
    /// One.
    One(PathBuf),
    /// One for each topic, in the order of the paths.
    Topics(TopicFilesOptions, Vec<TopicFile>),
    /// Those that the records decide on.
    Set(FileSetOptions, Routing),
}

/// See the module.
pub(super) struct FileOpener {
    files: JobFiles,
    options: LogFileOptions,
    /// What is remembered between two runs.
    memory: RestartMemory,
    /// Whether the last run may have lost writes.
    lost_writes: bool,
    /// The files whose own last syncs have failed.
    unsynced: BTreeSet<PathBuf>,
    pub(super) failed_syncs: FailedSyncs,
    /// Has the files that cannot be opened.
    reopener: Option<Reopener<()>>,
    /// The files of which that has said that they can be opened.
    returned: BTreeSet<PathBuf>,
}

impl FileOpener {
    pub(super) fn new(section: &Section, conditions: &Conditions) -> Self {
        let options = log_file_options(section);
        Self {
            files: files_of(section, &options, conditions),
            options,
            memory: RestartMemory::default(),
            lost_writes: false,
            unsynced: BTreeSet::new(),
            failed_syncs: FailedSyncs::default(),
            reopener: None,
            returned: BTreeSet::new(),
        }
    }

    /// The paths beside which files are written.
    pub(super) fn paths(&self) -> Vec<&Path> {
        match &self.files {
            JobFiles::One(path) => vec![path],
            JobFiles::Topics(options, _) => options.paths.iter().map(PathBuf::as_path).collect(),
            JobFiles::Set(options, _) => vec![&options.base],
        }
    }

    /// The path beside which the journal is.
    pub(super) fn base(&self) -> &Path {
        match &self.files {
            JobFiles::One(path) => path,
            JobFiles::Topics(options, _) => &options.base,
            JobFiles::Set(options, _) => &options.base,
        }
    }

    /// Findings from now on are logged again.
    pub(super) fn forget_findings(&mut self) {
        self.memory.forget_findings();
    }

    /// Opens the journal and every file that is not waited for. Says which files cannot be opened, and why:
    /// those, or the journal.
    pub(super) fn open_all(&mut self) -> (Option<OpenLog>, Vec<(PathBuf, OpenError)>) {
        self.memory.sync_failed = self.lost_writes;
        let opened = match &self.files {
            JobFiles::One(path) => logfile::open(path, &self.options, &mut self.memory)
                .map(|log| OpenLog::from((path.clone(), log))),
            JobFiles::Set(options, _) => logfile::open_set(options, &mut self.memory)
                .map(|log| OpenLog::from((options.base.clone(), log))),
            JobFiles::Topics(..) => return self.open_topics(),
        };
        match opened {
            Ok(log) => {
                self.lost_writes = false;
                (Some(log), Vec::new())
            }
            Err(error) => (None, vec![(self.base().to_owned(), error)]),
        }
    }

    fn open_topics(&mut self) -> (Option<OpenLog>, Vec<(PathBuf, OpenError)>) {
        let returned: Vec<_> = std::iter::from_fn(|| self.reopener.as_mut()?.take()).collect();
        self.returned.extend(returned.into_iter().map(|(path, ())| path));
        let JobFiles::Topics(options, topics) = &self.files else { return (None, Vec::new()) };
        let awaited = options.paths.iter().filter(|path| self.is_awaited(path));
        let awaited: Vec<PathBuf> = awaited.cloned().collect();
        let mut held_back: Vec<(PathBuf, OpenError)> = awaited
            .iter()
            .map(|path| (path.clone(), OpenError::Retry("it is waited for".to_owned())))
            .collect();
        let unsynced = self.unsynced.iter().filter(|path| !awaited.contains(path));
        held_back.extend(unsynced.filter_map(|path| Some((path.clone(), self.cannot_sync(path)?))));
        if held_back.len() == options.paths.len() {
            held_back.retain(|(path, _)| !awaited.contains(path));
            return (None, held_back);
        }
        let opened = match logfile::open_topics(options, held_back, &mut self.memory) {
            Ok(opened) => opened,
            Err(error) => return (None, vec![(options.base.clone(), error)]),
        };
        self.lost_writes = false;
        let (mut files, mut refused) = (Vec::new(), opened.refused);
        refused.retain(|(path, _)| !awaited.contains(path));
        for (path, writer) in opened.files {
            let number = options.paths.iter().position(|one| *one == path);
            let Some(topic) = number.and_then(|number| topics.get(number)).cloned() else { continue };
            self.unsynced.remove(&path);
            self.returned.remove(&path);
            let topic = Some(topic).filter(|_| topics.len() > 1);
            topic.iter().for_each(|topic| topic.health.up(Stage::Opening, "opened"));
            files.push(OpenFile { path, end: FileEnd::One(writer), topic });
        }
        if files.is_empty() {
            return (None, refused);
        }
        let (settler, ledger, lock) = (opened.settler, opened.ledger, opened.lock);
        let file_locks = opened.file_locks;
        (Some(OpenLog { files, settler, ledger, lock, file_locks }), refused)
    }

    fn is_awaited(&self, path: &Path) -> bool {
        self.reopener.as_ref().is_some_and(|reopener| reopener.has(path))
    }

    /// Why one of several files is not opened after its syncs have failed. Otherwise a disk that opens files
    /// and syncs none would end one run after the other. A trial beside the file does not show that the file
    /// itself can be synced.
    fn cannot_sync(&self, path: &Path) -> Option<OpenError> {
        if self.failed_syncs.held_until(path).is_some_and(|until| Instant::now() < until) {
            return Some(OpenError::Retry(format!("cannot sync {}, again and again", path.display())));
        }
        let error = logfile::try_disk(path).err()?;
        Some(OpenError::Retry(format!("cannot write beside {}: {error}", path.display())))
    }

    /// How records are routed, if they decide which files there are.
    pub(super) fn routing(&self) -> Option<Routing> {
        match &self.files {
            JobFiles::Set(_, routing) => Some(routing.clone()),
            _ => None,
        }
    }

    /// Waits for these files until each can be opened, and logs what they wait for.
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn await_files(&mut self, refused: Vec<(PathBuf, OpenError)>) -> Result<(), Fault> {
        for (path, error) in refused {
            let JobFiles::Topics(options, topics) = &self.files else { continue };
            let number = options.paths.iter().position(|one| *one == path);
            let Some(topic) = number.and_then(|number| topics.get(number)) else { continue };
            topic.health.down(Stage::Opening, &error.into_text());
            if self.returned.remove(&path) {
                // It seemed to be usable, and was not. The pauses grow, or one run ends after the other.
                self.failed_syncs.record(&path);
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

    /// Says whether a file can be opened that could not before.
    pub(super) fn watch(&self) -> Box<dyn Fn() -> bool + Send> {
        match &self.reopener {
            Some(reopener) => Box::new(reopener.watch()),
            None => Box::new(|| false),
        }
    }

    /// A run has ended that may have lost writes.
    pub(super) fn record_lost_writes(&mut self) {
        self.lost_writes = true;
    }

    /// A sync of this file has failed.
    pub(super) fn record_failed_sync(&mut self, path: &Path) {
        self.failed_syncs.record(path);
        if matches!(&self.files, JobFiles::Topics(_, topics) if topics.len() > 1) {
            self.unsynced.insert(path.to_owned());
        }
    }
}

fn log_file_options(section: &Section) -> LogFileOptions {
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
    LogFileOptions { job: NAME, sync: file.sync == SyncPolicy::Always, rotation }
}

fn files_of(section: &Section, options: &LogFileOptions, conditions: &Conditions) -> JobFiles {
    let (file, base, log_file) = (&section.log_file, section.journal(), options.clone());
    match section.files() {
        Some(mut paths) if !file.path.names_topic() => JobFiles::One(paths.pop().unwrap_or_default()),
        Some(paths) => {
            let of_topic = |topic: &String| TopicFile {
                topic: topic.clone(),
                health: Arc::new(
                    JobHealth::new(format!("{NAME}: the topic {topic}"))
                        .shown_as(conditions.thing(format!("the file of the topic {topic}"))),
                ),
            };
            let names = section.kafka.topics.names().to_vec();
            let topics = names.iter().map(of_topic).collect();
            JobFiles::Topics(TopicFilesOptions { base, paths, topics: names, log_file }, topics)
        }
        None => {
            let complete_dir = Some(file.complete.clone()).filter(|path| !path.as_os_str().is_empty());
            let (open_max, new_max) = (file.open as usize, file.new_files as usize);
            let complete_gzip = file.complete_gzip;
            let set = FileSetOptions { base, log_file, complete_dir, complete_gzip, open_max, new_max };
            let routing = Routing::of(file, set.files_max());
            JobFiles::Set(set, routing)
        }
    }
}
