//! DescribeGroups (15): who is in a group, and how its partitions are shared out. Asked of
//! the group's coordinator.

use super::Request;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::wire::{Malformed, WireReader, WireWriter};

/// The request, about one group.
#[derive(Debug, Clone, Copy)]
pub struct DescribeGroups<'a> {
    /// The group's name.
    pub group: &'a str,
}

/// What the coordinator says of a group. One that it does not know has no members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Whether it tells.
    pub code: ErrorCode,
    /// The group's name.
    pub group: String,
    /// What its members are: `consumer`, `connect` and so on.
    pub kind: String,
    /// How they share out, once they have agreed on it: `range` and so on.
    pub protocol: String,
    /// Its live members.
    pub members: Vec<DescribedMember>,
}

/// One live member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedMember {
    /// What it calls itself, `client.id`.
    pub client_id: String,
    /// From where it is connected.
    pub host: String,
}

/// A group takes four strings, a code and a list; a member three strings and two lists.
const GROUP_BYTES_MIN: (usize, usize) = (14, 14);

impl Request for DescribeGroups<'_> {
    const KEY: i16 = 15;
    const NAME: &'static str = "DescribeGroups";
    const LOWEST: i16 = 0;
    const HIGHEST: i16 = 2;
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
                let (_subscription, _assignment) = (from.place()?, from.place()?);
                Ok(member)
            })?;
            Ok(Described { code, group, kind, protocol, members })
        })
    }
}
