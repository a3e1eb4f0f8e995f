//! The came-back guard: an item is the name of a marker key that expired. If that key is
//! there again, its user has come back and is left alone.
//!
//! Where the markers are on the server of the hashes, looking and deleting is one: WATCH
//! has the deletion fail if a marker comes to be in between. Elsewhere it is looked just
//! before, and whoever comes back in that moment is deleted all the same.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::NAME;
use crate::error::Fault;
use crate::redis::{Args, Health, Link, RedisConnection, RedisError, RedisServer, Requests, Value, cmd};

/// Where markers are, and which items name one: shared by all workers.
pub(super) struct MarkerSettings {
    expire: Arc<RedisServer>,
    health: Health,
    prefix: Vec<u8>,
    /// Database of the hashes, and of the markers, if both are on one server.
    databases: Option<(u32, u32)>,
    /// Whether that server lets us watch keys.
    watches: Arc<AtomicBool>,
}

impl MarkerSettings {
    pub(super) fn new(expire: Arc<RedisServer>, ar: &RedisServer, prefix: String) -> Self {
        // As the configuration names them: two names for one server count as two servers.
        let one = expire.address == ar.address && expire.user == ar.user;
        Self {
            health: Health::new(NAME, &expire),
            databases: one.then_some((ar.database, expire.database)),
            expire,
            prefix: prefix.into_bytes(),
            watches: Arc::new(AtomicBool::new(true)),
        }
    }

    /// For one worker.
    pub(super) fn for_worker(&self) -> MarkerLookup {
        MarkerLookup {
            link: Link::new(Arc::clone(&self.expire), self.health.clone()),
            prefix: self.prefix.clone(),
            databases: self.databases,
            watches: Arc::clone(&self.watches),
            requests: Requests::default(),
            names: Args::default(),
        }
    }
}

impl fmt::Display for MarkerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.databases.is_some() { "in one step with deleting" } else { "just before deleting" };
        write!(f, "markers on {} are looked at {how}", self.expire)
    }
}

/// One worker's view of the markers.
pub(super) struct MarkerLookup {
    link: Link,
    prefix: Vec<u8>,
    databases: Option<(u32, u32)>,
    watches: Arc<AtomicBool>,
    requests: Requests,
    names: Args,
}

impl MarkerLookup {
    /// Whether looking and deleting can be one.
    pub(super) fn is_atomic(&self) -> bool {
        self.databases.is_some() && self.watches.load(SeqCst)
    }

    /// Which of the items, in their order, name a marker that is there, by a look of its own.
    ///
    /// # Errors
    /// `RetryLogged`: the server does not serve.
    pub(super) fn existing(&mut self, items: &[&[u8]]) -> Result<Vec<bool>, Fault> {
        let Self { link, prefix, requests, names, .. } = self;
        link.with_retry(|connection| exist(connection, items, prefix, requests, names))
    }

    /// The same on the connection to the hashes, which hears from now on until the next
    /// EXEC or UNWATCH of every marker that comes to be; `None`: the server does not let us,
    /// and from now on [`MarkerLookup::existing`] has to do.
    ///
    /// # Errors
    /// The server's.
    pub(super) fn watch(
        &mut self,
        connection: &mut RedisConnection,
        items: &[&[u8]],
    ) -> Result<Option<Vec<bool>>, RedisError> {
        let Some((hashes, markers)) = self.databases else { return Ok(None) };
        if hashes != markers {
            connection.ask(cmd("SELECT").arg(markers))?;
        }
        let there = self.watch_here(connection, items);
        if hashes != markers && !matches!(there, Err(RedisError::Lost(_))) {
            connection.ask(cmd("SELECT").arg(hashes))?;
        }
        match there {
            Err(error) if error.has_code("NOPERM") || error.text_contains("unknown command") => {
                if self.watches.swap(false, SeqCst) {
                    log::warn!(
                        "{NAME}: redis_ar does not let markers be watched, so they are looked at just before deleting: {error}"
                    );
                }
                Ok(None)
            }
            there => there.map(Some),
        }
    }

    fn watch_here(
        &mut self,
        connection: &mut RedisConnection,
        items: &[&[u8]],
    ) -> Result<Vec<bool>, RedisError> {
        let Self { prefix, requests, names, .. } = self;
        names.clear();
        items.iter().filter(|item| item.starts_with(prefix)).for_each(|item| names.add(item));
        if !names.is_empty() {
            connection.demand_all(requests.clear().add_with(&[b"WATCH"], names))?;
        }
        exist(connection, items, prefix, requests, names)
    }
}

/// Which items name a key that is there. Most often none does, which one command tells.
fn exist(
    connection: &mut RedisConnection,
    items: &[&[u8]],
    prefix: &[u8],
    requests: &mut Requests,
    names: &mut Args,
) -> Result<Vec<bool>, RedisError> {
    let guarded = |item: &[u8]| item.starts_with(prefix);
    let mut there = vec![false; items.len()];
    names.clear();
    items.iter().filter(|item| guarded(item)).for_each(|item| names.add(item));
    if names.is_empty() {
        return Ok(there);
    }
    requests.clear().add_with(&[b"EXISTS"], names);
    if connection.demand_all(requests)?.first() == Some(&Value::Int(0)) {
        return Ok(there);
    }
    requests.clear();
    for item in items.iter().filter(|item| guarded(item)) {
        requests.add(cmd("EXISTS").arg(*item));
    }
    let mut answers = connection.demand_all(requests)?.into_iter();
    for (_, there) in items.iter().zip(&mut there).filter(|(item, _)| guarded(item)) {
        *there = answers.next() == Some(Value::Int(1));
    }
    Ok(there)
}
