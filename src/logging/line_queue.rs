//! Log lines that wait to be written, within a limit. Half of the room is only for WARN and ERROR, which
//! are left out last. Lines that were left out are counted at the place where they are missing.

use std::collections::VecDeque;

use jiff::Timestamp;
use log::{Level, LevelFilter};

/// How many bytes a waiting line takes in addition to its text.
const LINE_OVERHEAD: usize = 96;

/// How many lines are missing at one place, and when the first of them was logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) count: u64,
    pub(super) since: Timestamp,
}

impl LeftOut {
    /// One missing line that was logged at this time.
    pub(super) fn one(at: Timestamp) -> Self {
        Self { count: 1, since: at }
    }

    /// The sum of two counts for the same place.
    pub(super) fn and(self, other: Option<Self>) -> Self {
        other.map_or(self, |other| Self {
            count: self.count + other.count,
            since: self.since.min(other.since),
        })
    }
}

/// One line on its way to the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct QueuedLine {
    level: Level,
    pub(super) at: Timestamp,
    /// The whole line, with its newline.
    pub(super) text: String,
    /// The lines that are missing just before this line.
    pub(super) left_out: Option<LeftOut>,
}

impl QueuedLine {
    fn is_urgent(&self) -> bool {
        is_urgent(self.level)
    }

    fn size(&self) -> usize {
        size_of(&self.text)
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct LineQueue {
    lines: VecDeque<QueuedLine>,
    bytes: usize,
    /// How many of these bytes belong to urgent lines.
    urgent_bytes: usize,
    bytes_max: usize,
    /// The lines that are missing after the last line.
    left_out: Option<LeftOut>,
}

impl LineQueue {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { lines: VecDeque::new(), bytes: 0, urgent_bytes: 0, bytes_max, left_out: None }
    }

    /// Takes a line, or counts it as left out.
    pub(super) fn push(&mut self, level: Level, text: String, at: Timestamp) {
        let size = size_of(&text);
        let has_room = if is_urgent(level) {
            self.urgent_bytes.saturating_add(size) <= self.bytes_max
        } else {
            self.bytes.saturating_add(size) <= self.bytes_max / 2
        };
        if !has_room {
            self.left_out = Some(LeftOut::one(at).and(self.left_out));
            return;
        }
        while self.bytes.saturating_add(size) > self.bytes_max && self.leave_out_newest() {}
        self.append(level, text, at);
    }

    /// Takes a line even if there is no room: the process ends, and no line follows.
    pub(super) fn push_last(&mut self, text: String, at: Timestamp) {
        self.append(Level::Error, text, at);
    }

    /// The oldest line. After the last line: an empty line with the count of the lines missing there.
    pub(super) fn pop(&mut self) -> Option<QueuedLine> {
        if let Some(line) = self.lines.pop_front() {
            self.subtract(&line);
            return Some(line);
        }
        let left_out = self.left_out.take()?;
        Some(QueuedLine {
            level: Level::Warn,
            at: left_out.since,
            text: String::new(),
            left_out: Some(left_out),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.left_out.is_none()
    }

    /// Forgets lines that are less important than this level. They were logged before the level was known.
    pub(super) fn keep(&mut self, level: LevelFilter) {
        self.lines.retain(|line| line.level <= level);
        self.bytes = self.lines.iter().map(QueuedLine::size).sum();
        self.urgent_bytes = self.lines.iter().filter(|line| line.is_urgent()).map(QueuedLine::size).sum();
    }

    fn append(&mut self, level: Level, text: String, at: Timestamp) {
        let line = QueuedLine { level, at, text, left_out: self.left_out.take() };
        self.bytes += line.size();
        if line.is_urgent() {
            self.urgent_bytes += line.size();
        }
        self.lines.push_back(line);
    }

    /// Leaves out the newest line that is not urgent. False if there is none.
    fn leave_out_newest(&mut self) -> bool {
        let Some(at) = self.lines.iter().rposition(|line| !line.is_urgent()) else { return false };
        let Some(line) = self.lines.remove(at) else { return false };
        self.subtract(&line);
        let next = self.lines.get_mut(at).map_or(&mut self.left_out, |next| &mut next.left_out);
        *next = Some(LeftOut::one(line.at).and(line.left_out).and(*next));
        true
    }

    fn subtract(&mut self, line: &QueuedLine) {
        self.bytes -= line.size();
        if line.is_urgent() {
            self.urgent_bytes -= line.size();
        }
    }
}

fn is_urgent(level: Level) -> bool {
    level <= Level::Warn
}

fn size_of(text: &str) -> usize {
    text.len() + LINE_OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Room for eight lines of one byte.
    fn queue() -> LineQueue {
        LineQueue::new(8 * (1 + LINE_OVERHEAD))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Each line's text, with the count of lines missing before it.
    fn all(queue: &mut LineQueue) -> Vec<(String, Option<(u64, i64)>)> {
        let missing = |line: &QueuedLine| line.left_out.map(|gap| (gap.count, gap.since.as_second()));
        std::iter::from_fn(|| queue.pop().map(|line| (line.text.clone(), missing(&line)))).collect()
    }

    #[test]
    fn half_of_the_room_is_for_urgent_lines() {
        let mut queue = queue();
        for second in 0..6 {
            queue.push(Level::Info, second.to_string(), at(second));
        }
        for second in 6..10 {
            queue.push(Level::Warn, second.to_string(), at(second));
        }
        let said = all(&mut queue);
        let texts: String = said.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(texts, "01236789");
        assert_eq!(said[4].1, Some((2, 4)), "two lines are missing before the 6, the first is of second 4");
        assert_eq!(said.iter().filter(|(_, missing)| missing.is_some()).count(), 1);
        assert!(queue.is_empty() && queue.bytes == 0 && queue.urgent_bytes == 0);
    }

    /// An urgent line takes the place of the newest line that is not urgent, and the gap is counted there.
    #[test]
    fn urgent_lines_are_left_out_last() {
        let mut queue = queue();
        queue.push(Level::Info, "a".into(), at(0));
        queue.push(Level::Debug, "b".into(), at(1));
        for second in 2..11 {
            queue.push(Level::Error, "e".into(), at(second));
        }
        assert_eq!(queue.lines.iter().filter(|line| line.is_urgent()).count(), 8, "the whole room");
        queue.push(Level::Info, "c".into(), at(11));
        let said = all(&mut queue);
        assert_eq!(said[0], ("e".to_owned(), Some((2, 0))), "a and b were before it");
        assert_eq!(said[8], (String::new(), Some((2, 10))), "the last error, and c, are missing at the end");
        assert_eq!(said.len(), 9);
    }

    #[test]
    fn a_line_that_never_fits_costs_no_other() {
        let mut queue = queue();
        queue.push(Level::Info, "a".into(), at(0));
        queue.push(Level::Error, "e".repeat(10_000), at(1));
        queue.push_last("f".repeat(10_000), at(2));
        let said = all(&mut queue);
        assert_eq!((said[0].0.as_str(), said[0].1), ("a", None));
        assert_eq!((said[1].0.len(), said[1].1), (10_000, Some((1, 1))), "the last words always fit");
    }

    #[test]
    fn lines_below_the_level_are_forgotten() {
        let mut queue = queue();
        queue.push(Level::Info, "a".into(), at(0));
        queue.push(Level::Warn, "b".into(), at(1));
        queue.keep(LevelFilter::Warn);
        assert_eq!(all(&mut queue), [("b".to_owned(), None)]);
        assert_eq!(queue.bytes, 0);
    }
}
