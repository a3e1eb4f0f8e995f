//! How a log file is written.

use super::rotation::Rotation;

/// See the module.
#[derive(Debug, Clone)]
pub struct LogFileOptions {
    /// The job that writes the file. Each log line about the file begins with this name.
    pub job: &'static str,
    /// Whether writes are synced before they count as settled. Without syncs a kill still loses nothing,
    /// but a loss of power may. The syncs at the start are done in any case.
    pub sync: bool,
    /// When the file is rotated.
    pub rotation: Rotation,
}
