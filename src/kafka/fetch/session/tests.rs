//! The session against answers as a broker of KIP-227 gives them.

use super::*;
use crate::kafka::protocol::messages::fetch::FetchedPartition;

fn of(number: i32) -> TopicPartition {
    TopicPartition::new("t", number)
}

fn at(offset: i64) -> FetchPlace {
    FetchPlace { epoch: 3, offset, max_bytes: 100 }
}

/// An answer that names these partitions, each with its end.
fn answer(session: i32, named: &[(i32, i64)]) -> FetchAnswer {
    let one = |high_watermark| FetchedPartition {
        code: ErrorCode::NONE,
        high_watermark,
        last_stable: high_watermark,
        log_start: 0,
        aborted: Vec::new(),
        records: 0..0,
    };
    let partitions = named.iter().map(|(number, end)| (of(*number), one(*end))).collect();
    FetchAnswer { throttle_ms: 0, code: ErrorCode::NONE, session, partitions }
}

fn refusal(code: ErrorCode) -> FetchAnswer {
    FetchAnswer { code, ..answer(0, &[]) }
}

/// Number and epoch of a session, what a request names, and what it forgets.
type Asked = ((i32, i32), Vec<(i32, i64)>, Vec<i32>);

/// The numbers and offsets that a request names, and the numbers that it forgets.
fn asked(request: SessionRequest) -> Asked {
    let named = request.named.iter().map(|one| (one.partition.partition, one.offset)).collect();
    let SessionPlace { id, epoch } = request.place;
    ((id, epoch), named, request.forgotten.iter().map(|one| one.partition).collect())
}

fn full(session: &mut FetchSession, wanted: &[(i32, i64)]) -> Asked {
    let wanted: Vec<_> = wanted.iter().map(|(number, offset)| (of(*number), at(*offset))).collect();
    asked(session.full_request(wanted.iter().map(|(partition, place)| (partition, *place))))
}

fn next(session: &mut FetchSession, wanted: &[(i32, i64)]) -> Asked {
    assert!(session.is_open(), "the session is lost");
    let wanted: Vec<_> = wanted.iter().map(|(number, offset)| (of(*number), at(*offset))).collect();
    asked(session.incremental_request(wanted.iter().map(|(partition, place)| (partition, *place))))
}

/// A session with partitions 1 to 3, each at 10 and with the end 10.
fn opened() -> FetchSession {
    let mut session = FetchSession::default();
    assert_eq!(full(&mut session, &[(1, 10), (2, 10), (3, 10)]).0, (0, 0));
    assert_eq!(session.take_answer(&answer(7, &[(1, 10), (2, 10), (3, 10)])), SessionAnswer::Whole);
    session
}

#[test]
fn a_request_names_what_is_new_has_moved_or_has_left() {
    let mut session = opened();
    assert_eq!(next(&mut session, &[(1, 10), (2, 10), (3, 10)]), ((7, 1), vec![], vec![]));
    session.take_answer(&answer(7, &[(2, 12)]));
    let request = next(&mut session, &[(0, 5), (1, 10), (2, 12), (9, 1)]);
    assert_eq!(request, ((7, 2), vec![(2, 12), (0, 5), (9, 1)], vec![3]));
    session.take_answer(&answer(7, &[]));
    // It comes back, at the same offset.
    let request = next(&mut session, &[(0, 5), (1, 10), (2, 12), (3, 10), (9, 1)]);
    assert_eq!(request, ((7, 3), vec![(3, 10)], vec![]));
}

