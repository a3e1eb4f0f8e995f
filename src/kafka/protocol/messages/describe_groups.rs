//! DescribeGroups (15, `DescribeGroupsRequest.json`): the members of a group and its assignor. The
//! group's coordinator answers it.

use super::Request;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::wire::{Malformed, WireReader, WireWriter};

/// The request, for one group.
#[derive(Debug, Clone, Copy)]
pub struct DescribeGroups<'a> {
    /// The name of the group.
    pub group: &'a str,
}

/// One group. A group that the coordinator does not know has no members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Whether the group could be described.
    pub code: ErrorCode,
    /// The name of the group.
    pub group: String,
    /// The protocol type: `consumer`, `connect` and so on; empty if the group is not known.
    pub kind: String,
    /// The assignor that the members have agreed on, such as `range`; empty before that.
    pub protocol: String,
    /// The live members.
    pub members: Vec<DescribedMember>,
}

/// One live member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedMember {
    /// Its `client.id`.
    pub client_id: String,
    /// The address that it is connected from.
    pub host: String,
}

/// The least sizes in bytes: a group has four strings, a code and a list; a member has three
/// strings and two lists.
const GROUP_BYTES_MIN: (usize, usize) = (14, 14);

impl Request for DescribeGroups<'_> {
    const KEY: i16 = 15;
    const NAME: &'static str = "DescribeGroups";
    const LOWEST: i16 = 0;
    const HIGHEST: i16 = 2;
    const THROTTLES_SINCE: i16 = 2;
    type Answer = Vec<Described>;

    fn write(&self, _: i16, out: &mut WireWriter) {
        out.list([self.group].into_iter(), |out, group| out.string(group));
    }

    fn read(version: i16, from: &mut WireReader<'_>) -> Result<Vec<Described>, Malformed> {
        if version >= 1 {
            let _throttled_ms = from.i32()?;
        }
        let (least, least_of_member) = GROUP_BYTES_MIN;
        from.list(least, |from| {
            let (code, group) = (ErrorCode(from.i16()?), from.string()?.to_owned());
            let _state = from.string()?;
            let (kind, protocol) = (from.string()?.to_owned(), from.string()?.to_owned());
            let members = from.list(least_of_member, |from| {
                let _id = from.string()?;
                let member =
                    DescribedMember { client_id: from.string()?.to_owned(), host: from.string()?.to_owned() };
                let (_subscription, _assignment) = (from.bytes_range()?, from.bytes_range()?);
                Ok(member)
            })?;
            Ok(Described { code, group, kind, protocol, members })
        })
    }
}
