//! What works and what does not at this moment, for whoever looks at the running process: the servers of a
//! job, and whatever else it may have to wait for. Outages keep it up to date.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often an answer is noted. More often would only cost time.
const HEARD_INTERVAL: Duration = Duration::from_millis(250);

/// The kind of a server. It is a label of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServerKind {
    /// The brokers of a Kafka cluster.
    Kafka,
    /// One Redis server.
    Redis,
}

impl fmt::Display for ServerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ServerKind::Kafka => "kafka",
            ServerKind::Redis => "redis",
        })
    }
}

/// Whether one thing works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConditionState {
    /// Nothing is known yet.
    Unknown,
    /// It works.
    Up {
        /// Since when.
        since: Instant,
    },
    /// It does not work.
    Down {
        /// Since when.
        since: Instant,
        /// Why, and what to do about it where that is known.
        why: String,
    },
}

/// One thing that works or does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionView {
    /// What it is, e.g. `redis_list 127.0.0.1:6379` or `the group`.
    pub subject: String,
    /// The kind, if it is a server.
    pub server: Option<ServerKind>,
    /// Whether it works.
    pub state: ConditionState,
    /// When it last gave an answer.
    pub heard: Option<Instant>,
}

/// The conditions of one job. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Conditions(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    all: BTreeMap<u64, ConditionView>,
}

impl Conditions {
    /// A server of the job. It stays listed from now on: when a run of the job is built again, the
    /// server's state is still known.
    pub fn server(&self, kind: ServerKind, subject: impl Into<String>) -> Condition {
        let subject = subject.into();
        let mut entries = self.lock();
        let known = entries.all.iter().find(|(_, one)| one.server == Some(kind) && one.subject == subject);
        let known = known.map(|(id, _)| *id);
        let id = known.unwrap_or_else(|| entries.add(subject, Some(kind)));
        Condition { all: self.clone(), id, is_server: true, noted: Noted::Nothing }
    }

    /// Something else that the job may wait for. It is listed until the value is dropped.
    pub fn thing(&self, subject: impl Into<String>) -> Condition {
        let id = self.lock().add(subject.into(), None);
        Condition { all: self.clone(), id, is_server: false, noted: Noted::Nothing }
    }

    /// All of them, in the order in which they were first listed.
    pub fn list(&self) -> Vec<ConditionView> {
        self.lock().all.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn add(&mut self, subject: String, server: Option<ServerKind>) -> u64 {
        self.next += 1;
        let view = ConditionView { subject, server, state: ConditionState::Unknown, heard: None };
        self.all.insert(self.next, view);
        self.next
    }
}

/// Keeps one condition. Its owner says what has happened.
#[derive(Debug)]
pub struct Condition {
    all: Conditions,
    id: u64,
    is_server: bool,
    noted: Noted,
}

/// What the owner noted last, so that the lock is taken only for news.
#[derive(Debug, PartialEq, Eq)]
enum Noted {
    Nothing,
    Up(Instant),
    Down(String),
}

impl Condition {
    /// It does not work since `since`, because of `why`.
    pub fn down(&mut self, since: Instant, why: &str) {
        if matches!(&self.noted, Noted::Down(noted) if noted == why) {
            return;
        }
        self.noted = Noted::Down(why.to_owned());
        self.change(|view| {
            let since = match view.state {
                ConditionState::Down { since: before, .. } => before,
                ConditionState::Unknown | ConditionState::Up { .. } => since,
            };
            view.state = ConditionState::Down { since, why: why.to_owned() };
        });
    }

    /// It works: an answer has come.
    pub fn up(&mut self, now: Instant) {
        if matches!(self.noted, Noted::Up(at) if now.saturating_duration_since(at) < HEARD_INTERVAL) {
            return;
        }
        self.noted = Noted::Up(now);
        self.change(|view| {
            view.heard = Some(now);
            if !matches!(view.state, ConditionState::Up { .. }) {
                view.state = ConditionState::Up { since: now };
            }
        });
    }

    /// What was said last does not count any more.
    pub fn forget(&mut self) {
        self.noted = Noted::Nothing;
        self.change(|view| view.state = ConditionState::Unknown);
    }

    fn change(&self, how: impl FnOnce(&mut ConditionView)) {
        if let Some(view) = self.all.lock().all.get_mut(&self.id) {
            how(view);
        }
    }
}

impl Drop for Condition {
    fn drop(&mut self) {
        if !self.is_server {
            self.all.lock().all.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(conditions: &Conditions) -> Vec<(String, ConditionState)> {
        conditions.list().into_iter().map(|one| (one.subject, one.state)).collect()
    }

    #[test]
    fn a_server_keeps_its_state_and_other_things_end_with_their_owner() {
        let (conditions, now) = (Conditions::default(), Instant::now());
        let mut server = conditions.server(ServerKind::Redis, "redis_list a:1");
        let mut group = conditions.thing("the group");
        let unknown = |subject: &str| (subject.to_owned(), ConditionState::Unknown);
        assert_eq!(states(&conditions), [unknown("redis_list a:1"), unknown("the group")]);
        let down = |why: &str| ConditionState::Down { since: now, why: why.to_owned() };
        server.down(now, "refused");
        group.down(now, "no coordinator");
        assert_eq!(states(&conditions)[1].1, down("no coordinator"));
        drop((server, group));
        assert_eq!(states(&conditions), [("redis_list a:1".to_owned(), down("refused"))]);

        let mut server = conditions.server(ServerKind::Redis, "redis_list a:1");
        let later = now + Duration::from_secs(5);
        server.down(later, "timed out");
        assert_eq!(states(&conditions)[0].1, down("timed out"), "one outage, whatever its reasons");
        server.up(later);
        assert_eq!(states(&conditions)[0].1, ConditionState::Up { since: later });
        assert_eq!(conditions.list()[0].heard, Some(later));
        server.up(later + HEARD_INTERVAL);
        assert_eq!(conditions.list()[0].heard, Some(later + HEARD_INTERVAL));
        assert_eq!(states(&conditions)[0].1, ConditionState::Up { since: later });
        server.down(later + HEARD_INTERVAL, "timed out");
        let since = later + HEARD_INTERVAL;
        let why = "timed out".to_owned();
        assert_eq!(states(&conditions)[0].1, ConditionState::Down { since, why }, "another outage");
        server.forget();
        assert_eq!(states(&conditions)[0].1, ConditionState::Unknown);
    }
}
