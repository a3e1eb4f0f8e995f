//! The comparison from its bounds to its findings.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::VerifyRequest;
use super::bounds::Bounds;
use super::buckets::Buckets;
use super::first_lines::{FirstRecords, first_hashes, first_offsets};
use super::passes::{PassContext, SharedExact, wait_for_files};
use super::place::LinePlaces;
use super::progress::Progress;
use super::report::{Report, Reporter};
use super::texts::{self, RecordTexts};
use super::topic_side::{ReadLimits, TopicReader, WantedRanges};
use super::verdict::{Compared, StrangeLine, WrongRecord};
use crate::host;
use crate::kafka::{Fetcher, StartOffset};
use crate::logfile::parts::LogPart;
use crate::record::TopicPartition;

/// How often both sides are read again to look at lines one by one.
const EXACT_PASSES_MAX: u64 = 8;
/// So many missing records are compared with so many lines that no record has, to find torn ones.
const TORN_MAX: usize = 1000;

/// Compares what these bounds say.
pub(super) fn compare(request: VerifyRequest, bounds: Bounds) -> Result<Report, String> {
    let seeds = bounds.logs.iter().map(|_| host::random().map(u64::from_be_bytes));
    let seeds = seeds.collect::<Result<Vec<u64>, _>>().map_err(|error| format!("no random seed: {error}"))?;
    let (show, interval) = request.progress;
    let mut side = Side {
        make_fetcher: request.make_fetcher,
        limits: request.limits,
        progress: Progress::new(show, interval),
    };
    let mut compared = Compared::default();
    let bounds =
        narrow(bounds, (request.places, request.since), &*request.may_be_deleted, &mut side, &mut compared)?;
    let context = PassContext { bounds, formatter: request.formatter, places: request.places, seeds };
    let mut comparison = FileComparison {
        context: Arc::new(context),
        side,
        may_be_deleted: request.may_be_deleted,
        exact_lines: request.exact_lines,
        compared,
    };
    let buckets = comparison.count()?;
    comparison.look_closer(&buckets)?;
    comparison.conclude()?;
    Ok(Reporter::new(&comparison.context.bounds, &comparison.compared).report())
}

/// How the topics are read.
struct Side {
    make_fetcher: Box<dyn Fn() -> Box<dyn Fetcher>>,
    limits: ReadLimits,
    progress: Progress,
}

/// Leaves out what cannot be compared: what the broker has deleted, and what keep rules have.
fn narrow(
    mut bounds: Bounds,
    (places, since): (LinePlaces, Option<i64>),
    may_be_deleted: &dyn Fn(usize) -> bool,
    side: &mut Side,
    compared: &mut Compared,
) -> Result<Bounds, String> {
    bounds.doubt_unsure(places);
    let names: Vec<TopicPartition> = bounds.partitions.iter().map(|one| one.partition.clone()).collect();
    side.progress.begin("looking for the first offsets", 0, 0);
    let reader = TopicReader::new((side.make_fetcher)(), side.limits, &mut side.progress);
    let starts = reader.starts(&names, &StartOffset::Earliest)?;
    for (number, start) in starts.into_iter().enumerate() {
        let (from, why) = match start {
            Some(start) => (start, "the broker has deleted them"),
            None => (i64::MAX, "no broker answers for the partition"),
        };
        let cut = bounds.begin_at(number, from);
        if cut.is_empty() {
            continue;
        }
        bounds.doubt_extras(number, places, why);
        compared.leave_unread(number, cut, why);
    }
    leave_out_replaced(&mut bounds, (places, &names), side, compared)?;
    if let Some(since) = since {
        let reader = TopicReader::new((side.make_fetcher)(), side.limits, &mut side.progress);
        let starts = reader.starts(&names, &StartOffset::Since(since))?;
        for (number, start) in starts.into_iter().enumerate() {
            let cut = bounds.begin_at(number, start.unwrap_or(i64::MAX));
            if !cut.is_empty() {
                bounds.doubt_extras(number, places, "its earlier records were left out");
            }
            if start.is_none() {
                // It has answered before.
                let why = "no broker says which of them is the first since that moment";
                compared.leave_unread(number, cut, why);
            }
        }
    }
    for log in 0..bounds.logs.len() {
        let files = bounds.logs.get(log).map_or(&[][..], |log| &log.hosts);
        if files.len() != 1 || !bounds.can_place(log, places) {
            continue;
        }
        if !files.first().is_some_and(|parts| may_be_deleted(parts.len().saturating_sub(1))) {
            continue;
        }
        for (number, first) in first_offsets(&bounds, log, places) {
            let cut = bounds.begin_at(number, first);
            let count: i64 = cut.iter().map(|(from, to)| to - from).sum();
            if count > 0 {
                compared.deleted.push((number, first, u64::try_from(count).unwrap_or(0)));
            }
        }
    }
    Ok(bounds)
}

