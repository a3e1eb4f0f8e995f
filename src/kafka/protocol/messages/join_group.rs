//! JoinGroup (11, `JoinGroupRequest.json`): become a member of a group's next generation. The
//! coordinator answers when all members have joined, or after the rebalance timeout.

use super::Request;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::wire::{Malformed, WireReader, WireWriter};

/// The request.
#[derive(Debug, Clone, Copy)]
pub struct JoinGroup<'a> {
    /// The name of the group.
    pub group: &'a str,
    /// The session timeout in milliseconds: if no heartbeat comes for so long, the member is removed.
    pub session_ms: i32,
    /// The rebalance timeout in milliseconds: how long the member may take to join again. Version 0 does
    /// not have this field and uses the session timeout.
    pub rebalance_ms: i32,
    /// The member id that the coordinator gave; empty the first time.
    pub member: &'a str,
    /// The `group.instance.id` of a static member (KIP-345). Sent from version 5 on.
    pub instance: Option<&'a str>,
    /// The protocol type of the group, such as `consumer`.
    pub kind: &'a str,
    /// The assignors that the member supports, the preferred one first, each with the member's
    /// metadata for it.
    pub protocols: &'a [(&'a str, &'a [u8])],
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Whether the member has joined.
    pub code: ErrorCode,
    /// The generation of the group.
    pub generation: i32,
    /// The assignor that all members support.
    pub protocol: String,
    /// The id of the member that computes the assignment.
    pub leader: String,
    /// The id of this member, given by the coordinator.
    pub member: String,
    /// All members, if this member is the leader; otherwise empty.
    pub members: Vec<GroupMember>,
}

/// One member, as the leader gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// The member id that the coordinator gave.
    pub id: String,
    /// The `group.instance.id` of a static member.
    pub instance: Option<String>,
    /// The member's metadata for the assignor.
    pub metadata: Vec<u8>,
}

impl Request for JoinGroup<'_> {
    const KEY: i16 = 11;
    const NAME: &'static str = "JoinGroup";
    const LOWEST: i16 = 0;
    const HIGHEST: i16 = 5;
    const THROTTLES_SINCE: i16 = 3;
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
