//! JoinGroup (11): become a member of a group's next generation. The answer comes only
//! when all members have joined or were waited for long enough.

use super::Request;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::wire::{Malformed, WireReader, WireWriter};

/// The request.
#[derive(Debug, Clone, Copy)]
pub struct JoinGroup<'a> {
    /// The group's name.
    pub group: &'a str,
    /// Milliseconds without a heartbeat after which the member counts as dead.
    pub session_ms: i32,
    /// Milliseconds that the member may take to join again when the group asks for it;
    /// version 0 has no room for it and takes the session's.
    pub rebalance_ms: i32,
    /// The name that the coordinator gave; empty the first time.
    pub member: &'a str,
    /// The name that a static member gave itself; sent where the version has room for it.
    pub instance: Option<&'a str>,
    /// What kind of group it is.
    pub kind: &'a str,
    /// The ways of sharing out that the member knows, the best one first, each with what
    /// it has to say to it.
    pub protocols: &'a [(&'a str, &'a [u8])],
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Whether it joined.
    pub code: ErrorCode,
    /// The group's generation.
    pub generation: i32,
    /// The way of sharing out that all members know.
    pub protocol: String,
    /// The member that shares out.
    pub leader: String,
    /// The name that the coordinator gives this member.
    pub member: String,
    /// All members, for the leader; for the others it is empty.
    pub members: Vec<GroupMember>,
}

/// One member, as the leader hears of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// The name that the coordinator gave.
    pub id: String,
    /// The name that a static member gave itself.
    pub instance: Option<String>,
    /// What it has to say to the way of sharing out.
    pub metadata: Vec<u8>,
}

impl Request for JoinGroup<'_> {
    const KEY: i16 = 11;
    const NAME: &'static str = "JoinGroup";
    const LOWEST: i16 = 0;
    const HIGHEST: i16 = 5;
    type Answer = Joined;

    fn write(&self, version: i16, out: &mut WireWriter) {
        out.string(self.group);
        out.i32(self.session_ms);
        if version >= 1 {
            out.i32(self.rebalance_ms);
        }
        out.string(self.member);
        if version >= 5 {
            out.nullable_string(self.instance);
        }
        out.string(self.kind);
        out.list(self.protocols.iter(), |out, (name, metadata)| {
            out.string(name);
            out.bytes(metadata);
        });
    }

    fn read(version: i16, from: &mut WireReader<'_>) -> Result<Joined, Malformed> {
        if version >= 2 {
            let _throttled_ms = from.i32()?;
        }
        let code = ErrorCode(from.i16()?);
        let generation = from.i32()?;
        let protocol = from.string()?.to_owned();
        let leader = from.string()?.to_owned();
        let member = from.string()?.to_owned();
        let members = from.list(6, |from| {
            let id = from.string()?.to_owned();
            let instance = if version >= 5 { from.nullable_string()?.map(str::to_owned) } else { None };
            let metadata = from.nullable_bytes()?.unwrap_or_default().to_vec();
            Ok(GroupMember { id, instance, metadata })
        })?;
        Ok(Joined { code, generation, protocol, leader, member, members })
    }
}
