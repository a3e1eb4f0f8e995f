//! The thread that keeps the lease or waits for it: of all pandads that could listen for a work list, one
//! does. Plain commands are enough; the server needs no scripts.
//!
//! While the list's server does not serve, a pandad goes on as before: no other pandad can push anything in
//! that time either.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::command_reply::{self, CommandReply};
use super::context::ExpiryContext;
use super::lease_fence::{LeaseFence, LeaseHolder};
use super::server_clock::millis;
use crate::error::Fault;
use crate::redis::{Link, RedisConnection, RedisError, Requests, Value, cmd};
use crate::threads;

/// How long the lease lasts after the last heartbeat.
const LEASE_LIFE: Duration = Duration::from_secs(6);
/// The time between two checks, each of which is a heartbeat. Three of them fit into the lease's life.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(2);
/// After an outage of the server, the other pandads do not take a vacant lease for this many checks. It is
/// left to the pandad that had it: the lease ran out only because nobody could renew it.
const VACANT_CHECKS_LEFT: u32 = 2;

/// See the module.
pub(super) struct LeaseKeeper {
    context: Arc<ExpiryContext>,
    link: Link,
    /// The result of the last check; `None` before the first.
    status: Option<LeaseStatus>,
    /// For how many more checks a vacant lease is not taken.
    vacant_checks_left: u32,
    denial_logged: bool,
}

/// The result of a check of the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
enum LeaseStatus {
    Held,
    HeldElsewhere,
    /// The user may not read or write the lease. The text is the server's error.
    Denied(String),
}

impl LeaseKeeper {
    pub(super) fn new(context: &Arc<ExpiryContext>) -> Self {
        let link = context.list.link();
        Self { context: Arc::clone(context), link, status: None, vacant_checks_left: 0, denial_logged: false }
    }

    /// Runs until the watch ends.
    pub(super) fn run(mut self) {
        while !self.context.has_ended() {
            match threads::contain(|| self.turn()) {
                Ok(Ok(())) => {}
                Ok(Err(_logged)) => {
                    self.vacant_checks_left = VACANT_CHECKS_LEFT;
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
            let _released = self
                .link
                .once(|connection| fence.run_if_held_by(&LeaseHolder::ThisInstance, connection, &release));
        }
    }

    /// Checks the lease once.
    fn turn(&mut self) -> Result<(), Fault> {
        let held = self.status == Some(LeaseStatus::Held);
        let may_take = held || self.vacant_checks_left == 0;
        self.vacant_checks_left = self.vacant_checks_left.saturating_sub(1);
        let fence = &self.context.fence;
        let status =
            self.link.doing("lease").with_retry(|connection| check(connection, fence, held, may_take))?;
        let elsewhere = status == LeaseStatus::HeldElsewhere;
        self.context.listen_state.set_leased_elsewhere(elsewhere);
        self.context.counters.standby.store(elsewhere, Relaxed);
        self.log_change(&status);
        self.status = Some(status);
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
/// or its holder is gone.
fn check(
    connection: &mut RedisConnection,
    fence: &LeaseFence,
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
            return Ok(LeaseStatus::Denied(why.clone()));
        }
    }
    let holder = fence.holder_of(replies.pop());
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
    Ok(if taken { LeaseStatus::Held } else { LeaseStatus::HeldElsewhere })
}
