//! What the system says of the file system of a directory.

use std::path::Path;

/// The longest name that the file system of a directory takes, in bytes. `None` if it does not say.
pub(in crate::logfile) fn name_bytes_max(directory: &Path) -> Option<usize> {
    let found = rustix::fs::statvfs(directory).ok()?.f_namemax;
    usize::try_from(found).ok().filter(|most| *most > 0)
}

/// The identifier of the mount that a directory is in; a later mount never gets the same one. 0 if the
/// kernel does not give it (Linux before 6.8).
pub(in crate::logfile) fn mount_id(directory: &Path) -> u64 {
    use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
    // STATX_MNT_ID_UNIQUE. Without this bit the kernel gives an identifier that it reuses after an unmount.
    const UNIQUE: u32 = 0x4000;
    match statx(CWD, directory, AtFlags::empty(), StatxFlags::from_bits_retain(UNIQUE)) {
        Ok(found) if found.stx_mask & UNIQUE != 0 => found.stx_mnt_id,
        _ => 0,
    }
}
