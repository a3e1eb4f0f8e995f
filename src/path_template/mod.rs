//! The template of a log file's path: text with placeholders for what a record has. Pure: the
//! configuration refuses bad templates, and a [`Router`] says which file a record goes to.

mod clash;
mod distinct;
mod escape;
mod limits;
mod parse;
mod period;
mod router;
mod template;
#[cfg(test)]
mod tests;

pub use clash::LOG_FILE;
pub use parse::{PLACEHOLDERS, PathFault};
pub use period::{Calendar, Period};
pub use router::{Route, RouteFacts, Router};
pub use template::{FUTURE, PathTemplate};
