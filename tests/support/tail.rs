//! Follows a log file while it grows and tells how far each partition has come.
//! It only counts; whether the file is whole is for the checker to say.

use super::check::place_of;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

pub struct Tail {
    path: PathBuf,
    read: u64,
    /// Whole lines that hold a test record.
    pub records: u64,
    /// For each partition the place after the last record in the file.
    pub next: Vec<u64>,
}

impl Tail {
    pub fn new(path: &Path, partitions: usize) -> Tail {
        Tail { path: path.to_path_buf(), read: 0, records: 0, next: vec![0; partitions] }
    }

    /// Takes in the whole lines that have come since; a file that is not there yet is empty.
    pub fn read(&mut self) -> u64 {
        let Ok(mut file) = File::open(&self.path) else { return self.records };
        file.seek(SeekFrom::Start(self.read)).unwrap();
        let mut reader = BufReader::with_capacity(1 << 18, file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let count = reader.read_until(b'\n', &mut line).unwrap();
            if line.pop() != Some(b'\n') {
                return self.records;
            }
            self.read += count as u64;
            let Ok(place) = place_of(&line) else { continue };
            self.records += 1;
            if let Some(next) = self.next.get_mut(place.partition) {
                *next = (*next).max(place.index + 1);
            }
        }
    }
}
