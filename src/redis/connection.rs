//! One blocking connection, on which every wait has a time limit.

use std::time::{Duration, Instant};

use redis_crate::{Cmd, Value, cmd};

use super::answers::AnswerStream;
use super::error::RedisError;
use super::foreign_server;
use super::left_out::LeftOutCommands;
use super::requests::Requests;
use super::server::RedisServer;

/// How long an answer may take. The limit is long enough for another client's slow command, and ends the
/// wait for a server that hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long each message is waited for that may have come before the connection was lost.
const LAST_MESSAGES_TIME: Duration = Duration::from_millis(1);

/// A connection to one server. After a [`RedisError::Lost`] it answers nothing any more: a late answer to the
/// last command would be taken for that to the next.
pub struct RedisConnection {
    stream: AnswerStream,
    answer_timeout: Duration,
    /// Whether the server has answered that it is a master.
    master: bool,
    opened: Instant,
    /// Whether an answer is missing, and so may still come.
    owes_answer: bool,
    /// The server, for the log.
    about: String,
    left_out: LeftOutCommands,
}

impl RedisConnection {
    /// Connects, authenticates, selects the database and checks that the server answers, each
    /// step within the server's connect timeout.
    ///
    /// # Errors
    /// `Lost`: no answer. `Refused`: the server refuses the login, or is not ready.
    pub fn open(server: &RedisServer) -> Result<Self, RedisError> {
        let stream = AnswerStream::open(server)?;
        let mut connection = Self {
            stream,
            answer_timeout: server.connect_timeout,
            master: false,
            opened: Instant::now(),
            owes_answer: false,
            about: server.to_string(),
            left_out: server.left_out.clone(),
        };
        connection.enter(server).map_err(|error| match error {
            error if error.is_foreign() && server.tls.is_none() => {
                foreign_server::look(server).map_or(error, RedisError::Lost)
            }
            error => connection.explain(error),
        })?;
        connection.set_answer_timeout(ANSWER_TIMEOUT);
        Ok(connection)
    }

    fn enter(&mut self, server: &RedisServer) -> Result<(), RedisError> {
        if !server.password.is_empty() {
            let mut auth = cmd("AUTH");
            if !server.user.is_empty() {
                auth.arg(&server.user);
            }
            // A server that does not know AUTH repeats the password in its error.
            self.ask(auth.arg(&server.password)).map_err(|error| match error {
                RedisError::Refused { code, .. } if names_command_words(&error) => {
                    RedisError::Refused { code, text: "it does not know AUTH".to_owned() }
                }
                error => error,
            })?;
        }
        if server.database != 0 {
            self.ask(cmd("SELECT").arg(server.database))?;
        }
        self.ask(&cmd("PING"))?;
        // The name is only for CLIENT LIST, and Redis allows no blanks in it.
        if !server.client_name.is_empty() && server.client_name.bytes().all(|byte| byte.is_ascii_graphic()) {
            match self.ask_optional("CLIENT", cmd("CLIENT").arg("SETNAME").arg(&server.client_name)) {
                Ok(_) | Err(RedisError::Refused { .. }) => {}
                Err(lost) => return Err(lost),
            }
        }
        Ok(())
    }

    /// Sets the time limit of each of the next answers.
    pub(super) fn set_answer_timeout(&mut self, time: Duration) {
        self.answer_timeout = time;
    }

    /// Sends one command and returns its answer.
    ///
    /// # Errors
    /// `Lost`: no answer; the command may have been carried out. `Refused`: the server's error.
    pub fn ask(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        self.send(&command.get_packed_command())?;
        let answer = self.receive()?;
        self.owes_answer = false;
        error_of(answer)
    }

    /// As [`RedisConnection::ask`], for a command that pandad can do without: see
    /// [`RedisConnection::optional`].
    ///
    /// # Errors
    /// As [`RedisConnection::ask`].
    pub fn ask_optional(&mut self, name: &'static str, command: &Cmd) -> Result<Value, RedisError> {
        self.optional(name, |connection| connection.ask(command))
    }

