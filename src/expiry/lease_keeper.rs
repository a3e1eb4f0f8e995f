//! The thread that keeps the lease or waits for it: of all pandads that could listen for a work list, one
//! does. Plain commands are enough; the server needs no scripts.
//!
//! While the list's server does not serve, a pandad goes on as before: no other pandad can push anything in
//! that time either.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::command_reply::{self, CommandReply};
use super::context::ExpiryContext;
use super::lease_fence::{LeaseFence, LeaseHolder};
use super::server_clock::millis;
use crate::error::Fault;
use crate::redis::{EvictionCheck, Link, RedisConnection, RedisError, Requests, Value, cmd};
use crate::threads;

/// How long the lease lasts after the last heartbeat.
const LEASE_LIFE: Duration = Duration::from_secs(6);
/// The time between two checks, each of which is a heartbeat. Three of them fit into the lease's life.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(2);
/// After an outage of the server, a pandad that waits for the lease does not take a vacant one for this many
/// checks. It is left to the pandad that had it: the lease ran out only because nobody could renew it.
const VACANT_CHECKS_LEFT: u32 = 2;
/// If the lease is vacant and its beat has not changed for this time, its holder is gone.
const BEAT_LIFE: Duration = Duration::from_secs(5);
/// The policy of the list's server is asked for again after this many checks.
const CHECKS_PER_POLICY: u32 = 30;

/// See the module.
pub(super) struct LeaseKeeper {
    context: Arc<ExpiryContext>,
    link: Link,
    /// The result of the last check; `None` before the first.
    status: Option<LeaseStatus>,
    /// For how many more checks a vacant lease is not taken.
    vacant_checks_left: u32,
    eviction: EvictionCheck,
    /// Whether the list's server evicts keys.
    evicts: bool,
    /// The number of checks so far.
    checks: u32,
    beat: SeenBeat,
    denial_logged: bool,
}

/// The result of a check of the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
enum LeaseStatus {
    Held,
    HeldElsewhere,
    /// Nobody has the lease, and this pandad did not take it yet.
    Vacant,
    /// The user may not read or write the lease. The text is the server's error.
    Denied(String),
}

/// The beat of the lease's holder as it was last seen, and since when it has not changed. A server that
/// evicts keys may delete the lease of a holder that lives, but not a key without a time to live.
#[derive(Default)]
struct SeenBeat(Option<(Vec<u8>, Instant)>);

impl SeenBeat {
    /// Records the beat that was read; `None` if there is none.
    fn record(&mut self, beat: Option<Vec<u8>>, now: Instant) {
        let known = self.0.take();
        self.0 = beat.map(|beat| match known {
            Some((before, since)) if before == beat => (beat, since),
            _ => (beat, now),
        });
    }

    /// The holder's token.
    fn token(&self) -> Option<&[u8]> {
        self.0.as_ref()?.0.rsplitn(2, |byte| *byte == b' ').nth(1)
    }

    /// Whether another holder lives, as far as its beat shows.
    fn is_alive(&self, now: Instant) -> bool {
        let Some((_, since)) = &self.0 else { return false };
        let token = self.token().unwrap_or_default();
        now.saturating_duration_since(*since) < BEAT_LIFE && !LeaseHolder::Other(token.to_vec()).is_gone()
    }
}

impl LeaseKeeper {
    pub(super) fn new(context: &Arc<ExpiryContext>) -> Self {
        Self {
            link: context.list.link(),
            status: None,
            vacant_checks_left: 0,
            eviction: EvictionCheck::new(format!("{}: {}", context.job, context.list.server)),
            evicts: false,
            checks: 0,
            beat: SeenBeat::default(),
            denial_logged: false,
            context: Arc::clone(context),
        }
    }

    /// Runs until the watch ends.
    pub(super) fn run(mut self) {
        while !self.context.has_ended() {
            match threads::contain(|| self.turn()) {
                Ok(Ok(())) => {}
                Ok(Err(_logged)) => {
                    self.vacant_checks_left = VACANT_CHECKS_LEFT;
                    self.checks = 0;
                    if self.status.is_none() {
                        // If nothing is known of the lease, this pandad may listen.
                        self.context.listen_state.set_leased_elsewhere(false);
                    }
                }
                Err(panic) => {
                    log::error!("{}: internal error in the lease thread: {panic}", self.context.job)
                }
            }
            self.context.pause(HEARTBEAT_INTERVAL);
        }
        if self.status == Some(LeaseStatus::Held) {
            let fence = &self.context.fence;
            let release = fence.release_command();
            // If this fails, the lease runs out by itself.
            let _released = self.link.once(|connection| {
                let released = fence.run_if_held_by(&LeaseHolder::ThisInstance, connection, &release)?;
                if released {
                    return Ok(());
                }
                // If the lease was evicted, its beat is still there, unless another pandad has taken over.
                let mut beat = SeenBeat::default();
                beat.record(read_beat(connection, fence)?, Instant::now());
                if beat.token().is_some_and(|token| fence.is_own(token)) {
                    fence.run_if_held_by(&LeaseHolder::Nobody, connection, &release)?;
                }
                Ok(())
            });
        }
    }

