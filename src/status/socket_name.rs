//! Under which names of Linux's abstract namespace of Unix sockets the processes of an .inv answer for
//! their status. Such a name needs no file and no writable directory, and is gone with its process.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use twox_hash::XxHash3_128;

/// How many processes of one .inv have a name: each may run one of its jobs, or several may share a work
/// list.
const PROCESSES_MAX: usize = 16;

/// The names, in the order in which processes take them. All processes that see this file under any path
/// have the same names.
///
/// # Errors
/// Those of the system: the file is gone, for example.
pub fn socket_names(config: &Path) -> io::Result<Vec<String>> {
    let path = std::fs::canonicalize(config)?;
    let hash = XxHash3_128::oneshot(path.as_os_str().as_bytes());
    Ok((0..PROCESSES_MAX).map(|number| format!("pandad-status-{hash:032x}-{number}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_has_one_row_of_names() {
        let dir = std::env::temp_dir().join(format!("pandad-names-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("a.inv"), "").unwrap();
        std::fs::write(dir.join("b.inv"), "").unwrap();
        std::os::unix::fs::symlink(dir.join("a.inv"), dir.join("link.inv")).unwrap();
        let names = socket_names(&dir.join("a.inv")).unwrap();
        assert_eq!(names.len(), PROCESSES_MAX);
        assert_eq!(socket_names(&dir.join("link.inv")).unwrap(), names);
        assert_ne!(socket_names(&dir.join("b.inv")).unwrap(), names);
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(socket_names(&dir.join("a.inv")).is_err());
    }
}
