//! `bare_crate BROKER TOPIC FILE`: the `kafka` crate by itself, as scripts/bench measures it: reads a topic
//! to its end and writes the values as lines. It has no code of pandad, and no code that corrects the
//! crate's errors.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a tool of the benchmark"
)]

use std::fs::File;
use std::io::{BufWriter, Write};

use kafka_crate::client::{FetchOffset, FetchPartition, KafkaClient};

fn main() {
    let [_, broker, topic, path] = &std::env::args().collect::<Vec<_>>()[..] else {
        eprintln!("usage: bare_crate BROKER TOPIC FILE");
        std::process::exit(2);
    };
    let mut client = KafkaClient::new(vec![broker.clone()]);
    client.load_metadata(std::slice::from_ref(topic)).unwrap();
    client.set_fetch_max_bytes_per_partition(1 << 20);
    let ends = client.fetch_topic_offsets(topic, FetchOffset::Latest).unwrap();
    let mut left: Vec<(i32, i64, i64)> = ends.iter().map(|one| (one.partition, 0, one.offset)).collect();
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    while !left.is_empty() {
        let wanted: Vec<FetchPartition<'_>> =
            left.iter().map(|(number, at, _)| FetchPartition::new(topic, *number, *at)).collect();
        for response in client.fetch_messages(&wanted).unwrap() {
            for partition in response.topics().iter().flat_map(|topic| topic.partitions()) {
                let number = partition.partition();
                let position = left.iter_mut().find(|one| one.0 == number).unwrap();
                let from = position.1;
                for message in partition.data().unwrap().messages().iter().filter(|m| m.offset >= from) {
                    out.write_all(message.value).unwrap();
                    out.write_all(b"\n").unwrap();
                    position.1 = message.offset + 1;
                }
            }
        }
        left.retain(|(_, at, end)| at < end);
    }
    out.flush().unwrap();
}
