//! What a person asks of pandad beside the running jobs. Each command connects, does
//! its work, prints and ends; none needs a pandad that runs.

pub mod check;
pub mod dead;
pub mod journal;
pub mod reopen;
