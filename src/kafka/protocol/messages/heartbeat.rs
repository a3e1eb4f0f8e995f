//! Heartbeat (12, `HeartbeatRequest.json`): shows the coordinator that a member is alive. The
//! answer says whether the member is still one, and whether the group rebalances.

use super::{GenerationMember, Request};
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::wire::{Malformed, WireReader, WireWriter};

/// The request.
#[derive(Debug, Clone, Copy)]
pub struct Heartbeat<'a> {
    /// The name of the group.
    pub group: &'a str,
    /// The member that sends it.
    pub member: GenerationMember<'a>,
}

impl Request for Heartbeat<'_> {
    const KEY: i16 = 12;
    const NAME: &'static str = "Heartbeat";
    const LOWEST: i16 = 0;
    const HIGHEST: i16 = 3;
    const THROTTLES_SINCE: i16 = 2;
    type Answer = ErrorCode;

    fn write(&self, version: i16, out: &mut WireWriter) {
        out.string(self.group);
        out.i32(self.member.generation);
        out.string(self.member.id);
        if version >= 3 {
            out.nullable_string(self.member.instance);
        }
    }

    fn read(version: i16, from: &mut WireReader<'_>) -> Result<ErrorCode, Malformed> {
        if version >= 1 {
            let _throttled_ms = from.i32()?;
        }
        Ok(ErrorCode(from.i16()?))
    }
}
