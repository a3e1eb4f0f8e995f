//! Files of a set that begin alike, as with lines that say the same: one that somebody has removed is not
//! taken for the other.

use super::*;
use crate::logfile::disk::RealDisk;
use crate::logfile::file_set::{CompleteBefore, FileSetOptions, FileWriters, RoutedPieces, open_with};
use crate::logfile::journal::{EVERY_PARTITION, HALF_BYTES_MIN};

/// Opens the set in another boot each time, as after a loss of power.
fn open_at(dir: &Dir, boot: u128) -> (FileWriters, Settler, Ledger) {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let options = FileSetOptions {
        base: dir.0.join("all"),
        log_file: options(true),
        complete_dir: None,
        complete_gzip: false,
        open_max: 8,
        new_max: 100,
    };
    open_with(&disk, &options, HALF_BYTES_MIN, Some(boot), &mut RestartMemory::default()).unwrap()
}

/// Writes the record of this offset to these files, and settles. The period of each ends at its time.
fn write(
    (writers, settler, ledger): &mut (FileWriters, Settler, Ledger),
    offset: i64,
    files: &[(&Path, i64)],
) {
    if ledger.written(&partition()).is_none() {
        ledger.set_position(&partition(), 0).unwrap();
    }
    let (index, _) = ledger.written(&partition()).unwrap();
    let bytes = b"the same\n";
    let mut crc = crc32fast::Hasher::new();
    crc.update(bytes);
    let piece = Piece { bytes, crc: &crc };
    let part = |&(path, until)| RoutedPieces {
        path,
        until: Some(until),
        scope: &EVERY_PARTITION,
        pieces: vec![piece],
    };
    let parts: Vec<_> = files.iter().map(part).collect();
    let last = Some(Landmark { offset, fingerprint: 0 });
    writers.append(0, &parts, &[PositionChange { index, position: offset + 1, last }]).unwrap();
    settler.settle(ledger.checkpoint()).unwrap();
}

#[test]
fn a_file_that_was_removed_is_not_taken_for_one_beside_it() {
    for is_finished in [false, true] {
        let dir = Dir::new();
        let (one, other) = (dir.0.join("one.log"), dir.0.join("other.log"));
        let mut set = open_at(&dir, 1);
        write(&mut set, 0, &[(&one, 3), (&other, 2)]);
        write(&mut set, 1, &[(&other, 2)]);
        if is_finished {
            // Then the journal does not know this file any more.
            assert_eq!(set.0.finish(&CompleteBefore::all(2)).unwrap(), 1);
        }
        drop(set);
        fs::remove_file(&one).unwrap();
        drop(open_at(&dir, 2));
        assert_eq!(fs::read_to_string(&other).unwrap(), "the same\nthe same\n", "{is_finished}");
    }
}

/// What follows the last mark is cut after a loss of power, so that shows whether the file was found.
#[test]
fn a_file_that_was_renamed_is_found_by_its_content_under_a_name_made_of_its_own() {
    for (renamed, is_found) in [
        ("one.log.1", true),
        ("one.log-20261124", true),
        ("one.log.old", true),
        ("one.log.x.log", false),
        ("one.logs", false),
        ("two.log", false),
    ] {
        let dir = Dir::new();
        let one = dir.0.join("one.log");
        let mut set = open_at(&dir, 1);
        write(&mut set, 0, &[(&one, 1)]);
        drop(set);
        // A copy has other numbers.
        fs::write(dir.0.join(renamed), "the same\nand more\n").unwrap();
        fs::remove_file(&one).unwrap();
        drop(open_at(&dir, 2));
        let left = fs::read_to_string(dir.0.join(renamed)).unwrap();
        assert_eq!(left == "the same\n", is_found, "{renamed}: {left}");
    }
}
