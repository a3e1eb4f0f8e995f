//! Which versions of each request a broker supports, and which one is sent to it.

use super::messages::Request;
use super::messages::api_versions::VersionRange;

/// The versions that a broker supports, if they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Versions {
    /// The broker does not answer ApiVersions, as Kafka 0.9 does not.
    Silent,
    /// The answer to ApiVersions.
    Spoken(Vec<VersionRange>),
}

impl Versions {
    /// The lowest and the highest supported version of the request with this number; `None` if the
    /// broker does not support it, or did not answer.
    pub fn range(&self, key: i16) -> Option<(i16, i16)> {
        let Versions::Spoken(spoken) = self else { return None };
        spoken.iter().find(|one| one.key == key).map(|one| (one.lowest, one.highest))
    }

    /// The highest version of a request that both the broker and pandad support.
    ///
    /// # Errors
    /// There is no such version. The text says which versions each side supports.
    pub fn choose<R: Request>(&self) -> Result<i16, String> {
        if *self == Versions::Silent {
            return Ok(R::LOWEST);
        }
        let Some((lowest, highest)) = self.range(R::KEY) else {
            return Err(format!("it does not support the request {}", R::NAME));
        };
        let version = highest.min(R::HIGHEST);
        if version < lowest.max(R::LOWEST) {
            return Err(format!(
                "it supports {} in versions {lowest} to {highest}, pandad in {} to {}",
                R::NAME,
                R::LOWEST,
                R::HIGHEST
            ));
        }
        Ok(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::protocol::messages::{
        ApiVersions, DescribeGroups, FindCoordinator, Heartbeat, JoinGroup, LeaveGroup, ListGroups, Metadata,
        OffsetCommit, OffsetFetch, SyncGroup,
    };

    fn spoken(lowest: i16, highest: i16) -> Versions {
        Versions::Spoken(vec![VersionRange { key: OffsetCommit::KEY, lowest, highest }])
    }

    #[test]
    fn the_highest_common_version_is_chosen() {
        assert_eq!(Versions::Silent.choose::<OffsetCommit<'_>>(), Ok(2));
        assert_eq!(spoken(0, 3).choose::<OffsetCommit<'_>>(), Ok(3));
        assert_eq!(spoken(2, 9).choose::<OffsetCommit<'_>>(), Ok(7));
        assert_eq!(spoken(7, 9).choose::<OffsetCommit<'_>>(), Ok(7));
        for none in [spoken(8, 9), spoken(0, 1), Versions::Spoken(Vec::new())] {
            assert!(none.choose::<OffsetCommit<'_>>().is_err(), "{none:?}");
        }
    }

    /// The ranges of the oldest and the newest broker, as they are documented.
    #[test]
    fn every_request_has_a_version_for_every_broker() {
        fn both<R: Request>(old: (i16, i16), new: (i16, i16)) {
            assert!((old.0..=old.1).contains(&R::LOWEST), "{} is not spoken by 0.9", R::NAME);
            let version = new.1.min(R::HIGHEST);
            assert!(version >= new.0, "{} is not spoken by 4.1", R::NAME);
        }
        both::<FindCoordinator<'_>>((0, 0), (0, 6));
        both::<OffsetCommit<'_>>((0, 2), (2, 9));
        both::<OffsetFetch<'_>>((0, 1), (1, 9));
        both::<Metadata<'_>>((0, 0), (0, 13));
        // The range of 4.0; 4.1 accepts the lower versions again.
        both::<JoinGroup<'_>>((0, 0), (2, 9));
        both::<SyncGroup<'_>>((0, 0), (0, 5));
        both::<Heartbeat<'_>>((0, 0), (0, 4));
        both::<LeaveGroup<'_>>((0, 0), (0, 5));
        both::<DescribeGroups<'_>>((0, 0), (0, 6));
        both::<ListGroups>((0, 0), (0, 5));
        assert_eq!(ApiVersions::LOWEST, 0);
    }
}
