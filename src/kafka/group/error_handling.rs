//! What each error code means to a member, request by request. Pure.

use crate::kafka::protocol::error_code::ErrorCode;

/// Which request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GroupCall {
    Join,
    Sync,
    Heartbeat,
    Commit,
}

/// What is to be done about the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It went well.
    Success,
    /// Ask the same coordinator again, after a pause.
    Retry,
    /// Another broker is the coordinator now.
    FindCoordinator,
    /// The group is sharing out anew: join again.
    Rebalance,
    /// Join again, under the name that came with the answer.
    TakeId,
    /// The group went on without us: what was ours is lost. Join again, under the same
    /// name if it is still known.
    Lost { id_is_known: bool },
    /// Somebody else has joined under the same name of its own.
    Fenced,
    /// The group does not want us as we are; somebody may mend that.
    Refused,
}

/// Reads a code.
pub(super) fn verdict(call: GroupCall, code: ErrorCode) -> Verdict {
    match (call, code.0) {
        (_, 0) => Verdict::Success,
        (_, 15 | 16) => Verdict::FindCoordinator,
        // That a broker did not answer in time may mean that it is not the coordinator.
        (_, 7) => Verdict::FindCoordinator,
        (GroupCall::Join, 79) => Verdict::TakeId,
        (GroupCall::Join | GroupCall::Sync | GroupCall::Heartbeat | GroupCall::Commit, 27) => {
            Verdict::Rebalance
        }
        (_, 22) => Verdict::Lost { id_is_known: true },
        (_, 25 | 79) => Verdict::Lost { id_is_known: false },
        // A member of the later protocol's group, which this one is not.
        (_, 113) => Verdict::Lost { id_is_known: true },
        (_, 82) => Verdict::Fenced,
        (GroupCall::Commit, _) => Verdict::Retry,
        (_, 23 | 24 | 26 | 29 | 30 | 35 | 42 | 81) => Verdict::Refused,
        _ => Verdict::Retry,
    }
}

/// A sentence about a refusal, with what to do about it.
pub(super) fn remedy(code: ErrorCode, group: &str) -> String {
    let refused = format!("the group '{group}' refuses this member: {code}");
    match code.0 {
        23 => format!(
            "{refused}: its members share out by another way than 'range', or it is no group of consumers: \
             stop them, have them use 'range', or use another kafka['group']"
        ),
        26 => format!(
            "{refused}: the brokers do not allow this kafka['session_ms'] (group.min.session.timeout.ms, \
             group.max.session.timeout.ms)"
        ),
        29 | 30 => format!("{refused}: the right to read with this group is missing"),
        81 => format!("{refused}: the brokers do not allow so many members (group.max.size)"),
        _ => refused,
    }
}

/// What to do about a twin.
pub(super) fn fenced(instance: &str) -> String {
    format!(
        "another pandad has joined the group with the same journal ({instance}): a copy of this log file and \
         its journal runs elsewhere. Stop one of them; before both may run, move the copy's journal away"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_refusal_says_what_to_do() {
        assert!(remedy(ErrorCode(23), "g").contains("another way than 'range'"));
        assert!(remedy(ErrorCode(26), "g").contains("kafka['session_ms']"));
        assert!(remedy(ErrorCode(81), "g").contains("group.max.size"));
        assert!(fenced("pandad-1").contains("pandad-1"));
    }
}
