//! Goal: every record arrives, whatever the codec, the line format, the broker's version and the
//! place of the offsets, and new partitions are found. The two hardest cases are batches of
//! different codecs side by side.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::servers::{Kafka, Store, kafka, readable};
use crate::support::{all, check, unique, wait};
use serde_json::Value;

/// Where this broker can keep offsets.
fn stores(kafka: &Kafka) -> Vec<Store> {
    if kafka.zookeeper { vec![Store::Kafka, Store::Zookeeper] } else { vec![Store::Kafka] }
}

#[test]
fn every_codec_in_every_format() {
    for kafka in readable() {
        let tested = kafka.tested("every codec in every line format");
        let codecs = ["none", "gzip", "snappy"];
        let topics = codecs.map(|codec| unique(&format!("codec-{codec}")));
        for (at, (codec, topic)) in codecs.iter().zip(&topics).enumerate() {
            kafka.create(topic, 2);
            let produce = Produce::seq(&kafka, topic, 2000).with("--partitions", 2).with("--codec", codec);
            // In the records, each topic's partitions have numbers of their own.
            produce.with("--linger", 5).with("--base", at * 2).run();
        }
        let mut daemons = ["raw", "json", "original"].map(|format| {
            let inv =
                Inv::log(&kafka, &topics.join(","), &unique("formats")).job("log_file['format']", format);
            (format, Daemon::new(&inv))
        });
        daemons.iter_mut().for_each(|(_, daemon)| daemon.start());
        for (format, daemon) in &mut daemons {
            println!("format {format}");
            daemon.finish(&[1000; 6], wait::seconds(60));
            match *format {
                "json" => json_says_where_it_came_from(daemon, &topics),
                "original" => original_has_its_fields(daemon),
                _ => {}
            }
        }
        tested.passed("18000 lines");
    }
}

fn lines(daemon: &Daemon) -> Vec<String> {
    std::fs::read_to_string(&daemon.file).unwrap().lines().map(str::to_string).collect()
}

#[track_caller]
fn json_says_where_it_came_from(daemon: &Daemon, topics: &[String]) {
    for line in lines(daemon) {
        let fields: Value = serde_json::from_str(&line).unwrap();
        let place = check::place_of(line.as_bytes()).unwrap();
        let (topic, partition) = (&topics[place.partition / 2], place.partition % 2);
        assert_eq!(fields["topic"].as_str(), Some(topic.as_str()), "{line}");
        assert_eq!(fields["partition"].as_u64(), Some(partition as u64), "{line}");
        assert_eq!(fields["offset"].as_u64(), Some(place.index), "{line}");
        assert_eq!(fields["key"], format!("key {} of {partition}", place.index), "{line}");
    }
}

#[track_caller]
fn original_has_its_fields(daemon: &Daemon) {
    for line in lines(daemon) {
        let json = line.strip_prefix("consumer_message:").unwrap_or_else(|| panic!("{line}"));
        assert!(json.is_ascii() && !json.replace("\\/", "").contains('/'), "not as PHP writes it: {line}");
        let fields: Value = serde_json::from_str(json).unwrap();
        let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(names(&fields), "message offset size", "{line}");
        assert_eq!(names(&fields["message"]), "attr crc key magic timestamp value", "{line}");
    }
}

/// One partition: all `records` of a mode must arrive.
#[track_caller]
fn all_of(mode: &str, what: &str, records: u64) {
    for kafka in readable() {
        let tested = kafka.tested(what);
        let topic = unique(mode);
        kafka.create(&topic, 1);
        let said = Produce::new(mode, &kafka, &topic, records).run();
        for store in stores(&kafka) {
            println!("Kafka {}, offsets in {}, batches {}", kafka.version, store.name(), said["batches"]);
            let group = unique("mixed");
            let mut daemon = Daemon::new(&Inv::log(&kafka, &topic, &group).store(store));
            daemon.start();
            daemon.finish(&[records], wait::seconds(90));
            assert_eq!(kafka.committed(store, &group, &topic, 1), [records as i64]);
        }
        tested.passed(format_args!("{records} records"));
    }
}

/// A producer that leaves small batches uncompressed among compressed ones: the kafka crate alone loses
/// one in seven of these records.
#[test]
fn mixed_compression_4000_of_4000() {
    all_of("mixed", "batches of mixed compression", 4000);
}

/// 40 records of 60 to 400 kB that no codec makes smaller, between small compressed ones.
#[test]
fn large_records_400_of_400() {
    all_of("large", "large records between small batches", 400);
}

#[test]
fn new_partitions_are_found() {
    let brokers = if all() { readable() } else { vec![kafka("3.9.1")] };
    for kafka in brokers {
        let tested = kafka.tested("new partitions while pandad runs");
        let topic = unique("grows");
        kafka.create(&topic, 2);
        Produce::seq(&kafka, &topic, 1000).with("--partitions", 2).run();
        let mut daemon = Daemon::new(&Inv::log(&kafka, &topic, &unique("grows")));
        daemon.start();
        daemon.wait_written(&[500, 500], wait::seconds(30));
        kafka.alter(&topic, 4);
        // These records are there before pandad finds the partitions: new partitions start at their
        // earliest record.
        Produce::seq(&kafka, &topic, 1000).with("--partitions", "2-3").run();
        Produce::seq(&kafka, &topic, 1000).with("--partitions", 2).with("--first", 500).run();
        daemon.finish(&[1000, 1000, 500, 500], wait::seconds(60));
        tested.passed("3000 records, 2 partitions become 4");
    }
}

/// After a minute there is a state line with the right count.
#[test]
fn state_line_each_minute() {
    let kafka = kafka("3.9.1");
    let tested = kafka.tested("the state line");
    let topic = unique("state");
    kafka.create(&topic, 1);
    Produce::seq(&kafka, &topic, 1000).run();
    let mut daemon = Daemon::new(&Inv::log(&kafka, &topic, &unique("state")));
    daemon.start();
    daemon.wait_log("kafka_to_file: state:", wait::seconds(70));
    let lines = daemon.log_lines("kafka_to_file: state:");
    assert!(lines[0].contains("1000"), "it does not count its 1000 records: {}", lines[0]);
    println!("{}", lines[0]);
    daemon.finish(&[1000], wait::seconds(5));
    tested.passed("1000 records");
}

/// The .inv as it is shipped, with the broker's address and nothing else set.
#[test]
fn shipped_inv_reads_oldest_and_newest() {
    let shipped = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/.inv")).unwrap();
    assert!(shipped.contains("'127.0.0.1:9092'"), "the shipped .inv names another broker");
    // Another test uses the topic `test` on 0.10.2.2.
    let oldest = readable().into_iter().find(|kafka| kafka.version != "0.10.2.2");
    for kafka in oldest.into_iter().chain([kafka("4.1.0")]) {
        let tested = kafka.tested("the shipped .inv, with the broker's address");
        kafka.create("test", 2);
        Produce::seq(&kafka, "test", 1000).with("--partitions", 2).run();
        let inv = shipped.replace("127.0.0.1:9092", &kafka.address);
        // The servers of the other two jobs do not exist.
        let mut daemon = Daemon::with_text(&inv).flags(&["--only", "kafka_to_file"]);
        daemon.start();
        daemon.finish(&[500, 500], wait::seconds(60));
        original_has_its_fields(&daemon);
        tested.passed("1000 records");
    }
}
