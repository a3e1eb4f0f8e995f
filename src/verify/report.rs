//! The result in words, one line each.

use super::bounds::Bounds;
use super::file_side::part_of;
use super::verdict::{Compared, StrangeLine, WrongRecord, lines_of, records_of};
use crate::plural::counted;

/// How many findings of each kind are named.
const NAMED_MAX: usize = 100;
/// How many lines that no record has are named.
const STRANGE_NAMED_MAX: usize = 3;

/// What can be said of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FilesVerdict {
    /// Each record is there as often as it must be, whole and in order, and nothing else.
    Whole,
    /// Nothing is wrong as far as it could be judged.
    NotJudged,
    /// Something is missing, doubled, torn or out of order.
    Damaged,
}

/// The result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What can be said of the files.
    pub verdict: FilesVerdict,
    /// Everything that was found, for people.
    pub lines: Vec<String>,
}

/// Makes the report.
pub(super) struct Reporter<'a> {
    bounds: &'a Bounds,
    compared: &'a Compared,
    out: Vec<String>,
    is_damaged: bool,
    is_unjudged: bool,
}

impl<'a> Reporter<'a> {
    pub(super) fn new(bounds: &'a Bounds, compared: &'a Compared) -> Self {
        Self { bounds, compared, out: Vec::new(), is_damaged: false, is_unjudged: false }
    }

    /// The whole report.
    pub(super) fn report(mut self) -> Report {
        (0..self.bounds.partitions.len()).for_each(|number| self.partition(number));
        self.named();
        self.out_of_order();
        self.torn();
        self.strange();
        for doubt in self.bounds.logs.iter().flat_map(|log| &log.doubts) {
            self.not_judged(doubt.clone());
        }
        self.unread();
        self.outside();
        self.not_looked_at();
        let verdict = match (self.is_damaged, self.is_unjudged) {
            (true, _) => FilesVerdict::Damaged,
            (false, true) => FilesVerdict::NotJudged,
            (false, false) => FilesVerdict::Whole,
        };
        let records = counted(self.compared.topics.records.iter().sum::<u64>(), "record");
        let files = counted(self.compared.files.files.len(), "file");
        let word = match verdict {
            FilesVerdict::Whole => "whole",
            FilesVerdict::NotJudged => "not to be judged whole",
            FilesVerdict::Damaged => "damaged",
        };
        self.out
            .push(format!("{word}: {records}, {} in {files}", counted(self.compared.files.lines, "line")));
        Report { verdict, lines: self.out }
    }

    /// What the bounded memory has left out.
    fn not_looked_at(&mut self) {
        let findings = &self.compared.findings;
        if findings.more_lines > 0 {
            let (more, missing) = (findings.more_lines, findings.surely_missing);
            self.not_judged(format!(
                "at least {} more differ, too many to be looked at one by one; at least {missing} of \
                 them are missing in the files",
                counted(more, "line")
            ));
        }
    }

    fn name(&self, partition: usize) -> String {
        self.bounds.partitions.get(partition).map(|one| one.partition.to_string()).unwrap_or_default()
    }

    fn place(&self, (file, at): (usize, u64)) -> String {
        let part = self.compared.files.files.get(file).and_then(|number| part_of(self.bounds, *number));
        part.map_or_else(String::new, |part| format!("{} at byte {at}", part.path.display()))
    }

    fn not_judged(&mut self, text: String) {
        self.is_unjudged = true;
        self.out.push(format!("not judged: {text}"));
    }

    fn partition(&mut self, number: usize) {
        let Compared { topics, findings, .. } = self.compared;
        let expected = topics.records.get(number).copied().unwrap_or(0);
        let missing_more = findings.missing_more.get(&number).map_or(0, |(count, _)| *count);
        let missing = records_of(&findings.missing, number) + missing_more;
        let doubled_more = findings.doubled_more.get(&number).copied().unwrap_or(0);
        let doubled = lines_of(&findings.doubled, number) + doubled_more;
        let torn = findings.torn.iter().filter(|torn| torn.partition == number).count();
        let broken = self.breaks(number).map(|(breaks, more)| breaks.len() as u64 + more).sum::<u64>();
        self.is_damaged |= missing > 0 || doubled > 0 || torn > 0 || broken > 0;
        self.out.push(format!(
            "{}: {expected} expected, {missing} missing, {doubled} doubled, {torn} torn, {broken} out of \
             order",
            self.name(number)
        ));
    }

