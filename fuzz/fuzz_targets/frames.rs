//! Answers of brokers: each reader of the protocol, in each version, on any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pandad::kafka::protocol::messages::{
    ApiVersions, DescribeGroups, Fetch, FindCoordinator, Heartbeat, JoinGroup, LeaveGroup, ListGroups,
    ListOffsets, Metadata, OffsetCommit, OffsetFetch, Request, SyncGroup,
};
use pandad::kafka::protocol::wire::WireReader;

fuzz_target!(|input: &[u8]| {
    read::<ApiVersions>(input);
    read::<DescribeGroups<'_>>(input);
    read::<Fetch<'_>>(input);
    read::<FindCoordinator<'_>>(input);
    read::<Heartbeat<'_>>(input);
    read::<JoinGroup<'_>>(input);
    read::<LeaveGroup<'_>>(input);
    read::<ListGroups>(input);
    read::<ListOffsets<'_>>(input);
    read::<Metadata<'_>>(input);
    read::<OffsetCommit<'_>>(input);
    read::<OffsetFetch<'_>>(input);
    read::<SyncGroup<'_>>(input);
});

fn read<R: Request>(bytes: &[u8]) {
    for version in R::LOWEST..=R::HIGHEST {
        let mut reader = WireReader::new(bytes);
        let _ = R::read(version, &mut reader).and_then(|_| reader.end());
    }
}
