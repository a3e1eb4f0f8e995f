//! The question whether keys are gone, in a transaction if the server allows that.

use std::time::Instant;

use super::{DENIED_RETRY_PAUSE, Reconciler};
use crate::error::Fault;
use crate::expiry::command_reply::{self, CommandReply};
use crate::redis::{Requests, Value, cmd};

/// What the server where keys expire replies about a key.
pub(super) enum KeyLifetime {
    Gone,
    /// The key has no deadline.
    Persists,
    /// The key expires in this many milliseconds.
    ExpiresIn(u64),
}

impl Reconciler {
    /// Asks for keys by PTTL.
    pub(super) fn ask(&mut self, keys: &[Vec<u8>]) -> Result<Vec<KeyLifetime>, Fault> {
        let mut requests = Requests::default();
        requests.add(&self.context.canary.leading_write());
        for key in keys {
            requests.add(cmd("PTTL").arg(key));
        }
        let mut replies = None;
        if self.no_transactions_until.is_none_or(|until| until <= Instant::now()) {
            match self.ask_at_once(keys)? {
                Ok(done) => {
                    self.no_transactions_until = None;
                    replies = Some(done);
                }
                Err(why) => self.record_no_transactions(&why),
            }
        }
        let replies = match replies {
            Some(replies) => replies,
            None => self
                .expire
                .doing("probe")
                .with_retry(|connection| command_reply::classify(connection.ask_all(&requests)?))?,
        };
        let mut replies = replies.into_iter();
        if let Some(CommandReply::Refused(why)) = replies.next() {
            return Err(Fault::Retry(why));
        }
        replies.map(lifetime).collect()
    }

    /// Records that transactions are refused. They are tried again later, and logged the first time.
    fn record_no_transactions(&mut self, why: &str) {
        if self.no_transactions_until.replace(Instant::now() + DENIED_RETRY_PAUSE).is_none() {
            let (job, server) = (self.context.job, &self.context.expire.server);
            log::warn!(
                "{job}: {server}: transactions are refused, so reconcile may push keys twice if the server \
                 is paused: {why}"
            );
        }
    }

    /// Asks in a transaction with a write: a paused server holds that back as a whole, and no pause can begin
    /// in its middle. The inner error says why the server refuses transactions.
    fn ask_at_once(&mut self, keys: &[Vec<u8>]) -> Result<Result<Vec<CommandReply>, String>, Fault> {
        let mut requests = Requests::default();
        requests.add(&cmd("MULTI")).add(&self.context.canary.leading_write());
        for key in keys {
            requests.add(cmd("PTTL").arg(key));
        }
        requests.add(&cmd("EXEC"));
        self.expire.doing("probe").with_retry(|connection| {
            if connection.leaves_out("MULTI") {
                return Ok(Err("the server closes the connection when it is asked for MULTI".to_owned()));
            }
            let mut values = connection.optional("MULTI", |connection| connection.ask_all(&requests))?;
            let done = values.pop();
            let mut queued = command_reply::classify(values)?;
            if let Some(Value::Array(done)) = done {
                return command_reply::classify(done).map(Ok);
            }
            if let Some(CommandReply::Refused(why)) = queued.first() {
                return Ok(Err(why.clone()));
            }
            if let Some(place) = queued.iter().position(|reply| matches!(reply, CommandReply::Refused(_))) {
                // A command is refused, and the whole transaction with it.
                let refusal = queued.swap_remove(place);
                return Ok(Ok(vec![refusal]));
            }
            // EXEC is refused, and the connection is inside a transaction.
            let why = command_reply::classify(done.into_iter().collect())?.pop();
            connection.ask(&cmd("DISCARD"))?;
            Ok(Err(match why {
                Some(CommandReply::Refused(why)) => why,
                _ => "EXEC has no answers".to_owned(),
            }))
        })
    }
}

/// Reads the reply to PTTL: -2 means no key, -1 no deadline, any other number milliseconds.
fn lifetime(reply: CommandReply) -> Result<KeyLifetime, Fault> {
    match reply {
        CommandReply::Integer(-2) => Ok(KeyLifetime::Gone),
        CommandReply::Integer(left) => {
            Ok(u64::try_from(left).map_or(KeyLifetime::Persists, KeyLifetime::ExpiresIn))
        }
        CommandReply::Refused(why) => Err(Fault::Retry(why)),
        _ => Err(Fault::Retry("the reply to PTTL is not a number".to_owned())),
    }
}
