//! One blocking connection, on which every wait has a time limit.

use std::time::{Duration, Instant};

use redis_crate::io::tcp::TcpSettings;
use redis_crate::{
    Client, Cmd, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisError as CrateError, Value,
    cmd,
};

use super::error::{RedisError, was_interrupted};
use super::foreign_server;
use super::left_out::LeftOutCommands;
use super::requests::Requests;
use super::server::{RedisServer, ServerAddress};
use crate::resolver;

/// How long an answer may take. The limit is long enough for another client's slow command, and ends the
/// wait for a server that hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to one server. After a [`RedisError::Lost`] it answers nothing any more: a late answer to the
/// last command would be taken for that to the next.
pub struct RedisConnection {
    redis: redis_crate::Connection,
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
        let redis = match &server.address {
            ServerAddress::Tcp(host, port) => {
                let until = Instant::now() + server.connect_timeout;
                let found = resolver::resolve(host, *port, server.connect_timeout);
                found.map_err(CrateError::from).and_then(|addresses| {
                    resolver::try_each(&addresses, until, |one, share| {
                        connect(ConnectionAddr::Tcp(one.ip().to_string(), one.port()), share)
                    })
                })
            }
            ServerAddress::Unix(path) => connect(ConnectionAddr::Unix(path.clone()), server.connect_timeout),
        };
        let redis = redis.map_err(RedisError::from)?;
        redis.set_write_timeout(Some(ANSWER_TIMEOUT)).map_err(RedisError::from)?;
        let (about, left_out) = (server.to_string(), server.left_out.clone());
        let opened = Instant::now();
        let mut connection = Self { redis, master: false, opened, owes_answer: false, about, left_out };
        connection.set_answer_timeout(server.connect_timeout)?;
        connection.enter(server).map_err(|error| match error {
            error if error.is_foreign() => foreign_server::look(server).map_or(error, RedisError::Lost),
            error => connection.explain(error),
        })?;
        connection.set_answer_timeout(ANSWER_TIMEOUT)?;
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

    /// Sets the timeout of each of the next answers. A command that blocks on the server must block for
    /// less than this: otherwise the server could still move an item after nobody waits for its answer any
    /// more.
    ///
    /// # Errors
    /// `Lost`: the socket is closed.
    pub fn set_answer_timeout(&self, time: Duration) -> Result<(), RedisError> {
        self.redis.set_read_timeout(Some(time)).map_err(RedisError::from)
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
        // The crate's own loop would go on after a time-out, and would wait as long again for each of the
        // other answers.
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
        self.redis.send_packed_command(bytes).map_err(RedisError::from)
    }

    fn receive(&mut self) -> Result<Value, RedisError> {
        self.redis.recv_response().map_err(RedisError::from)
    }

    /// Subscribes to the channels, calls `subscribed`, and then calls `each` with the channel and the
    /// payload of every message, until `each` returns false or the connection is lost. If no message comes
    /// for the time `quiet`, `each` gets `None` and the server is sent a PING.
    ///
    /// # Errors
    /// `Refused`: the subscription was refused. `Lost`: the connection was lost.
    pub fn listen(
        &mut self,
        channels: &[String],
        quiet: Duration,
        subscribed: impl FnOnce(),
        mut each: impl FnMut(Option<(&str, &[u8])>) -> bool,
    ) -> Result<(), RedisError> {
        // SUBSCRIBE is sent by hand, because the crate takes a refusal for the confirmation.
        self.ask(cmd("SUBSCRIBE").arg(channels))?;
        // The server confirms each channel separately; a refusal concerns all of them.
        for _ in channels.iter().skip(1) {
            error_of(self.receive()?)?;
        }
        // From here on messages come that no command has asked for.
        self.owes_answer = true;
        self.set_answer_timeout(quiet)?;
        subscribed();
        let mut pubsub = self.redis.as_pubsub();
        let ended = loop {
            match pubsub.get_message() {
                Ok(message) => {
                    if !each(Some((message.get_channel_name(), message.get_payload_bytes()))) {
                        break Ok(());
                    }
                }
                // If the process was stopped and continued, its wait was interrupted.
                Err(error) if was_interrupted(&error) => {}
                Err(error) if error.is_timeout() => {
                    if !each(None) {
                        break Ok(());
                    }
                    // The answer to the PING must come within `quiet`.
                    if let Err(error) = pubsub.ping::<Value>() {
                        // Messages that came before the silence are still received.
                        let _gone = pubsub.set_read_timeout(Some(Duration::from_millis(1)));
                        while let Ok(message) = pubsub.get_message() {
                            each(Some((message.get_channel_name(), message.get_payload_bytes())));
                        }
                        break Err(RedisError::from(error));
                    }
                }
                Err(error) => break Err(RedisError::from(error)),
            }
        };
        // Dropping the subscription unsubscribes, and waits for answers that nobody needs.
        let _gone = pubsub.set_read_timeout(Some(Duration::from_millis(1)));
        ended
    }
}

/// Connects, without a login. `RedisConnection::enter` does the login itself, because the crate drops the
/// text of a refusal.
fn connect(address: ConnectionAddr, limit: Duration) -> Result<redis_crate::Connection, CrateError> {
    let bare = RedisConnectionInfo::default().set_skip_set_lib_name();
    let tcp = TcpSettings::default().set_nodelay(true);
    let info = address.into_connection_info()?.set_redis_settings(bare).set_tcp_settings(tcp);
    Client::open(info)?.get_connection_with_timeout(limit)
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
