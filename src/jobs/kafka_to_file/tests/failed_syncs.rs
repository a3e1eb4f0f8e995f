//! Two files, of which one cannot be synced.

use super::two_files::opener;
use super::*;

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
        opener.failed_syncs.record(&paths[0]);
        opener.failed_syncs.end_run(Instant::now());
        paths.iter().for_each(|path| opener.record_lost_writes(path.clone()));
        opener.open_all()
    };
    let (opened, refused) = fails();
    assert_eq!((opened.len(), refused.len()), (2, 0), "one failure may pass");
    drop(opened);
    let (opened, refused) = fails();
    let begun = Instant::now();
    assert_eq!((opened.len(), refused.len()), (1, 1));
    assert_eq!(opened[0].path, paths[1]);
    opener.await_files(refused).unwrap();
    let is_back = opener.watch();
    while !is_back() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is not opened");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(begun.elapsed() > Duration::from_millis(900), "{:?}", begun.elapsed());
    drop(opened);
    assert_eq!(opener.open_all().0.len(), 2);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_failed_sync_is_recorded_of_its_file_only() {
    let dir = std::env::temp_dir().join(format!("pandad-failed-{}", std::process::id()));
    let paths = ["a", "b"].map(|topic| dir.join(topic).join("out.log"));
    let options = LogFileOptions { job: "test", sync: true, rotation: Rotation::off() };
    let (mut settlers, mut checkpoints) = (Vec::new(), Vec::new());
    for (number, path) in paths.iter().enumerate() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut log = logfile::open(path, &options, &mut RestartMemory::default()).unwrap();
        checkpoints.push((number, log.writer.checkpoint()));
        settlers.push((path.clone(), log.settler));
    }
    let (number, last) = checkpoints.pop().unwrap();
    checkpoints.push((number, last.failed()));
    let failed = FailedSyncs::default();
    let counters = Counters::shared("test", CountedUnit::Records);
    let mut sync = FileSyncer { settlers, counters, failed_syncs: failed.clone() };
    assert!(sync.settle(checkpoints).is_err());
    failed.end_run(Instant::now());
    // Only a second failure holds a file back.
    paths.iter().for_each(|path| failed.record(path));
    failed.end_run(Instant::now());
    assert_eq!(paths.each_ref().map(|path| failed.held_until(path).is_some()), [false, true]);
    std::fs::remove_dir_all(&dir).unwrap();
}
