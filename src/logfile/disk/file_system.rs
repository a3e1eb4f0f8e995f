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

#[cfg(test)]
mod tests {
    use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

    use super::*;

    /// What the kernel itself says of the mount.
    fn by_kernel(directory: &str) -> u64 {
        let asked = StatxFlags::from_bits_retain(0x4000);
        let found = statx(CWD, directory, AtFlags::empty(), asked).unwrap();
        if found.stx_mask & asked.bits() == asked.bits() { found.stx_mnt_id } else { 0 }
    }

    #[test]
    fn a_mount_is_known_by_what_the_kernel_calls_it() {
        let ids = ["/", "/proc"].map(|directory| {
            let id = mount_id(Path::new(directory));
            assert_eq!(id, by_kernel(directory), "{directory}");
            id
        });
        assert!(ids == [0, 0] || ids[0] != ids[1], "{ids:?}");
        assert_eq!(mount_id(Path::new("/no/such/directory")), 0);
    }
}
