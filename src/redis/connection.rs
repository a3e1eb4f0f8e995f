//! One blocking connection: every wait on it has an end.

use std::time::Duration;

use redis_crate::io::tcp::TcpSettings;
use redis_crate::{Client, Cmd, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, Value, cmd};

use super::error::{RedisError, was_interrupted};
use super::requests::Requests;
use super::server::{RedisServer, ServerAddress};

/// How long an answer may take. A server that is busy with somebody's slow command is
/// given time; one that hangs must not hold us for ever.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// See the module. After a [`RedisError::Lost`] it is of no use any more.
pub struct RedisConnection {
    redis: redis_crate::Connection,
    /// Whether the server has said that it is a master.
    master: bool,
}

impl RedisConnection {
    /// Connects, authenticates, selects the database and sees that the server answers,
    /// all within the server's connect timeout.
    ///
    /// # Errors
    /// `Lost`: nobody answers. `Refused`: it does not let us in, or is not ready.
    pub fn open(server: &RedisServer) -> Result<Self, RedisError> {
        let address = match &server.address {
            ServerAddress::Tcp(host, port) => ConnectionAddr::Tcp(host.clone(), *port),
            ServerAddress::Unix(path) => ConnectionAddr::Unix(path.clone()),
        };
        // Left to the crate, a refusal of the password or the database loses its text.
        let bare = RedisConnectionInfo::default().set_skip_set_lib_name();
        let tcp = TcpSettings::default().set_nodelay(true);
        let client = address
            .into_connection_info()
            .and_then(|info| Client::open(info.set_redis_settings(bare).set_tcp_settings(tcp)))
            .map_err(RedisError::from)?;
        let redis = client.get_connection_with_timeout(server.connect_timeout).map_err(RedisError::from)?;
        redis.set_write_timeout(Some(ANSWER_TIMEOUT)).map_err(RedisError::from)?;
        let mut connection = Self { redis, master: false };
        connection.set_answer_timeout(server.connect_timeout)?;
        connection.enter(server)?;
        connection.set_answer_timeout(ANSWER_TIMEOUT)?;
        Ok(connection)
    }

