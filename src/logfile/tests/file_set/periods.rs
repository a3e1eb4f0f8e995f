//! Files of periods: which of them are complete, and where late lines go, also after a restart.

use super::*;
use crate::logfile::file_set::CompleteBefore;
use crate::logfile::journal::RouteScope;

/// A set of files of periods in a temporary directory, whose complete files are moved.
pub(super) struct Periods {
    pub(super) dir: Dir,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) options: FileSetOptions,
    set: Option<(FileWriters, Settler, Ledger)>,
}

/// The partition of most tests, and one of another topic.
fn other() -> TopicPartition {
    TopicPartition::new("u", 0)
}

fn topic_of(partition: &TopicPartition) -> RouteScope {
    RouteScope::of(partition, true, false)
}

impl Periods {
    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        let dir = Dir::new();
        let options = FileSetOptions {
            complete_dir: Some(dir.0.join("done")),
            complete_gzip: false,
            ..set_options(&dir, 100, 1000)
        };
        let mut periods = Self { dir, disk, options, set: None };
        periods.restart();
        periods
    }

    /// Kills the run, and begins another.
    pub(super) fn restart(&mut self) {
        self.set = None;
        let memory = &mut RestartMemory::default();
        let opened =
            crate::logfile::file_set::open_with(&self.disk, &self.options, HALF_BYTES_MIN, Some(1), memory);
        let (writers, settler, ledger) = opened.unwrap();
        for partition in [partition(), other()] {
            let resumed = ledger.resume(&partition, None, &OffsetMetadata::Unsupported).unwrap();
            if resumed.position.is_none() {
                ledger.set_position(&partition, 0).unwrap();
            }
        }
        self.set = Some((writers, settler, ledger));
    }

    pub(super) fn set(&mut self) -> &mut (FileWriters, Settler, Ledger) {
        self.set.as_mut().unwrap()
    }

    /// Writes a line to the file of this name, whose period ends then, and settles it.
    pub(super) fn write(&mut self, name: &str, until: i64, line: &str) {
        self.write_of(&partition(), (name, &EVERY_PARTITION), until, line);
    }

    fn write_of(
        &mut self,
        partition: &TopicPartition,
        (name, scope): (&str, &RouteScope),
        until: i64,
        line: &str,
    ) {
        let path = self.dir.0.join(name);
        let (writers, settler, ledger) = self.set();
        let (index, written) = ledger.written(partition).unwrap();
        let line = format!("{line}\n");
        let mut crc = crc32fast::Hasher::new();
        crc.update(line.as_bytes());
        let pieces = vec![Piece { bytes: line.as_bytes(), crc: &crc }];
        let part = RoutedPieces { path: &path, until: Some(until), scope, pieces };
        let last = Some(Landmark { offset: written, fingerprint: 0 });
        writers.append(0, &[part], &[PositionChange { index, position: written + 1, last }]).unwrap();
        settler.settle(ledger.checkpoint()).unwrap();
    }

    pub(super) fn finish(&mut self, before: i64) -> usize {
        self.set().0.finish(&CompleteBefore::all(before)).unwrap()
    }

    /// Every file, by its name, with its text.
    pub(super) fn files(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for directory in ["", "done"] {
            let Ok(entries) = self.dir.0.join(directory).read_dir() else { continue };
            for path in entries.map(|entry| entry.unwrap().path()) {
                let name = path.strip_prefix(&self.dir.0).unwrap().display().to_string();
                if path.is_file() && !name.starts_with("all.") {
                    found.push((name, text(&path)));
                }
            }
        }
        found.sort();
        found
    }

    pub(super) fn assert_files(&self, expected: &[(&str, &str)]) {
        let expected: Vec<_> =
            expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        assert_eq!(self.files(), expected);
    }
}

/// Of the first period nothing is left here, since somebody has taken its file away.
#[test]
fn lines_of_a_complete_period_are_late_also_after_a_restart() {
    for is_restarted in [false, true] {
        let mut periods = Periods::new(Arc::new(RealDisk));
        periods.write("1.log", 1, "first");
        periods.write("2.log", 2, "second");
        assert_eq!(periods.finish(1), 1);
        fs::remove_file(periods.dir.0.join("done/1.log")).unwrap();
        if is_restarted {
            periods.restart();
            // The journal begins its other half.
            periods.restart();
        }
        periods.write("1.log", 1, "late");
        periods.write("2.log", 2, "more");
        periods.assert_files(&[("1.log.late", "late\n"), ("2.log", "second\nmore\n")]);
    }
}

/// An operator has set the group's offset back: the records are expected again, and written as at first.
#[test]
fn a_partition_that_goes_back_opens_its_periods_again() {
    for (back, late) in [(0, "1.log"), (1, "1.log.late")] {
        for is_restarted in [false, true] {
            let mut periods = Periods::new(Arc::new(RealDisk));
            periods.write("1.log", 1, "first");
            assert_eq!(periods.finish(1), 1);
            periods.set().2.set_position(&partition(), back).unwrap();
            if is_restarted {
                periods.restart();
                periods.restart();
            }
            periods.write("1.log", 1, "again");
            periods.assert_files(&[(late, "again\n"), ("done/1.log", "first\n")]);
        }
    }
}

/// A topic whose files are apart, and one of whose partitions is stuck.
#[test]
fn a_file_is_complete_by_the_partitions_whose_records_can_go_there() {
    let (own, others) = (topic_of(&partition()), topic_of(&other()));
    for is_restarted in [false, true] {
        let mut periods = Periods::new(Arc::new(RealDisk));
        periods.write_of(&partition(), ("t.1", &own), 1, "one");
        periods.write_of(&other(), ("u.1", &others), 1, "other");
        if is_restarted {
            periods.restart();
            periods.restart();
        }
        let mut before = CompleteBefore::default();
        before.add(own.clone(), 1);
        before.add(others.clone(), i64::MIN);
        assert_eq!(periods.set().0.finish(&before).unwrap(), 1);
        periods.assert_files(&[("done/t.1", "one\n"), ("u.1", "other\n")]);
        if is_restarted {
            periods.restart();
        }
        // Its period is over only for the one topic.
        periods.write_of(&partition(), ("t.1", &own), 1, "late");
        periods.write_of(&other(), ("u.0", &others), 0, "not late");
        periods.assert_files(&[
            ("done/t.1", "one\n"),
            ("t.1.late", "late\n"),
            ("u.0", "not late\n"),
            ("u.1", "other\n"),
        ]);
    }
}

/// Another member of the group has the topic now.
#[test]
fn a_file_of_partitions_that_are_gone_is_complete_when_all_others_have_come_so_far() {
    let (own, others) = (topic_of(&partition()), topic_of(&other()));
    let mut periods = Periods::new(Arc::new(RealDisk));
    periods.write_of(&other(), ("u.1", &others), 1, "other");
    assert_eq!(periods.set().0.finish(&CompleteBefore::default()).unwrap(), 0);
    for (before, finished) in [(0, 0), (1, 1)] {
        let before = CompleteBefore { all: Some(before), scopes: [(own.clone(), before)].into() };
        assert_eq!(periods.set().0.finish(&before).unwrap(), finished);
    }
    periods.restart();
    periods.write_of(&other(), ("u.1", &others), 1, "late");
    periods.assert_files(&[("done/u.1", "other\n"), ("u.1.late", "late\n")]);
}
