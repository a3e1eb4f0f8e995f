//! Goal: TERM, INT and QUIT end pandad cleanly within its deadline, a second signal ends it at
//! once, and a broker that hangs delays neither.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::servers::{Victim, kafka, victim};
use crate::support::wait::seconds;
use crate::support::{unique, wait};
use rustix::process::Signal;
use std::time::Instant;

#[test]
fn term_int_and_quit_in_mid_stream() {
    let kafka = kafka("1.1.1");
    let tested = kafka.tested("TERM, INT and QUIT in mid-stream");
    let topic = unique("signals");
    kafka.create(&topic, 2);
    let produce = Produce::seq(&kafka, &topic, 300_000).with("--partitions", 2).with("--rate", 1000);
    let producing = produce.stream(20_000);
    let mut daemon = Daemon::new(&Inv::log(&kafka, &topic, &unique("signals")));
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let before = std::fs::metadata(&daemon.file).map_or(0, |data| data.len());
        daemon.start();
        let grown = || std::fs::metadata(&daemon.file).map_or(0, |data| data.len()) > before;
        wait::until("the file grows", seconds(30), grown);
        let began = Instant::now();
        daemon.signal(signal);
        let status = daemon.wait_exit(seconds(25));
        println!("{signal:?}: {status} after {:?}", began.elapsed());
        assert_eq!(status.code(), Some(0), "{signal:?}");
        assert!(began.elapsed() < seconds(5), "nothing delayed it, but it took {:?}", began.elapsed());
    }
    daemon.start();
    daemon.finish(&[producing.end(); 2], seconds(60));
    tested.passed("at least 20000 records");
}

/// A broker hangs in mid-stream, so that written records cannot be committed; then the daemon must stop.
/// Records that were not settled are fetched again, once. `then` returns whether the broker delayed
/// anything: sometimes everything is committed already when the broker hangs.
fn with_a_hung_broker(what: &str, stop_timeout: &str, then: impl Fn(&mut Daemon) -> bool) {
    let victim = victim();
    let tested = victim.kafka.tested(what);
    let held_up = (0..4).any(|_| hang_and(&victim, stop_timeout, &then));
    assert!(held_up, "in none of four tries the broker held anything up: this shows nothing");
    tested.passed("8000 records");
}

fn hang_and(victim: &Victim, stop_timeout: &str, then: impl Fn(&mut Daemon) -> bool) -> bool {
    let topic = unique("hangs");
    victim.kafka.create(&topic, 2);
    let producing =
        Produce::seq(&victim.kafka, &topic, 8000).with("--partitions", 2).with("--rate", 800).start();
    let inv = Inv::log(&victim.kafka, &topic, &unique("hangs"));
    let mut daemon = Daemon::new(&inv.set("daemon_section", "stop_timeout", stop_timeout));
    daemon.start();
    daemon.wait_written_at_least(1000, seconds(30));
    victim.hang();
    // This is long enough for a request to be on its way.
    std::thread::sleep(seconds(1));
    let held_up = then(&mut daemon);
    victim.resume();
    daemon.start();
    producing.finish();
    daemon.finish(&[4000, 4000], seconds(60));
    held_up
}

#[test]
fn hung_broker_does_not_delay_stop() {
    with_a_hung_broker("TERM while the broker hangs", "5", |daemon| {
        let began = Instant::now();
        daemon.signal(Signal::TERM);
        let status = daemon.wait_exit(seconds(25));
        println!("TERM with a hung broker: {status} after {:?}", began.elapsed());
        assert!(began.elapsed() < seconds(7), "stop_timeout is 5 s, it took {:?}", began.elapsed());
        if status.code() == Some(0) {
            return false;
        }
        assert_eq!(status.code(), Some(1), "a stop that was cut short");
        true
    });
}

#[test]
fn second_signal_exits_at_once() {
    with_a_hung_broker("a second signal", "25", |daemon| {
        daemon.signal(Signal::TERM);
        std::thread::sleep(seconds(1));
        if !daemon.running() {
            assert_eq!(daemon.wait_exit(seconds(1)).code(), Some(0));
            return false;
        }
        let began = Instant::now();
        daemon.signal(Signal::TERM);
        let status = daemon.wait_exit(seconds(25));
        println!("the second signal: {status} after {:?}", began.elapsed());
        assert!(began.elapsed() < seconds(1), "it took {:?}", began.elapsed());
        assert_eq!(status.code(), Some(1), "a stop that was cut short");
        true
    });
}
