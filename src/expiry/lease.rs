//! The lease: of all pandads that could listen for a list, one does. It is a key on the
//! list's server that its holder keeps alive, and plain commands are all it takes.
//!
//! Who cannot ask goes on as before: nobody else can push anything either then.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::gate::{Gate, millis};
use super::reply::{self, Answer};
use crate::error::Fault;
use crate::host::Process;
use crate::redis::{Cmd, Link, RedisConnection, RedisError, Requests, Value, cmd};
use crate::report::Counters;
use crate::threads;

/// For how long it holds after the last sign of life.
const LIFE: Duration = Duration::from_secs(6);
/// Three chances within a life.
const BEAT: Duration = Duration::from_secs(2);

/// What a holder writes into the lease, and what others find there.
#[derive(Clone)]
pub(super) struct Fence {
    key: String,
    token: String,
}

/// Whose the lease is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Ours,
    Nobodys,
    Theirs(Vec<u8>),
}

impl Fence {
    pub(super) fn new(key: String, instance: &str) -> Self {
        Self { key, token: format!("{instance} {}", Process::this()) }
    }

    /// Adds what [`Fence::whose`] reads: from here to the next EXEC, that fails if the
    /// lease changes hands.
    pub(super) fn watch(&self, requests: &mut Requests) {
        requests.add(cmd("WATCH").arg(&self.key)).add(cmd("GET").arg(&self.key));
    }

    /// Whose the lease is, by the answers to [`Fence::watch`].
    pub(super) fn whose(&self, answers: &mut impl Iterator<Item = Answer>) -> Whose {
        let (_watched, held) = (answers.next(), answers.next());
        self.judge(held)
    }

    fn judge(&self, held: Option<Answer>) -> Whose {
        match held {
            Some(Answer::Bytes(token)) if token == self.token.as_bytes() => Whose::Ours,
            Some(Answer::Bytes(token)) => Whose::Theirs(token),
            _ => Whose::Nobodys,
        }
    }
}

/// Keeps the lease, or waits for it.
pub(super) struct Keeper {
    pub(super) job: &'static str,
    pub(super) link: Link,
    pub(super) fence: Fence,
    pub(super) gate: Gate,
    pub(super) counters: Arc<Counters>,
    pub(super) gone: Receiver<()>,
    pub(super) state: State,
}

/// What it knows of the lease.
#[derive(Default)]
pub(super) struct State {
    known: Option<Known>,
    /// Looks that a vacant lease is left to whoever had it, since the server was away.
    wary: u32,
    /// What may not be done has been said.
    said: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Ours,
    Theirs,
    /// It may not be asked for.
    Refused,
}

impl Keeper {
    /// Until its owner is gone.
    pub(super) fn run(mut self) {
        loop {
            match threads::contain(|| self.turn()) {
                Ok(Ok(())) => {}
                Ok(Err(_told)) => {
                    self.state.wary = 2;
                    if self.state.known.is_none() {
                        self.gate.set_elsewhere(false);
                    }
                }
                Err(panic) => log::error!("{}: a fault of our own in the lease: {panic}", self.job),
            }
            if self.gone.recv_timeout(BEAT).is_err_and(|error| error.is_disconnected()) {
                break;
            }
        }
        if self.state.known == Some(Known::Ours) {
            let fence = self.fence.clone();
            let mut delete = cmd("DEL");
            delete.arg(&fence.key);
            // If not, it ends by itself.
            let _released = self.link.once(|connection| exchange(connection, &fence, &Whose::Ours, &delete));
        }
    }

    fn turn(&mut self) -> Result<(), Fault> {
        let (fence, ours) = (self.fence.clone(), self.state.known == Some(Known::Ours));
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
        let known = known.unwrap_or(Known::Refused);
        self.gate.set_elsewhere(known == Known::Theirs);
        self.counters.standby.store(known == Known::Theirs, Relaxed);
        match (self.state.known.replace(known), known) {
            (Some(Known::Theirs), Known::Ours) => log::info!("{}: takes over listening", self.job),
            (Some(Known::Ours), Known::Theirs) => {
                log::warn!("{}: another pandad has taken over listening; this one waits", self.job);
            }
            (None, Known::Theirs) => {
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
    fence: &Fence,
    ours: bool,
    may_take: bool,
) -> Result<Result<Known, String>, RedisError> {
    let mut requests = Requests::default();
    if ours {
        // Whatever is there lives on; whose it is is asked after that, and so certain.
        requests.add(cmd("PEXPIRE").arg(&fence.key).arg(millis(LIFE)));
    }
    requests.add(cmd("GET").arg(&fence.key));
    let mut answers = reply::sort(connection.ask_all(&requests)?)?;
    for answer in &answers {
        if let Answer::No(why) = answer {
            return Ok(Err(why.clone()));
        }
    }
    let whose = fence.judge(answers.pop());
    let mut set = cmd("SET");
    set.arg(&fence.key).arg(&fence.token);
    let had = match &whose {
        Whose::Ours => return Ok(Ok(Known::Ours)),
        Whose::Nobodys if may_take => {
            set.arg("NX").arg("PX").arg(millis(LIFE));
            match connection.ask(&set) {
                Ok(answer) => !matches!(answer, Value::Nil),
                Err(no) if no.has_code("NOPERM") => return Ok(Err(no.to_string())),
                Err(trouble) => return Err(trouble),
            }
        }
        Whose::Theirs(token) if is_gone(token) => {
            exchange(connection, fence, &whose, set.arg("PX").arg(millis(LIFE)))?
        }
        _ => false,
    };
    Ok(Ok(if had { Known::Ours } else { Known::Theirs }))
}

/// Carries out the command if the lease is still whose it was. False if it is not.
fn exchange(
    connection: &mut RedisConnection,
    fence: &Fence,
    whose: &Whose,
    command: &Cmd,
) -> Result<bool, RedisError> {
    let mut requests = Requests::default();
    fence.watch(&mut requests);
    let mut answers = reply::sort(connection.ask_all(&requests)?)?.into_iter();
    if fence.whose(&mut answers) != *whose {
        connection.ask(&cmd("UNWATCH"))?;
        return Ok(false);
    }
    let mut requests = Requests::default();
    requests.add(&cmd("MULTI")).add(command).add(&cmd("EXEC"));
    let answers = connection.demand_all(&requests)?;
    Ok(answers.last().is_some_and(|answer| !matches!(answer, Value::Nil)))
}

/// Whether whoever wrote that certainly does not run any more.
fn is_gone(token: &[u8]) -> bool {
    let text = std::str::from_utf8(token).ok();
    let process = text.and_then(|text| text.split_once(' ')?.1.parse::<Process>().ok());
    process.is_some_and(|process| process.is_gone())
}
