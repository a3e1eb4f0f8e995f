//! The thread that hears what Redis announces: keys that expired, and keys whose
//! deadlines changed. It reads and does nothing else, so that the server never finds it
//! slow. It sees to it, at every connect, that there is something to hear.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::canary::Canary;
use super::changed_keys::ChangedKeys;
use super::inbox::Inbox;
use super::key_filter::KeyFilter;
use super::listen_state::ListenState;
use super::notify_flags;
use crate::backoff::Backoff;
use crate::redis::{Health, RedisConnection, RedisError, RedisServer, Value, cmd};
use crate::threads;

/// After so long without a word the server is asked whether it is there, and must
/// answer within the same time.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// A server that announces nothing and does not let us change that is asked again.
const FLAGS_RECHECK_INTERVAL: Duration = Duration::from_secs(60);
/// A connection that is lost after this may be made anew at once.
const STEADY_CONNECTION_MIN: Duration = Duration::from_secs(1);
const RECONNECT_PAUSE_MIN: Duration = Duration::from_millis(100);
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(5);
/// How often one that may not listen looks whether it may.
const LEASE_POLL_INTERVAL: Duration = Duration::from_millis(200);

/// What is announced of a key that got a deadline, or another name, or came from
/// elsewhere and may have one. SETEX, SET EX, GETEX and all kinds of EXPIRE say `expire`.
/// Before 6.0 RESTORE and MOVE say nothing, and SWAPDB says nothing anywhere: a sweep
/// finds such keys. (notifyKeyspaceEvent in db.c, expire.c, cluster.c, t_string.c.)
const DEADLINE_EVENTS: [&str; 5] = ["expire", "rename_to", "restore", "copy_to", "move_to"];

/// What the listener hears by and whom it tells.
pub(super) struct Listener {
    pub(super) job: &'static str,
    pub(super) server: Arc<RedisServer>,
    pub(super) health: Health,
    pub(super) filter: KeyFilter,
    pub(super) inbox: Inbox,
    pub(super) changed_keys: ChangedKeys,
    pub(super) listen_state: ListenState,
    pub(super) canary: Canary,
    pub(super) gone: Receiver<()>,
    pub(super) state: ListenerState,
}

/// What it remembers from one connection to the next.
#[derive(Default)]
pub(super) struct ListenerState {
    /// Nothing is announced, and that has been said.
    mute: bool,
    /// Deadlines are not announced, and that has been said.
    no_deadlines: bool,
    /// Since when nothing is heard, though it was before.
    deaf: Option<Instant>,
    listening: bool,
    /// That it listens has been said; it only asks again whether there is something to hear.
    said: bool,
}

impl Listener {
    /// Until its owner is gone.
    pub(super) fn run(mut self) {
        let mut backoff = Backoff::new(RECONNECT_PAUSE_MIN, RECONNECT_PAUSE_MAX);
        while !is_closed(&self.gone) {
            if !self.listen_state.may_listen() {
                // Whoever listens instead hears what this one does not.
                (self.state.deaf, self.state.said) = (None, false);
                let _alone = self.gone.recv_timeout(LEASE_POLL_INTERVAL);
                continue;
            }
            let began = Instant::now();
            let listened = threads::contain(|| self.listen());
            self.listen_state.mark_deaf();
            let was_listening = std::mem::take(&mut self.state.listening);
            let trouble = match listened {
                Ok(Ok(())) => continue,
                Ok(Err(trouble)) => trouble,
                Err(panic) => RedisError::Lost(format!("a fault of our own: {panic}")),
            };
            if was_listening {
                self.state.deaf.get_or_insert_with(Instant::now);
                if began.elapsed() > STEADY_CONNECTION_MIN {
                    // Not an outage before a new connection cannot be had either, and
                    // what refuses that says more.
                    continue;
                }
            }
            self.health.down(&trouble.to_string());
            if began.elapsed() > RECONNECT_PAUSE_MAX {
                backoff.reset();
            }
            // Only a closed channel ends the wait early.
            let _alone = self.gone.recv_timeout(backoff.pause());
        }
    }