#[test]
fn what_is_left_out_of_a_session_is_unchanged_and_of_a_full_answer_missing() {
    let mut session = opened();
    next(&mut session, &[(1, 10), (2, 10), (3, 10)]);
    assert_eq!(session.take_answer(&answer(7, &[(2, 12)])), SessionAnswer::Whole);
    let ends = Some(LogEnds { high_watermark: 10, last_stable: 10 });
    assert_eq!((session.unchanged(&of(1)), session.unchanged(&of(2))), (ends, None));
    session.begin_anew();
    assert_eq!(full(&mut session, &[(1, 10), (2, 12)]).0, (7, 0), "the old session ends");
    assert_eq!(session.take_answer(&answer(8, &[(2, 12)])), SessionAnswer::LeftOutCommands(vec![of(1)]));
    assert_eq!(session.unchanged(&of(1)), None);
}

/// The broker says the end of such a partition again, whether it has changed or not.
#[test]
fn after_an_error_nothing_is_known_of_a_partition() {
    let mut session = opened();
    next(&mut session, &[(1, 10)]);
    let mut failed = answer(7, &[(1, -1)]);
    failed.partitions[0].1.code = ErrorCode::LEADER_NOT_AVAILABLE;
    session.take_answer(&failed);
    next(&mut session, &[(1, 10)]);
    session.take_answer(&answer(7, &[]));
    assert_eq!(session.unchanged(&of(1)), None);
    assert!(session.holds(&of(1)) && !session.holds(&of(2)));
}

#[test]
fn a_lost_session_begins_anew_with_all_partitions() {
    for (code, id) in
        [(ErrorCode::FETCH_SESSION_ID_NOT_FOUND, 0), (ErrorCode::INVALID_FETCH_SESSION_EPOCH, 7)]
    {
        let mut session = opened();
        next(&mut session, &[(1, 10)]);
        assert_eq!(session.take_answer(&refusal(code)), SessionAnswer::SessionLost);
        assert!(!session.is_open() && !session.is_denied());
        assert_eq!(full(&mut session, &[(1, 10)]), ((id, 0), vec![(1, 10)], vec![]));
        // There is no session that could be lost.
        assert_eq!(session.take_answer(&refusal(code)), SessionAnswer::Refused);
    }
}

#[test]
fn a_broker_may_keep_no_session() {
    let mut session = FetchSession::default();
    full(&mut session, &[(1, 10)]);
    assert_eq!(session.take_answer(&answer(0, &[(1, 10)])), SessionAnswer::Whole);
    assert!(session.is_denied() && !session.is_open());
    full(&mut session, &[(1, 10)]);
    session.take_answer(&answer(4, &[(1, 10)]));
    assert!(!session.is_denied() && session.is_open());
    // All partitions have left, so the broker has ended the session.
    next(&mut session, &[]);
    session.take_answer(&answer(0, &[]));
    assert!(!session.is_open() && !session.is_denied());
}

#[test]
fn an_answer_that_only_throttles_says_nothing_of_partitions() {
    let mut session = FetchSession::default();
    full(&mut session, &[(1, 10)]);
    let throttled = FetchAnswer { throttle_ms: 500, ..answer(0, &[]) };
    assert_eq!(session.take_answer(&throttled), SessionAnswer::Whole);
    assert!(!session.is_open() && !session.is_denied());
    assert_eq!(full(&mut session, &[(1, 10)]).0, (0, 0));
    session.take_answer(&answer(7, &[(1, 10)]));
    next(&mut session, &[(1, 10), (2, 10)]);
    assert_eq!(session.take_answer(&FetchAnswer { session: 7, ..throttled }), SessionAnswer::Whole);
    assert_eq!(session.unchanged(&of(2)), None, "it is new, and was not answered");
    assert_eq!(next(&mut session, &[(1, 10), (2, 10)]).0, (7, 2));
}

#[test]
fn the_place_in_a_session_counts_from_1_again_behind_the_largest() {
    let mut session = opened();
    session.epoch = i32::MAX;
    assert_eq!(next(&mut session, &[(1, 10)]).0, (7, i32::MAX));
    session.take_answer(&answer(7, &[]));
    assert_eq!(next(&mut session, &[(1, 10)]).0, (7, 1));
}
