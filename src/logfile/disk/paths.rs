//! Paths beside other paths.

use std::path::{Path, PathBuf};

/// The path with a suffix added to its last component.
pub(in crate::logfile) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The directory that holds the path.
pub(in crate::logfile) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
