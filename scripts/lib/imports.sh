# shellcheck shell=bash
# Sourced by scripts/check: the rules of who may name whom in src.
# shellcheck disable=SC2154 # names of common.sh

# check_imports SRC: prints every breach; status 1 if there is one.
check_imports() {
    local rules=$root/scripts/lib files modules
    (
        cd "$1" || exit
        files=$(find . -name '*.rs' -printf '%P\n' | LC_ALL=C sort)
        modules=$(find jobs -mindepth 1 -maxdepth 1 ! -name mod.rs -printf '%f\n' 2>/dev/null | sed 's/\.rs$//' | paste -sd ' ' || true)
        # Bytes, not characters: literals in any script are skipped all the same.
        # shellcheck disable=SC2086 # file names of Rust modules hold no blanks
        LC_ALL=C awk -v "jobs=$modules" -f "$rules/imports.awk" "$rules/imports.rules" $files
    )
}

# ---- The self-test: each rule is broken in a copy, and must be seen there

imports_self_test() {
    local copy
    copy=$(mktemp -d)
    # shellcheck disable=SC2064 # the path of now
    trap "rm -rf '$copy'" EXIT
    failures=0
    cp -r "$root/src" "$copy/clean"
    # Both stand-ins: the rules must hold before every module exists.
    mkdir -p "$copy/clean/jobs" "$copy/clean/kafka"
    touch "$copy/clean/jobs/expired_to_list.rs" "$copy/clean/jobs/list_to_hash.rs"
    check_imports "$copy/clean" || die 'self-test: the sources break the rules before anything was changed'
    imports_breaches
    imports_pardons
    [ "$failures" -eq 0 ] || die "self-test: $failures cases went wrong"
    say 'self-test: every rule is seen when broken'
}

