//! Record sets as a Fetch answer has them, made into records: message formats 0, 1 and
//! 2 in one set, plain or compressed. Pure: bytes in, records out.
//!
//! Nothing here trusts the bytes. What is compressed is decompressed piece by piece
//! into a window that grows no further than one record needs, so that a set takes no
//! more memory than its largest record, whatever it expands to.

mod broken;
mod entry;

use std::ops::ControlFlow;

pub use broken::{Broken, Why};
pub use entry::{Span, span};

use crate::record::Record;

/// The largest record that is taken into memory, in bytes.
pub const LARGEST: usize = 128 << 20;

/// A transaction that was aborted, as a Fetch answer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Aborted {
    /// The offset of its first record in the partition.
    pub first_offset: i64,
    /// Whose it was: the producer's id.
    pub producer: i64,
}

/// What decoding needs beside the set; kept from call to call, so that it allocates
/// nothing once it has its size.
#[derive(Debug, Default)]
pub struct Scratch {}

/// Calls `each` for every record of the set at or above `from`, in order, until it
/// breaks; tells the offset to go on at: one above the record that broke it, or else
/// [`Span::next`].
///
/// `aborted` lists the aborted transactions that the Fetch answer told of, in any order,
/// and then their records and those of control batches are left out; `None` leaves out
/// control batches only (`read_uncommitted`). The list is that of the answer, so `set`
/// must begin where the answer began, also when `from` is well behind it.
///
/// # Errors
/// The set cannot be read on; what came before was delivered.
pub fn decode(
    set: &[u8],
    from: i64,
    aborted: Option<&[Aborted]>,
    scratch: &mut Scratch,
    each: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
) -> Result<i64, Broken> {
    let _ = (set, aborted, scratch, each);
    Err(Broken { next: from, why: Why::Malformed("not yet") })
}
