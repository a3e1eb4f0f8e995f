//! SyncGroup (14, `SyncGroupRequest.json`): the leader sends the assignment of all members, and
//! each member gets its own.

use super::{GenerationMember, Request};
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::wire::{Malformed, WireReader, WireWriter};

/// The request.
#[derive(Debug, Clone, Copy)]
pub struct SyncGroup<'a> {
    /// The name of the group.
    pub group: &'a str,
    /// The member that sends it.
    pub member: GenerationMember<'a>,
    /// The assignment of each member by member id; empty unless the leader sends it.
    pub assignments: &'a [(String, Vec<u8>)],
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    /// Whether the group is still in this generation.
    pub code: ErrorCode,
    /// The assignment of this member; empty if it gets nothing.
    pub assignment: Vec<u8>,
}

impl Request for SyncGroup<'_> {
    const KEY: i16 = 14;
    const NAME: &'static str = "SyncGroup";
    const LOWEST: i16 = 0;
    const HIGHEST: i16 = 3;
    const THROTTLES_SINCE: i16 = 2;
    type Answer = Synced;

    fn write(&self, version: i16, out: &mut WireWriter) {
        out.string(self.group);
        out.i32(self.member.generation);
        out.string(self.member.id);
        if version >= 3 {
            out.nullable_string(self.member.instance);
        }
        out.list(self.assignments.iter(), |out, (member, assignment)| {
            out.string(member);
            out.bytes(assignment);
        });
    }

    fn read(version: i16, from: &mut WireReader<'_>) -> Result<Synced, Malformed> {
        if version >= 1 {
            let _throttled_ms = from.i32()?;
        }
        let code = ErrorCode(from.i16()?);
        Ok(Synced { code, assignment: from.nullable_bytes()?.unwrap_or_default().to_vec() })
    }
}