    /// For each host: the breaks of the order, and how many more there are.
    fn breaks(&self, number: usize) -> impl Iterator<Item = (Vec<super::order::OrderBreak>, u64)> + use<'a> {
        let (bounds, files) = (self.bounds, &self.compared.files);
        let orders = files.orders.get(number).into_iter().flatten();
        let written = bounds.partitions.get(number).map_or(&[][..], |one| &one.written);
        let is_sequence = bounds.partitions.get(number).and_then(|one| bounds.logs.get(one.log));
        let is_sequence = is_sequence.is_none_or(|log| log.is_sequence);
        let doubled = &self.compared.findings.doubled;
        let is_doubled = move |offset: i64| {
            doubled.iter().any(|record| (record.partition, record.offset) == (number, offset))
        };
        orders.enumerate().map(move |(host, order)| {
            let written = written.get(host).map_or(&[][..], Vec::as_slice);
            let (mut breaks, more) = order.clone().unexplained(written, is_sequence);
            // A second copy of a line stands at a wrong place, and is named already.
            breaks.retain(|one| !is_doubled(one.offset) && !is_doubled(one.after));
            (breaks, more)
        })
    }

    fn named(&mut self) {
        let findings = &self.compared.findings;
        for (word, list) in [("missing", &findings.missing), ("doubled", &findings.doubled)] {
            let follows = |a: &WrongRecord, b: &WrongRecord| {
                (a.partition, a.lines, a.offset + 1) == (b.partition, 1, b.offset) && b.lines == 1
            };
            let runs: Vec<&[WrongRecord]> = list.chunk_by(follows).collect();
            for run in runs.iter().take(NAMED_MAX) {
                let [first, .., last] = run else {
                    let one: Vec<String> = run.iter().map(|one| self.named_line(word, one)).collect();
                    self.out.extend(one);
                    continue;
                };
                let (name, records) = (self.name(first.partition), counted(run.len(), "record"));
                let (from, to) = (first.offset, last.offset);
                self.out.push(format!("{word}: {name} offsets {from} to {to}, {records}"));
            }
            let more = runs.iter().skip(NAMED_MAX).map(|run| run.len()).sum();
            self.and_more(word, more);
        }
    }

    fn named_line(&self, word: &str, record: &WrongRecord) -> String {
        let lines = if record.lines > 1 { format!(", {} lines", record.lines) } else { String::new() };
        format!("{word}: {} offset {}{lines}", self.name(record.partition), record.offset)
    }

    fn and_more(&mut self, word: &str, more: usize) {
        if more > 0 {
            self.out.push(format!("{word}: and {more} more"));
        }
    }

    fn out_of_order(&mut self) {
        let all = 0..self.bounds.partitions.len();
        let all: Vec<_> = all
            .flat_map(|n| self.breaks(n).flat_map(move |(list, _)| list).map(move |one| (n, one)))
            .collect();
        for (number, one) in all.iter().take(NAMED_MAX) {
            let (name, place) = (self.name(*number), self.place(one.place));
            self.out.push(format!(
                "out of order: {name} offset {} stands behind offset {}: {place}",
                one.offset, one.after
            ));
        }
        self.and_more("out of order", all.len().saturating_sub(NAMED_MAX));
    }

    fn torn(&mut self) {
        let torn = &self.compared.findings.torn;
        for one in torn.iter().take(NAMED_MAX) {
            let (name, place) = (self.name(one.partition), self.place(one.place));
            self.out.push(format!("torn: {name} offset {}: {place}", one.offset));
        }
        self.and_more("torn", torn.len().saturating_sub(NAMED_MAX));
    }

    fn strange(&mut self) {
        let findings = &self.compared.findings;
        let log_of = |line: &StrangeLine| self.compared.files.files.get(line.place.0).map(|part| part.log);
        let mut count: u64 = findings.strange.iter().map(|line| u64::from(line.lines)).sum();
        count += findings.strange_more;
        let mut reasons: Vec<String> = Vec::new();
        for log in findings.strange.iter().filter_map(log_of) {
            let why = self.bounds.logs.get(log).map_or(&[][..], |log| &log.extras_unsure);
            reasons.extend(why.iter().filter(|why| !reasons.contains(why)).cloned().collect::<Vec<_>>());
        }
        let first: Vec<String> =
            findings.strange.iter().take(STRANGE_NAMED_MAX).map(|line| self.place(line.place)).collect();
        if count > 0 {
            let lines = counted(count, "line");
            let why = match reasons.is_empty() {
                true => "not ours, or not in the topic any more".to_owned(),
                false => reasons.join("; "),
            };
            self.not_judged(format!("{lines} that no record has ({why}): {}", first.join(", ")));
        }
        if self.compared.findings.unsure > 0 {
            let lines = counted(self.compared.findings.unsure, "line");
            self.not_judged(format!("{lines} more than the topic has, of records that may be there twice"));
        }
    }

    fn unread(&mut self) {
        for unread in &self.compared.unread {
            let name = self.name(unread.partition);
            let (from, to) = (unread.from, unread.to);
            self.not_judged(format!("{name}: offsets {from} to {to}: {}", unread.why));
        }
        for (number, why) in &self.compared.files.unread {
            let path = part_of(self.bounds, *number).map(|part| part.path.display().to_string());
            self.not_judged(format!("{}: cannot be read to its end: {why}", path.unwrap_or_default()));
        }
        for (number, count) in &self.compared.unopened {
            let (name, records) = (self.name(*number), counted(*count, "record"));
            self.not_judged(format!(
                "{name}: {records} in none of the other files may be in one that could not be opened"
            ));
        }
        for (number, before, count) in &self.compared.deleted {
            let name = self.name(*number);
            let records = counted(*count, "record");
            let first = match *before {
                i64::MAX => "none of its lines is there".to_owned(),
                first => format!("the first line that is there is that of offset {first}"),
            };
            self.not_judged(format!(
                "{name}: {records} from the beginning may have been deleted with the oldest files \
                 (rotate_keep, keep_bytes, keep_days): {first}"
            ));
        }
    }

    fn outside(&mut self) {
        for number in 0..self.bounds.partitions.len() {
            let Some(lines) = self.compared.files.outside.get(number).copied() else { continue };
            let name = self.name(number);
            if let (1.., Some((offset, place))) = (lines.unheld, lines.first) {
                let (count, place) = (counted(lines.unheld, "line"), self.place(place));
                self.not_judged(format!(
                    "{name}: {count} of offsets that the journal does not hold, the first is offset \
                     {offset}: {place}"
                ));
            }
            if lines.unsure > 0 {
                let count = counted(lines.unsure, "line");
                let (from, to) =
                    self.bounds.partitions.get(number).and_then(|one| one.unsure).unwrap_or_default();
                self.not_judged(format!(
                    "{name}: {count} of offsets {from} to {to}, of which the journal does not know how often \
                     they were written"
                ));
            }
        }
    }
}
