//! Tampered replies: reading them must not panic, and must allocate no more than a multiple of their
//! size.

use super::*;

/// Bytes of memory that one byte of a frame may take. A list of partitions takes most: six bytes
/// become a name, a number and a code, and a growing list is copied.
const WORTH: u64 = 24;
/// Bytes of memory that an empty frame may take.
const GRACE: u64 = 8 * 1024;

/// A change to a frame. The numbers are taken modulo the frame's length.
#[derive(Debug, Clone)]
pub(super) enum Tamper {
    Flip(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    /// Four bytes become a false count or length.
    Lie(usize, i32),
    Repeat(usize, usize),
}

pub(super) fn tampering() -> impl Strategy<Value = Vec<Tamper>> {
    let lies = prop_oneof![
        Just(i32::MAX),
        Just(i32::MIN),
        Just(-1),
        Just(-2),
        Just(0x7fff),
        Just(0xffff),
        Just(1 << 24),
        any::<i32>(),
        -3..300
    ];
    let one = prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, with)| Tamper::Flip(at, with)),
        any::<usize>().prop_map(Tamper::Cut),
        (any::<usize>(), vec(any::<u8>(), 0..16)).prop_map(|(at, bytes)| Tamper::Insert(at, bytes)),
        (any::<usize>(), lies).prop_map(|(at, lie)| Tamper::Lie(at, lie)),
        (any::<usize>(), any::<usize>()).prop_map(|(from, to)| Tamper::Repeat(from, to)),
    ];
    vec(one, 0..6)
}

pub(super) fn tamper(mut frame: Vec<u8>, tampering: &[Tamper]) -> Vec<u8> {
    for one in tampering {
        let within = |at: usize| at % (frame.len() + 1);
        match one {
            Tamper::Flip(at, with) => {
                let at = within(*at);
                if let Some(byte) = frame.get_mut(at) {
                    *byte ^= with;
                }
            }
            Tamper::Cut(at) => frame.truncate(within(*at)),
            Tamper::Insert(at, bytes) => {
                let at = within(*at);
                frame.splice(at..at, bytes.iter().copied());
            }
            Tamper::Lie(at, lie) => {
                let at = within(*at);
                let to = (at + 4).min(frame.len());
                frame.splice(at..to, lie.to_be_bytes());
            }
            Tamper::Repeat(from, to) => {
                let (from, to) = (within(*from), within(*to));
                let part: Vec<u8> = frame[from.min(to)..from.max(to)].to_vec();
                frame.extend(part);
            }
        }
    }
    frame
}

/// Reads the frame as a reply of each version.
pub(super) fn survive<R: Request>(frame: &[u8]) {
    for version in R::LOWEST..=R::HIGHEST {
        let used = allocation_counter::measure(|| drop(read::<R>(version, frame)));
        let most = frame.len() as u64 * WORTH + GRACE;
        assert!(used.bytes_max <= most, "{} v{version}: {} bytes for {frame:?}", R::NAME, used.bytes_max);
    }
}

/// The number of cases is large, because each is cheap and few break a decoder.
pub(super) fn cases() -> ProptestConfig {
    let all = std::env::var("PANDAD_TEST_ALL").is_ok_and(|value| value == "1");
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(if all { 200_000 } else { 20_000 })
    }
}

pub(super) fn some_version<R: Request>() -> impl Strategy<Value = i16> {
    R::LOWEST..=R::HIGHEST
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn tampered_api_versions(answer in api_versions_answers(), changes in tampering()) {
        survive::<ApiVersions>(&tamper(theirs(&answer, 0), &changes));
    }

    #[test]
    fn tampered_find_coordinator(
        answer in find_coordinator_answers(),
        version in some_version::<FindCoordinator<'_>>(),
        changes in tampering(),
    ) {
        survive::<FindCoordinator<'_>>(&tamper(theirs(&answer, version), &changes));
    }

    #[test]
    fn tampered_offset_commit(
        answer in offset_commit_answers(),
        version in some_version::<OffsetCommit<'_>>(),
        changes in tampering(),
    ) {
        survive::<OffsetCommit<'_>>(&tamper(theirs(&answer, version), &changes));
    }

    #[test]
    fn tampered_offset_fetch(
        answer in offset_fetch_answers(),
        version in some_version::<OffsetFetch<'_>>(),
        changes in tampering(),
    ) {
        survive::<OffsetFetch<'_>>(&tamper(theirs(&answer, version), &changes));
    }

    #[test]
    fn tampered_fetch(
        all in reading::got(),
        version in reading::ORACLE_FETCH..=Fetch::HIGHEST,
        changes in tampering(),
    ) {
        let answer = theirs(&reading::their_fetched(&all, version, 7, 0), version);
        survive::<Fetch<'_>>(&tamper(answer, &changes));
    }

    #[test]
    fn tampered_list_offsets(
        all in reading::listed(),
        version in some_version::<ListOffsets<'_>>(),
        changes in tampering(),
    ) {
        survive::<ListOffsets<'_>>(&tamper(reading::list_answer(&all, version, 7), &changes));
    }

    #[test]
    fn tampered_epoch_ends(
        all in topics(any::<(i16, i32, i32, i64)>()),
        version in some_version::<EpochEnds<'_>>(),
        changes in tampering(),
    ) {
        survive::<EpochEnds<'_>>(&tamper(epoch_ends::answer(&all, version, 7), &changes));
    }

    #[test]
    fn tampered_metadata(
        answer in metadata_answers(),
        version in some_version::<Metadata<'_>>(),
        changes in tampering(),
    ) {
        let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        // The oracle refuses to write fields that the version does not have.
        prop_assume!(version >= 7 || partitions.clone().all(|one| one.leader_epoch == -1));
        survive::<Metadata<'_>>(&tamper(theirs(&answer, version), &changes));
    }
}

/// A frame of a MiB of zeros whose count is as large as possible.
#[test]
fn a_large_false_frame_allocates_only_its_size() {
    for count in [i32::MAX, 1 << 24, 1 << 20] {
        let mut frame = count.to_be_bytes().to_vec();
        frame.resize(1 << 20, 0);
        survive::<ApiVersions>(&frame);
        survive::<OffsetCommit<'_>>(&frame);
        survive::<OffsetFetch<'_>>(&frame);
        survive::<Metadata<'_>>(&frame);
        survive::<Fetch<'_>>(&frame);
        survive::<ListOffsets<'_>>(&frame);
        survive::<EpochEnds<'_>>(&frame);
        let mut bytes = vec![0; 4];
        bytes.extend(&frame);
        survive::<OffsetCommit<'_>>(&bytes);
    }
}
