//! Rules that the compiler and clippy do not check: who may name whom, how long things may be, one meaning
//! for a name. The rules stand in rules.rs.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "in a test that is how a fault is shown"
)]

mod figures;
mod graph;
mod judge;
mod paths;
mod reader;
mod rules;
mod self_test;
mod tree;

use std::path::Path;

use tree::Tree;

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_tree_keeps_the_rules() {
    let breaches: Vec<String> = judge::judge(&Tree::read(here())).iter().map(ToString::to_string).collect();
    assert!(breaches.is_empty(), "{} breaches of the rules:\n{}", breaches.len(), breaches.join("\n"));
}

/// Not a test: `scripts/measure` runs it for the tree that `PANDAD_TREE` names.
#[test]
#[ignore = "prints figures"]
fn figures() {
    let top = std::env::var_os("PANDAD_TREE").map_or(here().to_owned(), Into::into);
    for (what, figure) in figures::figures(&top) {
        println!("{figure:>10}  {what}");
    }
}
