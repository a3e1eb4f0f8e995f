//! Whole files and streams of bytes from a [`DiskFile`].

use std::io::{self, Read};

use super::DiskFile;

/// The whole content of a file, unless the file is longer than `limit` bytes.
pub(in crate::logfile) fn read_all(file: &dyn DiskFile, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let len = file.stat()?.len;
    if len > limit {
        return Ok(None);
    }
    // Pages of zeros cost nothing until something is read into them. `read_to_end` would write zeros before
    // each read.
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    let (mut reader, mut filled) = (FileReader { file, at: 0 }, 0);
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    // What came meanwhile.
    reader.take(limit.saturating_sub(len)).read_to_end(&mut bytes)?;
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
