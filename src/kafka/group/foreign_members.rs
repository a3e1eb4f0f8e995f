//! Asks for the other members of a group, without joining it, and judges whether this pandad can use the
//! group beside them.

use std::time::Duration;

use super::protocol::{PROTOCOL_TYPE, RANGE_ASSIGNOR};
use crate::error::Fault;
use crate::kafka::client::brokers::Brokers;
use crate::kafka::client::connection::ConnectionLimits;
use crate::kafka::client::coordinator;
use crate::kafka::cluster::Cluster;
use crate::kafka::protocol::messages::{DescribeGroups, ListGroups};
use crate::kafka::protocol::refusal::Refusal;
use crate::plural::counted;

/// How many members a message names.
const MEMBERS_NAMED_MAX: usize = 3;

/// The live members of a group, and their assignor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignMembers {
    group: String,
    /// The protocol type: `consumer`, `connect` and so on.
    kind: String,
    /// The assignor; empty during a rebalance.
    protocol: String,
    /// Client id and host of each member.
    members: Vec<(String, String)>,
    /// Whether the group uses the protocol of KIP-848. DescribeGroups does not show its members.
    is_later: bool,
}

impl ForeignMembers {
    /// Asks the group's coordinator. Each connection and each answer may take up to `patience`.
    ///
    /// # Errors
    /// `Retry` or `Fatal`: the coordinator cannot be reached, or refuses.
    pub fn look(cluster: &Cluster, group: &str, patience: Duration) -> Result<Self, Fault> {
        let limits =
            ConnectionLimits { connect_timeout: patience, answer_timeout: patience, ..cluster.limits() };
        let mut brokers = Brokers::new(&cluster.brokers, cluster.dialer().with_limits(limits));
        let mut coordinator = coordinator::find(&mut brokers, group)?;
        let described = coordinator.ask(&DescribeGroups { group })?;
        let Some(found) = described.into_iter().find(|one| one.group == group) else {
            return Err(Fault::Retry("the coordinator answered for another group".to_owned()));
        };
        if !found.code.is_none() {
            return Err(Refusal::Code(found.code).fault(&format!("describe the group '{group}'")));
        }
        let members: Vec<(String, String)> =
            found.members.into_iter().map(|one| (one.client_id, one.host)).collect();
        let mut others = Self {
            group: group.to_owned(),
            kind: found.kind,
            protocol: found.protocol,
            members,
            is_later: false,
        };
        if others.members.is_empty() && others.kind.is_empty() {
            // DescribeGroups does not know the group; ListGroups may know it. ListGroups shows nothing to a
            // user without the right to list groups.
            let listed = coordinator.ask(&ListGroups)?;
            let kind = listed.groups.into_iter().find(|(name, _)| name == group).map(|(_, kind)| kind);
            others.is_later = kind.is_some();
            others.kind = kind.unwrap_or_default();
        }
        Ok(others)
    }

    /// Why a pandad cannot use the group beside these members, or on which condition it can, and what
    /// to do. `is_member`: pandad would be a member with `range`, otherwise standalone. `None`: it can
    /// use the group.
    pub fn trouble(&self, is_member: bool) -> Option<String> {
        let (group, count) = (&self.group, self.members.len());
        let remedy = "stop them or use another kafka['group']";
        if self.is_later {
            let what = format!("the group '{group}' uses the later protocol (KIP-848)");
            return Some(if is_member {
                format!(
                    "{what}: the brokers accept pandad beside its members, unless \
                     group.consumer.migration.policy forbids it"
                )
            } else {
                format!(
                    "{what}: if it has live members, it refuses the commits of a standalone pandad; {remedy}"
                )
            });
        }
        if count == 0 {
            return None;
        }
        let who = format!("the group '{group}' has {}", self.who());
        if !is_member {
            return Some(format!(
                "{who}: the partitions are assigned to them, and the commits of a pandad with \
                 kafka['membership']='alone' are refused; {remedy}"
            ));
        }
        if self.kind != PROTOCOL_TYPE {
            return Some(format!("{who} of the protocol type '{}', not consumers: {remedy}", self.kind));
        }
        (!self.protocol.is_empty() && self.protocol != RANGE_ASSIGNOR).then(|| {
            format!(
                "{who} with the assignor '{}': pandad can join only if each of them supports \
                 '{RANGE_ASSIGNOR}', too; have them use it, {remedy}",
                self.protocol
            )
        })
    }

    /// The live members, for a reader; `None` if there are none, or if DescribeGroups does not show them.
    pub fn live(&self) -> Option<String> {
        (!self.members.is_empty()).then(|| self.who())
    }

