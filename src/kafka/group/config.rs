//! As whom to be a member, of what, and how often what is done.

use std::time::Duration;

use super::topic_snapshot::SubscribedTopics;

/// As whom to be a member, and of what.
#[derive(Debug, Clone)]
pub struct MemberConfig {
    /// The group's name.
    pub group: String,
    /// What is to be read.
    pub topics: SubscribedTopics,
    /// Without a sign of life for this long a member counts as dead.
    pub session: Duration,
    /// A name of its own that no other member has, and that is the same after a restart.
    pub instance: String,
    /// The name that the coordinator gave the last time, if that is known.
    pub id: Option<String>,
    /// How often what is done.
    pub pace: GroupIntervals,
}

/// How often what is done.
#[derive(Debug, Clone, Copy)]
pub struct GroupIntervals {
    /// A sign of life is given.
    pub heartbeat: Duration,
    /// The topics are looked at.
    pub look: Duration,
    /// Offsets that have not moved are committed again.
    pub renew: Duration,
    /// What a member may take to let go and join again.
    pub rebalance: Duration,
}

impl GroupIntervals {
    /// For a session of this length.
    pub fn of(session: Duration) -> Self {
        Self {
            // Others hear only with their next heartbeat that one has died.
            heartbeat: (session / 20).min(Duration::from_secs(1)),
            look: Duration::from_secs(10),
            renew: Duration::from_secs(6 * 3600),
            rebalance: Duration::from_secs(30),
        }
    }
}
