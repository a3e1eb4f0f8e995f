//! Files that pandad has written, damaged in every way, against topics in memory.

mod fake;
mod judgement;
mod of_set;
mod sabotage;
