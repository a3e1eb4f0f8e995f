//! The thread that hears what Redis announces: keys that expired, and keys whose
//! deadlines changed. It reads and does nothing else, so that the server never finds it
//! slow. It sees to it, at every connect, that there is something to hear.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::context::ExpiryContext;
use super::notify_flags;
use crate::backoff::Backoff;
use crate::redis::{Health, RedisConnection, RedisError, Value, cmd};
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

/// See the module.
pub(super) struct Listener {
    context: Arc<ExpiryContext>,
    health: Health,
    /// Nothing is announced, and that has been said.
    mute_logged: bool,
    /// Deadlines are not announced, and that has been said.
    deadlines_refused: bool,
    /// Since when nothing is heard, though it was before.
    deaf_since: Option<Instant>,
    listening: bool,
    /// That it listens has been said; it only asks again whether there is something to hear.
    listening_logged: bool,
}

impl Listener {
    pub(super) fn new(context: &Arc<ExpiryContext>) -> Self {
        Self {
            context: Arc::clone(context),
            health: context.expire.health.role("listen"),
            mute_logged: false,
            deadlines_refused: false,
            deaf_since: None,
            listening: false,
            listening_logged: false,
        }
    }

    /// Until its owner is gone.
    pub(super) fn run(mut self) {
        let mut backoff = Backoff::new(RECONNECT_PAUSE_MIN, RECONNECT_PAUSE_MAX);
        while !self.context.has_ended() {
            if !self.context.listen_state.may_listen() {
                // Whoever listens instead hears what this one does not.
                (self.deaf_since, self.listening_logged) = (None, false);
                self.context.pause(LEASE_POLL_INTERVAL);
                continue;
            }
            let began = Instant::now();
            let listened = threads::contain(|| self.listen());
            self.context.listen_state.mark_deaf();
            let was_listening = std::mem::take(&mut self.listening);
            let trouble = match listened {
                Ok(Ok(())) => continue,
                Ok(Err(trouble)) => trouble,
                Err(panic) => RedisError::Lost(format!("a fault of our own: {panic}")),
            };
            if was_listening {
                self.deaf_since.get_or_insert_with(Instant::now);
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
            self.context.pause(backoff.pause());
        }
    }

    /// One connection, from its beginning to its end.
    fn listen(&mut self) -> Result<(), RedisError> {
        let context = Arc::clone(&self.context);
        let reconnect_requests = context.listen_state.reconnect_requests();
        let mut connection = RedisConnection::open(&context.expire.server)?;
        refuse_replica(&mut connection)?;
        let announces = self.see_to_flags(&mut connection)?;
        let channels = channels(context.expire.server.database, !self.deadlines_refused);
        let expired = channels.first().cloned().unwrap_or_default();
        let until = (!announces).then(|| Instant::now() + FLAGS_RECHECK_INTERVAL);
        let subscribed = || self.record_subscribed(&expired);
        let ended = connection.listen(&channels, PING_INTERVAL, subscribed, |message| {
            if let Some((channel, key)) = message {
                receive(&context, channel == expired, key);
            }
            !context.has_ended()
                && context.listen_state.may_listen()
                && context.listen_state.reconnect_requests() == reconnect_requests
                && until.is_none_or(|until| Instant::now() < until)
        });
        match ended {
            // It only asks again whether there is something to hear.
            Ok(()) if context.listen_state.reconnect_requests() == reconnect_requests => {
                self.listening_logged = context.listen_state.may_listen();
            }
            Ok(()) => self.deaf_since = Some(Instant::now()),
            Err(refusal @ RedisError::Refused { .. }) if !self.listening && channels.len() > 1 => {
                self.give_up_deadlines(&refusal);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn record_subscribed(&mut self, channel: &str) {
        let context = &self.context;
        self.health.up();
        self.listening = true;
        if !std::mem::take(&mut self.listening_logged) {
            log::info!("{}: listening on {channel} of {}", context.job, context.expire.server);
        }
        if let Some(since) = self.deaf_since.take() {
            let seconds = since.elapsed().as_secs_f64();
            log::warn!("{}: keys that expired in the last {seconds:.1} s were not heard of", context.job);
        }
        context.listen_state.mark_listening();
        context.changed_keys.wake();
    }

    /// The rights may be for the one channel.
    fn give_up_deadlines(&mut self, refusal: &RedisError) {
        self.deadlines_refused = true;
        let (job, server) = (self.context.job, &self.context.expire.server);
        log::warn!(
            "{job}: {server}: deadlines are not heard of, and keys may be late: {refusal}; allow the channels \
             __keyevent@{}__:*",
            server.database
        );
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
            self.mute_logged = false;
            return Ok(true);
        };
        match connection.ask(cmd("CONFIG").arg("SET").arg("notify-keyspace-events").arg(&wanted)) {
            Ok(_) => {
                self.mute_logged = false;
                log::info!(
                    "{}: {}: notify-keyspace-events was \"{flags}\" and is now \"{wanted}\"; redis.conf should say: {}",
                    self.context.job,
                    self.context.expire.server,
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
        if !std::mem::replace(&mut self.mute_logged, true) {
            let line = notify_flags::line(flags);
            log::error!(
                "{}: {}: {what}; put this line into its redis.conf: {line}",
                self.context.job,
                self.context.expire.server
            );
        }
    }
}

/// The channel of expired keys, and after it those of deadlines.
fn channels(database: u32, deadlines: bool) -> Vec<String> {
    let channel = |event: &str| format!("__keyevent@{database}__:{event}");
    let mut channels = vec![channel("expired")];
    if deadlines {
        channels.extend(DEADLINE_EVENTS.map(channel));
    }
    channels
}

/// Hands an event to whoever works on it.
fn receive(context: &ExpiryContext, has_expired: bool, key: &[u8]) {
    if has_expired {
        context.listen_state.count_announced();
        if context.canary.is(key) {
            context.canary.record_event(Instant::now());
            context.changed_keys.wake();
        } else if context.filter.wants(key) {
            context.inbox.put(key);
        }
    } else if context.filter.wants(key) {
        context.changed_keys.put(key);
    }
}

/// Replicas never announce that a key has expired.
fn refuse_replica(connection: &mut RedisConnection) -> Result<(), RedisError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expiry::context::{Reconciliation, tests::context};

    #[test]
    fn an_event_goes_to_whoever_works_on_it() {
        let (context, _owner) = context(Reconciliation::Off);
        for (has_expired, key) in
            [(true, "k:expired"), (true, "other"), (true, "pandad:k"), (false, "k:changed"), (false, "other")]
        {
            receive(&context, has_expired, key.as_bytes());
        }
        let expired: Vec<_> =
            context.inbox.take(9, Instant::now()).keys.into_iter().map(|received| received.key).collect();
        assert_eq!(expired, [b"k:expired"]);
        assert_eq!(context.changed_keys.take(9), [b"k:changed"]);
        assert_eq!(context.canary.take_event(), None);
        receive(&context, true, context.canary.key());
        assert!(context.canary.take_event().is_some());
        assert_eq!(context.listen_state.announced(), 4);
    }
}
