//! The end of an instance: the items in its batch lists go back to the work list. Its entry in
//! the register is deleted only when no batch list can hold an item any more.

use super::keys::QueueKeys;
use super::moves::MoveCommand;
use super::slot::BatchSlots;
use crate::redis::{RedisConnection, RedisError, Requests, Value, cmd};

/// Commands in one round trip, at most.
const ROUND_TRIP_COMMANDS_MAX: u32 = 1000;

/// Moves the items of the instance's batch lists back to the work list, and returns their number.
///
/// `sure`: the server cannot carry out an old move any more. If that is false, or if an item is refused,
/// the instance stays in the register, so that others check its lists.
///
/// # Errors
/// The server's.
pub(super) fn hand_back(
    connection: &mut RedisConnection,
    keys: &QueueKeys,
    instance: &str,
    slots: &BatchSlots,
    sure: bool,
) -> Result<u64, RedisError> {
    let mut handed_back = 0;
    let holding = holding(connection, keys, instance, slots.used())?;
    if !holding.is_empty() {
        let moves = MoveCommand::of(connection)?;
        for (key, count) in &holding {
            let mut requests = Requests::default();
            requests.repeat(&moves.back(keys, key), usize::try_from(*count).unwrap_or(0));
            let mut refusal = None;
            connection.ask_each(&requests, |answer| {
                if let Value::ServerError(error) = answer {
                    refusal.get_or_insert(RedisError::from(error));
                }
            })?;
            refusal.map_or(Ok(()), Err)?;
            handed_back += u64::try_from(*count).unwrap_or(0);
        }
    }
    if sure && self::holding(connection, keys, instance, slots.used())?.is_empty() {
        connection.ask(cmd("HDEL").arg(keys.instances()).arg(instance))?;
    }
    Ok(handed_back)
}

/// The batch lists that are not empty, with their lengths.
fn holding(
    connection: &mut RedisConnection,
    keys: &QueueKeys,
    instance: &str,
    used: u32,
) -> Result<Vec<(String, i64)>, RedisError> {
    let mut holding = Vec::new();
    for first in (0..used).step_by(ROUND_TRIP_COMMANDS_MAX as usize) {
        let lists: Vec<String> = (first..used.min(first.saturating_add(ROUND_TRIP_COMMANDS_MAX)))
            .map(|slot| keys.batch(instance, slot))
            .collect();
        let mut requests = Requests::default();
        for key in &lists {
            requests.add(cmd("LLEN").arg(key));
        }
        let lengths = connection.demand_all(&requests)?;
        for (key, length) in lists.into_iter().zip(lengths) {
            if let Value::Int(length @ 1..) = length {
                holding.push((key, length));
            }
        }
    }
    Ok(holding)
}
