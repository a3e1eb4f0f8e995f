//! Which topics are subscribed to, how many partitions they have, and a digest of both that members
//! exchange. Pure.

use std::collections::BTreeMap;
use std::fmt;

use crate::pattern::Pattern;

/// The topics that a member subscribes to.
#[derive(Debug, Clone, PartialEq)]
pub enum SubscribedTopics {
    /// These topics.
    Named(Vec<String>),
    /// All topics that match, also those that are created later, except Kafka's internal topics.
    Like(Pattern),
}

impl SubscribedTopics {
    /// Whether this topic belongs to the subscription.
    pub fn contains(&self, topic: &str) -> bool {
        match self {
            SubscribedTopics::Named(names) => names.iter().any(|name| name == topic),
            SubscribedTopics::Like(pattern) => !is_internal(topic) && pattern.matches(topic),
        }
    }
}

impl fmt::Display for SubscribedTopics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SubscribedTopics::Named(names) => f.write_str(&names.join(", ")),
            SubscribedTopics::Like(pattern) => fmt::Display::fmt(pattern, f),
        }
    }
}

fn is_internal(topic: &str) -> bool {
    matches!(topic, "__consumer_offsets" | "__transaction_state" | "__share_group_state")
}

/// The number of partitions of each topic that exists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct TopicSnapshot {
    pub(super) counts: BTreeMap<String, usize>,
}

impl TopicSnapshot {
    /// A digest of the partition counts of these topics, for the user data of the consumer protocol:
    /// FNV-1a over names and counts. Members that see the same topics compute the same digest.
    pub(super) fn digest(&self, topics: &[String]) -> Vec<u8> {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let mut take = |bytes: &[u8]| {
            for byte in bytes {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        for (topic, count) in &self.counts {
            if topics.contains(topic) && *count > 0 {
                take(topic.as_bytes());
                take(&[0]);
                take(&(*count as u64).to_be_bytes());
            }
        }
        format!("{DIGEST_PREFIX}{hash:016x}").into_bytes()
    }
}

const DIGEST_PREFIX: &str = "pandad1:";

/// Whether user data is such a digest, and not data of another program.
pub(super) fn is_digest(user_data: &[u8]) -> bool {
    user_data.starts_with(DIGEST_PREFIX.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(counts: &[(&str, usize)]) -> TopicSnapshot {
        TopicSnapshot { counts: counts.iter().map(|(topic, count)| ((*topic).to_owned(), *count)).collect() }
    }

    #[test]
    fn a_digest_covers_the_given_topics() {
        let both = ["a".to_owned(), "b".to_owned()];
        let digest = |counts: &[(&str, usize)]| seen(counts).digest(&both);
        let one = digest(&[("a", 1), ("b", 2)]);
        assert!(is_digest(&one) && !is_digest(b"") && !is_digest(b"pandad"));
        assert_eq!(one, digest(&[("b", 2), ("a", 1), ("c", 9)]), "other topics do not count");
        assert_eq!(digest(&[("a", 1)]), digest(&[("a", 1), ("b", 0)]), "no partitions are as no topic");
        for other in [[("a", 2), ("b", 2)], [("a", 1), ("b", 3)], [("a", 1), ("c", 2)]] {
            assert_ne!(one, digest(&other), "{other:?}");
        }
    }

    /// Members of other versions compare it, so it never changes: FNV-1a, computed elsewhere.
    #[test]
    fn a_digest_is_a_format() {
        let topics = ["a".to_owned(), "b".to_owned()];
        assert_eq!(seen(&[]).digest(&topics), b"pandad1:cbf29ce484222325");
        assert_eq!(seen(&[("a", 1), ("b", 300)]).digest(&topics), b"pandad1:8f48aaa26c965570");
    }

    #[test]
    fn patterns_exclude_internal_topics() {
        let all = SubscribedTopics::Like(Pattern::new(".*").unwrap());
        assert!(all.contains("app") && all.contains("__mine") && !all.contains("__consumer_offsets"));
        let named = SubscribedTopics::Named(vec!["__consumer_offsets".to_owned()]);
        assert!(named.contains("__consumer_offsets") && !named.contains("app"));
    }
}
