//! What each instance deletes from. All instances of a work list must delete from the same hashes: each item
//! is done by one of these alone.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::keys::QueueKeys;
use crate::host;
use crate::redis::{RedisConnection, RedisError, RedisServer, Value, cmd};

/// How many hashes a log line names.
const NAMED_HASHES_MAX: usize = 5;

/// What an instance deletes from, as it is published: a line for each of the process, the server's address,
/// its database, and the hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets {
    /// The process of the instance, for people.
    process: String,
    /// The server of the hashes, as the instance calls it.
    server: String,
    database: u32,
    hashes: BTreeSet<String>,
}

/// How the targets of two instances differ.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TargetDifference {
    /// They delete from different hashes, or in different databases. The text says which.
    Hashes(String),
    /// They name the server in different ways.
    Server,
}

/// The targets of this instance, and the other instances whose targets differ, as they were logged.
pub(super) struct TargetComparison {
    job: &'static str,
    list: String,
    own: Targets,
    logged: BTreeMap<String, Targets>,
}

impl Targets {
    /// This process deletes from these hashes on this server.
    pub fn of(server: &RedisServer, hashes: &[String]) -> Self {
        let here = host::name().unwrap_or_default();
        Self {
            process: format!("{here}, process {}", std::process::id()),
            server: server.shared_address(&here),
            database: server.database,
            hashes: hashes.iter().cloned().collect(),
        }
    }

    fn encode(&self) -> String {
        let hashes: String = self.hashes.iter().map(|hash| format!("\n{hash}")).collect();
        format!("{}\n{}\n{}{hashes}", self.process, self.server, self.database)
    }

    fn decode(text: &str) -> Option<Self> {
        let mut lines = text.split('\n').map(str::to_owned);
        let (process, server) = (lines.next()?, lines.next()?);
        Some(Self { process, server, database: lines.next()?.parse().ok()?, hashes: lines.collect() })
    }

    /// How the targets of another instance differ from these.
    pub(super) fn difference(&self, other: &Self) -> Option<TargetDifference> {
        let mut parts = Vec::new();
        if self.database != other.database {
            parts.push(format!("database {} here and {} there", self.database, other.database));
        }
        for (of, not_of, place) in [(self, other, "here"), (other, self, "there")] {
            let only: Vec<&str> = of.hashes.difference(&not_of.hashes).map(String::as_str).collect();
            if !only.is_empty() {
                parts.push(format!("only {place}: {}", named(&only)));
            }
        }
        if !parts.is_empty() {
            return Some(TargetDifference::Hashes(parts.join("; ")));
        }
        (self.server != other.server).then_some(TargetDifference::Server)
    }
}

impl TargetComparison {
    pub(super) fn new(job: &'static str, list: &str, own: Targets) -> Self {
        Self { job, list: list.to_owned(), own, logged: BTreeMap::new() }
    }

    /// Publishes the targets of this instance.
    pub(super) fn publish(
        &self,
        connection: &mut RedisConnection,
        keys: &QueueKeys,
        instance: &str,
    ) -> Result<(), RedisError> {
        connection.ask(cmd("HSET").arg(keys.targets()).arg(instance).arg(self.own.encode())).map(drop)
    }

    /// Reads the targets of the other instances that live, and logs those that differ.
    pub(super) fn check(
        &mut self,
        connection: &mut RedisConnection,
        keys: &QueueKeys,
        alive: &HashSet<String>,
    ) -> Result<(), RedisError> {
        let mut differing = BTreeMap::new();
        for (instance, targets) in published(connection, keys)? {
            if alive.contains(&instance)
                && let Some(difference) = self.own.difference(&targets)
            {
                if self.logged.get(&instance) != Some(&targets) {
                    self.log(&targets, &difference);
                }
                differing.insert(instance, targets);
            }
        }
        if differing.is_empty() && !self.logged.is_empty() {
            log::info!("{}: all pandads of {} delete from the same hashes again", self.job, self.list);
        }
        self.logged = differing;
        Ok(())
    }

    fn log(&self, other: &Targets, difference: &TargetDifference) {
        let (job, list, process) = (self.job, &self.list, &other.process);
        match difference {
            TargetDifference::Hashes(what) => log::error!(
                "{job}: another pandad of {list} ({process}) deletes from other hashes: {what}; each item is \
                 done by one of the two, so fields are left over: give both the same redis_ar['hashes'] and \
                 database"
            ),
            TargetDifference::Server => log::warn!(
                "{job}: another pandad of {list} ({process}) deletes on {}, and this one on {}; if these are \
                 not the same server, each item is done on one of the two only",
                other.server,
                self.own.server
            ),
        }
    }

    /// The instances with other targets, and these, as last read.
    #[cfg(test)]
    pub(super) fn differing(&self) -> &BTreeMap<String, Targets> {
        &self.logged
    }
}

/// What instances have published, living or not.
fn published(
    connection: &mut RedisConnection,
    keys: &QueueKeys,
) -> Result<Vec<(String, Targets)>, RedisError> {
    let Value::Array(values) = connection.ask(cmd("HGETALL").arg(keys.targets()))? else {
        return Ok(Vec::new());
    };
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    };
    let pair = |pair: &[Value]| Some((text(pair.first()?), Targets::decode(&text(pair.get(1)?))?));
    Ok(values.chunks_exact(2).filter_map(pair).collect())
}

/// The first of these names, and how many more there are.
fn named(names: &[&str]) -> String {
    let shown = names.iter().take(NAMED_HASHES_MAX).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED_HASHES_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn targets(hashes: &[&str]) -> Targets {
        let hashes = hashes.iter().map(|hash| (*hash).to_owned()).collect();
        Targets { process: "a 1".to_owned(), server: "h:1".to_owned(), database: 0, hashes }
    }

    #[test]
    fn a_difference_is_named() {
        let own = targets(&["a", "b", "c"]);
        assert_eq!(own.difference(&targets(&["c", "b", "a"])), None);
        let said = |other: &Targets| match own.difference(other) {
            Some(TargetDifference::Hashes(what)) => what,
            other => panic!("{other:?}"),
        };
        assert_eq!(said(&targets(&["a", "d"])), "only here: b, c; only there: d");
        let many: Vec<String> = (0..9).map(|n| format!("h{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).chain(["a", "b", "c"]).collect();
        assert_eq!(said(&targets(&many)), "only there: h0, h1, h2, h3, h4 and 4 more");
        assert_eq!(said(&Targets { database: 2, ..own.clone() }), "database 0 here and 2 there");
        // Two names of one server are no fault; neither are two processes.
        let elsewhere = Targets { server: "h:2".to_owned(), process: "b 2".to_owned(), ..own.clone() };
        assert_eq!(own.difference(&elsewhere), Some(TargetDifference::Server));
    }

    proptest! {
        #[test]
        fn targets_are_read_as_they_were_published(
            process in "[a-z0-9 ]{0,9}", server in "[a-z:/]{0,9}", database: u32,
            hashes in proptest::collection::btree_set("[^\n]{1,9}", 0..9),
        ) {
            let targets = Targets { process, server, database, hashes };
            prop_assert_eq!(Targets::decode(&targets.encode()), Some(targets));
        }

        #[test]
        fn other_bytes_are_no_panic(text: String) {
            Targets::decode(&text);
        }
    }
}
