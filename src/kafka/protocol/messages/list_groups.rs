//! ListGroups (16): the groups that a broker coordinates, those of later protocols as well,
//! which DescribeGroups does not know.

use super::Request;
use crate::kafka::protocol::error_code::Code;
use crate::kafka::protocol::wire::{Malformed, Reader, Writer};

/// The request.
#[derive(Debug, Clone, Copy)]
pub struct ListGroups;

/// The groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Whether the broker tells.
    pub code: Code,
    /// Each group's name and what its members are.
    pub groups: Vec<(String, String)>,
}

impl Request for ListGroups {
    const KEY: i16 = 16;
    const NAME: &'static str = "ListGroups";
    const LOWEST: i16 = 0;
    const HIGHEST: i16 = 2;
    type Answer = Listed;

    fn write(&self, _: i16, _: &mut Writer) {}

    fn read(version: i16, from: &mut Reader<'_>) -> Result<Listed, Malformed> {
        if version >= 1 {
            let _throttled_ms = from.i32()?;
        }
        let code = Code(from.i16()?);
        let groups = from.list(4, |from| Ok((from.string()?.to_owned(), from.string()?.to_owned())))?;
        Ok(Listed { code, groups })
    }
}
