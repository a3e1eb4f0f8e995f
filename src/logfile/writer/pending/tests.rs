//! What is found of a range after others have handled the file.

use super::*;
use crate::logfile::disk::{Disk, FileId, OpenMode, RealDisk};
use crate::logfile::journal::ONLY_FILE;

const PLACE: u64 = 6;
const BYTES: &[u8] = b"one\ntwo\nthree\n";

/// What is found in a file of this content. `seen` bytes of the range were seen at the range's place, and
/// the last write had `unseen` bytes more.
fn found(content: &[u8], seen: u64, unseen: usize) -> Found {
    let name = format!("pandad-pending-{}-{:?}", std::process::id(), std::thread::current().id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, content).unwrap();
    let (file, to) = (FileId { device: 1, inode: 2 }, PLACE + BYTES.len() as u64);
    let part = RangePart { number: ONLY_FILE, file, from: PLACE, to, crc: 0, before: 0 };
    let mut pending = PendingRange::new(Range { sequence: 1, parts: vec![part], changes: vec![] }, part);
    pending.record_seen(seen);
    pending.record_write(unseen);
    let file = RealDisk.open(&path, OpenMode::Reading).unwrap();
    std::fs::remove_file(&path).unwrap();
    pending.find(&file, content.len() as u64, BYTES).unwrap()
}

fn parts(left: &str, torn: Option<u64>) -> Found {
    Found::Parts { left: left.as_bytes().to_vec(), torn }
}

/// A range goes on only where its first bytes are the end of the file.
#[test]
fn a_range_goes_on_behind_its_first_bytes() {
    let cases: [(&str, u64, usize, u64); 6] = [
        ("prior\n", 0, 0, 0),
        ("prior\none\ntw", 0, 6, 6),
        ("prior\none\ntwo\n", 4, 4, 8),
        // The end of it was cut off.
        ("prior\none\n", 6, 0, 4),
        ("prior\non", 4, 4, 2),
        ("prior\n", 4, 4, 0),
    ];
    for (content, seen, unseen, prefix) in cases {
        assert_eq!(found(content.as_bytes(), seen, unseen), Found::Prefix(prefix), "{content:?}");
    }
}

/// Otherwise only the lines that are nowhere whole are left, and a part of a line is reported.
#[test]
fn lines_that_are_whole_somewhere_are_not_left() {
    let cases: [(&str, u64, usize, &str, Option<u64>); 16] = [
        // Somebody appended behind the last write.
        ("prior\none\nnote\n", 4, 0, "two\nthree\n", None),
        ("prior\none\ntwnote\n", 4, 2, "two\nthree\n", Some(10)),
        // Somebody appended before the last write: a line, a line without its end, in the middle of a line.
        ("prior\none\nnote\ntwo\n", 4, 4, "three\n", None),
        ("prior\none\nnotetwo\n", 4, 4, "two\nthree\n", Some(14)),
        ("prior\none\nnotetwo\nthree\n", 4, 10, "two\n", Some(14)),
        ("prior\none\ntwnote\no\n", 6, 2, "two\nthree\n", Some(10)),
        ("prior\none\nnote\ntwo\nth", 4, 6, "three\n", Some(15)),
        // The bytes of the last write stand there twice. Those behind the earlier changes count.
        ("prior\none\nxtwo\ntwo\n", 4, 4, "three\n", None),
        // The file was emptied or cut before the last write, or after it.
        ("two\n", 4, 4, "one\nthree\n", None),
        ("two\nth", 4, 6, "one\nthree\n", Some(0)),
        ("wo\n", 5, 3, "one\ntwo\nthree\n", Some(0)),
        ("", 4, 4, "one\ntwo\nthree\n", None),
        ("prio", 4, 4, "one\ntwo\nthree\n", None),
        // The same, and the file has its first bytes at the range's place again.
        ("two\nx\none\n", 4, 4, "three\n", None),
        ("x\n", 0, 4, "one\ntwo\nthree\n", None),
        // The bytes of the last write stand only in front of the range's place, so they are older.
        ("xxtwo\none\nnote\nnote\n", 4, 4, "two\nthree\n", None),
    ];
    for (content, seen, unseen, left, torn) in cases {
        assert_eq!(found(content.as_bytes(), seen, unseen), parts(left, torn), "{content:?}");
    }
    // Much was appended before the last write, up to what is searched.
    for (more, left) in [(0, "three\n"), (1, "two\nthree\n")] {
        let note = vec![b'\n'; SEARCHED_BYTES_MAX as usize + more];
        let content = [&b"prior\none\n"[..], &note, b"two\n"].concat();
        assert!(found(&content, 4, 4) == parts(left, None), "{more}");
    }
}

#[test]
fn pieces_are_written_from_any_byte_on() {
    let crc = crc32fast::Hasher::new();
    let of = |bytes: &'static [u8]| Piece { bytes, crc: &crc };
    let pieces = [of(b"ab"), of(b""), of(b"cde"), of(b"f")];
    for from in 0..=6 {
        let rest: Vec<u8> = rest_of(&pieces, from).iter().flat_map(|slice| slice.to_vec()).collect();
        assert_eq!(rest, b"abcdef"[from as usize..], "{from}");
        assert!(rest_of(&pieces, from).iter().all(|slice| !slice.is_empty()), "{from}");
    }
    // Linux takes 1024 at once; single ones would be slow.
    let count = rest_of(&[of(b"line\n"); 2000], 7).len();
    assert!((100..=1024).contains(&count), "{count}");
}
