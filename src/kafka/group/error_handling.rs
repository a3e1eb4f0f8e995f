//! What a member does about each error code, by request. Pure. The table is in
//! docs/internals/offsets-and-groups.md.

use crate::kafka::protocol::error_code::ErrorCode;

/// The request that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GroupCall {
    Join,
    Sync,
    Heartbeat,
    Commit,
}

/// What the member does about the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: the request succeeded.
    Success,
    /// Ask the same coordinator again, after a pause.
    Retry,
    /// Find the coordinator, which may be another broker now.
    FindCoordinator,
    /// The group rebalances: release, then join again.
    Rebalance,
    /// Join again with the member id in the answer (KIP-394).
    TakeId,
    /// The assignment is lost. Join again, with the same member id if the coordinator still knows it.
    Lost { id_is_known: bool },
    /// Stop: another member has joined with the same `group.instance.id` (KIP-345).
    Fenced,
    /// Log a remedy, and try again slowly: somebody has to change a setting.
    Refused,
}

/// What to do about an error code.
pub(super) fn verdict(call: GroupCall, code: ErrorCode) -> Verdict {
    match (call, code.0) {
        (_, 0) => Verdict::Success,
        (_, 15 | 16) => Verdict::FindCoordinator,
        // A broker that answers REQUEST_TIMED_OUT may no longer be the coordinator.
        (_, 7) => Verdict::FindCoordinator,
        (GroupCall::Join, 79) => Verdict::TakeId,
        (GroupCall::Join | GroupCall::Sync | GroupCall::Heartbeat | GroupCall::Commit, 27) => {
            Verdict::Rebalance
        }
        (_, 22) => Verdict::Lost { id_is_known: true },
        (_, 25 | 79) => Verdict::Lost { id_is_known: false },
        // STALE_MEMBER_EPOCH: the group uses the protocol of KIP-848 now.
        (_, 113) => Verdict::Lost { id_is_known: true },
        (_, 82) => Verdict::Fenced,
        (GroupCall::Commit, _) => Verdict::Retry,
        (_, 23 | 24 | 26 | 29 | 30 | 35 | 42 | 81) => Verdict::Refused,
        _ => Verdict::Retry,
    }
}

/// What to do about another member with the same `group.instance.id`.
pub(super) fn fenced(instance: &str) -> String {
    format!(
        "another pandad has joined the group with the same journal ({instance}): a copy of this log file and \
         its journal runs elsewhere. Stop one of them; before both may run, move the copy's journal away"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::protocol::error_code::Reaction;

    #[test]
    fn every_code_and_request() {
        use GroupCall::{Commit, Heartbeat, Join, Sync};
        let lost = |id_is_known| Verdict::Lost { id_is_known };
        let members = [Join, Sync, Heartbeat];
        let all = [Join, Sync, Heartbeat, Commit];
        let table: [(&[GroupCall], &[i16], Verdict); 13] = [
            (&all, &[0], Verdict::Success),
            (&all, &[14, -1, 77], Verdict::Retry),
            (&all, &[15, 16, 7], Verdict::FindCoordinator),
            (&all, &[27], Verdict::Rebalance),
            (&all, &[22], lost(true)),
            (&all, &[25], lost(false)),
            (&all, &[82], Verdict::Fenced),
            (&[Join], &[79], Verdict::TakeId),
            (&[Sync, Heartbeat, Commit], &[79], lost(false)),
            (&members, &[23, 24, 26, 30, 81], Verdict::Refused),
            (&members, &[29, 35, 42], Verdict::Refused),
            (&[Commit], &[3, 12, 28, 29, 30], Verdict::Retry),
            (&all, &[113], lost(true)),
        ];
        for (calls, codes, expected) in table {
            for (call, code) in calls.iter().flat_map(|call| codes.iter().map(move |code| (*call, *code))) {
                assert_eq!(verdict(call, ErrorCode(code)), expected, "{call:?} {code}");
            }
        }
    }

    /// A commit that is refused because of the membership is never tried again. So each of its codes must
    /// lead the member out of the generation, and no other code may.
    #[test]
    fn refused_members_leave_the_generation() {
        for code in (-1..150).map(ErrorCode) {
            let verdict = verdict(GroupCall::Commit, code);
            let leaves = matches!(verdict, Verdict::Rebalance | Verdict::Lost { .. } | Verdict::Fenced);
            assert_eq!(code.reaction() == Reaction::Membership, leaves, "{}", code.0);
        }
    }

    #[test]
    fn the_fenced_member_is_named() {
        assert!(fenced("pandad-1").contains("pandad-1"));
    }
}
