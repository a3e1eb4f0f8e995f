//! Configuration text: refused with faults or taken, and what is taken can be printed.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use pandad::config::Config;

fuzz_target!(|text: &str| {
    match Config::parse(text, Path::new("/tmp/fuzz.inv")) {
        Ok(config) => drop(format!("{config:?}")),
        Err(faults) => drop(faults.to_string()),
    }
});