/// Leaves out partitions whose logs end before what the journals hold: topics that were created anew, or
/// have lost records. Their offsets are those of other records.
fn leave_out_replaced(
    bounds: &mut Bounds,
    (places, names): (LinePlaces, &[TopicPartition]),
    side: &mut Side,
    compared: &mut Compared,
) -> Result<(), String> {
    if bounds.partitions.iter().all(|one| one.judged().is_empty()) {
        return Ok(());
    }
    let reader = TopicReader::new((side.make_fetcher)(), side.limits, &mut side.progress);
    let ends = reader.starts(names, &StartOffset::Latest)?;
    for (number, end) in ends.into_iter().enumerate() {
        let held = bounds.partitions.get(number).and_then(|one| one.judged().last().copied());
        let Some((end, (_, held))) = end.zip(held).filter(|(end, (_, held))| end < held) else { continue };
        let why = format!(
            "the log ends at offset {end}, before {held}: the topic was created anew, or has lost records"
        );
        let cut = bounds.begin_at(number, i64::MAX);
        bounds.doubt_extras(number, places, &why);
        compared.leave_unread(number, cut, &why);
    }
    Ok(())
}

/// A comparison under way.
struct FileComparison {
    context: Arc<PassContext>,
    side: Side,
    may_be_deleted: Box<dyn Fn(usize) -> bool>,
    exact_lines: usize,
    compared: Compared,
}

impl FileComparison {
    fn begin_pass(&mut self, what: &'static str) -> (Box<dyn Fetcher>, ReadLimits) {
        let ranges = self.context.wanted().into_iter().flat_map(|wanted| wanted.ranges);
        let offsets: i64 = ranges.map(|(from, to)| to - from).sum();
        let parts = self.context.bounds.logs.iter().flat_map(|log| log.hosts.iter().flatten());
        let bytes = parts.map(|part| part.bytes).sum();
        self.side.progress.begin(what, u64::try_from(offsets).unwrap_or(0), bytes);
        ((self.side.make_fetcher)(), self.side.limits)
    }

    /// The first pass: sums of all lines.
    fn count(&mut self) -> Result<Buckets, String> {
        let reading = self.begin_pass("comparing");
        let files = self.context.start_files(&self.side.progress, Buckets::new())?;
        let wanted = self.context.wanted();
        let read = self.context.read_topics(reading, wanted, &mut self.side.progress, &Buckets::new)?;
        let (mut buckets, files) = wait_for_files(files, &mut self.side.progress)?;
        let (topics, read) = read;
        topics.iter().for_each(|other| buckets.add_all(other));
        (self.compared.topics, self.compared.files) = (read, files);
        self.compared.unread.append(&mut self.compared.topics.unread);
        Ok(buckets)
    }

