//! The files of a path with placeholders, as a test sees them: which there are, whether each record is in
//! the file that its partition and time name, and how far the files have come.

use super::check::{self, Place, place_of};
use super::daemon::Daemon;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// One file for each partition and minute. Files that are sorted by name have each partition's records in
/// their order.
pub const BY_MINUTE: &str = "{topic}/{partition}/{%Y-%m-%dT%H%M}.log";
/// 2023-11-01T00:00:00Z, in milliseconds since 1970.
pub const FIRST: i64 = 1_698_796_800_000;
/// From one record of a partition to the next: a minute has thirty, so that a batch falls into several files.
pub const STEP: i64 = 2_000;
/// What a process may have open beside log files.
pub const OTHER_DESCRIPTORS: usize = 44;

/// The log files below a directory, sorted by name, and each before those with its late lines: a stream whose
/// times are long past has late lines whenever pandad had caught up with it.
pub fn files_below(root: &Path) -> Vec<PathBuf> {
    let (mut files, mut directories) = (Vec::new(), vec![root.to_path_buf()]);
    while let Some(directory) = directories.pop() {
        for entry in directory.read_dir().unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                directories.push(entry.path());
            } else if late_number(&entry.path()).is_some() {
                files.push(entry.path());
            }
        }
    }
    files.sort_by_key(|file| (on_time(file), late_number(file)));
    files
}

/// 0 for a log file, and the number of a file of late lines; `None` for other files.
fn late_number(file: &Path) -> Option<u32> {
    match file.to_str().unwrap().rsplit_once(".log")?.1 {
        "" => Some(0),
        ".late" => Some(1),
        suffix => suffix.strip_prefix(".late.")?.parse().ok(),
    }
}

/// The file whose late lines this one has, or the file itself.
fn on_time(file: &Path) -> PathBuf {
    let (name, _) = file.to_str().unwrap().rsplit_once(".log").unwrap();
    PathBuf::from(format!("{name}.log"))
}

/// The bytes of all log files below a directory.
pub fn bytes_below(root: &Path) -> u64 {
    files_below(root).iter().map(|file| std::fs::metadata(file).map_or(0, |data| data.len())).sum()
}

/// The file of a record whose timestamp is [`FIRST`] and [`STEP`] for each record before it in its partition,
/// by [`BY_MINUTE`].
pub fn minute_of(root: &Path, topic: &str, place: Place) -> PathBuf {
    let minutes = i64::try_from(place.index).unwrap() * STEP / 60_000;
    let (day, hour, minute) = (1 + minutes / 1440, minutes / 60 % 24, minutes % 60);
    assert!(day <= 30, "the records go beyond November");
    root.join(format!("{topic}/{}/2023-11-{day:02}T{hour:02}{minute:02}.log", place.partition))
}

/// The records of a file. Each line must be one.
#[track_caller]
pub fn places(path: &Path) -> Vec<Place> {
    let lines = BufReader::new(File::open(path).unwrap()).split(b'\n');
    let of = |line: Vec<u8>| place_of(&line).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    lines.map(|line| of(line.unwrap())).collect()
}

/// Fails unless each record is in one file and whole, and `is_its` says that it is the record's file.
#[track_caller]
pub fn assert_whole(files: &[PathBuf], each: &[u64], is_its: impl Fn(&Path, Place) -> bool) {
    let report = check::files(each, files).unwrap();
    let faults = report.missing + report.doubled + report.torn;
    assert_eq!(faults, 0, "{report}\n{}", report.examples.join("\n"));
    assert_each_in_its_place(files, is_its);
    let late = files.iter().filter(|file| **file != on_time(file)).count();
    println!("{report} in {} files, {late} of these for late lines", files.len());
}

/// Fails unless each record is in its file, or in one for the file's late lines, and the records of a
/// partition are in order within each file. Late lines may be before or after those that are not.
#[track_caller]
pub fn assert_each_in_its_place(files: &[PathBuf], is_its: impl Fn(&Path, Place) -> bool) {
    for file in files {
        let mut next = BTreeMap::new();
        for place in places(file) {
            assert!(is_its(&on_time(file), place), "{place:?} is in {}", file.display());
            let next = next.entry(place.partition).or_insert(0);
            assert!(place.index >= *next, "{}: {place:?} is out of order", file.display());
            *next = place.index + 1;
        }
    }
}

/// For each partition, the number after that of its last whole record in these files, which are sorted.
pub fn written(files: &[PathBuf], partitions: usize) -> Vec<u64> {
    let mut last: BTreeMap<&Path, Vec<&PathBuf>> = BTreeMap::new();
    for file in files {
        last.entry(file.parent().unwrap()).or_default().push(file);
    }
    let mut next = vec![0; partitions];
    for file in last.into_values().flat_map(|files| files.into_iter().rev().take(2)) {
        for line in std::fs::read(file).unwrap().split(|byte| *byte == b'\n') {
            if let Ok(Place { partition, index }) = place_of(line) {
                next[partition] = next[partition].max(index + 1);
            }
        }
    }
    next
}

/// The most that a daemon had open and in memory, over several runs.
#[derive(Debug, Default)]
pub struct Most {
    pub descriptors: usize,
    /// In KiB.
    pub memory: u64,
}

impl Most {
    pub fn look(&mut self, daemon: &Daemon) {
        self.descriptors = self.descriptors.max(daemon.descriptors());
        self.memory = self.memory.max(daemon.memory_max());
    }

    /// Fails if there were more descriptors than the files that may be open and what every process has.
    #[track_caller]
    pub fn assert_few(&self, open: usize) {
        println!("at most {} descriptors, {} KiB", self.descriptors, self.memory);
        let allowed = open + OTHER_DESCRIPTORS;
        assert!(self.descriptors <= allowed, "{} descriptors, and {allowed} are allowed", self.descriptors);
    }
}
