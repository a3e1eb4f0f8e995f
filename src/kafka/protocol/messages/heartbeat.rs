//! Heartbeat (12): the member lives. The answer says whether it still is one, and whether
//! the group is sharing out anew.

use super::{Member, Request};
use crate::kafka::protocol::error_code::Code;
use crate::kafka::protocol::wire::{Malformed, Reader, Writer};

/// The request.
#[derive(Debug, Clone, Copy)]
pub struct Heartbeat<'a> {
    /// The group's name.
    pub group: &'a str,
    /// As whom.
    pub member: Member<'a>,
}

impl Request for Heartbeat<'_> {
    const KEY: i16 = 12;
    const NAME: &'static str = "Heartbeat";
    const LOWEST: i16 = 0;
    const HIGHEST: i16 = 3;
    type Answer = Code;

    fn write(&self, version: i16, out: &mut Writer) {
        out.string(self.group);
        out.i32(self.member.generation);
        out.string(self.member.id);
        if version >= 3 {
            out.nullable_string(self.member.instance);
        }
    }

    fn read(version: i16, from: &mut Reader<'_>) -> Result<Code, Malformed> {
        if version >= 1 {
            let _throttled_ms = from.i32()?;
        }
        Ok(Code(from.i16()?))
    }
}
