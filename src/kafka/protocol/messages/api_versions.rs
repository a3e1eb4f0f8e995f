//! ApiVersions (18, `ApiVersionsRequest.json`): which versions of which requests a broker supports.
//! Kafka has it from 0.10 on (KIP-35); 0.9 neither answers nor closes the connection.

use super::Request;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::wire::{Malformed, WireReader, WireWriter};

/// The request, which has no fields.
#[derive(Debug, Clone, Copy)]
pub struct ApiVersions;

/// The versions of one request that a broker supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionRange {
    /// The number of the request (API key).
    pub key: i16,
    /// The lowest version.
    pub lowest: i16,
    /// The highest version.
    pub highest: i16,
}

impl Request for ApiVersions {
    const KEY: i16 = 18;
    const NAME: &'static str = "ApiVersions";
    const LOWEST: i16 = 0;
    // A broker answers version 0 whatever versions it supports.
    const HIGHEST: i16 = 0;
    type Answer = (ErrorCode, Vec<VersionRange>);

    fn write(&self, _version: i16, _out: &mut WireWriter) {}

    fn read(_version: i16, from: &mut WireReader<'_>) -> Result<Self::Answer, Malformed> {
        let code = ErrorCode(from.i16()?);
        let spoken = |from: &mut WireReader<'_>| {
            Ok(VersionRange { key: from.i16()?, lowest: from.i16()?, highest: from.i16()? })
        };
        Ok((code, from.list(6, spoken)?))
    }
}
