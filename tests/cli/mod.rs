//! What a person types: the check of a configuration, exit statuses, `pandad dead`, and the
//! binary itself.

mod configuration;
mod dead_list;
mod group_check;
mod reopen;
mod static_binary;