    /// One connection, from its beginning to its end.
    fn listen(&mut self) -> Result<(), RedisError> {
        let reconnect_requests = self.listen_state.reconnect_requests();
        let mut connection = RedisConnection::open(&self.server)?;
        is_master(&mut connection)?;
        let announces = self.see_to_flags(&mut connection)?;
        let database = self.server.database;
        let channel = |event: &str| format!("__keyevent@{database}__:{event}");
        let expired = channel("expired");
        let mut channels = vec![expired.clone()];
        if !self.state.no_deadlines {
            channels.extend(DEADLINE_EVENTS.map(channel));
        }
        let until = (!announces).then(|| Instant::now() + FLAGS_RECHECK_INTERVAL);
        let (state, listen_state, canary) = (&mut self.state, &self.listen_state, &self.canary);
        let subscribed = || {
            self.health.up();
            state.listening = true;
            if !std::mem::take(&mut state.said) {
                log::info!("{}: listening on {expired} of {}", self.job, self.server);
            }
            if let Some(since) = state.deaf.take() {
                let seconds = since.elapsed().as_secs_f64();
                log::warn!("{}: keys that expired in the last {seconds:.1} s were not heard of", self.job);
            }
            listen_state.mark_listening();
            self.changed_keys.wake();
        };
        let ended = connection.listen(&channels, PING_INTERVAL, subscribed, |message| {
            if let Some((channel, key)) = message {
                if channel == expired {
                    listen_state.count_announced();
                    if canary.is(key) {
                        canary.record_event();
                        self.changed_keys.wake();
                    } else if self.filter.wants(key) {
                        self.inbox.put(key);
                    }
                } else if self.filter.wants(key) {
                    self.changed_keys.put(key);
                }
            }
            !is_closed(&self.gone)
                && listen_state.may_listen()
                && listen_state.reconnect_requests() == reconnect_requests
                && until.is_none_or(|until| Instant::now() < until)
        });
        match ended {
            // It only asks again whether there is something to hear.
            Ok(()) if self.listen_state.reconnect_requests() == reconnect_requests => {
                self.state.said = self.listen_state.may_listen()
            }
            Ok(()) => self.state.deaf = Some(Instant::now()),
            Err(refusal @ RedisError::Refused { .. }) if !self.state.listening && channels.len() > 1 => {
                return self.without_deadlines(&refusal);
            }
            Err(trouble) => return Err(trouble),
        }
        Ok(())
    }

    /// The rights may be for the one channel.
    fn without_deadlines(&mut self, refusal: &RedisError) -> Result<(), RedisError> {
        self.state.no_deadlines = true;
        log::warn!(
            "{}: {}: deadlines are not heard of, and keys may be late: {refusal}; allow the channels \
             __keyevent@{}__:*",
            self.job,
            self.server,
            self.server.database
        );
        Ok(())
    }

    /// Adds what is missing to `notify-keyspace-events`. False if nothing will be heard.
    fn see_to_flags(&mut self, connection: &mut RedisConnection) -> Result<bool, RedisError> {
        let flags = match connection.ask(cmd("CONFIG").arg("GET").arg("notify-keyspace-events")) {
            Ok(answer) => flags_of(&answer),
            Err(refusal @ RedisError::Refused { .. }) => {
                self.say(&format!("it cannot be asked whether it announces expired keys: {refusal}"), None);
                return Ok(true);
            }
            Err(lost) => return Err(lost),
        };
        let Some(wanted) = notify_flags::with_ours(&flags) else {
            self.state.mute = false;
            return Ok(true);
        };
        match connection.ask(cmd("CONFIG").arg("SET").arg("notify-keyspace-events").arg(&wanted)) {
            Ok(_) => {
                self.state.mute = false;
                log::info!(
                    "{}: {}: notify-keyspace-events was \"{flags}\" and is now \"{wanted}\"; redis.conf should say: {}",
                    self.job,
                    self.server,
                    notify_flags::line(Some(&flags))
                );
                Ok(true)
            }
            Err(refusal @ RedisError::Refused { .. }) => {
                let announces = notify_flags::announces_expired(&flags);
                let what = if announces { "deadlines" } else { "expired keys" };
                self.say(&format!("it announces no {what}, and may not be told to: {refusal}"), Some(&flags));
                Ok(announces)
            }
            Err(lost) => Err(lost),
        }
    }

    /// Once, until it is well again.
    fn say(&mut self, what: &str, flags: Option<&str>) {
        if !std::mem::replace(&mut self.state.mute, true) {
            let line = notify_flags::line(flags);
            log::error!("{}: {}: {what}; put this line into its redis.conf: {line}", self.job, self.server);
        }
    }
}

/// Whether nobody takes what is heard any more.
pub(super) fn is_closed(gone: &Receiver<()>) -> bool {
    gone.try_recv().is_err_and(|error| error.is_disconnected())
}

/// Replicas never announce that a key has expired.
fn is_master(connection: &mut RedisConnection) -> Result<(), RedisError> {
    match connection.ask(&cmd("ROLE")) {
        Ok(Value::Array(role)) if matches!(role.first(), Some(Value::BulkString(name)) if name != b"master") => {
            Err(RedisError::Lost(
                "it is a replica, which announces no expired keys: name the master in the .inv".to_owned(),
            ))
        }
        // Not to be asked is no reason not to listen.
        Ok(_) | Err(RedisError::Refused { .. }) => Ok(()),
        Err(lost) => Err(lost),
    }
}

/// `CONFIG GET` answers the name and the value.
fn flags_of(answer: &Value) -> String {
    match answer {
        Value::Array(pair) => match pair.get(1) {
            Some(Value::BulkString(flags)) => String::from_utf8_lossy(flags).into_owned(),
            _ => String::new(),
        },
        _ => String::new(),
    }
}
