//! The file in which a broker keeps a partition's records. While the broker is stopped, a test
//! may damage one entry in it and repair it later.
//!
//! Fault model. One entry in the middle of the partition: wrong bytes among its records, which
//! its checksum reveals, or another codec number with a checksum that fits.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub struct Segment {
    path: PathBuf,
    /// The bytes of the file when it was opened.
    whole: Vec<u8>,
}

/// A batch of format 2 or a message of an earlier format: its place in the file, and its offsets.
#[derive(Debug, Clone)]
pub struct Entry {
    pub at: usize,
    bytes: Vec<u8>,
    pub first: u64,
    pub last: u64,
}

impl Segment {
    /// Opens the segment with the partition's first records, under [`super::cluster::Cluster::data`].
    pub fn open(data: &Path, topic: &str, partition: usize) -> Segment {
        let path = data.join(format!("{topic}-{partition}/00000000000000000000.log"));
        let whole = fs::read(&path).unwrap();
        Segment { path, whole }
    }

    fn write(&self, bytes: &[u8], at: usize) {
        let file = OpenOptions::new().write(true).open(&self.path).unwrap();
        file.write_all_at(bytes, at as u64).unwrap();
    }

    /// The entry in the middle of the segment.
    pub fn middle(&self) -> Entry {
        let (mut entries, mut at, mut first) = (Vec::new(), 0, 0);
        while at < self.whole.len() {
            let number = |from: usize| u32::from_be_bytes(self.whole[from..from + 4].try_into().unwrap());
            let bytes = self.whole[at..at + 12 + number(at + 8) as usize].to_vec();
            let base = u64::from_be_bytes(bytes[..8].try_into().unwrap());
            let last = if bytes[16] == 2 { base + u64::from(number(at + 23)) } else { base };
            let end = at + bytes.len();
            entries.push(Entry { at, bytes, first, last });
            (at, first) = (end, last + 1);
        }
        assert!(entries.len() > 4, "only {} entries", entries.len());
        entries.swap_remove(entries.len() / 2)
    }

    /// Changes the codec number of an entry, and its checksum accordingly.
    pub fn recode(&self, entry: &Entry, codec: u8) {
        let mut bytes = entry.bytes.clone();
        let attributes = if bytes[16] == 2 { 22 } else { 17 };
        assert_ne!(bytes[attributes] & 7, 0, "it is not compressed: {entry:?}");
        bytes[attributes] = bytes[attributes] & !7 | codec;
        let (place, crc) = if bytes[16] == 2 {
            (17, crc32c::crc32c(&bytes[21..]))
        } else {
            (12, crc32fast::hash(&bytes[16..]))
        };
        bytes[place..place + 4].copy_from_slice(&crc.to_be_bytes());
        self.write(&bytes, entry.at);
    }

    /// Writes wrong bytes among an entry's records. If the header had wrong bytes, the broker itself could
    /// skip the entry.
    pub fn damage(&self, entry: &Entry) {
        let from = entry.bytes.len() - 24;
        let wrong: Vec<u8> = entry.bytes[from..from + 8].iter().map(|byte| byte ^ 0xff).collect();
        self.write(&wrong, entry.at + from);
    }

    pub fn mend(&self, entry: &Entry) {
        self.write(&entry.bytes, entry.at);
    }
}
