//! A few figures of the last hour, for the small charts of the page.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::snapshot::Snapshot;
use crate::report::{FigureValue, JobState};

/// How far apart two samples are.
pub const SAMPLE_INTERVAL: Duration = Duration::from_secs(10);
/// One hour of samples.
const SAMPLES_MAX: usize = 360;

/// What was kept of one job at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When, in milliseconds since 1970.
    pub taken_ms: i64,
    /// How many records, keys or items were done since the start.
    pub done: u64,
    /// How much was to do; `None` if nobody had said it.
    pub lag: Option<u64>,
    /// How late the latest key was, in milliseconds.
    pub late_ms: Option<f64>,
    /// The state of the job.
    pub state: JobState,
}

/// The name of a job and its samples.
type JobSamples = (&'static str, VecDeque<Sample>);

/// The samples of all jobs, oldest first. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct History(Arc<Mutex<Vec<JobSamples>>>);

impl History {
    /// Keeps what this snapshot says.
    pub fn record(&self, snapshot: &Snapshot) {
        let mut all = self.lock();
        for job in &snapshot.jobs {
            let count = |keys: &[&str]| {
                let figure = job.figures.iter().find(|figure| keys.contains(&figure.key))?;
                match figure.value {
                    FigureValue::Count(count) => Some(count),
                    _ => None,
                }
            };
            let late = job.figures.iter().find(|figure| figure.key == "late_ms");
            let sample = Sample {
                taken_ms: snapshot.taken_ms,
                done: count(&["records", "keys", "items"]).unwrap_or(0),
                lag: job.behind(),
                late_ms: late.and_then(|figure| match figure.value {
                    FigureValue::Measured(number) => Some(number),
                    _ => None,
                }),
                state: job.state,
            };
            let samples = match all.iter_mut().find(|(name, _)| *name == job.name) {
                Some((_, samples)) => samples,
                None => {
                    all.push((job.name, VecDeque::new()));
                    let Some((_, samples)) = all.last_mut() else { continue };
                    samples
                }
            };
            samples.push_back(sample);
            if samples.len() > SAMPLES_MAX {
                samples.pop_front();
            }
        }
    }

    /// All samples of each job.
    pub fn all(&self) -> Vec<(&'static str, Vec<Sample>)> {
        self.lock().iter().map(|(name, samples)| (*name, samples.iter().cloned().collect())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<JobSamples>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