    /// Whether the group uses the protocol of KIP-848. Its live members are not known then.
    pub fn is_later(&self) -> bool {
        self.is_later
    }

    fn who(&self) -> String {
        let named = self.members.iter().take(MEMBERS_NAMED_MAX).map(|(id, host)| format!("'{id}' at {host}"));
        let mut named: Vec<String> = named.collect();
        if self.members.len() > MEMBERS_NAMED_MAX {
            named.push("…".to_owned());
        }
        format!("{} ({})", counted(self.members.len(), "live member"), named.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::group::fake_coordinator::{DESCRIBE, FakeCoordinator, LIST};

    fn others(kind: &str, protocol: &str, members: usize) -> ForeignMembers {
        ForeignMembers {
            group: "g".to_owned(),
            kind: kind.to_owned(),
            protocol: protocol.to_owned(),
            members: (0..members).map(|number| (format!("c{number}"), "/10.0.0.1".to_owned())).collect(),
            is_later: false,
        }
    }

    #[test]
    fn which_members_are_in_the_way() {
        for nobody in [others("", "", 0), others("consumer", "range", 0), others("consumer", "", 0)] {
            assert_eq!((nobody.trouble(true), nobody.trouble(false)), (None, None));
        }
        assert_eq!(others("consumer", "range", 2).trouble(true), None);
        assert_eq!(others("consumer", "", 2).trouble(true), None);
        let alone = others("consumer", "range", 1).trouble(false).unwrap();
        assert!(alone.contains("1 live member ('c0' at /10.0.0.1)") && alone.contains("refused"), "{alone}");
        let sticky = others("consumer", "sticky", 5).trouble(true).unwrap();
        assert!(
            sticky.contains("5 live members") && sticky.contains("'sticky'") && sticky.contains('…'),
            "{sticky}"
        );
        assert!(!others("consumer", "sticky", 3).trouble(true).unwrap().contains('…'), "all are named");
        assert!(others("connect", "range", 1).trouble(true).unwrap().contains("'connect'"));
        let later = ForeignMembers { is_later: true, ..others("consumer", "", 0) };
        assert!(later.trouble(true).is_some() && later.trouble(false).is_some());
        // For a reader.
        assert_eq!((later.live(), later.is_later()), (None, true));
        let two = others("consumer", "range", 2);
        let named = "2 live members ('c0' at /10.0.0.1, 'c1' at /10.0.0.1)";
        assert_eq!((two.live().as_deref(), two.is_later()), (Some(named), false));
    }

    const PATIENCE: Duration = Duration::from_millis(600);

    #[test]
    fn the_coordinator_names_the_members() {
        let broker = FakeCoordinator::with_partitions(1);
        let members =
            vec![("c0".to_owned(), "/10.0.0.1".to_owned()), ("c1".to_owned(), "/10.0.0.1".to_owned())];
        broker.script().described = ("consumer".to_owned(), "range".to_owned(), members);
        let found = ForeignMembers::look(&broker.cluster(), "g", PATIENCE);
        assert_eq!(found, Ok(others("consumer", "range", 2)));
        assert_eq!(broker.count(LIST), 0);
    }

    /// A group of the later protocol is listed and cannot be described. An empty group is not one.
    #[test]
    fn groups_of_the_later_protocol_are_only_listed() {
        let broker = FakeCoordinator::with_partitions(1);
        broker.script().listed = vec![("other".to_owned(), "connect".to_owned())];
        let look = || ForeignMembers::look(&broker.cluster(), "g", PATIENCE);
        assert_eq!(look(), Ok(others("", "", 0)));
        broker.script().listed.push(("g".to_owned(), "consumer".to_owned()));
        assert_eq!(look(), Ok(ForeignMembers { is_later: true, ..others("consumer", "", 0) }));
        broker.script().described.0 = "consumer".to_owned();
        assert_eq!(look(), Ok(others("consumer", "", 0)));
    }

    #[test]
    fn a_group_that_cannot_be_described() {
        let broker = FakeCoordinator::with_partitions(1);
        broker.answer_with(DESCRIBE, &[30]);
        let look = |group| ForeignMembers::look(&broker.cluster(), group, PATIENCE).unwrap_err().to_string();
        assert!(look("g").contains("describe the group 'g'"));
        assert!(look("h").contains("answered for another group"));
        broker.script().held.insert(DESCRIBE);
        let began = std::time::Instant::now();
        look("g");
        assert!(began.elapsed() < PATIENCE * 5, "a command does not wait longer than it says");
    }
}
