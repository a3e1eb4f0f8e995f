//! Checks the files of several pandads of one group: each record must be in one of them. If a record is in
//! the files of two pandads, one of them was killed or paused, and had the record in its settle batch: in
//! its file, and not yet in the group's offsets.

use super::check::{Check, Place, Report, Seen};
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;

/// The content of the files of several pandads together.
#[derive(Default)]
pub struct Together {
    /// How many records are in no file.
    pub missing: u64,
    /// How many records are in the files of more than one pandad.
    pub across: u64,
    /// Each pandad's own files; records missing in them are no fault.
    pub own: Vec<Report>,
    /// The first few faults in words.
    pub examples: Vec<String>,
    held: Vec<Vec<Seen>>,
}

/// The records that a pandad had written beyond the group's offsets when it was killed or paused. Other
/// pandads write these records once more.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The number of the pandad.
    pub pandad: usize,
    /// The records of each partition.
    pub beyond: Vec<Range<u64>>,
}

impl Batch {
    pub fn records(&self) -> u64 {
        self.beyond.iter().map(|range| range.end.saturating_sub(range.start)).sum()
    }

    fn holds(&self, place: Place) -> bool {
        self.beyond.get(place.partition).is_some_and(|range| range.contains(&place.index))
    }
}

/// The doubled records, each attributed to the settle batch that held it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explained {
    /// For each batch, how many of its records are doubled.
    pub by: Vec<u64>,
    /// Doubled records that are in no batch.
    pub unexplained: Vec<Place>,
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (total, most) = (self.by.iter().sum::<u64>(), self.by.iter().max().copied().unwrap_or(0));
        let with = self.by.iter().filter(|count| **count > 0).count();
        let unexplained = self.unexplained.len();
        write!(
            f,
            "{total} doubled from {with} of {} settle batches, {most} at most from one, {unexplained} from \
             none",
            self.by.len()
        )
    }
}

impl Together {
    /// Whether no record is missing and each pandad's own files are as they should be.
    pub fn whole_within(&self) -> bool {
        self.missing == 0 && self.own.iter().all(|own| own.doubled + own.torn + own.disordered == 0)
    }

    /// Attributes each doubled record to the first batch that held it and whose pandad has the record in
    /// its file. A record in three files is attributed to two batches.
    pub fn explained(&self, batches: &[Batch]) -> Explained {
        let mut found = Explained { by: vec![0; batches.len()], unexplained: Vec::new() };
        for (place, copies) in self.doubled() {
            let has = |pandad: usize| self.held[pandad][place.partition].has(place.index);
            let explains = |batch: &Batch| batch.holds(place) && has(batch.pandad);
            let mut left = copies;
            for (by, _) in found.by.iter_mut().zip(batches).filter(|(_, batch)| explains(batch)).take(copies)
            {
                *by += 1;
                left -= 1;
            }
            found.unexplained.extend(std::iter::repeat_n(place, left));
        }
        found
    }

    /// Records in more than one pandad's files, and how many times too often they are there.
    fn doubled(&self) -> impl Iterator<Item = (Place, usize)> + '_ {
        let partitions = self.held.first().map_or(0, Vec::len);
        (0..partitions).flat_map(move |partition| {
            let times = move |index| self.held.iter().filter(|held| held[partition].has(index)).count();
            let expected = self.held[0][partition].expected.clone();
            let copies = move |index| (Place { partition, index }, times(index).saturating_sub(1));
            expected.map(copies).filter(|(_, copies)| *copies > 0)
        })
    }
}

impl fmt::Debug for Together {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Together {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "missing {}, doubled across files {}", self.missing, self.across)?;
        for own in &self.own {
            let Report { doubled, torn, disordered, lines, .. } = own;
            write!(f, "; doubled {doubled}, torn {torn}, out of order {disordered} ({lines} lines)")?;
        }
        Ok(())
    }
}

/// Checks the files of several pandads, each pandad's in the order in which it wrote them.
pub fn together<P: AsRef<Path>>(each: &[u64], pandads: &[Vec<P>]) -> io::Result<Together> {
    let expected: Vec<Range<u64>> = each.iter().map(|&records| 0..records).collect();
    together_of(&expected, pandads)
}

/// As [`together`], for these records of each partition, and no others.
pub fn together_of<P: AsRef<Path>>(expected: &[Range<u64>], pandads: &[Vec<P>]) -> io::Result<Together> {
    let mut all: Vec<Seen> = expected.iter().cloned().map(Seen::new).collect();
    let mut found = Together::default();
    for paths in pandads {
        let mut check = Check::of(expected.iter().cloned());
        for path in paths {
            check.file(path.as_ref())?;
        }
        for (all, seen) in all.iter_mut().zip(&check.partitions) {
            for index in seen.expected.clone().filter(|&index| seen.has(index)) {
                found.across += u64::from(all.mark(index));
            }
        }
        found.examples.append(&mut check.report.examples);
        found.own.push(check.report);
        found.held.push(check.partitions);
    }
    for (partition, all) in all.iter().enumerate() {
        if let Some((count, text)) = all.missing(partition) {
            found.missing += count;
            found.examples.push(text);
        }
    }
    Ok(found)
}
