//! The came-back guard: an item is the name of a marker key that expired. If that key exists again, its
//! user has come back, and the user's fields are not deleted.
//!
//! If the markers are on the server of the hashes, check and deletion are one step: WATCH makes the
//! deletion fail if a marker is set after the check. On another server the check comes just before the
//! deletion; if a user comes back in between, the fields are deleted.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::NAME;
use crate::error::Fault;
use crate::redis::{Args, Health, Link, RedisConnection, RedisError, RedisServer, Requests, Value, cmd};

/// Where markers are, and which items name one. Shared by all workers.
pub(super) struct MarkerSettings {
    expire: Arc<RedisServer>,
    health: Health,
    prefix: Vec<u8>,
    /// The databases of the hashes and of the markers, if both are on one server.
    databases: Option<(u32, u32)>,
    /// Whether that server allows WATCH.
    watches: Arc<AtomicBool>,
}

impl MarkerSettings {
    pub(super) fn new(expire: Arc<RedisServer>, health: Health, ar: &RedisServer, prefix: String) -> Self {
        // The servers are compared as configured: two addresses of one server count as two servers.
        let one = expire.address == ar.address && expire.user == ar.user;
        Self {
            health,
            databases: one.then_some((ar.database, expire.database)),
            expire,
            prefix: prefix.into_bytes(),
            watches: Arc::new(AtomicBool::new(true)),
        }
    }

    /// A link to the server of the markers.
    pub(super) fn link(&self) -> Link {
        Link::new(Arc::clone(&self.expire), self.health.clone())
    }

    /// A lookup for one worker.
    pub(super) fn for_worker(&self) -> MarkerLookup {
        MarkerLookup {
            link: self.link(),
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
        let how = if self.databases.is_some() {
            "in one step with the deletion"
        } else {
            "just before the deletion"
        };
        write!(f, "markers on {} are checked {how}", self.expire)
    }
}

/// The markers, for one worker.
pub(super) struct MarkerLookup {
    link: Link,
    prefix: Vec<u8>,
    databases: Option<(u32, u32)>,
    watches: Arc<AtomicBool>,
    requests: Requests,
    names: Args,
}

impl MarkerLookup {
    /// Whether check and deletion can be one step.
    pub(super) fn is_atomic(&self) -> bool {
        self.databases.is_some() && self.watches.load(SeqCst)
    }

    /// For each item in order, whether it names a marker that exists. This is the check before a
    /// deletion.
    ///
    /// # Errors
    /// `RetryLogged`: the server does not serve.
    pub(super) fn existing(&mut self, items: &[&[u8]]) -> Result<Vec<bool>, Fault> {
        let Self { link, prefix, requests, names, .. } = self;
        link.with_retry(|connection| exist(connection, items, prefix, requests, names))
    }

    /// As [`MarkerLookup::existing`], but on the connection to the hashes, which watches the markers until
    /// its next EXEC or UNWATCH. `None`: the server does not allow WATCH; from then on,
    /// [`MarkerLookup::existing`] is used.
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
        let existing = self.watch_here(connection, items);
        if hashes != markers && !matches!(existing, Err(RedisError::Lost(_))) {
            connection.ask(cmd("SELECT").arg(hashes))?;
        }
        match existing {
            Err(error) if error.has_code("NOPERM") || error.text_contains("unknown command") => {
                if self.watches.swap(false, SeqCst) {
                    log::warn!(
                        "{NAME}: redis_ar does not allow WATCH, so markers are checked just before the \
                         deletion instead of in one step with the deletion: {error}"
                    );
                }
                Ok(None)
            }
            existing => existing.map(Some),
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

/// For each item, whether it names a key that exists. Usually no such key exists, and one command shows
/// that.
fn exist(
    connection: &mut RedisConnection,
    items: &[&[u8]],
    prefix: &[u8],
    requests: &mut Requests,
    names: &mut Args,
) -> Result<Vec<bool>, RedisError> {
    let guarded = |item: &[u8]| item.starts_with(prefix);
    let mut existing = vec![false; items.len()];
    names.clear();
    items.iter().filter(|item| guarded(item)).for_each(|item| names.add(item));
    if names.is_empty() {
        return Ok(existing);
    }
    requests.clear().add_with(&[b"EXISTS"], names);
    if connection.demand_all(requests)?.first() == Some(&Value::Int(0)) {
        return Ok(existing);
    }
    requests.clear();
    for item in items.iter().filter(|item| guarded(item)) {
        requests.add(cmd("EXISTS").arg(*item));
    }
    let mut answers = connection.demand_all(requests)?.into_iter();
    for (_, exists) in items.iter().zip(&mut existing).filter(|(item, _)| guarded(item)) {
        *exists = answers.next() == Some(Value::Int(1));
    }
    Ok(existing)
}
