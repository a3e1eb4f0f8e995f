//! ListGroups (16, `ListGroupsRequest.json`): the groups that a broker coordinates. The answer also lists
//! groups of the later protocol (KIP-848), which DescribeGroups does not know.

use super::Request;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::wire::{Malformed, WireReader, WireWriter};

/// The request.
#[derive(Debug, Clone, Copy)]
pub struct ListGroups;

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedGroups {
    /// Whether the groups could be listed.
    pub code: ErrorCode,
    /// The name and the protocol type of each group.
    pub groups: Vec<(String, String)>,
}

impl Request for ListGroups {
    const KEY: i16 = 16;
    const NAME: &'static str = "ListGroups";
    const LOWEST: i16 = 0;
    const HIGHEST: i16 = 2;
    const THROTTLES_SINCE: i16 = 2;
    type Answer = ListedGroups;

    fn write(&self, _: i16, _: &mut WireWriter) {}

    fn read(version: i16, from: &mut WireReader<'_>) -> Result<ListedGroups, Malformed> {
        if version >= 1 {
            let _throttled_ms = from.i32()?;
        }
        let code = ErrorCode(from.i16()?);
        let groups = from.list(4, |from| Ok((from.string()?.to_owned(), from.string()?.to_owned())))?;
        Ok(ListedGroups { code, groups })
    }
}
