//! LeaveGroup (13): the member goes, and the others need not wait until it counts as
//! dead. A static member can leave from version 3 on.

use super::Request;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::wire::{Malformed, WireReader, WireWriter};

/// The request.
#[derive(Debug, Clone, Copy)]
pub struct LeaveGroup<'a> {
    /// The group's name.
    pub group: &'a str,
    /// The name that the coordinator gave.
    pub member: &'a str,
    /// The name that a static member gave itself; sent where the version has room for it.
    pub instance: Option<&'a str>,
}

impl Request for LeaveGroup<'_> {
    const KEY: i16 = 13;
    const NAME: &'static str = "LeaveGroup";
    const LOWEST: i16 = 0;
    const HIGHEST: i16 = 3;
    /// Of the request, or else of the member.
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
