//! The kinds of values that are addresses.

use super::super::choices::HttpAddress;
use super::super::convert;
use super::super::key::{NumberRange, ValueKind};

/// An address to listen at.
pub const fn http_address() -> ValueKind<HttpAddress> {
    ValueKind {
        range: NumberRange::ANY,
        read: |text, context| convert::http_address(text, context.base),
        write: HttpAddress::to_string,
        values: |_| "an IP address and a port, as `127.0.0.1:9750`, or `unix:PATH`; empty for off".into(),
        is_secret: false,
    }
}

/// Names of hosts, or none.
pub const fn host_names() -> ValueKind<Vec<String>> {
    ValueKind {
        range: NumberRange::ANY,
        read: |text, _| convert::host_names(text),
        write: |names| names.join(","),
        values: |_| "names separated by commas, empty for none".into(),
        is_secret: false,
    }
}

/// Kafka brokers.
pub const fn brokers() -> ValueKind<Vec<String>> {
    ValueKind {
        range: NumberRange::ANY,
        read: |text, _| convert::brokers(text),
        write: |brokers| brokers.join(","),
        values: |_| {
            let port = convert::BROKER_PORT;
            format!("`host`, `host:port` or `[v6]:port`, separated by commas; without a port {port}")
        },
        is_secret: false,
    }
}
