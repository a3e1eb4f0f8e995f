//! `pandad dead FILE list|reasons|retry|drop`: shows the items that could not be done, all of them or how
//! many for each reason, puts them back on the work list, or deletes them.

use std::collections::BTreeMap;

use crate::config::{Config, RedisConfig};
use crate::error::Error;
use crate::jobs;
use crate::plural::counted;
use crate::queue::QueueKeys;
use crate::queue::dead_list::{self, DeadChoice, DeadItem};
use crate::redis::RedisConnection;

/// What to do with the dead list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Show the dead list.
    List,
    /// Show how many items there are for each reason.
    Reasons,
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
            "reasons" => Action::Reasons,
            "retry" => Action::Retry,
            "drop" => Action::Drop,
            _ => return None,
        })
    }
}

/// What to do, and with which items.
#[derive(Debug, PartialEq, Eq)]
pub struct DeadOrder {
    action: Action,
    item: Option<Vec<u8>>,
    reason: Option<String>,
}

impl DeadOrder {
    /// The order that the command line gives: the name of an action, and the item or the reason that is
    /// meant.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(action: &str, item: Option<Vec<u8>>, reason: Option<String>) -> Result<Self, String> {
        let action =
            Action::named(action).ok_or("one of list, reasons, retry and drop is expected".to_owned())?;
        match (action, &item, &reason) {
            (_, Some(_), Some(_)) => Err("either an item or a reason is expected".to_owned()),
            (Action::Reasons, _, Some(_)) | (Action::Reasons | Action::List, Some(_), _) => {
                Err("only retry and drop take an item, and reasons takes nothing".to_owned())
            }
            _ => Ok(Self { action, item, reason }),
        }
    }

    fn choice(&self) -> Option<DeadChoice<'_>> {
        let item = self.item.as_deref().map(DeadChoice::Item);
        item.or_else(|| self.reason.as_deref().map(DeadChoice::Reason))
    }
}

/// Carries out the order on the work list's server; each line goes to `print`.
///
/// # Errors
/// `Failed`: no Redis job is configured, the server does not serve, or the item is not there.
pub fn run(
    config: &Config,
    order: &DeadOrder,
    mut print: impl FnMut(&str) -> Result<(), Error>,
) -> Result<(), Error> {
    let (list, key) = work_list(config)
        .ok_or_else(|| Error::Failed("there is no work list: no Redis job is configured".to_owned()))?;
    let server = jobs::redis_server("redis_list", list, "pandad:dead");
    let keys = QueueKeys::new(key);
    let failed = |error| Error::Failed(format!("{server}: {error}"));
    let mut connection = RedisConnection::open(&server).map_err(failed)?;
    let choice = order.choice();
    let puts_back = match order.action {
        Action::List => {
            let mut printed = Ok(());
            dead_list::list(&mut connection, &keys, |entry| {
                if printed.is_ok() && choice.is_none_or(|choice| choice.wants(&entry)) {
                    printed = print(&line(&entry));
                }
            })
            .map_err(failed)?;
            return printed;
        }
        Action::Reasons => {
            let mut counts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
            dead_list::list(&mut connection, &keys, |entry| {
                let (count, newest) = counts.entry(entry.reason).or_default();
                (*count, *newest) = (*count + 1, entry.time.max(*newest));
            })
            .map_err(failed)?;
            let lines =
                counts.iter().map(|(reason, (count, time))| format!("{count}\t{}\t{reason}", shown(*time)));
            return lines.into_iter().try_for_each(|line| print(&line));
        }
        Action::Retry => true,
        Action::Drop => false,
    };
    let count = match choice {
        Some(choice) => dead_list::take_off(&mut connection, &keys, choice, puts_back),
        None if puts_back => dead_list::retry(&mut connection, &keys),
        None => dead_list::drop_all(&mut connection, &keys),
    };
    let count = count.map_err(failed)?;
    if count == 0 && choice.is_some() {
        return Err(Error::Failed("nothing of that kind is on the dead list".to_owned()));
    }
    let count = counted(count, "item");
    print(&if puts_back { format!("{count} put back on {key}") } else { format!("{count} deleted") })
}

fn work_list(config: &Config) -> Option<(&RedisConfig, &str)> {
    let done = config.list_to_hash.as_ref().map(|job| (&job.list, job.list_key.as_str()));
    done.or_else(|| config.expired_to_list.as_ref().map(|job| (&job.list, job.list_key.as_str())))
}

/// Time, reason and item, separated by tabs. Bytes of the item that cannot be printed are escaped.
fn line(entry: &DeadItem) -> String {
    format!("{}\t{}\t\"{}\"", shown(entry.time), entry.reason, entry.item.escape_ascii())
}

/// The time of an entry.
fn shown(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| seconds.to_string(), |time| time.to_string())
}
