//! What a member knows of its membership, and what each answer of the coordinator does
//! to it. Pure: the clock comes in as time since boot, requests are the thread's.

use std::time::Duration;

use super::error_handling::{GroupCall, Verdict, verdict};
use crate::kafka::lease::Lease;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::messages::GenerationMember;
use crate::kafka::protocol::messages::join_group::Joined;

/// From this version of JoinGroup on a member may have a name of its own.
const STATIC_MEMBER_SINCE: i16 = 5;

/// What the group allows for.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemberTimeouts {
    /// Without a heartbeat the member counts as dead.
    pub(super) session: Duration,
    /// To let go and join again.
    pub(super) rebalance: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No member of a generation: to join.
    Out,
    /// A member with its share.
    In,
    /// The owner was asked to let go of the share; what is in its hands is ours as long
    /// as the lease holds, or not ours at all any more.
    Releasing { lost: bool },
    /// Fenced: for good.
    Down,
}

/// What the owner of the share is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MembershipChange {
    /// Let go: settle and commit, until then at most. The answer names this number.
    Revoked { revocation: u64, until: Duration },
    /// It is ours no more.
    Lost { revocation: u64 },
    /// There is a twin.
    Fenced,
}

/// See the module.
#[derive(Debug)]
pub(super) struct MemberState {
    times: MemberTimeouts,
    lease: Lease,
    /// The name of its own.
    instance: String,
    /// Whether the coordinator takes such names; not known before the first join.
    is_static: Option<bool>,
    /// The name that the coordinator gave; empty: none yet.
    id: String,
    generation: i32,
    phase: Phase,
    /// When the last request was sent that the coordinator answered well.
    confirmed: Duration,
    /// How long letting go may take.
    release_time: Duration,
    revocation: u64,
}

impl MemberState {
    /// Outside, under the name that it was given the last time, if any.
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

    /// How often the owner was asked to let go: what it is given from now on it has since
    /// the last time.
    pub(super) fn revocation(&self) -> u64 {
        self.revocation
    }

    /// The name of its own, where it has one.
    pub(super) fn instance(&self) -> Option<&str> {
        self.is_static.unwrap_or(false).then_some(&self.instance)
    }

    /// As whom requests are made.
    pub(super) fn member(&self) -> GenerationMember<'_> {
        GenerationMember { generation: self.generation, id: &self.id, instance: self.instance() }
    }

    /// The next join will be sent in this version.
    pub(super) fn set_join_version(&mut self, version: i16) {
        let is_static = version >= STATIC_MEMBER_SINCE;
        if is_static && self.is_static != Some(true) {
            // By its own name it is known again at once, and gets another one. One that it
            // remembers from another run may since have been replaced, which is what a
            // twin would look like.
            self.id.clear();
        }
        self.is_static = Some(is_static);
        self.release_time = if version == 0 { self.times.session } else { self.times.rebalance };
    }

    /// The answer to a join.
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

    /// The answer to a sync that was sent at that time.
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

    /// What a refused join or sync leaves of a membership.
    fn refused(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Lost { id_is_known: false } => self.id.clear(),
            Verdict::Fenced => self.phase = Phase::Down,
            _ => {}
        }
    }

    /// The answer to a heartbeat that was sent at that time, or what a commit of this
    /// generation was refused with.
    pub(super) fn answered(
        &mut self,
        call: GroupCall,
        code: ErrorCode,
        sent: Duration,
    ) -> (Verdict, Option<MembershipChange>) {
        let verdict = verdict(call, code);
        let tell = match verdict {
            Verdict::Success => {
                self.confirmed = self.confirmed.max(sent);
                self.lease.set(sent + self.times.session);
                None
            }
            Verdict::Rebalance => {
                let tell = self.revoke();
                // The coordinator waits no longer than this, counted from a moment when
                // it did not wait yet; and no longer than a session for a sign of life.
                let until = self.confirmed + self.release_time;
                if matches!(self.phase, Phase::Releasing { lost: false }) && call == GroupCall::Heartbeat {
                    self.lease.set(until.min(sent + self.times.session));
                }
                tell
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
        (verdict, tell)
    }

    /// The share is to be given back: the group shares out anew, or shall do so.
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

    /// The share is lost.
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

    /// What time does: letting go that takes too long loses the share.
    pub(super) fn at(&mut self, now: Duration) -> Option<MembershipChange> {
        let late = now >= self.confirmed + self.release_time;
        if late && self.phase == (Phase::Releasing { lost: false }) { self.lose() } else { None }
    }

    /// The owner has let go; true if that was what it was asked for last.
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
