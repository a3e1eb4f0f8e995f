//! The settings of a member of a consumer group.

use std::time::Duration;

use super::topic_snapshot::SubscribedTopics;

/// The settings of a member.
#[derive(Debug, Clone)]
pub struct MemberConfig {
    /// The group's name.
    pub group: String,
    /// The topics that the member subscribes to.
    pub topics: SubscribedTopics,
    /// The session timeout: if no heartbeat comes for this long, the coordinator removes the member.
    pub session: Duration,
    /// The `group.instance.id` (KIP-345): no other member has it, and it is the same after a restart.
    pub instance: String,
    /// The member id of the last run, if it is known. Used where the coordinator has no static
    /// members.
    pub id: Option<String>,
    /// How often the threads do their work.
    pub pace: GroupIntervals,
}

/// How often a member's threads do their work.
#[derive(Debug, Clone, Copy)]
pub struct GroupIntervals {
    /// Between two heartbeats.
    pub heartbeat: Duration,
    /// Between two requests for the topics' metadata.
    pub look: Duration,
    /// After this time offsets that have not changed are committed again: brokers delete an offset that is
    /// not committed for a long time (`offsets.retention.minutes`).
    pub renew: Duration,
    /// The rebalance timeout: how long a member may take to release its partitions and join again.
    pub rebalance: Duration,
}

impl GroupIntervals {
    /// The intervals for a session timeout of this length.
    pub fn of(session: Duration) -> Self {
        Self {
            // The other members learn of a rebalance only from the answer to their next heartbeat.
            heartbeat: (session / 20).min(Duration::from_secs(1)),
            look: Duration::from_secs(10),
            renew: Duration::from_secs(6 * 3600),
            rebalance: Duration::from_secs(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Several heartbeats may be lost before the session ends, and a long session costs the coordinator no
    /// fewer: the other members learn of a rebalance only from the answers.
    #[test]
    fn a_session_has_many_heartbeats() {
        for seconds in [6, 10, 45, 1800] {
            let session = Duration::from_secs(seconds);
            let beat = GroupIntervals::of(session).heartbeat;
            assert!(beat * 10 <= session && beat <= Duration::from_secs(1), "{beat:?} for {session:?}");
            assert!(beat >= Duration::from_millis(100), "{beat:?} for {session:?}");
        }
    }
}