    /// Does `work`, which begins with a command that pandad can do without. If the server answers `name` by
    /// closing the connection, twice, the command is left out from then on: it counts as refused.
    ///
    /// # Errors
    /// As `work`.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&mut Self) -> Result<T, RedisError>,
    ) -> Result<T, RedisError> {
        if self.leaves_out(name) {
            let text = format!("the server closes the connection when it is asked for {name}");
            return Err(RedisError::Refused { code: "ERR".to_owned(), text });
        }
        let answer = work(self);
        match &answer {
            Err(error) if error.is_close() => {
                if self.left_out.record_close(name, self.opened) {
                    log::warn!(
                        "{}: closes the connection when it is asked for {name}, which is left out from now \
                         on",
                        self.about
                    );
                }
            }
            Err(RedisError::Lost(_)) => {}
            Ok(_) | Err(RedisError::Refused { .. }) => self.left_out.record_answer(name),
        }
        answer
    }

    /// Whether the command is left out, because the server closes the connection when it is asked for that.
    pub fn leaves_out(&self, name: &'static str) -> bool {
        self.left_out.has(name)
    }

    /// Sends many commands in one round trip. Each answer may be a `Value::ServerError`.
    ///
    /// # Errors
    /// `Lost`: an answer is missing; each of the commands may have been carried out.
    pub fn ask_all(&mut self, requests: &Requests) -> Result<Vec<Value>, RedisError> {
        let mut values = Vec::with_capacity(requests.len());
        self.ask_each(requests, |value| values.push(value))?;
        Ok(values)
    }

    /// As [`RedisConnection::ask_all`], but gives each answer to `each` as it arrives, so that thousands of
    /// answers need not be in memory at once.
    ///
    /// # Errors
    /// As [`RedisConnection::ask_all`]; `each` has received the answers before the error.
    pub fn ask_each(&mut self, requests: &Requests, mut each: impl FnMut(Value)) -> Result<(), RedisError> {
        if requests.is_empty() {
            return Ok(());
        }
        self.send(requests.bytes())?;
        for _ in 0..requests.len() {
            each(self.receive()?);
        }
        self.owes_answer = false;
        Ok(())
    }

    /// The reason for a refusal, if the server is a Sentinel, which refuses almost everything.
    pub(super) fn explain(&mut self, error: RedisError) -> RedisError {
        if error.has_code("ERR")
            && let Ok(Value::Array(role)) = self.ask(&cmd("ROLE"))
            && let Some(sentinel) = foreign_server::name_sentinel(&role)
        {
            return RedisError::Lost(sentinel);
        }
        error
    }

    /// Checks once for each connection that the server is not a replica: a replica that accepts writes
    /// would lose them at its next synchronisation with its master.
    ///
    /// # Errors
    /// `Refused` with `READONLY`: the server is a replica. `Lost`: as [`RedisConnection::ask`].
    pub fn demand_master(&mut self) -> Result<(), RedisError> {
        if self.master {
            return Ok(());
        }
        match self.ask_optional("ROLE", &cmd("ROLE")) {
            Ok(Value::Array(role)) if role.first() == Some(&Value::BulkString(b"slave".to_vec())) => {
                return Err(RedisError::Refused { code: "READONLY".to_owned(), text: String::new() });
            }
            Ok(Value::Array(role)) => match foreign_server::name_sentinel(&role) {
                Some(sentinel) => return Err(RedisError::Lost(sentinel)),
                None => self.master = true,
            },
            // If the user has no permission for ROLE, the server is taken for a master.
            Ok(_) | Err(RedisError::Refused { .. }) => self.master = true,
            Err(lost) => return Err(lost),
        }
        Ok(())
    }

    /// As [`RedisConnection::ask_all`], but the first refusal among the answers is the error.
    ///
    /// # Errors
    /// As [`RedisConnection::ask_all`]. `Refused`: the first refusal.
    pub fn demand_all(&mut self, requests: &Requests) -> Result<Vec<Value>, RedisError> {
        self.ask_all(requests)?.into_iter().map(error_of).collect()
    }

    /// Whether the connection can be used no more.
    pub(super) fn owes_answer(&self) -> bool {
        self.owes_answer
    }

    /// Sends commands. Whoever has received all of their answers says that none is missing.
    fn send(&mut self, bytes: &[u8]) -> Result<(), RedisError> {
        if std::mem::replace(&mut self.owes_answer, true) {
            return Err(RedisError::Lost("an earlier answer is missing on this connection".to_owned()));
        }
        self.stream.send(bytes)
    }

    fn receive(&mut self) -> Result<Value, RedisError> {
        self.stream.receive(self.answer_timeout)
    }

    /// Subscribes to the channels, calls `subscribed`, and then calls `each` with the channel and the
    /// payload of every message, until `each` returns false or the connection is lost. If no message comes
    /// for the time `quiet`, `each` gets `None` and the server is sent a PING.
    ///
    /// # Errors
    /// `Refused`: the subscription was refused. `Lost`: the connection was lost.
    pub fn listen(
        mut self,
        channels: &[String],
        quiet: Duration,
        subscribed: impl FnOnce(),
        mut each: impl FnMut(Option<(&str, &[u8])>) -> bool,
    ) -> Result<(), RedisError> {
        self.ask(cmd("SUBSCRIBE").arg(channels))?;
        // The server confirms each channel separately; a refusal concerns all of them.
        for _ in channels.iter().skip(1) {
            error_of(self.receive()?)?;
        }
        subscribed();
        let ping = cmd("PING").get_packed_command();
        let mut is_asked = false;
        loop {
            let lost = match self.stream.receive(quiet) {
                Ok(value) => match message(&value) {
                    Some(message) if !each(Some(message)) => return Ok(()),
                    Some(_) => continue,
                    // The answer to the PING.
                    None => {
                        is_asked = false;
                        continue;
                    }
                },
                // If the process was stopped and continued, its wait was interrupted.
                Err(error) if error.is_interruption() => continue,
                Err(error) if error.is_late() && !is_asked => {
                    if !each(None) {
                        return Ok(());
                    }
                    is_asked = true;
                    match self.stream.send(&ping) {
                        Ok(()) => continue,
                        Err(lost) => lost,
                    }
                }
                Err(lost) => lost,
            };
            // Messages that came before the connection was lost are still received.
            while let Ok(value) = self.stream.receive(LAST_MESSAGES_TIME) {
                if let Some(message) = message(&value) {
                    each(Some(message));
                }
            }
            return Err(lost);
        }
    }
}

/// Channel and payload, if this is a message.
fn message(value: &Value) -> Option<(&str, &[u8])> {
    let Value::Array(words) = value else { return None };
    let [Value::BulkString(kind), Value::BulkString(channel), Value::BulkString(payload)] = words.as_slice()
    else {
        return None;
    };
    (kind == b"message").then_some(())?;
    Some((std::str::from_utf8(channel).ok()?, payload))
}

/// Whether the server does not know the command, and so repeats its words in the text.
fn names_command_words(error: &RedisError) -> bool {
    error.text_contains("unknown command") || error.text_contains("with args")
}

fn error_of(value: Value) -> Result<Value, RedisError> {
    match value {
        Value::ServerError(error) => Err(RedisError::from(error)),
        // A refusal inside a transaction stands among the answers of EXEC.
        Value::Array(values) => values.into_iter().map(error_of).collect::<Result<_, _>>().map(Value::Array),
        value => Ok(value),
    }
}
