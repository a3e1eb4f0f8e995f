//! `pandad dead FILE list|retry|drop`: shows the items that could not be done, puts them back
//! on the work list, or deletes them.

use crate::config::{Config, RedisConfig};
use crate::error::Error;
use crate::jobs;
use crate::plural::counted;
use crate::queue::QueueKeys;
use crate::queue::dead_list::{self, DeadItem};
use crate::redis::RedisConnection;

/// What to do with the dead list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Show the dead list.
    List,
    /// Put the items back on the work list.
    Retry,
    /// Delete the items.
    Drop,
}

impl Action {
    /// The action of this name on the command line.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "list" => Action::List,
            "retry" => Action::Retry,
            "drop" => Action::Drop,
            _ => return None,
        })
    }
}

/// Carries out the action on the work list's server; each line goes to `print`.
///
/// # Errors
/// `Failed`: no Redis job is configured, or the server does not serve.
pub fn run(
    config: &Config,
    action: Action,
    mut print: impl FnMut(&str) -> Result<(), Error>,
) -> Result<(), Error> {
    let (list, key) = work_list(config)
        .ok_or_else(|| Error::Failed("there is no work list: no Redis job is configured".to_owned()))?;
    let server = jobs::redis_server("redis_list", list, "pandad:dead");
    let keys = QueueKeys::new(key);
    let failed = |error| Error::Failed(format!("{server}: {error}"));
    let mut connection = RedisConnection::open(&server).map_err(failed)?;
    match action {
        Action::List => {
            let mut printed = Ok(());
            dead_list::list(&mut connection, &keys, |entry| {
                if printed.is_ok() {
                    printed = print(&line(&entry));
                }
            })
            .map_err(failed)?;
            printed
        }
        Action::Retry => {
            let count = dead_list::retry(&mut connection, &keys).map_err(failed)?;
            print(&format!("{} put back on {key}", counted(count, "item")))
        }
        Action::Drop => {
            let count = dead_list::drop_all(&mut connection, &keys).map_err(failed)?;
            print(&format!("{} deleted", counted(count, "item")))
        }
    }
}

fn work_list(config: &Config) -> Option<(&RedisConfig, &str)> {
    let done = config.list_to_hash.as_ref().map(|job| (&job.list, job.list_key.as_str()));
    done.or_else(|| config.expired_to_list.as_ref().map(|job| (&job.list, job.list_key.as_str())))
}

/// Time, reason and item, separated by tabs. Bytes of the item that cannot be printed are escaped.
fn line(entry: &DeadItem) -> String {
    let time = i64::try_from(entry.time).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let time = time.map_or_else(|| entry.time.to_string(), |time| time.to_string());
    format!("{time}\t{}\t\"{}\"", entry.reason, entry.item.escape_ascii())
}
