//! Whole files and streams of bytes from a [`DiskFile`].

use std::io::{self, Read};

use super::DiskFile;

/// The whole content of a file, unless the file is longer than `limit` bytes.
pub(in crate::logfile) fn read_all(file: &dyn DiskFile, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let len = file.stat()?.len;
    if len > limit {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    FileReader { file, at: 0 }.take(limit).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Reads a file from `at` on to its end.
pub(in crate::logfile) struct FileReader<'a> {
    pub(in crate::logfile) file: &'a dyn DiskFile,
    pub(in crate::logfile) at: u64,
}

impl Read for FileReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
