use super::*;
use crate::host;

const TIMES: MemberTimeouts =
    MemberTimeouts { session: Duration::from_secs(10), rebalance: Duration::from_secs(30) };

fn answer(code: i16, member: &str) -> Joined {
    Joined {
        code: ErrorCode(code),
        generation: 7,
        protocol: "range".to_owned(),
        leader: "l".to_owned(),
        member: member.to_owned(),
        members: Vec::new(),
    }
}

/// A member that has just got its assignment.
fn member(version: i16) -> (MemberState, Lease, Duration) {
    let (lease, now) = (Lease::expired(), host::since_boot());
    let mut state = MemberState::new(TIMES, lease.clone(), "name".to_owned(), "old".to_owned());
    state.set_join_version(version);
    assert_eq!(state.joined(&answer(0, "m")), Verdict::Success);
    assert!(!lease.holds(), "the assignment comes with the sync");
    assert_eq!(state.synced(ErrorCode::NONE, now), Verdict::Success);
    assert!(lease.holds() && state.phase() == Phase::In);
    (state, lease, now)
}

fn heartbeat(state: &mut MemberState, code: i16, sent: Duration) -> Option<MembershipChange> {
    state.answered(GroupCall::Heartbeat, ErrorCode(code), sent).1
}

/// The lease ends exactly at this time since boot.
#[track_caller]
fn assert_ends(lease: &Lease, end: Duration) {
    assert!(lease.holds_at(end - Duration::from_millis(1)), "the lease ends too early");
    assert!(!lease.holds_at(end), "two writers: the lease outlives the session");
}

/// The coordinator counts the session from the join at the latest, so the lease is one session and no
/// more, whether it begins with a join or with a rejoin.
#[test]
fn a_join_leases_one_session() {
    let (mut state, lease, now) = member(5);
    assert_ends(&lease, now + TIMES.session);
    heartbeat(&mut state, 27, now + Duration::from_secs(1));
    assert!(state.confirm_release(1));
    let rejoined = now + Duration::from_secs(8);
    state.joined(&answer(0, "m"));
    assert!(!lease.holds_at(rejoined), "the new assignment comes with the sync");
    assert_eq!(state.synced(ErrorCode::NONE, rejoined), Verdict::Success);
    assert_ends(&lease, rejoined + TIMES.session);
}

/// A member whose partitions are quiet keeps them: each answered heartbeat leases one session from its
/// sending.
#[test]
fn heartbeats_renew_the_lease() {
    let (mut state, lease, now) = member(5);
    for beat in 1..100 {
        let sent = now + beat * (TIMES.session / 20);
        assert!(lease.holds_at(sent), "heartbeat {beat}");
        assert_eq!(heartbeat(&mut state, 0, sent), None);
        assert_ends(&lease, sent + TIMES.session);
    }
}

/// What a refused commit says of a rebalance is no sign that the coordinator waits; nor is anything, once the
/// assignment is lost.
#[test]
fn only_a_heartbeat_of_a_running_release_renews_the_lease() {
    let (mut state, lease, now) = member(5);
    assert_eq!((state.generation(), state.revocation()), (7, 0));
    let sent = now + Duration::from_secs(1);
    state.answered(GroupCall::Commit, ErrorCode(27), sent);
    assert_eq!(state.revocation(), 1);
    assert_ends(&lease, now + TIMES.session);
    heartbeat(&mut state, 27, sent);
    assert_ends(&lease, sent + TIMES.session);
    assert_eq!(state.at(now + TIMES.rebalance * 2), Some(MembershipChange::Lost { revocation: 2 }));
    assert_eq!(state.revocation(), 2);
    heartbeat(&mut state, 27, sent);
    assert!(!lease.holds_at(sent), "a lost assignment gets its lease back");
}

