//! What a person types, and the process itself: the check of a configuration, exit statuses,
//! pandad's own log, what hangs, `pandad dead`, and the binary itself.

mod configuration;
mod dead_list;
mod group_check;
mod hangs;
mod open_files;
mod own_log;
mod reopen;
mod rotate_every;
mod static_binary;
