//! The lease: of all pandads that could listen for a list, one does. It is a key on the
//! list's server that its holder keeps alive, and plain commands are all it takes.
//!
//! Who cannot ask goes on as before: nobody else can push anything either then.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::command_reply::{self, CommandReply};
use super::lease_fence::{LeaseFence, LeaseHolder};
use super::listen_state::ListenState;
use super::server_clock::millis;
use crate::error::Fault;
use crate::host::Process;
use crate::redis::{Link, RedisConnection, RedisError, Requests, Value, cmd};
use crate::report::Counters;
use crate::threads;

/// For how long it holds after the last sign of life.
const LEASE_LIFE: Duration = Duration::from_secs(6);
/// Three chances within a life.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(2);

/// Keeps the lease, or waits for it.
pub(super) struct LeaseKeeper {
    pub(super) job: &'static str,
    pub(super) link: Link,
    pub(super) fence: LeaseFence,
    pub(super) listen_state: ListenState,
    pub(super) counters: Arc<Counters>,
    pub(super) gone: Receiver<()>,
    pub(super) state: KeeperState,
}

/// What it knows of the lease.
#[derive(Default)]
pub(super) struct KeeperState {
    known: Option<LeaseStatus>,
    /// Looks that a vacant lease is left to whoever had it, since the server was away.
    wary: u32,
    /// What may not be done has been said.
    said: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LeaseStatus {
    Held,
    HeldElsewhere,
    /// It may not be asked for.
    Denied,
}

impl LeaseKeeper {
    /// Until its owner is gone.
    pub(super) fn run(mut self) {
        loop {
            match threads::contain(|| self.turn()) {
                Ok(Ok(())) => {}
                Ok(Err(_told)) => {
                    self.state.wary = 2;
                    if self.state.known.is_none() {
                        self.listen_state.set_leased_elsewhere(false);
                    }
                }
                Err(panic) => log::error!("{}: a fault of our own in the lease: {panic}", self.job),
            }
            if self.gone.recv_timeout(HEARTBEAT_INTERVAL).is_err_and(|error| error.is_disconnected()) {
                break;
            }
        }
        if self.state.known == Some(LeaseStatus::Held) {
            let fence = self.fence.clone();
            let mut delete = cmd("DEL");
            delete.arg(&fence.key);
            // If not, it ends by itself.
            let _released = self
                .link
                .once(|connection| fence.run_if_held_by(&LeaseHolder::ThisInstance, connection, &delete));
        }
    }

    fn turn(&mut self) -> Result<(), Fault> {
        let (fence, ours) = (self.fence.clone(), self.state.known == Some(LeaseStatus::Held));
        let may_take = ours || self.state.wary == 0;
        self.state.wary = self.state.wary.saturating_sub(1);
        let known =
            self.link.doing("lease").with_retry(|connection| look(connection, &fence, ours, may_take))?;
        if let Err(refusal) = &known
            && !std::mem::replace(&mut self.state.said, true)
        {
            log::warn!(
                "{}: the lease {} cannot be had, run one pandad for this list: {refusal}",
                self.job,
                self.fence.key
            );
        }
        let known = known.unwrap_or(LeaseStatus::Denied);
        self.listen_state.set_leased_elsewhere(known == LeaseStatus::HeldElsewhere);
        self.counters.standby.store(known == LeaseStatus::HeldElsewhere, Relaxed);
        match (self.state.known.replace(known), known) {
            (Some(LeaseStatus::HeldElsewhere), LeaseStatus::Held) => {
                log::info!("{}: takes over listening", self.job)
            }
            (Some(LeaseStatus::Held), LeaseStatus::HeldElsewhere) => {
                log::warn!("{}: another pandad has taken over listening; this one waits", self.job);
            }
            (None, LeaseStatus::HeldElsewhere) => {
                log::info!("{}: another pandad listens; this one takes over when that is gone", self.job);
            }
            _ => {}
        }
        Ok(())
    }
}

/// One look at the lease, and a try to have it. `Err`: the server's refusal.
fn look(
    connection: &mut RedisConnection,
    fence: &LeaseFence,
    ours: bool,
    may_take: bool,
) -> Result<Result<LeaseStatus, String>, RedisError> {
    let mut requests = Requests::default();
    if ours {
        // Whatever is there lives on; whose it is is asked after that, and so certain.
        requests.add(cmd("PEXPIRE").arg(&fence.key).arg(millis(LEASE_LIFE)));
    }
    requests.add(cmd("GET").arg(&fence.key));
    let mut answers = command_reply::sort(connection.ask_all(&requests)?)?;
    for answer in &answers {
        if let CommandReply::No(why) = answer {
            return Ok(Err(why.clone()));
        }
    }
    let whose = fence.holder_of(answers.pop());
    let mut set = cmd("SET");
    set.arg(&fence.key).arg(&fence.token);
    let had = match &whose {
        LeaseHolder::ThisInstance => return Ok(Ok(LeaseStatus::Held)),
        LeaseHolder::Nobody if may_take => {
            set.arg("NX").arg("PX").arg(millis(LEASE_LIFE));
            match connection.ask(&set) {
                Ok(answer) => !matches!(answer, Value::Nil),
                Err(no) if no.has_code("NOPERM") => return Ok(Err(no.to_string())),
                Err(trouble) => return Err(trouble),
            }
        }
        LeaseHolder::Other(token) if is_gone(token) => {
            fence.run_if_held_by(&whose, connection, set.arg("PX").arg(millis(LEASE_LIFE)))?
        }
        _ => false,
    };
    Ok(Ok(if had { LeaseStatus::Held } else { LeaseStatus::HeldElsewhere }))
}

/// Whether whoever wrote that certainly does not run any more.
fn is_gone(token: &[u8]) -> bool {
    let text = std::str::from_utf8(token).ok();
    let process = text.and_then(|text| text.split_once(' ')?.1.parse::<Process>().ok());
    process.is_some_and(|process| process.is_gone())
}
