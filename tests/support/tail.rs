//! Follows a log file while it grows and is rotated, and reports how far each partition has come.
//! It only counts; the checker decides whether the files are whole.

use super::check::place_of;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

pub struct Tail {
    path: PathBuf,
    /// How far each file was read, by its inode.
    files: HashMap<u64, Read>,
    /// Whole lines that hold a test record.
    pub records: u64,
    /// For each partition, the number after that of its last record in the files.
    pub next: Vec<u64>,
}

#[derive(Default)]
struct Read {
    to: u64,
    /// The last line taken in, with its newline.
    last: Vec<u8>,
}

/// The log file and its rotated files, oldest first, without compressed ones.
pub fn files(path: &Path) -> Vec<PathBuf> {
    let start = format!("{}-", path.file_name().unwrap().to_str().unwrap());
    let beside = path.parent().unwrap().read_dir().unwrap().map(|entry| entry.unwrap().path());
    let rotated = |file: &PathBuf| {
        let name = file.file_name().unwrap().to_str().unwrap();
        name.starts_with(&start) && name.ends_with('Z')
    };
    let mut files: Vec<PathBuf> = beside.filter(rotated).collect();
    files.sort();
    files.push(path.to_path_buf());
    files
}

impl Tail {
    pub fn new(path: &Path, partitions: usize) -> Tail {
        Tail { path: path.to_path_buf(), files: HashMap::new(), records: 0, next: vec![0; partitions] }
    }

    /// Takes in the whole lines that have come since the last call. A file that does not exist yet counts
    /// as empty.
    pub fn read(&mut self) -> u64 {
        for path in files(&self.path) {
            let Ok(file) = File::open(path) else { continue };
            let inode = file.metadata().unwrap().ino();
            let mut read = self.files.remove(&inode).unwrap_or_default();
            if !read.still_there(&file) {
                // A start after a kill may cut lines that were read here, and write on from there.
                *self = Tail::new(&self.path, self.next.len());
                return self.read();
            }
            self.read_file(file, &mut read);
            self.files.insert(inode, read);
        }
        self.records
    }

    fn read_file(&mut self, file: File, read: &mut Read) {
        let mut reader = BufReader::with_capacity(1 << 18, file);
        reader.seek(SeekFrom::Start(read.to)).unwrap();
        let mut line = Vec::new();
        loop {
            line.clear();
            let count = reader.read_until(b'\n', &mut line).unwrap();
            if line.last() != Some(&b'\n') {
                return;
            }
            read.to += count as u64;
            std::mem::swap(&mut read.last, &mut line);
            let Ok(place) = place_of(&read.last[..count - 1]) else { continue };
            self.records += 1;
            if let Some(next) = self.next.get_mut(place.partition) {
                *next = (*next).max(place.index + 1);
            }
        }
    }
}

impl Read {
    fn still_there(&self, file: &File) -> bool {
        let mut found = vec![0; self.last.len()];
        file.read_exact_at(&mut found, self.to - self.last.len() as u64).is_ok() && found == self.last
    }
}

/// The numbers of each partition's records in a file, in its order. Each line must be a record.
#[track_caller]
pub fn places_of(path: &Path, partitions: usize) -> Vec<Vec<u64>> {
    let mut places = vec![Vec::new(); partitions];
    for line in BufReader::new(File::open(path).unwrap()).split(b'\n') {
        let place = place_of(&line.unwrap()).unwrap();
        places[place.partition].push(place.index);
    }
    places
}

/// The numbers of all records in a file, in its order. Each line must be a record.
#[track_caller]
pub fn places(path: &Path) -> Vec<u64> {
    let lines = BufReader::new(File::open(path).unwrap()).split(b'\n');
    lines.map(|line| place_of(&line.unwrap()).unwrap().index).collect()
}
