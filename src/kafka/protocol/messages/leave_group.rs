//! LeaveGroup (13, `LeaveGroupRequest.json`): the member leaves, so that the others need not wait
//! for its session timeout. A static member can leave from version 3 on.

use super::Request;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::wire::{Malformed, WireReader, WireWriter};

/// The request.
#[derive(Debug, Clone, Copy)]
pub struct LeaveGroup<'a> {
    /// The name of the group.
    pub group: &'a str,
    /// The member id that the coordinator gave.
    pub member: &'a str,
    /// The `group.instance.id` of a static member. Sent from version 3 on.
    pub instance: Option<&'a str>,
}

impl Request for LeaveGroup<'_> {
    const KEY: i16 = 13;
    const NAME: &'static str = "LeaveGroup";
    const LOWEST: i16 = 0;
    const HIGHEST: i16 = 3;
    const THROTTLES_SINCE: i16 = 2;
    /// The code for the request, or if that is none, the code for the member.
    type Answer = ErrorCode;

    fn write(&self, version: i16, out: &mut WireWriter) {
        out.string(self.group);
        if version <= 2 {
            out.string(self.member);
            return;
        }
        out.list([self].into_iter(), |out, one| {
            out.string(one.member);
            out.nullable_string(one.instance);
        });
    }

    fn read(version: i16, from: &mut WireReader<'_>) -> Result<ErrorCode, Malformed> {
        if version >= 1 {
            let _throttled_ms = from.i32()?;
        }
        let code = ErrorCode(from.i16()?);
        if version <= 2 {
            return Ok(code);
        }
        let members = from.list(6, |from| {
            let _member = from.string()?;
            let _instance = from.nullable_string()?;
            Ok(ErrorCode(from.i16()?))
        })?;
        let refused = members.into_iter().find(|code| !code.is_none());
        Ok(if code.is_none() { refused.unwrap_or(code) } else { code })
    }
}
