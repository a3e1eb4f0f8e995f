//! The lines of some buckets, exactly: how often each is in the topics and in the files.

use std::collections::HashMap;

use super::buckets::bucket_of;

/// How many different lines are kept. With the room that a growing table takes, this is 48 MiB at most.
pub(super) const LINES_MAX: usize = 400_000;

/// A line of the buckets that are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ExactLine {
    /// How many more there are in the topics than in the files.
    pub(super) more: i32,
    /// A record that has this line: its partition's number and its offset. `None`: no record has it.
    pub(super) record: Option<(u32, i64)>,
    /// A place of the line in the files: the file's number and the byte at which the line begins.
    pub(super) place: Option<(u32, u64)>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct ExactLines {
    lines: HashMap<u128, ExactLine>,
    limit: usize,
    /// Which buckets are looked at, in order.
    chosen: Vec<usize>,
}

impl ExactLines {
    pub(super) fn new(chosen: Vec<usize>, limit: usize) -> Self {
        Self { lines: HashMap::new(), limit, chosen }
    }

    /// The buckets that are still looked at: the last ones are given up when there are too many lines.
    pub(super) fn chosen(&self) -> &[usize] {
        &self.chosen
    }

    pub(super) fn has(&self, hash: u128) -> bool {
        self.chosen.binary_search(&bucket_of(hash)).is_ok()
    }

    /// A record has this line, which must be in the files so many times more.
    pub(super) fn add(&mut self, hash: u128, times: i64, record: (usize, i64)) {
        let number = u32::try_from(record.0).unwrap_or(u32::MAX);
        let Some(line) = self.line(hash) else { return };
        line.more = line.more.saturating_add(i32::try_from(times).unwrap_or(i32::MAX));
        // Which of several records is missing nobody can say; the last one is named.
        line.record = Some((number, record.1));
    }

    /// The files have this line.
    pub(super) fn subtract(&mut self, hash: u128, place: (usize, u64)) {
        let number = u32::try_from(place.0).unwrap_or(u32::MAX);
        let Some(line) = self.line(hash) else { return };
        line.more = line.more.saturating_sub(1);
        line.place = Some((number, place.1));
    }

    fn line(&mut self, hash: u128) -> Option<&mut ExactLine> {
        if !self.has(hash) {
            return None;
        }
        while self.lines.len() >= self.limit && !self.lines.contains_key(&hash) {
            let kept = self.chosen.len() / 2;
            self.chosen.truncate(kept);
            let last = self.chosen.last().copied();
            self.lines.retain(|hash, _| last.is_some_and(|last| bucket_of(*hash) <= last));
            if !self.has(hash) {
                return None;
            }
        }
        Some(self.lines.entry(hash).or_insert(ExactLine { more: 0, record: None, place: None }))
    }

    /// Every line.
    pub(super) fn into_lines(self) -> impl Iterator<Item = (u128, ExactLine)> {
        self.lines.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::lines::hash_of;

    #[test]
    fn both_sides_are_counted_exactly() {
        let (a, b) = (hash_of(1, b"a"), hash_of(1, b"b"));
        let mut chosen = vec![bucket_of(a), bucket_of(b)];
        chosen.sort_unstable();
        let mut exact = ExactLines::new(chosen, 10);
        exact.add(a, 2, (3, 40));
        exact.subtract(a, (0, 9));
        exact.subtract(b, (1, 5));
        exact.add(hash_of(1, b"c"), 1, (0, 0));
        let lines: HashMap<u128, ExactLine> = exact.into_lines().collect();
        let line = |more, record, place| ExactLine { more, record, place };
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[&a], line(1, Some((3, 40)), Some((0, 9))));
        assert_eq!(lines[&b], line(-1, None, Some((1, 5))));
    }

    #[test]
    fn too_many_lines_give_up_the_last_buckets() {
        let mut exact = ExactLines::new((0..1 << 16).collect(), 100);
        for n in 0..1000_u32 {
            exact.add(hash_of(1, &n.to_be_bytes()), 1, (0, i64::from(n)));
        }
        assert!(!exact.chosen().is_empty() && exact.chosen().len() < 1 << 14);
        let last = exact.chosen()[exact.chosen().len() - 1];
        let all = (0..1000_u32).map(|n| hash_of(1, &n.to_be_bytes()));
        let expected = all.filter(|hash| bucket_of(*hash) <= last).count();
        let kept: Vec<_> = exact.into_lines().collect();
        assert!(kept.len() <= 100 && kept.len() == expected, "{} of {expected}", kept.len());
    }
}
