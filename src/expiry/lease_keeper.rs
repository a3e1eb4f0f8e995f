//! The lease: of all pandads that could listen for a list, one does. It is a key on the
//! list's server that its holder keeps alive, and plain commands are all it takes.
//!
//! Who cannot ask goes on as before: nobody else can push anything either then.

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

/// For how long it holds after the last sign of life.
const LEASE_LIFE: Duration = Duration::from_secs(6);
/// Three chances within a life.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(2);
/// Looks that a vacant lease is left to whoever had it, since the server was away.
const CHECKS_LEFT_VACANT: u32 = 2;

/// Keeps the lease, or waits for it.
pub(super) struct LeaseKeeper {
    context: Arc<ExpiryContext>,
    link: Link,
    /// What the last look has shown.
    status: Option<LeaseStatus>,
    /// For so many looks yet, a vacant lease is left to whoever had it.
    checks_left_vacant: u32,
    denial_logged: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum LeaseStatus {
    Held,
    HeldElsewhere,
    /// It may not be asked for; the server's words.
    Denied(String),
}

impl LeaseKeeper {
    pub(super) fn new(context: &Arc<ExpiryContext>) -> Self {
        let link = context.list.link();
        Self { context: Arc::clone(context), link, status: None, checks_left_vacant: 0, denial_logged: false }
    }

    /// Until its owner is gone.
    pub(super) fn run(mut self) {
        while !self.context.has_ended() {
            match threads::contain(|| self.turn()) {
                Ok(Ok(())) => {}
                Ok(Err(_logged)) => {
                    self.checks_left_vacant = CHECKS_LEFT_VACANT;
                    if self.status.is_none() {
                        self.context.listen_state.set_leased_elsewhere(false);
                    }
                }
                Err(panic) => log::error!("{}: a fault of our own in the lease: {panic}", self.context.job),
            }
            self.context.pause(HEARTBEAT_INTERVAL);
        }
        if self.status == Some(LeaseStatus::Held) {
            let fence = &self.context.fence;
            let release = fence.release();
            // If not, it ends by itself.
            let _released = self
                .link
                .once(|connection| fence.run_if_held_by(&LeaseHolder::ThisInstance, connection, &release));
        }
    }

    fn turn(&mut self) -> Result<(), Fault> {
        let held = self.status == Some(LeaseStatus::Held);
        let may_take = held || self.checks_left_vacant == 0;
        self.checks_left_vacant = self.checks_left_vacant.saturating_sub(1);
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

    fn log_change(&mut self, status: &LeaseStatus) {
        let job = self.context.job;
        match (&self.status, status) {
            (_, LeaseStatus::Denied(refusal)) if !self.denial_logged => {
                self.denial_logged = true;
                let key = self.context.fence.key();
                log::warn!("{job}: the lease {key} cannot be had, run one pandad for this list: {refusal}");
            }
            (Some(LeaseStatus::HeldElsewhere), LeaseStatus::Held) => {
                log::info!("{job}: takes over listening");
            }
            (Some(LeaseStatus::Held), LeaseStatus::HeldElsewhere) => {
                log::warn!("{job}: another pandad has taken over listening; this one waits");
            }
            (None, LeaseStatus::HeldElsewhere) => {
                log::info!("{job}: another pandad listens; this one takes over when that is gone");
            }
            _ => {}
        }
    }
}

/// One look at the lease, and a try to have it.
fn check(
    connection: &mut RedisConnection,
    fence: &LeaseFence,
    held: bool,
    may_take: bool,
) -> Result<LeaseStatus, RedisError> {
    let mut requests = Requests::default();
    if held {
        // Whatever is there lives on; whose it is is asked after that, and so certain.
        requests.add(cmd("PEXPIRE").arg(fence.key()).arg(millis(LEASE_LIFE)));
    }
    requests.add(cmd("GET").arg(fence.key()));
    let mut answers = command_reply::sort(connection.ask_all(&requests)?)?;
    for answer in &answers {
        if let CommandReply::No(why) = answer {
            return Ok(LeaseStatus::Denied(why.clone()));
        }
    }
    let holder = fence.holder_of(answers.pop());
    let mut take = fence.take(millis(LEASE_LIFE));
    let taken = match &holder {
        LeaseHolder::ThisInstance => true,
        LeaseHolder::Nobody if may_take => match connection.ask(take.arg("NX")) {
            Ok(answer) => !matches!(answer, Value::Nil),
            Err(no) if no.has_code("NOPERM") => return Ok(LeaseStatus::Denied(no.to_string())),
            Err(error) => return Err(error),
        },
        LeaseHolder::Other(_) if holder.has_died() => fence.run_if_held_by(&holder, connection, &take)?,
        _ => false,
    };
    Ok(if taken { LeaseStatus::Held } else { LeaseStatus::HeldElsewhere })
}
