//! The state of a membership, and how each answer of the coordinator changes it. Pure: the time is an
//! argument (since boot), and the member's thread sends the requests.

use std::time::Duration;

use super::error_handling::{GroupCall, Verdict, verdict};
use crate::kafka::lease::Lease;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::messages::GenerationMember;
use crate::kafka::protocol::messages::join_group::Joined;

/// From this version of JoinGroup on a member may have a `group.instance.id` (KIP-345).
const STATIC_MEMBER_SINCE: i16 = 5;

/// The timeouts of the group.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemberTimeouts {
    /// If no heartbeat comes for this long, the coordinator removes the member.
    pub(super) session: Duration,
    /// The coordinator waits for this long in a rebalance for members to join again.
    pub(super) rebalance: Duration,
}

/// The phase of the membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not a member of a generation; the next request is a join.
    Out,
    /// A member of a generation, with an assignment.
    In,
    /// The owner is releasing the assignment. Unless it is `lost`, the partitions belong to this member as
    /// long as the lease holds.
    Releasing { lost: bool },
    /// Fenced, and never joins again.
    Down,
}

/// A change that the owner of the assignment must be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MembershipChange {
    /// The owner must settle, commit and release until this time since boot. Its confirmation carries the
    /// number.
    Revoked { revocation: u64, until: Duration },
    /// The assignment is lost.
    Lost { revocation: u64 },
    /// Another member has the same `group.instance.id`.
    Fenced,
}

/// See the module.
#[derive(Debug)]
pub(super) struct MemberState {
    times: MemberTimeouts,
    lease: Lease,
    /// The `group.instance.id`.
    instance: String,
    /// Whether the coordinator supports static members; `None` before the first join.
    is_static: Option<bool>,
    /// The member id; empty if the coordinator has given none yet.
    id: String,
    generation: i32,
    phase: Phase,
    /// The time since boot at which the last successful request was sent.
    confirmed: Duration,
    /// How long a release may take.
    release_time: Duration,
    revocation: u64,
}

impl MemberState {
    /// The state of a client outside the group. `id` is the member id of the last run; empty if there is
    /// none.
    pub(super) fn new(times: MemberTimeouts, lease: Lease, instance: String, id: String) -> Self {
        let (generation, phase, confirmed) = (-1, Phase::Out, Duration::ZERO);
        let release_time = times.session;
        Self {
            times,
            lease,
            instance,
            is_static: None,
            id,
            generation,
            phase,
            confirmed,
            release_time,
            revocation: 0,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn generation(&self) -> i32 {
        self.generation
    }

    /// The number of revocations so far. Assignments and releases carry it, so that a message from before
    /// the last revocation is recognized.
    pub(super) fn revocation(&self) -> u64 {
        self.revocation
    }

    /// The `group.instance.id`, if the coordinator supports static members.
    pub(super) fn instance(&self) -> Option<&str> {
        self.is_static.unwrap_or(false).then_some(&self.instance)
    }

    /// The identity for requests.
    pub(super) fn member(&self) -> GenerationMember<'_> {
        GenerationMember { generation: self.generation, id: &self.id, instance: self.instance() }
    }

    /// Records that the next join is sent in this version.
    pub(super) fn set_join_version(&mut self, version: i16) {
        let is_static = version >= STATIC_MEMBER_SINCE;
        if is_static && self.is_static != Some(true) {
            // The coordinator knows a static member by its instance id and gives it a new member
            // id. The member id of an earlier run may have been replaced since; sending it would
            // fence this member.
            self.id.clear();
        }
        self.is_static = Some(is_static);
        self.release_time = if version == 0 { self.times.session } else { self.times.rebalance };
    }

    /// Takes the answer to a join.
    pub(super) fn joined(&mut self, answer: &Joined) -> Verdict {
        let verdict = verdict(GroupCall::Join, answer.code);
        match verdict {
            Verdict::Success => {
                self.id.clone_from(&answer.member);
                self.generation = answer.generation;
            }
            Verdict::TakeId => self.id.clone_from(&answer.member),
            other => self.refused(other),
        }
        verdict
    }

    /// Takes the answer to a sync that was sent at this time since boot.
    pub(super) fn synced(&mut self, code: ErrorCode, sent: Duration) -> Verdict {
        let verdict = verdict(GroupCall::Sync, code);
        if verdict == Verdict::Success {
            self.phase = Phase::In;
            self.confirmed = sent;
            self.lease.set(sent + self.times.session);
        } else {
            self.refused(verdict);
        }
        verdict
    }

    /// Takes a join or sync that was refused.
    fn refused(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Lost { id_is_known: false } => self.id.clear(),
            Verdict::Fenced => self.phase = Phase::Down,
            _ => {}
        }
    }

    /// Takes the answer to a heartbeat that was sent at this time since boot, or the code with which a
    /// commit of this generation was refused.
    pub(super) fn answered(
        &mut self,
        call: GroupCall,
        code: ErrorCode,
        sent: Duration,
    ) -> (Verdict, Option<MembershipChange>) {
        let verdict = verdict(call, code);
        let change = match verdict {
            Verdict::Success => {
                self.confirmed = self.confirmed.max(sent);
                self.lease.set(sent + self.times.session);
                None
            }
            Verdict::Rebalance => {
                let change = self.revoke();
                // The coordinator waits for one rebalance timeout from the start of the rebalance, and for
                // one session timeout from each heartbeat. The rebalance began after `confirmed`.
                let until = self.confirmed + self.release_time;
                if matches!(self.phase, Phase::Releasing { lost: false }) && call == GroupCall::Heartbeat {
                    self.lease.set(until.min(sent + self.times.session));
                }
                change
            }
            Verdict::Lost { id_is_known } => {
                if !id_is_known {
                    self.id.clear();
                }
                self.lose()
            }
            Verdict::Fenced => {
                self.lease.end();
                self.phase = Phase::Down;
                Some(MembershipChange::Fenced)
            }
            _ => None,
        };
        (verdict, change)
    }

    /// Revokes the assignment, because the group rebalances or is to rebalance.
    pub(super) fn revoke(&mut self) -> Option<MembershipChange> {
        if self.phase != Phase::In {
            return None;
        }
        self.phase = Phase::Releasing { lost: false };
        self.revocation += 1;
        Some(MembershipChange::Revoked {
            revocation: self.revocation,
            until: self.confirmed + self.release_time,
        })
    }

    /// Marks the assignment as lost.
    fn lose(&mut self) -> Option<MembershipChange> {
        self.lease.end();
        match self.phase {
            Phase::In | Phase::Releasing { lost: false } => {
                self.phase = Phase::Releasing { lost: true };
                self.revocation += 1;
                Some(MembershipChange::Lost { revocation: self.revocation })
            }
            _ => None,
        }
    }

    /// Marks the assignment as lost if its release has taken too long. `now` is the time since boot.
    pub(super) fn at(&mut self, now: Duration) -> Option<MembershipChange> {
        let late = now >= self.confirmed + self.release_time;
        if late && self.phase == (Phase::Releasing { lost: false }) { self.lose() } else { None }
    }

    /// Takes the owner's release; true if it belongs to the last revocation.
    pub(super) fn confirm_release(&mut self, revocation: u64) -> bool {
        let is_it = matches!(self.phase, Phase::Releasing { .. }) && revocation == self.revocation;
        if is_it {
            self.lease.end();
            self.phase = Phase::Out;
        }
        is_it
    }
}

#[cfg(test)]
mod tests;
