//! How many bytes one request asks for.

/// What is asked for at first, in bytes.
pub(super) const FETCH_BYTES_FIRST: i32 = 64 * 1024;
/// What is asked for of a partition that has much, in bytes: a broker's largest
/// ordinary record and some.
pub(super) const FETCH_BYTES_FULL: i32 = 1024 * 1024 + 64 * 1024;
/// What is asked for at least, in bytes.
pub(super) const FETCH_BYTES_MIN: i32 = 4 * 1024;
/// What is asked for at most, in bytes, when nothing came although there is something.
pub(super) const FETCH_BYTES_MAX: i32 = 128 * 1024 * 1024;
