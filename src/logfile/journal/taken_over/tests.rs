//! What is left of a journal that was taken over.

use super::*;
use crate::logfile::journal::old_codec::older::OlderPandad;

const BY: u128 = 77;

/// Two halves of a journal of this version, of which the second is in force.
fn journal(version: u16, half: usize) -> Vec<u8> {
    let mut bytes = vec![0xff; 2 * half];
    for (start, generation) in [(0, 3), (half, 4)] {
        let header =
            HalfHeader { version, generation, features: 0, ..HalfHeader::taken_over(5, half as u64) };
        bytes[start..start + 128].copy_from_slice(&header.bytes());
    }
    bytes
}

/// The same with these halves overwritten.
fn overwritten(version: u16, half: usize, halves: &[u64], to: &str) -> Vec<u8> {
    let path = std::env::temp_dir().join(format!("pandad-taken-{}-{version}-{half}", std::process::id()));
    let before = journal(version, half);
    std::fs::write(&path, &before).unwrap();
    let file = crate::logfile::disk::RealDisk.open(&path, OpenMode::Existing).unwrap();
    TakenOver::of(half as u64, 0, BY, Path::new(to)).write(&file).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    for kept in [0, 1].into_iter().filter(|at| !halves.contains(&(*at as u64))) {
        bytes[kept * half..][..half].copy_from_slice(&before[kept * half..][..half]);
    }
    bytes
}

fn found(bytes: &[u8]) -> Option<TakenOver> {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    TakenOver::find([first, second], first.len() as u64)
}

#[test]
fn each_half_alone_says_that_the_journal_was_taken_over() {
    for version in 1..=3 {
        assert_eq!(found(&journal(version, 4096)), None);
        for (halves, is_complete) in [(&[0][..], false), (&[1], false), (&[0, 1], true)] {
            let bytes = overwritten(version, 4096, halves, "../x.journal");
            let taken = found(&bytes).unwrap();
            assert_eq!((taken.by, taken.is_complete), (BY, is_complete));
            // The path stands in the half that is overwritten first.
            let path = halves.contains(&0).then(|| PathBuf::from("/log/x.journal"));
            assert_eq!(taken.journal(Path::new("/log/sub/a.log.journal")), path);
            for pandad in version..=3 {
                assert_eq!(OlderPandad::meets(pandad, &bytes), OlderPandad::Refuses, "{version}, {halves:?}");
            }
        }
    }
}

#[test]
fn a_damaged_byte_hides_nothing() {
    let bytes = overwritten(3, 4096, &[0, 1], "x.journal");
    for at in (0..200).chain(4096..4300) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        assert_eq!(found(&damaged).map(|taken| taken.by), Some(BY), "byte {at}");
    }
}

#[test]
fn a_path_that_has_no_room_is_left_out() {
    let long = "x".repeat(1000);
    let small = overwritten(3, 1024, &[0, 1], &long);
    assert_eq!(found(&small).unwrap().journal(Path::new("/log/a")), None);
    assert_eq!(small[128..1024], journal(3, 1024)[128..1024]);
    let refusal = found(&small).unwrap().refusal(Path::new("/log/a"));
    assert!(refusal.starts_with(&format!("/log/a: another journal ({BY:032x}) has")), "{refusal}");
    let large = overwritten(3, 4096, &[0, 1], &long);
    assert_eq!(found(&large).unwrap().journal(Path::new("/log/a")), Some(Path::new("/log").join(long)));
}

#[test]
fn a_path_leads_from_the_one_directory_to_the_other() {
    let root = Path::new("/log/app");
    for (from, to, path) in [
        ("/log/app/a.journal", "/log/app/x", "x"),
        ("/log/app/b/c/a.journal", "/log/app/x", "../../x"),
        ("/log/app/b/a.journal", "/other/x", "/other/x"),
        ("/other/a.journal", "/log/app/x", "/log/app/x"),
    ] {
        assert_eq!(path_from(root, Path::new(from), Path::new(to)), Path::new(path));
        let taken = TakenOver::of(4096, 0, BY, Path::new(path));
        assert_eq!(taken.journal(Path::new(from)), Some(PathBuf::from(to)));
    }
    assert_eq!(plain(Path::new("../x")), Path::new("../x"));
}
