//! How long a component may be, so that each name and each whole path fits the usual file systems.

use std::path::Path;

use super::escape::HASH_BYTES;
use super::template::{FUTURE, PathComponent, PathPart};
use crate::log_names::{NAME_BYTES_MAX, period_suffix_bytes_max};

/// The longest path that Linux takes, in bytes.
const PATH_BYTES_MAX: usize = 4095;
/// The digits of the highest partition.
pub(super) const PARTITION_DIGITS_MAX: usize = 10;

/// Sets the length of each component below the directory `fixed`: what values share of a path.
///
/// # Errors
/// The first component that does not fit, and a sentence about it.
pub(super) fn set(fixed: &Path, components: &mut [PathComponent]) -> Result<(), (usize, String)> {
    let suffix = period_suffix_bytes_max();
    let is_open = |component: &PathComponent| component.parts.iter().any(PathPart::is_unbounded);
    let bounded: usize = components.iter().filter(|component| !is_open(component)).map(least).sum();
    // A slash before each component, and the directory of what is too far ahead.
    let slashes = components.len() + "/".len() + FUTURE.len();
    let taken = fixed.as_os_str().len() + slashes + bounded + suffix;
    let open = components.iter().filter(|component| is_open(component)).count().max(1);
    let share = PATH_BYTES_MAX.saturating_sub(taken) / open;
    for (at, component) in components.iter_mut().enumerate() {
        component.bytes_max = NAME_BYTES_MAX - suffix;
        if is_open(component) {
            component.bytes_max = component.bytes_max.min(share);
        }
        let least = least(component);
        if least > component.bytes_max || taken > PATH_BYTES_MAX {
            return Err((
                at,
                format!(
                    "this part of the path takes up to {least} bytes, with a hash in place of a long value, \
                     and {} are left for it",
                    if taken > PATH_BYTES_MAX { 0 } else { component.bytes_max }
                ),
            ));
        }
    }
    Ok(())
}

/// The bytes of the longest name whose values are shortened as far as can be.
fn least(component: &PathComponent) -> usize {
    let bytes = |part: &PathPart| match part {
        PathPart::Literal(text) => text.len(),
        PathPart::Partition => PARTITION_DIGITS_MAX,
        PathPart::Time(field) => field.digits(),
        PathPart::Topic | PathPart::Key => 0,
    };
    let is_open = component.parts.iter().any(PathPart::is_unbounded);
    component.parts.iter().map(bytes).sum::<usize>() + if is_open { HASH_BYTES } else { 0 }
}
