//! The `max_bytes` of fetch requests.

/// Bytes of the first request for a partition.
pub(super) const FETCH_BYTES_FIRST: i32 = 64 * 1024;
/// Bytes of a request for a partition with many records: the largest record by the broker's default
/// (1 MiB), and a margin.
pub(super) const FETCH_BYTES_FULL: i32 = 1024 * 1024 + 64 * 1024;
/// The fewest bytes of a request.
pub(super) const FETCH_BYTES_MIN: i32 = 4 * 1024;
/// The most bytes of a request. This size is used when smaller requests brought no record although the log
/// has some.
pub(super) const FETCH_BYTES_MAX: i32 = 128 * 1024 * 1024;
