//! The jobs: what pandad does. Each is put together from its configuration, a
//! pipeline and the servers it needs; none knows another.

mod kafka_to_file;

use std::sync::Arc;

use crate::config::Config;
use crate::error::{ConfigFault, Fault};
use crate::report::Counters;
use crate::shutdown::Stop;

/// One job, ready to be run in a thread of its own.
pub trait Job: Send {
    /// Its name on the command line and in every log line.
    fn name(&self) -> &'static str;

    /// What the state line shows.
    fn counters(&self) -> Arc<Counters>;

    /// Looks for local faults (the log directory, a lock): called once, before any job runs.
    ///
    /// # Errors
    /// Every fault found.
    fn prepare(&mut self) -> Result<(), Vec<ConfigFault>>;

    /// Runs until the stop.
    ///
    /// # Errors
    /// `Wait`: call again after a pause. `Never`: the job has failed for good.
    fn run(&mut self, stop: &Stop) -> Result<(), Fault>;
}

/// The names of all jobs, as `--only` takes them.
pub const NAMES: [&str; 3] = [kafka_to_file::NAME, "expired_to_list", "list_to_hash"];

/// The jobs that the configuration asks for.
pub fn configured(config: &Config) -> Vec<Box<dyn Job>> {
    let mut jobs: Vec<Box<dyn Job>> = Vec::new();
    if let Some(section) = &config.kafka_to_file {
        let file = config.path.display().to_string();
        jobs.push(Box::new(kafka_to_file::KafkaToFile::new(section.clone(), config.daemon.memory, file)));
    }
    jobs
}
