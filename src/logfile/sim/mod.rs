//! Simulators of mishaps to a log file: crashes after every file operation, histories of hosts that share a
//! group, and an operator who handles the file while it is written.

mod crash;
mod disk;
mod durability;
mod histories;
mod many;
mod operator;
mod take_over;
mod topics;
