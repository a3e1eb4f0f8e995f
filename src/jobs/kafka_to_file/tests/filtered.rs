//! Records without lines: they are counted, and their positions hold like those of written records.

use super::*;
use crate::jobs::kafka_to_file::cut::{Cut, CutList};
use crate::jobs::kafka_to_file::formatter::Formatter;
use crate::jobs::kafka_to_file::split::split;
use crate::kafka::DecodedRecords;
use crate::logfile::Landmark;
use crate::logfile::line::{LineFormat, LineFormatter, RecordFilter};
use crate::pattern::Pattern;
use crate::pipeline::Worker;
use crate::record::Record;

/// Records whose keys and values are their offsets.
struct Numbered(std::ops::Range<i64>);

impl DecodedRecords for Numbered {
    fn each(&self, each: &mut dyn FnMut(&Record<'_>)) {
        for offset in self.0.clone() {
            let text = offset.to_string();
            each(&Record::bare(offset, Some(text.as_bytes()), Some(text.as_bytes())));
        }
    }
}

/// What a worker makes of the records from 0 on. Only those whose keys match the pattern have lines.
fn formatted(next: i64, pattern: &str, is_cut: bool) -> FormattedBatch {
    let filter =
        RecordFilter { include_key: Some(Pattern::new(pattern).unwrap()), ..RecordFilter::default() };
    let lines = LineFormatter::new(LineFormat::Raw).filtered(filter);
    let fetched = Fetched {
        partition: partition(),
        from: 0,
        base: 0,
        next,
        assignment: 1,
        lag: 0,
        broker: None,
        last: Some((next - 1, 7)),
        bytes: 1,
        payload: Payload::Decoded(Box::new(Numbered(0..next))),
    };
    Formatter::new(lines, BufferPool::new(1), is_cut).work(&fetched).unwrap().0
}

#[test]
fn a_range_covers_its_dropped_records() {
    let batch = formatted(100, "1[0-9]", false);
    assert_eq!((batch.from, batch.next, batch.records, batch.filtered), (0, 100, 10, 90));
    assert_eq!(batch.lines, (10..20).map(|one| format!("{one}\n")).collect::<String>().into_bytes());
    assert_eq!(batch.crc.finalize(), crc32fast::hash(&batch.lines));
    assert_eq!(batch.last, Some(Landmark { offset: 99, fingerprint: 7 }), "the last record that was read");
    let none = formatted(100, "x", false);
    assert_eq!((none.next, none.records, none.filtered, none.lines.len()), (100, 0, 100, 0));
}

#[test]
fn each_part_of_an_outcome_counts_its_dropped_records() {
    let batch = formatted(20_000, "[0-9]*[05]", true);
    assert!(batch.cuts.len() > 2, "{}", batch.cuts.len());
    let whole = batch.lines.clone();
    let parts = split(batch, 9000, 9000);
    assert!(parts.len() > 2, "{}", parts.len());
    let (mut at, mut bytes, mut filtered) = (0, Vec::new(), 0);
    for part in &parts {
        assert_eq!(part.from, at);
        assert_eq!((part.next - part.from) as u64, part.records + part.filtered);
        (at, filtered) = (part.next, filtered + part.filtered);
        bytes.extend_from_slice(&part.lines);
    }
    assert_eq!((at, filtered, bytes), (20_000, 16_000, whole));
}

/// Dropped records behind a long line belong to a part; none of them makes an empty part.
#[test]
fn dropped_records_make_no_cut() {
    let mut cuts = CutList::new(true);
    let end = |bytes, next| Cut { bytes, next, records: 1, filtered: next as u64 - 1 };
    for next in 1..10 {
        cuts.record(end(5000, next));
    }
    assert_eq!(cuts.cuts, [end(5000, 1)]);
}

fn without_lines(mut batch: FormattedBatch) -> FormattedBatch {
    batch.lines.clear();
    batch.crc = crc32fast::Hasher::new();
    (batch.records, batch.filtered) = (0, (batch.next - batch.from) as u64);
    batch
}

#[test]
fn positions_behind_dropped_records_are_committed_and_survive_a_kill() {
    let mut member = Member::at_work();
    let written = member.fetches(0, 2);
    let dropped = without_lines(member.fetches(2, 9));
    member.writes(vec![written, dropped]).unwrap();
    let message = member.settles();
    member.source.feedback(message);
    assert_eq!(member.is_committed().0, 9);
    // A settle batch without any line.
    let dropped = without_lines(member.fetches(9, 12));
    member.writes(vec![dropped]).unwrap();
    assert!(member.sink.needs_checkpoint(), "the position waits for its commit");
    let message = member.settles();
    member.source.feedback(message);
    assert_eq!(member.is_committed().0, 12);
    assert_eq!(member.content(), lines(2));
    let [done, filtered] =
        [&member.counters.done, &member.counters.filtered].map(|count| count.load(Relaxed));
    assert_eq!((done, filtered), (1, 10));
    assert!(member.counters.to_string().ends_with(", filtered 10"), "{}", member.counters);

    let late = without_lines(member.fetches(20, 23));
    member.writes(vec![late]).unwrap();
    assert_eq!(member.counters.refetched.load(Relaxed), 3, "they do not continue the written ones");

    // Written, and killed before it is settled.
    let dropped = without_lines(member.fetches(12, 15));
    member.writes(vec![dropped]).unwrap();
    member.sink.files.clear();
    member.sync.settlers.clear();
    let options = LogFileOptions { job: "test", sync: true, rotation: Rotation::off() };
    let log = logfile::open(&member.dir.join("out.log"), &options, &mut RestartMemory::default()).unwrap();
    let resumed = log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap();
    assert_eq!(resumed.position, Some(15));
    assert_eq!(member.content(), lines(2));
}
