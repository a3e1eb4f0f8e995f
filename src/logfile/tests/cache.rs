//! What is to be read from the disk is not in the page cache any more.

use std::fs::File;
use std::io::{IoSliceMut, Write};

use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::super::disk::Opened;
use super::*;

/// Whether the byte at an offset comes without a look at the disk; `None`: nobody can tell.
fn is_cached(file: &File, at: u64) -> Option<bool> {
    match preadv2(file, &mut [IoSliceMut::new(&mut [0])], at, ReadWriteFlags::NOWAIT) {
        Ok(_) => Some(true),
        Err(Errno::AGAIN) => Some(false),
        Err(_) => None,
    }
}

/// The last page of what was synced is the first of what was not: a write to it that failed
/// would be read from the cache, and taken for one that is on the disk.
#[test]
fn the_page_in_which_it_begins_is_forgotten_too() {
    let dir = Dir::new();
    let path = dir.0.join("cached");
    let mut file = File::options().create_new(true).read(true).write(true).open(&path).unwrap();
    file.write_all(&vec![b'x'; 64 * 1024]).unwrap();
    file.sync_all().unwrap();
    let from = 5000;
    if is_cached(&file, from) != Some(true) {
        println!("NO LOOK AT THE PAGE CACHE HERE: preadv2 with RWF_NOWAIT does not tell");
        return;
    }
    let opened: &dyn Opened = &file;
    opened.forget_cached(from);
    if is_cached(&file, 60_000) != Some(false) {
        println!("NO DROPPING OF CACHED PAGES HERE: the file system keeps them");
        return;
    }
    assert_eq!(is_cached(&file, from), Some(false));
}
