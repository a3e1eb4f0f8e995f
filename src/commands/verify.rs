//! `pandad verify FILE`: compares the log files with their topics, and says what is wrong.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::{Config, FileFormat, KafkaToFileConfig};
use crate::error::Error;
use crate::host;
use crate::jobs;
use crate::kafka::AutoFetcher;
use crate::logfile::parts::{LogPath, SetPath, TopicPath};
use crate::logging;
use crate::moment::Moment;
use crate::verify::{self, FilesVerdict, LinePlaces, PartitionChoice, ReadLimits, VerifyRequest};

/// How often the progress is shown on a terminal.
const TERMINAL_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is shown elsewhere.
const OTHER_INTERVAL: Duration = Duration::from_secs(10);

/// What is to be compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyOptions {
    /// Only this partition.
    pub choice: Option<PartitionChoice>,
    /// Only from this moment on.
    since: Option<Moment>,
    /// Other directories with files of the log.
    pub directories: Vec<PathBuf>,
    /// The most bytes a second from the brokers.
    pub rate: Option<u64>,
}

impl VerifyOptions {
    /// Compares only from this moment on.
    ///
    /// # Errors
    /// What was expected.
    pub fn since(&mut self, text: &str) -> Result<(), String> {
        self.since = Some(Moment::parse(text)?);
        Ok(())
    }
}

/// Compares, and prints the result. If nothing can be compared, it prints why.
///
/// # Errors
/// `Usage`: the configuration has no log file. Otherwise those of `print`.
pub fn run(
    config: &Config,
    options: VerifyOptions,
    mut print: impl FnMut(&str) -> Result<(), Error>,
) -> Result<FilesVerdict, Error> {
    let Some(section) = &config.kafka_to_file else {
        return Err(Error::Usage("verify: there is no [log_section], and so no log file".to_owned()));
    };
    if let Err(error) = host::raise_open_files_max() {
        // Each log file stays open while it is compared; without the raise there are fewer.
        log::debug!("the limit of open files stays: {error}");
    }
    let is_terminal = logging::has_terminal();
    let interval = if is_terminal { TERMINAL_INTERVAL } else { OTHER_INTERVAL };
    let show = move |text: &str| logging::show_progress(text, is_terminal);
    let compared = verify::run(request(section, options, (Box::new(show), interval)));
    if is_terminal {
        logging::show_progress("", true);
    }
    match compared {
        Ok(report) => report.lines.iter().try_for_each(|line| print(line)).map(|()| report.verdict),
        Err(why) => print(&format!("not judged: {why}")).map(|()| FilesVerdict::NotJudged),
    }
}

fn request(
    section: &KafkaToFileConfig,
    options: VerifyOptions,
    progress: (verify::ShowProgress, Duration),
) -> VerifyRequest {
    let (cluster, kind) = (jobs::kafka_cluster(section, false), jobs::fetcher_kind(section));
    VerifyRequest {
        logs: logs(section),
        directories: options.directories,
        choice: options.choice,
        since: options.since.map(Moment::millis_now),
        formatter: jobs::line_formatter(&section.log_file),
        places: match section.log_file.format {
            FileFormat::Json => LinePlaces::Json,
            FileFormat::Original => LinePlaces::Original,
            FileFormat::Raw | FileFormat::Template => LinePlaces::Nothing,
        },
        may_be_deleted: may_be_deleted(section),
        make_fetcher: Box::new(move || Box::new(AutoFetcher::new(cluster.clone(), kind))),
        limits: ReadLimits { rate: options.rate, ..ReadLimits::default() },
        exact_lines: VerifyRequest::EXACT_LINES,
        progress,
    }
}

/// Where the log files are: each topic's, or those of a path of which the records decide which files there
/// are.
fn logs(section: &KafkaToFileConfig) -> Vec<LogPath> {
    let topics = section.kafka.topics.names();
    match section.files() {
        Some(paths) if !section.log_file.path.names_topic() => paths.into_iter().map(LogPath::File).collect(),
        Some(paths) => TopicPath::all(&section.journal(), topics, paths).map(LogPath::Topic).collect(),
        None => {
            let file = &section.log_file;
            let complete = Some(file.complete.as_path()).filter(|path| !path.as_os_str().is_empty());
            vec![LogPath::Set(SetPath::new(file.path.clone(), topics.to_vec(), complete))]
        }
    }
}

/// Whether keep rules can have deleted rotated files, if there are so many.
fn may_be_deleted(section: &KafkaToFileConfig) -> Box<dyn Fn(usize) -> bool> {
    let file = &section.log_file;
    let is_rotated = file.rotate_size.is_some() || file.rotate_every.is_some();
    let by_size_or_age = file.keep_bytes.is_some() || file.keep_days.is_some();
    let keep = file.rotate_keep as usize;
    Box::new(move |rotated| is_rotated && (by_size_or_age || rotated >= keep))
}
