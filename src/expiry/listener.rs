//! The thread that receives what Redis announces (keyspace notifications): keys that expired, and keys
//! whose deadlines changed. It only reads, because Redis drops a subscriber that reads too slowly. At every
//! connect it makes sure that Redis announces both kinds of events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::context::{ExpiryContext, Reconciliation};
use super::key_events::{self, CHANGES, EXPIRED, KeyEvent};
use super::notify_flags;
use crate::backoff::Backoff;
use crate::redis::{EvictionCheck, Health, RedisConnection, RedisError, Value, cmd};
use crate::threads;

/// If no message comes for this time, pandad sends PING, and the server must answer within the same time.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// If Redis announces no expired keys and refuses CONFIG SET, its setting is read again after
/// this time.
const FLAGS_RECHECK_INTERVAL: Duration = Duration::from_secs(60);
/// If a connection lasted for this time, the next one follows at once, without a pause.
const STEADY_CONNECTION_MIN: Duration = Duration::from_secs(1);
const RECONNECT_PAUSE_MIN: Duration = Duration::from_millis(100);
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(5);
/// The setting that says what Redis announces.
const NOTIFY_SETTING: &str = "notify-keyspace-events";
/// The time between two checks whether this pandad may listen.
const LEASE_POLL_INTERVAL: Duration = Duration::from_millis(200);

/// See the module.
pub(super) struct Listener {
    context: Arc<ExpiryContext>,
    health: Health,
    eviction: EvictionCheck,
    /// Whether it was logged that Redis does not announce the needed events.
    flags_logged: bool,
    /// Whether the channels of deadlines were refused. Then only the channel of expired keys is subscribed
    /// to.
    deadlines_refused: bool,
    /// Since when no events are received; `None` while events are received, and before the first
    /// subscription.
    not_listening_since: Option<Instant>,
    /// Whether the present connection was subscribed.
    listening: bool,
    /// Whether the next subscription is not logged, because the connection is only renewed to read the
    /// setting of Redis again.
    listening_logged: bool,
}

impl Listener {
    pub(super) fn new(context: &Arc<ExpiryContext>) -> Self {
        Self {
            context: Arc::clone(context),
            health: context.expire.health.role("listen"),
            eviction: EvictionCheck::new(format!("{}: {}", context.job, context.expire.server)),
            flags_logged: false,
            deadlines_refused: false,
            not_listening_since: None,
            listening: false,
            listening_logged: false,
        }
    }

    /// Runs until the watch ends.
    pub(super) fn run(mut self) {
        let mut backoff = Backoff::new(RECONNECT_PAUSE_MIN, RECONNECT_PAUSE_MAX);
        while !self.context.has_ended() {
            if !self.context.listen_state.may_listen() {
                // Another pandad listens, so no event is missed in this time.
                (self.not_listening_since, self.listening_logged) = (None, false);
                self.context.pause(LEASE_POLL_INTERVAL);
                continue;
            }
            let began = Instant::now();
            let listened = threads::contain(|| self.listen());
            self.context.listen_state.mark_not_listening();
            let was_listening = std::mem::take(&mut self.listening);
            let error = match listened {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error,
                Err(panic) => RedisError::Lost(format!("internal error in the listener: {panic}")),
            };
            if was_listening {
                self.not_listening_since.get_or_insert_with(Instant::now);
                if began.elapsed() > STEADY_CONNECTION_MIN {
                    // A lost connection is not an outage. If the next connection fails as well, its error
                    // is logged, which says more.
                    continue;
                }
            }
            self.health.down(&error.to_string());
            if began.elapsed() > RECONNECT_PAUSE_MAX {
                backoff.reset();
            }
            self.context.pause(backoff.pause());
        }
    }

