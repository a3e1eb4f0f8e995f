//! Goal: the released binary is static and does its job. Method: readelf finds neither
//! interpreter nor libraries, and the binary copies one topic.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::servers::{binary, kafka};
use crate::support::{unique, wait};
use std::process::Command;

fn readelf(flag: &str) -> String {
    let output = Command::new("readelf").args([flag, "-W"]).arg(binary()).output();
    let output = output.expect("readelf (binutils) is there, as for any Rust build with the system's linker");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn static_binary_needs_nothing() {
    assert!(
        std::env::var_os("PANDAD_BIN").is_some(),
        "PANDAD_BIN is not set: run scripts/test, which builds it"
    );
    let (headers, dynamic) = (readelf("-l"), readelf("-d"));
    println!("{}: {} bytes", binary().display(), std::fs::metadata(binary()).unwrap().len());
    println!("{headers}\n{dynamic}");
    assert!(!headers.contains("INTERP"), "it names a loader");
    assert!(!dynamic.contains("NEEDED"), "it needs libraries");

    let kafka = kafka("1.1.1");
    let tested = kafka.tested("the static binary");
    let topic = unique("static");
    kafka.create(&topic, 2);
    Produce::seq(&kafka, &topic, 2000).with("--partitions", 2).with("--codec", "gzip").run();
    let inv = Inv::log(&kafka, &topic, &unique("static"));
    let mut daemon = Daemon::new(&inv).flags(&["--only", "kafka_to_file"]);
    daemon.start_and_wait();
    assert_eq!(daemon.executable(), binary().canonicalize().unwrap());
    daemon.finish(&[1000, 1000], wait::seconds(30));
    tested.passed("2000 records");
}
