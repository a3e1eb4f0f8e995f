//! Simulators of what can befall a log file: crashes after every file operation, and histories of
//! hosts that share a group.

mod crash;
mod disk;
mod histories;