    fn enter(&mut self, server: &RedisServer) -> Result<(), RedisError> {
        if !server.password.is_empty() {
            let mut auth = cmd("AUTH");
            if !server.user.is_empty() {
                auth.arg(&server.user);
            }
            // A server that does not know AUTH repeats what it was sent.
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
        // Only for whoever looks at the server; Redis takes no blanks in it.
        if !server.client_name.is_empty() && server.client_name.bytes().all(|byte| byte.is_ascii_graphic()) {
            match self.ask(cmd("CLIENT").arg("SETNAME").arg(&server.client_name)) {
                Ok(_) | Err(RedisError::Refused { .. }) => {}
                Err(lost) => return Err(lost),
            }
        }
        Ok(())
    }

    /// How long the next answers may take. A command that blocks on the server must
    /// give up there before this passes, or what it took would be lost.
    ///
    /// # Errors
    /// `Lost`: the socket is gone.
    pub fn set_answer_timeout(&self, time: Duration) -> Result<(), RedisError> {
        self.redis.set_read_timeout(Some(time)).map_err(RedisError::from)
    }

    /// One command and its answer.
    ///
    /// # Errors
    /// `Lost`: no answer; it may have been carried out or not. `Refused`: the server's no.
    pub fn ask(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        self.redis.send_packed_command(&command.get_packed_command()).map_err(RedisError::from)?;
        error_of(self.receive()?)
    }

    /// Many commands in one round trip; each answer may be a `Value::ServerError`.
    ///
    /// # Errors
    /// `Lost`: not every answer came; any of them may have been carried out or not.
    pub fn ask_all(&mut self, requests: &Requests) -> Result<Vec<Value>, RedisError> {
        let mut values = Vec::with_capacity(requests.len());
        self.ask_each(requests, |value| values.push(value))?;
        Ok(values)
    }

    /// The same; each answer goes to `each` as it comes, so that thousands of them need not
    /// be held at once.
    ///
    /// # Errors
    /// As [`RedisConnection::ask_all`]; `each` has seen those that came.
    pub fn ask_each(&mut self, requests: &Requests, mut each: impl FnMut(Value)) -> Result<(), RedisError> {
        if requests.is_empty() {
            return Ok(());
        }
        self.redis.send_packed_command(requests.bytes()).map_err(RedisError::from)?;
        // The crate's own loop would go on after a time-out, and wait as long again for
        // each of the other answers.
        for _ in 0..requests.len() {
            each(self.receive()?);
        }
        Ok(())
    }

    /// Sees once for each connection that the server is no replica: one that takes writes
    /// would forget them at its next look at its master.
    ///
    /// # Errors
    /// `Refused`: `READONLY`, it is one. `Lost`: as [`RedisConnection::ask`].
    pub fn demand_master(&mut self) -> Result<(), RedisError> {
        if self.master {
            return Ok(());
        }
        match self.ask(&cmd("ROLE")) {
            Ok(Value::Array(role)) if role.first() == Some(&Value::BulkString(b"slave".to_vec())) => {
                return Err(RedisError::Refused { code: "READONLY".to_owned(), text: String::new() });
            }
            // Who may not ask has to believe it.
            Ok(_) | Err(RedisError::Refused { .. }) => self.master = true,
            Err(lost) => return Err(lost),
        }
        Ok(())
    }

    /// The same, when no answer may be a refusal.
    ///
    /// # Errors
    /// As [`RedisConnection::ask_all`]; `Refused`: the first no.
    pub fn demand_all(&mut self, requests: &Requests) -> Result<Vec<Value>, RedisError> {
        self.ask_all(requests)?.into_iter().map(error_of).collect()
    }

    fn receive(&mut self) -> Result<Value, RedisError> {
        self.redis.recv_response().map_err(RedisError::from)
    }

    /// Turns the connection into a subscriber of the channels and calls `each` with every
    /// message, the channel first, until that says stop, or the connection is lost. `each`
    /// gets `None` when it was quiet for `quiet`; the server is then asked whether it is
    /// still there.
    ///
    /// # Errors
    /// `Refused`: the subscription. `Lost`: the connection.
    pub fn listen(
        &mut self,
        channels: &[String],
        quiet: Duration,
        subscribed: impl FnOnce(),
        mut each: impl FnMut(Option<(&str, &[u8])>) -> bool,
    ) -> Result<(), RedisError> {
        // By hand, because the crate takes a refusal of SUBSCRIBE for its confirmation.
        self.ask(cmd("SUBSCRIBE").arg(channels))?;
        // One confirmation for each; a refusal is of all of them.
        for _ in channels.iter().skip(1) {
            error_of(self.receive()?)?;
        }
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
                // Whoever is stopped and goes on finds its wait cut short.
                Err(error) if was_interrupted(&error) => {}
                Err(error) if error.is_timeout() => {
                    if !each(None) {
                        break Ok(());
                    }
                    // Its answer must come within `quiet`.
                    if let Err(error) = pubsub.ping::<Value>() {
                        // What came before the silence is heard all the same.
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
        // Dropping it unsubscribes and waits for the answers; nobody needs them.
        let _gone = pubsub.set_read_timeout(Some(Duration::from_millis(1)));
        ended
    }
}

/// Whether the refusal is of the command itself, which then stands in the text with its words.
fn names_command_words(error: &RedisError) -> bool {
    error.text_contains("unknown command") || error.text_contains("with args")
}

fn error_of(value: Value) -> Result<Value, RedisError> {
    match value {
        Value::ServerError(error) => Err(RedisError::from(error)),
        // What a transaction was refused stands among its answers.
        Value::Array(values) => values.into_iter().map(error_of).collect::<Result<_, _>>().map(Value::Array),
        value => Ok(value),
    }
}
