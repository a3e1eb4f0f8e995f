//! Where complete files are moved is tried at the start.

use super::super::faulty_disk::{Faults, disk_with};
use super::*;
use crate::logfile::OpenError;
use crate::logfile::disk::RealDisk;
use crate::logfile::file_set::try_complete_dir;

/// A disk that makes no link.
#[derive(Debug)]
struct Unlinked(rustix::io::Errno);

impl Faults for Unlinked {
    fn link(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Err(self.0.into())
    }
}

fn why(tried: Result<(), OpenError>) -> String {
    match tried {
        Err(OpenError::Mend(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn complete_files_must_be_movable() {
    use rustix::io::Errno;
    let dir = Dir::new();
    let logs = dir.0.join("logs");
    fs::create_dir(&logs).unwrap();
    let base = logs.join("{topic}.log");
    let on = |errno| disk_with(&Arc::new(Unlinked(errno)));
    let done = dir.0.join("done");
    for exists in [false, true] {
        if exists {
            fs::create_dir(&done).unwrap();
        }
        try_complete_dir(&RealDisk, &base, &done).unwrap();
        // Below the log files.
        try_complete_dir(&RealDisk, &base, &logs.join("done")).unwrap();
        let other = why(try_complete_dir(&*on(Errno::XDEV), &base, &done));
        assert!(other.contains("done: log_file['complete'] is on another file system"), "{other}");
        assert!(other.ends_with("choose a directory on the same one"), "{other}");
        assert!(why(try_complete_dir(&*on(Errno::ACCESS), &base, &done)).contains("{topic}.log.probe"));
        // It may have room later.
        try_complete_dir(&*on(Errno::NOSPC), &base, &done).unwrap();
    }
    // What a start has left that was killed here.
    let left = done.join("{topic}.log.probe");
    fs::write(&left, "").unwrap();
    try_complete_dir(&RealDisk, &base, &done).unwrap();
    assert!(!left.exists() && fs::read_dir(&logs).unwrap().next().is_none(), "nothing stays");
    fs::remove_dir(&done).unwrap();
    fs::write(&done, "").unwrap();
    assert!(why(try_complete_dir(&RealDisk, &base, &done)).contains("is not a directory"));
    assert!(why(try_complete_dir(&RealDisk, &base, &done.join("below"))).contains("os error 20"));
}
