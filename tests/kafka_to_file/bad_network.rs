//! Goal: over a bad network no record is missing or doubled. Method: a stream of records, read
//! through support/network.rs with random faults by a seed, then through a good network.

use crate::support::content::ClientKind;
use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::network::{FaultMix, Network};
use crate::support::produce::Produce;
use crate::support::servers::{Kafka, kafka};
use crate::support::wait::seconds;
use crate::support::{all, seed, unique};

/// Records of one schedule.
const RECORDS: u64 = 3000;

#[test]
fn bad_network_loses_nothing() {
    let seed = seed();
    println!("PANDAD_TEST_SEED={seed}");
    let plan: &[(&str, u64)] =
        if all() { &[("1.1.1", 33), ("3.9.1", 33), ("4.1.0", 33)] } else { &[("1.1.1", 1), ("4.1.0", 2)] };
    // The brokers are tested at the same time: each has a network of its own, and a test mostly waits.
    std::thread::scope(|scope| {
        let each: Vec<_> = plan
            .iter()
            .map(|(version, count)| scope.spawn(move || schedules(&kafka(version), *count, seed)))
            .collect();
        let ended: Vec<_> = each.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        assert!(ended.iter().all(Result::is_ok), "see above");
    });
}

fn schedules(kafka: &Kafka, count: u64, seed: u64) {
    let tested = kafka.tested("a bad network");
    let (mut faults, mut number) = (0, 0);
    // A single schedule may have too few faults to show anything.
    while number < count || (faults <= count && number < count + 4) {
        faults += schedule(kafka, seed.wrapping_add(number));
        number += 1;
    }
    assert!(faults > count, "only {faults} faults in {count} schedules");
    println!("{faults} faults");
    tested.passed(format_args!("{count} schedules, {} records", count * RECORDS));
}

/// A stream that begins under faults and ends without. Returns the number of faults.
fn schedule(kafka: &Kafka, seed: u64) -> u64 {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mix = FaultMix::new(&mut dice);
    println!("Kafka {}, PANDAD_TEST_SEED={seed}, {mix:?}", kafka.version);
    let (topic, group) = (unique("network"), unique("network"));
    kafka.create(&topic, 3);
    let codec = ["none", "gzip", "snappy", "lz4"][dice.usize(..4)];
    let produce = Produce::seq(kafka, &topic, RECORDS).with("--partitions", 3).with("--codec", codec);
    let producing = produce.with("--rate", 1000).with("--linger", 5).start();
    let network = Network::in_front_of(kafka, dice.u64(..));
    let inv = Inv::log(kafka, &topic, &group).client(kafka, ClientKind::Native);
    let mut daemon = Daemon::new(&inv.set("log_section", "broker_list", &network.address));
    daemon.start();
    network.set(mix.clone());
    producing.finish();
    if mix.half_open() {
        // This is long enough for pandad to give up one of the half-open connections.
        std::thread::sleep(seconds(if all() { 12 } else { 3 }));
    }
    network.clear();
    daemon.finish(&[RECORDS / 3; 3], seconds(90));
    for damage in ["deleted at the broker", "recreated", "panicked"] {
        assert!(daemon.log_lines(damage).is_empty(), "{:#?}", daemon.log_lines(damage));
    }
    network.faults()
}