imports_breaches() {
    # Rooms, in each way a path can be written.
    breach pipeline/driver.rs 'use crate::kafka::Fetch;' 'pipeline must not name kafka'
    breach pipeline/mod.rs 'use crate::{error::Fault, redis};' 'pipeline must not name redis'
    breach pipeline/mod.rs 'pub fn f() { let _ = crate::logfile::line::X; }' 'pipeline must not name logfile'
    breach pipeline/mod.rs $'use crate::{\n    error::{self},\n    record::{\n        Record,\n    },\n};' 'pipeline must not name record'
    breach pipeline/mod.rs 'pub fn f(_: super::config::Config) {}' 'pipeline must not name config'
    breach kafka/mod.rs 'mod deep { use super::super::pipeline::Source; }' 'kafka must not name pipeline'
    breach kafka/mod.rs 'pub fn f() -> Vec<crate::logfile::X> { Vec::new() }' 'kafka must not name logfile'
    breach logfile/mod.rs 'use crate::kafka;' 'logfile must not name kafka'
    breach logfile/mod.rs 'use crate::pipeline::Sink;' 'logfile must not name pipeline'
    breach redis/mod.rs 'use crate::config::Redis;' 'redis must not name config'
    breach queue/mod.rs 'use crate::expiry::Inbox;' 'queue must not name expiry'
    breach expiry/mod.rs 'use crate::queue::Names;' 'expiry must not name queue'
    breach host.rs 'use crate::error::Error;' 'host must not name error'
    breach config/mod.rs 'use crate::{self as house}; pub fn f() { house::kafka::x() }' 'config must not name kafka'
    breach record.rs 'use crate::kafka::Fetch;' 'record must not name kafka'
    breach error.rs 'use crate::record::Record;' 'error must not name record'
    breach report/mod.rs 'use crate::pipeline::Source;' 'report must not name pipeline'
    breach shutdown.rs 'use crate::daemon;' 'shutdown must not name daemon'
    breach threads.rs 'use crate::shutdown::Stop;' 'threads must not name shutdown'
    breach daemon.rs 'use crate::kafka;' 'daemon must not name kafka'
    breach main.rs 'use pandad::{config::Config as C, jobs};' 'main must not name jobs'
    breach jobs/mod.rs 'use crate::threads;' 'jobs must not name threads'
    breach elsewhere.rs 'pub fn f() {}' 'no rule for the room elsewhere'
    # Jobs among themselves.
    breach jobs/expired_to_list.rs 'use crate::jobs::list_to_hash::X;' 'job expired_to_list must not name job list_to_hash'
    breach jobs/expired_to_list.rs 'use super::list_to_hash;' 'job expired_to_list must not name job list_to_hash'
    breach jobs/list_to_hash.rs 'use crate::jobs; fn f() { jobs::expired_to_list::x() }' 'job list_to_hash must not name job expired_to_list'
    # Doors.
    breach kafka/client/mod.rs 'use kafka_crate::client::KafkaClient;' 'kafka_crate only in'
    breach jobs/mod.rs 'fn f() { ::kafka_crate::x() }' 'kafka_crate only in'
    breach kafka/legacy/fetcher.rs 'extern crate kafka_protocol;' 'kafka_protocol only in tests'
    breach kafka/mod.rs 'use redis_crate::Commands;' 'redis_crate only in'
    breach queue/mod.rs 'use redis_crate::Cmd;' 'redis_crate only in'
    breach config/mod.rs 'use configparser::ini::Ini;' 'configparser only in'
    breach daemon.rs 'fn f() { signal_hook::low_level::raise(1); }' 'signal_hook only in'
    breach pipeline/pool.rs 'fn f() { std::thread::spawn(|| ()); }' 'std::thread::spawn only in'
    breach pipeline/pool.rs 'use std::thread; fn f() { thread::Builder::new(); }' 'std::thread::Builder only in'
    breach pipeline/pool.rs 'use std::{thread as t}; fn f() { t::spawn(|| ()); }' 'std::thread::spawn only in'
    breach shutdown.rs 'use std::thread::*;' 'std::thread::spawn only in'
    breach daemon.rs 'fn f() { std::process::exit(1) }' 'std::process::exit only in'
    breach daemon.rs 'use std::process; fn f() { process::abort() }' 'std::process::abort only in'
    # What looks like test code and is not.
    breach pipeline/pool.rs '#[cfg(not(test))] fn f() { std::thread::spawn(|| ()); }' 'std::thread::spawn only in'
    breach pipeline/pool.rs '#[cfg_attr(test, allow(unused))] fn f() { std::thread::spawn(|| ()); }' 'std::thread::spawn only in'
    breach pipeline/pool.rs $'#[cfg(test)]\nmod a {}\nfn f() { std::thread::spawn(|| ()); }' 'std::thread::spawn only in'
    breach pipeline/pool.rs $'const Q: char = \'"\'; fn f<\'a>(_: &\'a str) { std::thread::spawn(|| ()); }' 'std::thread::spawn only in'
}

imports_pardons() {
    pardon pipeline/mod.rs '// use crate::kafka::Fetch;'
    pardon pipeline/mod.rs '/* use crate::kafka::Fetch; /* nested */ std::process::exit(1) */'
    pardon pipeline/mod.rs 'const A: &str = "crate::kafka::x \" std::process::exit(1)";'
    pardon pipeline/mod.rs 'const A: &str = r#"crate::kafka::x " crate::redis::x"#;'
    pardon pipeline/mod.rs $'#[cfg(test)]\nmod spawning { fn f() { std::thread::spawn(|| ()); } }'
    pardon jobs/list_to_hash.rs 'use crate::redis; fn f() { redis::open() }'
    pardon jobs/list_to_hash.rs 'use super::Job;'
    pardon redis/link.rs 'use redis_crate::Commands;'
    pardon main.rs 'fn f() { std::process::exit(1) }'
}

# altered FILE CODE: puts the code at the end of FILE in a fresh copy and checks.
altered() {
    rm -rf "$copy/src"
    cp -r "$copy/clean" "$copy/src"
    mkdir -p "$copy/src/$(dirname "$1")"
    printf '\n%s\n' "$2" >>"$copy/src/$1"
    check_imports "$copy/src" || true
}

breach() {
    if ! altered "$1" "$2" | grep -F "src/$1:" | grep -F "$3" >/dev/null; then
        say "self-test: not seen in src/$1: $2"
        failures=$((failures + 1))
    fi
}

pardon() {
    local said
    said=$(altered "$1" "$2")
    if [ -n "$said" ]; then
        say "self-test: wrongly refused in src/$1: $2 ($said)"
        failures=$((failures + 1))
    fi
}