    /// Further passes over the lines of the buckets that differ, one by one.
    fn look_closer(&mut self, buckets: &Buckets) -> Result<(), String> {
        let differing = buckets.differing();
        let lines = self.compared.topics.lines + self.compared.files.lines;
        // A table that is three quarters full holds the usual spread.
        let room = self.exact_lines as u64 * 3 / 4;
        let at_once =
            usize::try_from(room * super::buckets::BUCKETS as u64 / lines.max(1)).unwrap_or(1).max(1);
        let (mut next, mut passes) = (0, 0);
        while let Some(rest) = differing.get(next..).filter(|rest| !rest.is_empty()) {
            if passes >= EXACT_PASSES_MAX {
                break;
            }
            passes += 1;
            let chosen: Vec<usize> = rest.iter().take(at_once).map(|(bucket, _)| *bucket).collect();
            let shared = SharedExact::new(chosen, self.exact_lines);
            let reading = self.begin_pass("looking closer");
            let files = self.context.start_files(&self.side.progress, shared.clone())?;
            let wanted = self.context.wanted();
            let (sinks, topics) =
                self.context.read_topics(reading, wanted, &mut self.side.progress, &|| shared.clone())?;
            let (_, files) = wait_for_files(files, &mut self.side.progress)?;
            drop(sinks);
            self.compared.files.add_unread(files);
            for unread in topics.unread {
                if !self.compared.unread.contains(&unread) {
                    self.compared.unread.push(unread);
                }
            }
            let exact = shared.take();
            let looked_at = exact.chosen().len();
            if looked_at == 0 {
                // A single bucket has too many lines.
                break;
            }
            next += looked_at;
            for (hash, line) in exact.into_lines() {
                self.compared.findings.take(&self.context.bounds, self.context.places, hash, &line);
            }
        }
        for (_, lines) in differing.get(next..).unwrap_or_default() {
            self.compared.findings.more_lines += lines.unsigned_abs().max(1);
            self.compared.findings.surely_missing += u64::try_from(*lines).unwrap_or(0);
        }
        Ok(())
    }

    /// Says what the differences mean.
    fn conclude(&mut self) -> Result<(), String> {
        self.compared.findings.sort();
        self.leave_out_deleted()?;
        self.find_torn()?;
        self.compared.leave_out_unopened(&self.context.bounds);
        Ok(())
    }

    /// Missing records that keep rules may have deleted are not judged.
    fn leave_out_deleted(&mut self) -> Result<(), String> {
        let missing = self.compared.findings.missing.iter();
        let mut numbers: Vec<usize> = missing.map(|record| record.partition).collect();
        numbers.dedup();
        numbers.retain(|number| {
            let bounds = &self.context.bounds;
            let log = bounds.partitions.get(*number).and_then(|one| bounds.logs.get(one.log));
            let hosts = log.map_or(&[][..], |log| &log.hosts);
            hosts.iter().any(|parts| (self.may_be_deleted)(parts.len().saturating_sub(1)))
        });
        if numbers.is_empty() {
            return Ok(());
        }
        let found = self.find_first_records(&numbers)?;
        let Compared { findings, files, deleted, .. } = &mut self.compared;
        let bounds = &self.context.bounds;
        let may_be_deleted = |parts: &[LogPart]| (self.may_be_deleted)(parts.len().saturating_sub(1));
        let deleted_before = |number: usize, offset: i64| {
            let one = bounds.partitions.get(number).filter(|_| numbers.contains(&number))?;
            if !bounds.can_place(one.log, self.context.places) {
                return Some(found.get(&number).copied().unwrap_or(i64::MAX));
            }
            let hosts = bounds.logs.get(one.log)?.hosts.iter().enumerate();
            let has_it = |host: &usize| {
                let written = one.written.get(*host).into_iter().flatten();
                written.into_iter().any(|(from, to)| (*from..*to).contains(&offset))
            };
            let hosts = hosts.filter(|(host, parts)| may_be_deleted(parts) && has_it(host));
            let order_of = |host: usize| files.orders.get(number)?.get(host)?.first;
            hosts.map(|(host, _)| order_of(host).unwrap_or(i64::MAX)).max()
        };
        deleted.extend(findings.take_deleted(bounds, &deleted_before));
        Ok(())
    }

    /// For lines without offsets: which records the first lines of the oldest files are. A value that several
    /// records have says nothing.
    fn find_first_records(&mut self, numbers: &[usize]) -> Result<BTreeMap<usize, i64>, String> {
        let Self { context, side, .. } = self;
        let mut logs: Vec<usize> =
            numbers.iter().filter_map(|number| Some(context.bounds.partitions.get(*number)?.log)).collect();
        logs.dedup();
        logs.retain(|log| !context.bounds.can_place(*log, context.places));
        if logs.is_empty() {
            return Ok(BTreeMap::new());
        }
        let hashes = logs
            .into_iter()
            .flat_map(|log| first_hashes(&context.bounds, log, context.seeds.get(log).copied().unwrap_or(0)));
        let mut hashes: Vec<u128> = hashes.collect();
        hashes.sort_unstable();
        let records = FirstRecords::new(hashes);
        let wanted = context.wanted();
        side.progress.begin("looking for the first lines", wanted.len() as u64, 0);
        let fetcher = ((side.make_fetcher)(), side.limits);
        context.read_topics(fetcher, wanted, &mut side.progress, &|| records.clone())?;
        Ok(records.take())
    }

