//! FindCoordinator (10, `FindCoordinatorRequest.json`): which broker coordinates a group.

use super::Request;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::wire::{Malformed, WireReader, WireWriter};

/// The request.
#[derive(Debug, Clone, Copy)]
pub struct FindCoordinator<'a> {
    /// The name of the group.
    pub group: &'a str,
}

/// The coordinator, if the code is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coordinator {
    /// Whether the group has a coordinator.
    pub code: ErrorCode,
    /// The id of the broker.
    pub node: i32,
    /// Its host name or address.
    pub host: String,
    /// Its port.
    pub port: i32,
}

/// The key is the name of a group; 1 would be a transactional id.
const GROUP_KEY_TYPE: i8 = 0;

impl Request for FindCoordinator<'_> {
    const KEY: i16 = 10;
    const NAME: &'static str = "FindCoordinator";
    const LOWEST: i16 = 0;
    const HIGHEST: i16 = 2;
    const THROTTLES_SINCE: i16 = 2;
    type Answer = Coordinator;

    fn write(&self, version: i16, out: &mut WireWriter) {
        out.string(self.group);
        if version >= 1 {
            out.i8(GROUP_KEY_TYPE);
        }
    }

    fn read(version: i16, from: &mut WireReader<'_>) -> Result<Coordinator, Malformed> {
        if version >= 1 {
            let _throttled_ms = from.i32()?;
        }
        let code = ErrorCode(from.i16()?);
        if version >= 1 {
            let _message = from.nullable_string()?;
        }
        Ok(Coordinator { code, node: from.i32()?, host: from.string()?.to_owned(), port: from.i32()? })
    }
}
