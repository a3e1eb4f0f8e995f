//! A pipe that nobody reads, as the standard error of a pandad whose supervisor hangs; and a file
//! that cannot be opened for ever, as on a disk that hangs.

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A pipe that is full to the last byte as long as this value lives.
pub struct FullPipe {
    pub reader: PipeReader,
    writer: PipeWriter,
}

impl FullPipe {
    pub fn new() -> FullPipe {
        let (reader, mut writer) = pipe().unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        for piece in [4096, 1] {
            while writer.write(&vec![b'x'; piece]).is_ok() {}
        }
        rustix::io::ioctl_fionbio(&writer, false).unwrap();
        FullPipe { reader, writer }
    }

    /// The end that a process is given.
    pub fn end(&self) -> PipeWriter {
        self.writer.try_clone().unwrap()
    }

    /// Everything that was written. Waits until every process with an end of the pipe has ended.
    pub fn read(self) -> String {
        let FullPipe { mut reader, writer } = self;
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text.trim_start_matches('x').to_string()
    }
}

/// A named pipe with nobody at the other end: opening it waits for ever.
pub fn never_opens(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}