    fn find_torn(&mut self) -> Result<(), String> {
        if self.compared.findings.strange.is_empty() {
            return Ok(());
        }
        let strange: Vec<StrangeLine> =
            self.compared.findings.strange.iter().take(TORN_MAX).copied().collect();
        let places: Vec<(usize, u64)> = strange.iter().map(|line| line.place).collect();
        let found = texts::of_files(&self.context.bounds, &self.compared.files.files, &places);
        let found = strange.iter().zip(found).filter_map(|(line, text)| Some((line.hash, text?)));
        let strange_texts: HashMap<u128, Vec<u8>> = found.collect();
        let missing_texts = self.missing_texts()?;
        let Self { context, compared, .. } = self;
        let bounds = &context.bounds;
        let log_of = |place: (usize, u64)| compared.files.files.get(place.0).map(|number| number.log);
        let is_torn = |line: &StrangeLine, record: &WrongRecord| {
            let Some(known) = bounds.partitions.get(record.partition) else { return false };
            let Some(text) = strange_texts.get(&line.hash) else { return false };
            if log_of(line.place) != Some(known.log) {
                return false;
            }
            let said = context.places.read(text);
            let names_it = said.is_some_and(|said| {
                let partition = bounds.logs.get(known.log).and_then(|log| log.partition_of(&said));
                said.offset == record.offset && partition == Some(record.partition)
            });
            names_it || missing_texts.get(&record.hash).is_some_and(|whole| texts::is_torn_from(text, whole))
        };
        compared.findings.match_torn(&is_torn);
        // What the broker has deleted between two passes is no line of somebody else.
        let unread = &compared.unread;
        compared.findings.strange.retain(|line| {
            let said = strange_texts.get(&line.hash).and_then(|text| context.places.read(text));
            let log = log_of(line.place).and_then(|log| bounds.logs.get(log));
            let place = said.and_then(|said| Some((log?.partition_of(&said)?, said.offset)));
            !place.is_some_and(|(number, offset)| {
                unread.iter().any(|one| one.partition == number && (one.from..one.to).contains(&offset))
            })
        });
        Ok(())
    }

    /// The lines of missing records, from the topics.
    fn missing_texts(&mut self) -> Result<HashMap<u128, Vec<u8>>, String> {
        let missing = self.compared.findings.missing.iter().take(TORN_MAX);
        let (mut hashes, mut wanted): (Vec<u128>, Vec<WantedRanges>) = (Vec::new(), Vec::new());
        for record in missing {
            hashes.push(record.hash);
            let Some(bounds) = self.context.bounds.partitions.get(record.partition) else { continue };
            // They are in the order of partitions and offsets.
            if wanted.last().is_none_or(|last| last.number != record.partition) {
                let partition = bounds.partition.clone();
                wanted.push(WantedRanges { partition, number: record.partition, ranges: Vec::new() });
            }
            let ranges = wanted.last_mut().map(|last| &mut last.ranges);
            if let Some(ranges) =
                ranges.filter(|ranges| ranges.last().is_none_or(|last| last.1 <= record.offset))
            {
                ranges.push((record.offset, record.offset + 1));
            }
        }
        if wanted.is_empty() {
            return Ok(HashMap::new());
        }
        hashes.sort_unstable();
        let texts = RecordTexts::new(hashes);
        let (fetcher, limits) = ((self.side.make_fetcher)(), self.side.limits);
        self.side.progress.begin("reading missing records", wanted.len() as u64, 0);
        let progress = &mut self.side.progress;
        self.context.read_topics((fetcher, limits), wanted, progress, &|| texts.clone())?;
        Ok(texts.take())
    }
}
