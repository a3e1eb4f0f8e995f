//! Two files, of which one cannot be synced.

use super::file_openings::opener;
use super::*;
use crate::logfile::{Piece, PositionChange};

/// Its disk accepts writes beside the file, and opens the file.
#[test]
fn a_file_whose_syncs_fail_again_is_held_back_and_the_other_runs() {
    let dir = std::env::temp_dir().join(format!("pandad-held-{}", std::process::id()));
    let paths = ["a", "b"].map(|topic| dir.join(topic).join("out.log"));
    for path in &paths {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    }
    let mut opener = opener(&dir);
    drop(opener.open_all());
    let mut fails = || {
        opener.record_failed_sync(&paths[0]);
        opener.failed_syncs.end_run(Instant::now());
        opener.record_lost_writes();
        opener.open_all()
    };
    let (opened, refused) = fails();
    assert_eq!((opened.as_ref().unwrap().files.len(), refused.len()), (2, 0), "one failure may pass");
    drop(opened);
    let (opened, refused) = fails();
    let begun = Instant::now();
    let open: Vec<&PathBuf> = opened.iter().flat_map(|log| &log.files).map(|file| &file.path).collect();
    assert_eq!((open, refused.len()), (vec![&paths[1]], 1));
    opener.await_files(refused).unwrap();
    let is_back = opener.watch();
    while !is_back() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is not opened");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(begun.elapsed() > Duration::from_millis(900), "{:?}", begun.elapsed());
    drop(opened);
    assert_eq!(opener.open_all().0.unwrap().files.len(), 2);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_failed_sync_is_told_of_its_file_only() {
    let dir = std::env::temp_dir().join(format!("pandad-failed-{}", std::process::id()));
    let options = two_topics(&dir, true);
    let mut opened = logfile::open_topics(&options, Vec::new(), &mut RestartMemory::default()).unwrap();
    let partition = TopicPartition::new("b", 0);
    opened.ledger.resume(&partition, None, &OffsetMetadata::Unsupported).unwrap();
    opened.ledger.set_position(&partition, 0).unwrap();
    let (index, _) = opened.ledger.written(&partition).unwrap();
    let (bytes, mut crc) = (&b"line 0\n"[..], crc32fast::Hasher::new());
    crc.update(bytes);
    let (_, writer) = opened.files.last_mut().unwrap();
    let change = PositionChange { index, position: 1, last: None };
    writer.append(&[Piece { bytes, crc: &crc }], &[change]).unwrap();
    let number = writer.number();
    let checkpoint = opened.ledger.checkpoint().failed();
    let paths = opened.files.iter().map(|(path, writer)| (writer.number(), path.clone())).collect();
    let counters = Counters::shared("test", CountedUnit::Records);
    let mut sync = FileSyncer { settler: opened.settler, paths, counters };
    match sync.settle(checkpoint) {
        Err(RunError::Fault(Fault::Restart(why))) => {
            assert!(why.starts_with(&format!("cannot sync {}: ", options.paths[1].display())), "{why}");
        }
        _ => panic!("it was synced"),
    }
    assert_eq!(opened.ledger.failed_files(), [number]);
    // If no file has failed, it was the journal.
    sync.paths.clear();
    match sync.settle(opened.ledger.checkpoint().failed()) {
        Err(RunError::Fault(Fault::Restart(why))) => {
            let journal = dir.join("topics.journal");
            assert!(why.starts_with(&format!("cannot sync {}: ", journal.display())), "{why}");
        }
        _ => panic!("it was synced"),
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
