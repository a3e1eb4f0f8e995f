//! What is there of the topics that are wanted: names and numbers of partitions, and a
//! digest of them that members tell each other. Pure.

use std::collections::BTreeMap;
use std::fmt;

use crate::pattern::Pattern;

/// Which topics are wanted.
#[derive(Debug, Clone, PartialEq)]
pub enum SubscribedTopics {
    /// These.
    Named(Vec<String>),
    /// All that match, those that come later too; never Kafka's own.
    Like(Pattern),
}

impl SubscribedTopics {
    /// Whether this topic is wanted.
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

/// The number of partitions of each topic that is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct TopicSnapshot {
    pub(super) counts: BTreeMap<String, usize>,
}

impl TopicSnapshot {
    /// A name for these topics and numbers, as it stands in user data: the same wherever
    /// the same is seen. FNV-1a over names and numbers.
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

/// Whether user data is a digest, and not what another program says there.
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
    fn digests_tell_what_was_seen_of_the_topics_asked_for() {
        let both = ["a".to_owned(), "b".to_owned()];
        let digest = |counts: &[(&str, usize)]| seen(counts).digest(&both);
        let one = digest(&[("a", 1), ("b", 2)]);
        assert!(is_digest(&one) && !is_digest(b"") && !is_digest(b"pandad"));
        assert_eq!(one, digest(&[("b", 2), ("a", 1), ("c", 9)]), "others do not count");
        assert_eq!(digest(&[("a", 1)]), digest(&[("a", 1), ("b", 0)]), "not there is not there");
        for other in [[("a", 2), ("b", 2)], [("a", 1), ("b", 3)], [("a", 1), ("c", 2)]] {
            assert_ne!(one, digest(&other), "{other:?}");
        }
    }

    #[test]
    fn patterns_do_not_want_kafkas_own_topics() {
        let all = SubscribedTopics::Like(Pattern::new(".*").unwrap());
        assert!(all.contains("app") && all.contains("__mine") && !all.contains("__consumer_offsets"));
        let named = SubscribedTopics::Named(vec!["__consumer_offsets".to_owned()]);
        assert!(named.contains("__consumer_offsets") && !named.contains("app"));
    }
}
