//! Dropping cached pages: a later read must come from the disk.

use std::fs::File;
use std::io::{IoSliceMut, Write};

use rustix::fs::{Advice, fadvise};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::super::disk::DiskFile;
use super::*;

/// Whether the byte at an offset is in the page cache. `None` if the kernel does not say.
fn is_cached(file: &File, at: u64) -> Option<bool> {
    match preadv2(file, &mut [IoSliceMut::new(&mut [0])], at, ReadWriteFlags::NOWAIT) {
        Ok(_) => Some(true),
        Err(Errno::AGAIN) => Some(false),
        Err(_) => None,
    }
}

/// The synced bytes end in the page in which the unsynced ones begin. If that page stayed in the cache, a
/// later read would get unsynced bytes from it and take them for bytes on the disk.
#[test]
fn dropping_cached_pages_includes_the_first_partial_page() {
    let dir = Dir::new();
    let path = dir.0.join("cached");
    let mut file = File::options().create_new(true).read(true).write(true).open(&path).unwrap();
    for _ in 0..64 {
        file.write_all(&[b'x'; 1000]).unwrap();
    }
    file.sync_all().unwrap();
    let opened: &dyn DiskFile = &file;
    fadvise(&file, 0, None, Advice::DontNeed).unwrap();
    if is_cached(&file, 60_000) != Some(false) {
        println!("NO DROPPING OF CACHED PAGES HERE: {}", path.display());
        return;
    }
    // The kernel may cache these bytes in single pages or in one large one.
    for size in [1000, 64_000] {
        opened.write_at(&vec![b'y'; size], 64_000 - size as u64).unwrap();
        file.sync_all().unwrap();
        fs::read(&path).unwrap();
        assert_eq!(is_cached(&file, 5000), Some(true));
        opened.drop_cached(5000).unwrap();
        assert_eq!((is_cached(&file, 5000), is_cached(&file, 60_000)), (Some(false), Some(false)));
    }
}