#[test]
fn static_members_forget_the_member_id() {
    for (version, id, instance) in [(0, "old", None), (4, "old", None), (5, "", Some("name"))] {
        let mut state = MemberState::new(TIMES, Lease::expired(), "name".to_owned(), "old".to_owned());
        state.set_join_version(version);
        assert_eq!((state.id(), state.instance()), (id, instance), "version {version}");
        // The member id in this answer is the one for this run.
        assert_eq!(state.joined(&answer(79, "new")), Verdict::TakeId);
        state.set_join_version(version);
        assert_eq!((state.id(), state.phase()), ("new", Phase::Out));
        assert_eq!(state.joined(&answer(25, "")), Verdict::Lost { id_is_known: false });
        assert_eq!(state.id(), "");
    }
}

#[test]
fn a_rebalance_revokes_and_keeps_the_id() {
    let (mut state, lease, now) = member(5);
    let until = now + TIMES.rebalance;
    assert_eq!(heartbeat(&mut state, 27, now), Some(MembershipChange::Revoked { revocation: 1, until }));
    assert!(lease.holds(), "what is in flight may still be written");
    assert_eq!(heartbeat(&mut state, 27, now), None, "one revocation for each rebalance");
    assert!(!state.confirm_release(0) && lease.holds());
    assert!(state.confirm_release(1) && !lease.holds());
    assert_eq!((state.phase(), state.id()), (Phase::Out, "m"));
    assert!(!state.confirm_release(1));
}

/// Version 0 of JoinGroup has no rebalance timeout; the session timeout counts.
#[test]
fn a_release_that_takes_too_long_is_lost() {
    for (version, limit) in [(0, TIMES.session), (1, TIMES.rebalance)] {
        let (mut state, lease, now) = member(version);
        heartbeat(&mut state, 27, now);
        assert_eq!(state.at(now + limit - Duration::from_millis(1)), None);
        assert_eq!(state.at(now + limit), Some(MembershipChange::Lost { revocation: 2 }));
        assert!(!lease.holds());
        assert!(!state.confirm_release(1), "the release belongs to an earlier revocation");
        assert!(state.confirm_release(2));
    }
}

/// During a rebalance heartbeats extend the lease no further than the coordinator waits.
#[test]
fn a_rebalance_bounds_the_lease() {
    let (mut state, lease, now) = member(5);
    let long_ago = now - TIMES.rebalance;
    state.confirmed = long_ago;
    heartbeat(&mut state, 27, now);
    assert!(!lease.holds());
    assert_eq!(state.at(now), Some(MembershipChange::Lost { revocation: 2 }));
}

#[test]
fn lost_with_generation_or_id() {
    for (code, id) in [(22, "m"), (25, "")] {
        let (mut state, lease, now) = member(5);
        assert_eq!(heartbeat(&mut state, code, now), Some(MembershipChange::Lost { revocation: 1 }));
        assert!(!lease.holds() && state.id() == id);
        assert!(state.confirm_release(1) && state.phase() == Phase::Out);
        // The assignment is also lost if the code comes during a release.
        let (mut state, _, now) = member(5);
        heartbeat(&mut state, 27, now);
        assert_eq!(heartbeat(&mut state, code, now), Some(MembershipChange::Lost { revocation: 2 }));
    }
}

#[test]
fn a_fenced_member_stays_down() {
    let (mut state, lease, now) = member(5);
    assert_eq!(heartbeat(&mut state, 82, now), Some(MembershipChange::Fenced));
    assert!(!lease.holds() && state.phase() == Phase::Down);
    let mut state = MemberState::new(TIMES, Lease::expired(), "name".to_owned(), String::new());
    state.set_join_version(5);
    assert_eq!(state.joined(&answer(82, "")), Verdict::Fenced);
    assert_eq!(state.phase(), Phase::Down);
}

#[test]
fn a_moving_coordinator_is_no_loss() {
    for code in [14, 15, 16, 7, -1] {
        let (mut state, lease, now) = member(5);
        assert_eq!(heartbeat(&mut state, code, now), None);
        assert!(lease.holds() && state.phase() == Phase::In, "{code}");
    }
}

/// A late answer to an old heartbeat must not extend the lease.
#[test]
fn the_lease_counts_from_the_sending() {
    let (mut state, lease, now) = member(5);
    heartbeat(&mut state, 0, now - TIMES.session);
    assert!(!lease.holds());
}