    /// Opens one connection and receives events on it until it ends.
    fn listen(&mut self) -> Result<(), RedisError> {
        let context = Arc::clone(&self.context);
        let reconnect_requests = context.listen_state.reconnect_requests();
        let mut connection = RedisConnection::open(&context.expire.server)?;
        refuse_replica(&mut connection)?;
        let evicts = self.eviction.evicts(&mut connection)?;
        let announces = self.add_missing_flags(&mut connection, evicts)?;
        let channel = |event: &str| format!("__keyevent@{}__:{event}", context.expire.server.database);
        let expired = channel(EXPIRED);
        let mut channels = vec![expired.clone()];
        if !self.deadlines_refused {
            channels.extend(CHANGES.map(|(event, _)| channel(event)));
        }
        let until = (!announces).then(|| Instant::now() + FLAGS_RECHECK_INTERVAL);
        let subscribed = || self.record_subscribed(&expired);
        let ended = connection.listen(&channels, PING_INTERVAL, subscribed, |message| {
            if let Some((channel, key)) = message
                && let Some(event) = KeyEvent::of_channel(channel)
            {
                key_events::receive(&context, event, key);
            }
            !context.has_ended()
                && context.listen_state.may_listen()
                && context.listen_state.reconnect_requests() == reconnect_requests
                && until.is_none_or(|until| Instant::now() < until)
        });
        match ended {
            // The lease was lost, or the setting of Redis is to be read again.
            Ok(()) if context.listen_state.reconnect_requests() == reconnect_requests => {
                self.listening_logged = context.listen_state.may_listen();
            }
            Ok(()) => self.not_listening_since = Some(Instant::now()),
            Err(refusal @ RedisError::Refused { .. }) if !self.listening && channels.len() > 1 => {
                self.give_up_deadlines(&refusal);
            }
            Err(error) if !self.listening && error.is_close() => {
                let why = "the connection is closed at SUBSCRIBE, as proxies do that pass on no events: name \
                           the Redis server itself in the .inv";
                return Err(RedisError::Lost(why.to_owned()));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Records that the subscription is in force from now on.
    fn record_subscribed(&mut self, channel: &str) {
        let context = &self.context;
        self.health.up();
        self.listening = true;
        if !std::mem::take(&mut self.listening_logged) {
            log::info!("{}: listening on {channel} of {}", context.job, context.expire.server);
        }
        if let Some(since) = self.not_listening_since.take() {
            let seconds = since.elapsed().as_secs_f64();
            let missed = match context.reconciliation {
                Reconciliation::Off => "missed: expired['reconcile']='yes' would find them",
                Reconciliation::DryRun => "missed: reconcile logs them",
                Reconciliation::On => "found by reconcile",
            };
            log::warn!(
                "{}: {}: no events were received for {seconds:.1} s; keys that expired in that time are \
                 {missed}",
                context.job,
                context.expire.server
            );
        }
        context.listen_state.mark_listening();
        context.changed_keys.wake();
    }

    /// Goes on without the channels of deadlines: the user may have rights only to the channel of expired
    /// keys.
    fn give_up_deadlines(&mut self, refusal: &RedisError) {
        self.deadlines_refused = true;
        let (job, server) = (self.context.job, &self.context.expire.server);
        log::warn!(
            "{job}: {server}: the server refuses the channels that announce new deadlines, so expired \
             keys may be pushed late: {refusal}; allow the channels __keyevent@{}__:*",
            server.database
        );
    }

    /// Adds missing letters to `notify-keyspace-events`. False if Redis does not announce expired keys and
    /// refuses to change that.
    fn add_missing_flags(
        &mut self,
        connection: &mut RedisConnection,
        evicts: bool,
    ) -> Result<bool, RedisError> {
        let canary = &self.context.canary;
        canary.set_unseen_evictions(evicts);

        let answer = connection.ask_optional("CONFIG", cmd("CONFIG").arg("GET").arg(NOTIFY_SETTING));
        let shown = shown_flags(answer)?;
        let flags = match shown {
            Ok(flags) => flags,
            Err(why) => {
                let what = format!("it is not known whether expired keys are announced, because {why}");
                self.log_flags_once(&what, None, evicts);
                return Ok(true);
            }
        };
        canary.set_unseen_evictions(evicts && !notify_flags::announces_evicted(&flags));
        let Some(wanted) = notify_flags::with_needed(&flags, evicts) else {
            self.flags_logged = false;
            return Ok(true);
        };
        match connection.ask(cmd("CONFIG").arg("SET").arg(NOTIFY_SETTING).arg(&wanted)) {
            Ok(_) => {
                canary.set_unseen_evictions(false);
                self.flags_logged = false;
                log::info!(
                    "{}: {}: pandad changed notify-keyspace-events from \"{flags}\" to \"{wanted}\"; \
                     so that a restart of Redis keeps it, put into redis.conf: {}",
                    self.context.job,
                    self.context.expire.server,
                    notify_flags::config_line(Some(&flags), evicts)
                );
                Ok(true)
            }
            Err(refusal @ RedisError::Refused { .. }) => {
                let announces = notify_flags::announces_expired(&flags);
                let what = if announces { "deadlines" } else { "expired keys" };
                self.log_flags_once(
                    &format!("{what} are not announced, and CONFIG SET is refused: {refusal}"),
                    Some(&flags),
                    evicts,
                );
                Ok(announces)
            }
            Err(lost) => Err(lost),
        }
    }

    /// Logs what is wrong with the setting. This is logged only once, until the setting is right again.
    fn log_flags_once(&mut self, what: &str, flags: Option<&str>, evicts: bool) {
        if !std::mem::replace(&mut self.flags_logged, true) {
            let line = notify_flags::config_line(flags, evicts);
            log::error!(
                "{}: {}: {what}; put this line into its redis.conf: {line}",
                self.context.job,
                self.context.expire.server
            );
        }
    }
}

/// Refuses a replica, because replicas announce no expired keys. If ROLE is refused, listening may work all
/// the same.
fn refuse_replica(connection: &mut RedisConnection) -> Result<(), RedisError> {
    connection.demand_master().map_err(|error| match error {
        error if error.has_code("READONLY") => {
            let why =
                "this server is a replica, which announces no expired keys: name the master in the .inv";
            RedisError::Lost(why.to_owned())
        }
        error => error,
    })
}

/// The value in the answer to `CONFIG GET`, which holds the name before it. The inner error says why it is
/// not there: services that others run answer with nothing.
fn shown_flags(answer: Result<Value, RedisError>) -> Result<Result<String, String>, RedisError> {
    match answer {
        Ok(Value::Array(pair)) => Ok(match pair.get(1) {
            Some(Value::BulkString(flags)) => Ok(String::from_utf8_lossy(flags).into_owned()),
            _ => Err("CONFIG GET shows no such setting".to_owned()),
        }),
        Ok(_) => Ok(Err("CONFIG GET shows no such setting".to_owned())),
        Err(refusal @ RedisError::Refused { .. }) => Ok(Err(format!("CONFIG GET is refused: {refusal}"))),
        Err(lost) => Err(lost),
    }
}

#[cfg(test)]
mod tests;
