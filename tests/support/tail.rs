//! Follows a log file while it grows and tells how far each partition has come.
//! It only counts; whether the file is whole is for the checker to say.

use super::check::place_of;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub struct Tail {
    path: PathBuf,
    read: u64,
    /// The last line taken in, with its newline.
    last: Vec<u8>,
    /// Whole lines that hold a test record.
    pub records: u64,
    /// For each partition the place after the last record in the file.
    pub next: Vec<u64>,
}

impl Tail {
    pub fn new(path: &Path, partitions: usize) -> Tail {
        Tail { path: path.to_path_buf(), read: 0, last: Vec::new(), records: 0, next: vec![0; partitions] }
    }

    /// Takes in the whole lines that have come since; a file that is not there yet is empty.
    pub fn read(&mut self) -> u64 {
        let Ok(file) = File::open(&self.path) else { return self.records };
        if !self.still_there(&file) {
            *self = Tail::new(&self.path, self.next.len());
        }
        let mut reader = BufReader::with_capacity(1 << 18, file);
        reader.seek(SeekFrom::Start(self.read)).unwrap();
        let mut line = Vec::new();
        loop {
            line.clear();
            let count = reader.read_until(b'\n', &mut line).unwrap();
            if line.last() != Some(&b'\n') {
                return self.records;
            }
            self.read += count as u64;
            std::mem::swap(&mut self.last, &mut line);
            let Ok(place) = place_of(&self.last[..count - 1]) else { continue };
            self.records += 1;
            if let Some(next) = self.next.get_mut(place.partition) {
                *next = (*next).max(place.index + 1);
            }
        }
    }

    /// A start after a kill may cut what was seen here, and write on from there.
    fn still_there(&self, file: &File) -> bool {
        let mut found = vec![0; self.last.len()];
        file.read_exact_at(&mut found, self.read - self.last.len() as u64).is_ok() && found == self.last
    }
}

/// The places of all records in a file, in its order. Each line must be one.
#[track_caller]
pub fn places(path: &Path) -> Vec<u64> {
    let lines = BufReader::new(File::open(path).unwrap()).split(b'\n');
    lines.map(|line| place_of(&line.unwrap()).unwrap().index).collect()
}
