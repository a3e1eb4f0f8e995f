//! How a log file is written.

use super::rotation::Rotation;

/// See the module.
#[derive(Debug, Clone)]
pub struct LogFileOptions {
    /// The job that writes it: each log line about the file begins with this name.
    pub job: &'static str,
    /// Whether what was written is synced before it counts as settled. Without that, a kill
    /// still loses nothing, and a loss of power may. Syncs at the start are done in any case.
    pub sync: bool,
    /// When the file is rotated.
    pub rotation: Rotation,
}