    /// Checks the lease once.
    fn turn(&mut self) -> Result<(), Fault> {
        let held = self.status == Some(LeaseStatus::Held);
        let Self { context, link, eviction, evicts, checks, beat, .. } = self;
        let fence = &context.fence;
        // A pandad that waits leaves a vacant lease to its last holder for a while. Any other one may take
        // it.
        let waits = !context.listen_state.may_listen() && self.status.is_some();
        let may_take = !waits || self.vacant_checks_left == 0;
        let asks_policy = *checks % CHECKS_PER_POLICY == 0;
        *checks = checks.wrapping_add(1);
        let status = link.doing("lease").with_retry(|connection| {
            let status = check(connection, fence, beat, held, may_take)?;
            if asks_policy {
                let Ok(answer) = eviction.evicts(connection) else {
                    // The lease was checked, whatever comes of this question; the next check asks again.
                    *checks = 0;
                    return Ok(status);
                };
                *evicts = answer;
                if !answer && status == LeaseStatus::Held {
                    // One of a time in which the server did evict keys would be taken for that of a holder.
                    let _refused_or_lost = connection.ask(&fence.delete_beat_command());
                }
            }
            if *evicts && status == LeaseStatus::Held {
                match connection.ask(&fence.beat_command(u64::from(*checks))) {
                    // If this is refused, the lease works as on servers that evict nothing.
                    Ok(_) | Err(RedisError::Refused { .. }) => {}
                    Err(lost) => return Err(lost),
                }
            }
            Ok(status)
        })?;
        self.vacant_checks_left = self.vacant_checks_left.saturating_sub(1);
        if status != LeaseStatus::Vacant {
            self.context.listen_state.set_leased_elsewhere(status == LeaseStatus::HeldElsewhere);
        }
        let standby = !self.context.listen_state.may_listen();
        self.context.counters.standby.store(standby, Relaxed);
        self.log_change(&status);
        if status != LeaseStatus::Vacant {
            self.status = Some(status);
        }
        Ok(())
    }

    /// Logs what has changed since the last check.
    fn log_change(&mut self, status: &LeaseStatus) {
        let job = self.context.job;
        match (&self.status, status) {
            (_, LeaseStatus::Denied(refusal)) if !self.denial_logged => {
                self.denial_logged = true;
                let key = self.context.fence.key();
                log::warn!("{job}: cannot use the lease {key}: {refusal}; run only one pandad for this list");
            }
            (Some(LeaseStatus::HeldElsewhere), LeaseStatus::Held) => {
                log::info!("{job}: the other pandad is gone; this one has taken over listening");
            }
            (Some(LeaseStatus::Held), LeaseStatus::HeldElsewhere) => {
                log::warn!("{job}: another pandad has taken over listening; this one waits for the lease");
            }
            (None, LeaseStatus::HeldElsewhere) => {
                log::info!("{job}: another pandad listens; this one waits until it is gone");
            }
            _ => {}
        }
    }
}

/// Reads the lease. Renews it if this instance has it (`held`), and takes it if nobody has it (`may_take`)
/// and no beat shows that another holder lives, or if its holder is gone.
fn check(
    connection: &mut RedisConnection,
    fence: &LeaseFence,
    beat: &mut SeenBeat,
    held: bool,
    may_take: bool,
) -> Result<LeaseStatus, RedisError> {
    let mut requests = Requests::default();
    if held {
        // The lease is renewed before it is read: if the read shows this instance's token, the lease will
        // certainly last for a whole life.
        requests.add(cmd("PEXPIRE").arg(fence.key()).arg(millis(LEASE_LIFE)));
    }
    requests.add(cmd("GET").arg(fence.key()));
    let mut replies = command_reply::classify(connection.ask_all(&requests)?)?;
    for reply in &replies {
        if let CommandReply::Refused(why) = reply {
            if why.contains("unknown command") {
                // That is no access list, but a server of another kind, such as a Sentinel.
                connection.demand_master()?;
            }
            return Ok(LeaseStatus::Denied(why.clone()));
        }
    }
    let holder = fence.holder_of(replies.pop());
    if may_take && holder == LeaseHolder::Nobody {
        let now = Instant::now();
        beat.record(read_beat(connection, fence)?, now);
        // The lease of another holder was evicted. This instance may have had it before.
        if beat.is_alive(now) && !beat.token().is_some_and(|token| fence.is_own(token)) {
            return Ok(LeaseStatus::HeldElsewhere);
        }
    }
    let mut take = fence.take_command(millis(LEASE_LIFE));
    let taken = match &holder {
        LeaseHolder::ThisInstance => true,
        LeaseHolder::Nobody if may_take => match connection.ask(take.arg("NX")) {
            Ok(reply) => !matches!(reply, Value::Nil),
            Err(no) if no.has_code("NOPERM") => return Ok(LeaseStatus::Denied(no.to_string())),
            Err(error) => return Err(error),
        },
        LeaseHolder::Other(_) if holder.is_gone() => fence.run_if_held_by(&holder, connection, &take)?,
        _ => false,
    };
    Ok(match holder {
        _ if taken => LeaseStatus::Held,
        LeaseHolder::Nobody if !may_take => LeaseStatus::Vacant,
        _ => LeaseStatus::HeldElsewhere,
    })
}

/// The beat of the lease's holder, if it has one.
fn read_beat(connection: &mut RedisConnection, fence: &LeaseFence) -> Result<Option<Vec<u8>>, RedisError> {
    match connection.ask(&fence.read_beat_command()) {
        Ok(Value::BulkString(beat)) => Ok(Some(beat)),
        // Without the right to read it the lease works as on servers that evict nothing.
        Ok(_) => Ok(None),
        Err(no) if no.has_code("NOPERM") => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
