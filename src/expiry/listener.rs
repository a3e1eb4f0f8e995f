//! The thread that hears of expired keys: it reads and does nothing else, so that the
//! server never finds it slow. It sees to it, at every connect, that there is something
//! to hear.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{Inbox, flags};
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::redis::{Connection, Health, Server, Trouble, Value, cmd};
use crate::threads;

/// After so long without a word the server is asked whether it is there, and must
/// answer within the same time.
const QUIET: Duration = Duration::from_secs(5);
/// A server that announces nothing and does not let us change that is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// A connection that is lost after this may be made anew at once.
const STEADY: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Which keys are work.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Only keys that begin with this; empty is every key.
    pub prefix: Vec<u8>,
    /// Never keys that begin with this.
    pub never: Vec<u8>,
}

impl Filter {
    fn wants(&self, key: &[u8]) -> bool {
        key.starts_with(&self.prefix) && !key.starts_with(&self.never)
    }
}

/// The thread ends, some seconds later, when this is dropped. Nobody waits for it.
pub struct Listener {
    _owner: Sender<()>,
}

impl Listener {
    /// Begins to listen to the server's expired keys.
    ///
    /// # Errors
    /// `Wait`: no thread can be had.
    pub fn start(
        job: &'static str,
        server: Arc<Server>,
        health: Health,
        filter: Filter,
        inbox: Inbox,
    ) -> Result<Self, Fault> {
        let (owner, gone) = bounded(0);
        let ear = Ear {
            job,
            server,
            health,
            filter,
            inbox,
            gone,
            mute: false,
            deaf: None,
            listening: false,
            said: false,
        };
        threads::spawn("expired-listen", move || ear.run())
            .map_err(|error| Fault::Wait(format!("cannot start a thread: {error}")))?;
        Ok(Self { _owner: owner })
    }
}

struct Ear {
    job: &'static str,
    server: Arc<Server>,
    health: Health,
    filter: Filter,
    inbox: Inbox,
    gone: Receiver<()>,
    /// Nothing is announced, and that has been said.
    mute: bool,
    /// Since when nothing is heard, though it was before.
    deaf: Option<Instant>,
    listening: bool,
    /// That it listens has been said; it only asks again whether there is something to hear.
    said: bool,
}

impl Ear {
    fn run(mut self) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        while !is_closed(&self.gone) {
            let began = Instant::now();
            let listened = threads::contain(|| self.listen());
            let was_listening = std::mem::take(&mut self.listening);
            let trouble = match listened {
                Ok(Ok(())) => {
                    self.said = true;
                    continue;
                }
                Ok(Err(trouble)) => trouble,
                Err(panic) => Trouble::Lost(format!("a fault of our own: {panic}")),
            };
            if was_listening {
                self.deaf.get_or_insert_with(Instant::now);
                if began.elapsed() > STEADY {
                    // Not an outage before a new connection cannot be had either, and
                    // what refuses that says more.
                    continue;
                }
            }
            self.health.down(&trouble.to_string());
            if began.elapsed() > LONGEST_PAUSE {
                backoff.reset();
            }
            // Only a closed channel ends the wait early.
            let _alone = self.gone.recv_timeout(backoff.pause());
        }
    }

    /// One connection, from its beginning to its end.
    fn listen(&mut self) -> Result<(), Trouble> {
        let mut connection = Connection::open(&self.server)?;
        is_master(&mut connection)?;
        let announces = self.see_to_flags(&mut connection)?;
        let channel = format!("__keyevent@{}__:expired", self.server.database);
        let until = (!announces).then(|| Instant::now() + ASK_AGAIN);
        let (listening, deaf, said) = (&mut self.listening, &mut self.deaf, &mut self.said);
        let subscribed = || {
            self.health.up();
            *listening = true;
            if !std::mem::take(said) {
                log::info!("{}: listening on {channel} of {}", self.job, self.server);
            }
            if let Some(since) = deaf.take() {
                let seconds = since.elapsed().as_secs_f64();
                log::warn!("{}: keys that expired in the last {seconds:.1} s were not heard of", self.job);
            }
        };
        connection.listen(&channel, QUIET, subscribed, |key| {
            if let Some(key) = key.filter(|key| self.filter.wants(key)) {
                self.inbox.put(key);
            }
            !is_closed(&self.gone) && until.is_none_or(|until| Instant::now() < until)
        })
    }

    /// Adds what is missing to `notify-keyspace-events`. False if nothing will be heard.
    fn see_to_flags(&mut self, connection: &mut Connection) -> Result<bool, Trouble> {
        let flags = match connection.ask(cmd("CONFIG").arg("GET").arg("notify-keyspace-events")) {
            Ok(answer) => flags_of(&answer),
            Err(refusal @ Trouble::Refused { .. }) => {
                self.say(&format!("it cannot be asked whether it announces expired keys: {refusal}"), None);
                return Ok(true);
            }
            Err(lost) => return Err(lost),
        };
        let Some(wanted) = flags::with_ours(&flags) else {
            self.mute = false;
            return Ok(true);
        };
        match connection.ask(cmd("CONFIG").arg("SET").arg("notify-keyspace-events").arg(&wanted)) {
            Ok(_) => {
                self.mute = false;
                log::info!(
                    "{}: {}: notify-keyspace-events was \"{flags}\" and is now \"{wanted}\"; redis.conf should say: {}",
                    self.job,
                    self.server,
                    flags::line(Some(&flags))
                );
                Ok(true)
            }
            Err(refusal @ Trouble::Refused { .. }) => {
                self.say(
                    &format!("it announces no expired keys, and may not be told to: {refusal}"),
                    Some(&flags),
                );
                Ok(false)
            }
            Err(lost) => Err(lost),
        }
    }

    /// Once, until it is well again.
    fn say(&mut self, what: &str, flags: Option<&str>) {
        if !std::mem::replace(&mut self.mute, true) {
            let line = flags::line(flags);
            log::error!("{}: {}: {what}; put this line into its redis.conf: {line}", self.job, self.server);
        }
    }
}

/// Whether nobody takes what is heard any more.
fn is_closed(gone: &Receiver<()>) -> bool {
    gone.try_recv().is_err_and(|error| error.is_disconnected())
}

/// Replicas never announce that a key has expired.
fn is_master(connection: &mut Connection) -> Result<(), Trouble> {
    match connection.ask(&cmd("ROLE")) {
        Ok(Value::Array(role)) if matches!(role.first(), Some(Value::BulkString(name)) if name != b"master") => {
            Err(Trouble::Lost(
                "it is a replica, which announces no expired keys: name the master in the .inv".to_owned(),
            ))
        }
        // Not to be asked is no reason not to listen.
        Ok(_) | Err(Trouble::Refused { .. }) => Ok(()),
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
