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
    LettingGo { lost: bool },
    /// Fenced: for good.
    Down,
}

/// What the owner of the share is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MembershipChange {
    /// Let go: settle and commit, until then at most. The answer names this number.
    LetGo { asked: u64, until: Duration },
    /// It is ours no more.
    Lost { asked: u64 },
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
    to_let_go: Duration,
    asked: u64,
}

impl MemberState {
    /// Outside, under the name that it was given the last time, if any.
    pub(super) fn new(times: MemberTimeouts, lease: Lease, instance: String, id: String) -> Self {
        let (generation, phase, confirmed) = (-1, Phase::Out, Duration::ZERO);
        let to_let_go = times.session;
        Self {
            times,
            lease,
            instance,
            is_static: None,
            id,
            generation,
            phase,
            confirmed,
            to_let_go,
            asked: 0,
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
    pub(super) fn asked(&self) -> u64 {
        self.asked
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
    pub(super) fn joins_in(&mut self, version: i16) {
        let is_static = version >= STATIC_MEMBER_SINCE;
        if is_static && self.is_static != Some(true) {
            // By its own name it is known again at once, and gets another one. One that it
            // remembers from another run may since have been replaced, which is what a
            // twin would look like.
            self.id.clear();
        }
        self.is_static = Some(is_static);
        self.to_let_go = if version == 0 { self.times.session } else { self.times.rebalance };
    }

    /// The answer to a join.
    pub(super) fn joined(&mut self, answer: &Joined) -> Verdict {
        let verdict = verdict(GroupCall::Join, answer.code);
        match verdict {
            Verdict::Fine => {
                self.id.clone_from(&answer.member);
                self.generation = answer.generation;
            }
            Verdict::TakeName => self.id.clone_from(&answer.member),
            other => self.outside(other),
        }
        verdict
    }

    /// The answer to a sync that was sent at that time.
    pub(super) fn synced(&mut self, code: ErrorCode, sent: Duration) -> Verdict {
        let verdict = verdict(GroupCall::Sync, code);
        if verdict == Verdict::Fine {
            self.phase = Phase::In;
            self.confirmed = sent;
            self.lease.set(sent + self.times.session);
        } else {
            self.outside(verdict);
        }
        verdict
    }

    /// What a refused join or sync leaves of a membership.
    fn outside(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Lost { name_is_known: false } => self.id.clear(),
            Verdict::Fenced => self.phase = Phase::Down,
            _ => {}
        }
    }

    /// The answer to a heartbeat that was sent at that time, or what a commit of this
    /// generation was refused with.
    pub(super) fn heard(
        &mut self,
        call: GroupCall,
        code: ErrorCode,
        sent: Duration,
    ) -> (Verdict, Option<MembershipChange>) {
        let verdict = verdict(call, code);
        let tell = match verdict {
            Verdict::Fine => {
                self.confirmed = self.confirmed.max(sent);
                self.lease.set(sent + self.times.session);
                None
            }
            Verdict::Rebalance => {
                let tell = self.let_go();
                // The coordinator waits no longer than this, counted from a moment when
                // it did not wait yet; and no longer than a session for a sign of life.
                let until = self.confirmed + self.to_let_go;
                if matches!(self.phase, Phase::LettingGo { lost: false }) && call == GroupCall::Heartbeat {
                    self.lease.set(until.min(sent + self.times.session));
                }
                tell
            }
            Verdict::Lost { name_is_known } => {
                if !name_is_known {
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
    pub(super) fn let_go(&mut self) -> Option<MembershipChange> {
        if self.phase != Phase::In {
            return None;
        }
        self.phase = Phase::LettingGo { lost: false };
        self.asked += 1;
        Some(MembershipChange::LetGo { asked: self.asked, until: self.confirmed + self.to_let_go })
    }

    /// The share is lost.
    fn lose(&mut self) -> Option<MembershipChange> {
        self.lease.end();
        match self.phase {
            Phase::In | Phase::LettingGo { lost: false } => {
                self.phase = Phase::LettingGo { lost: true };
                self.asked += 1;
                Some(MembershipChange::Lost { asked: self.asked })
            }
            _ => None,
        }
    }

    /// What time does: letting go that takes too long loses the share.
    pub(super) fn at(&mut self, now: Duration) -> Option<MembershipChange> {
        let late = now >= self.confirmed + self.to_let_go;
        if late && self.phase == (Phase::LettingGo { lost: false }) { self.lose() } else { None }
    }

    /// The owner has let go; true if that was what it was asked for last.
    pub(super) fn confirm_release(&mut self, asked: u64) -> bool {
        let is_it = matches!(self.phase, Phase::LettingGo { .. }) && asked == self.asked;
        if is_it {
            self.lease.end();
            self.phase = Phase::Out;
        }
        is_it
    }
}

#[cfg(test)]
mod tests {
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

    /// A member since now.
    fn member(version: i16) -> (MemberState, Lease, Duration) {
        let (lease, now) = (Lease::expired(), host::since_boot());
        let mut state = MemberState::new(TIMES, lease.clone(), "name".to_owned(), "old".to_owned());
        state.joins_in(version);
        assert_eq!(state.joined(&answer(0, "m")), Verdict::Fine);
        assert!(!lease.holds(), "a share comes with the sync");
        assert_eq!(state.synced(ErrorCode::NONE, now), Verdict::Fine);
        assert!(lease.holds() && state.phase() == Phase::In);
        (state, lease, now)
    }

    fn beat(state: &mut MemberState, code: i16, sent: Duration) -> Option<MembershipChange> {
        state.heard(GroupCall::Heartbeat, ErrorCode(code), sent).1
    }

    #[test]
    fn a_name_is_used_again_where_the_coordinator_gave_it_and_its_own_where_that_counts() {
        for (version, id, instance) in [(0, "old", None), (4, "old", None), (5, "", Some("name"))] {
            let mut state = MemberState::new(TIMES, Lease::expired(), "name".to_owned(), "old".to_owned());
            state.joins_in(version);
            assert_eq!((state.id(), state.instance()), (id, instance), "version {version}");
            // The name that is given now is that of this run.
            assert_eq!(state.joined(&answer(79, "new")), Verdict::TakeName);
            state.joins_in(version);
            assert_eq!((state.id(), state.phase()), ("new", Phase::Out));
            assert_eq!(state.joined(&answer(25, "")), Verdict::Lost { name_is_known: false });
            assert_eq!(state.id(), "");
        }
    }

    #[test]
    fn a_rebalance_asks_to_let_go_and_leaves_the_name() {
        let (mut state, lease, now) = member(5);
        let until = now + TIMES.rebalance;
        assert_eq!(beat(&mut state, 27, now), Some(MembershipChange::LetGo { asked: 1, until }));
        assert!(lease.holds(), "what is in hand may still land");
        assert_eq!(beat(&mut state, 27, now), None, "it is asked once");
        assert!(!state.confirm_release(0) && lease.holds());
        assert!(state.confirm_release(1) && !lease.holds());
        assert_eq!((state.phase(), state.id()), (Phase::Out, "m"));
        assert!(!state.confirm_release(1));
    }

    /// The first version knows no time to let go but the session's.
    #[test]
    fn letting_go_that_takes_too_long_loses_the_share() {
        for (version, limit) in [(0, TIMES.session), (1, TIMES.rebalance)] {
            let (mut state, lease, now) = member(version);
            beat(&mut state, 27, now);
            assert_eq!(state.at(now + limit - Duration::from_millis(1)), None);
            assert_eq!(state.at(now + limit), Some(MembershipChange::Lost { asked: 2 }));
            assert!(!lease.holds());
            assert!(!state.confirm_release(1), "that was the answer to something else");
            assert!(state.confirm_release(2));
        }
    }

    /// While others are waited for, a heartbeat holds the share no longer than the
    /// coordinator does.
    #[test]
    fn heartbeats_of_a_rebalance_do_not_hold_for_ever() {
        let (mut state, lease, now) = member(5);
        let long_ago = now - TIMES.rebalance;
        state.confirmed = long_ago;
        beat(&mut state, 27, now);
        assert!(!lease.holds());
        assert_eq!(state.at(now), Some(MembershipChange::Lost { asked: 2 }));
    }

    #[test]
    fn a_share_is_lost_with_the_generation_or_the_name() {
        for (code, id) in [(22, "m"), (25, "")] {
            let (mut state, lease, now) = member(5);
            assert_eq!(beat(&mut state, code, now), Some(MembershipChange::Lost { asked: 1 }));
            assert!(!lease.holds() && state.id() == id);
            assert!(state.confirm_release(1) && state.phase() == Phase::Out);
            // Also while it is being let go.
            let (mut state, _, now) = member(5);
            beat(&mut state, 27, now);
            assert_eq!(beat(&mut state, code, now), Some(MembershipChange::Lost { asked: 2 }));
        }
    }

    #[test]
    fn a_twin_ends_it() {
        let (mut state, lease, now) = member(5);
        assert_eq!(beat(&mut state, 82, now), Some(MembershipChange::Fenced));
        assert!(!lease.holds() && state.phase() == Phase::Down);
        let mut state = MemberState::new(TIMES, Lease::expired(), "name".to_owned(), String::new());
        state.joins_in(5);
        assert_eq!(state.joined(&answer(82, "")), Verdict::Fenced);
        assert_eq!(state.phase(), Phase::Down);
    }

    #[test]
    fn a_coordinator_that_moves_or_loads_changes_nothing() {
        for code in [14, 15, 16, 7, -1] {
            let (mut state, lease, now) = member(5);
            assert_eq!(beat(&mut state, code, now), None);
            assert!(lease.holds() && state.phase() == Phase::In, "{code}");
        }
    }

    /// What was heard last is what counts: an older answer must not prolong it.
    #[test]
    fn the_lease_counts_from_when_a_heartbeat_was_sent() {
        let (mut state, lease, now) = member(5);
        beat(&mut state, 0, now - TIMES.session);
        assert!(!lease.holds());
    }
}
