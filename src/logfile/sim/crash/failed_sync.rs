//! Failed syncs: in each recorded run one sync fails, and the bytes that it should have made durable are
//! lost. Then the same process opens the file again, or another process does so after a loss of power. In
//! the end each record must be in the files once. The fault model is that of the disk.

use super::{CrashWorld, Mistake, SCRIPT};
use crate::logfile::disk::RETRY_FAILED_SYNC;

/// Returns how many states were examined, and the bad ones.
fn every_failed_sync(mistake: Mistake, ways: u64) -> (u64, Vec<String>) {
    RETRY_FAILED_SYNC.set(mistake == Mistake::SyncTriedAgain);
    let mut whole = CrashWorld::new(mistake);
    whole.run(SCRIPT).expect("nothing fails");
    let operations = whole.disk.operations();
    let (mut states, mut bad) = (0, Vec::new());
    for at in 0..operations {
        let mut failed = CrashWorld::new(mistake);
        failed.disk.fail_sync_after(at);
        let ended = failed.run(SCRIPT);
        if !failed.disk.has_failed() {
            // The operation was not the sync of a file, or the file had nothing to be written back.
            continue;
        }
        assert!(ended.is_none() || mistake == Mistake::SyncTriedAgain, "the sync at {at} failed unseen");
        for way in 0..ways {
            states += 1;
            let mut world = failed.copy();
            if let Some(fault) = finish(&mut world, at, way) {
                bad.push(format!("failed at {at}, way {way}: {fault}"));
            }
        }
    }
    RETRY_FAILED_SYNC.set(false);
    (states, bad)
}

/// In even ways, the same process tries again; the kernel may or may not have evicted the pages. In odd
/// ways, the power fails first.
fn finish(world: &mut CrashWorld, at: u64, way: u64) -> Option<String> {
    let mut dice = fastrand::Rng::with_seed(at * 1_000_003 + way);
    if way % 2 == 1 {
        world.end(2, &mut dice);
    } else {
        world.sync_failed = true;
        if way.is_multiple_of(4) {
            world.disk.evict();
        }
    }
    if world.run(&SCRIPT[dice.usize(0..SCRIPT.len())..]).is_none() {
        return Some("the last run did not end".to_owned());
    }
    // What was believed must stand on the disk, not only in pages that the kernel takes for clean.
    world.disk.evict();
    let faults = world.faults();
    (!faults.is_empty()).then(|| faults.join("; "))
}

#[test]
fn a_failed_sync_loses_and_repeats_no_record() {
    let ways = if std::env::var_os("PANDAD_TEST_ALL").is_some() { 400 } else { 40 };
    let (states, bad) = every_failed_sync(Mistake::Nothing, ways);
    println!("{states} states after a failed sync, {} bad", bad.len());
    assert!(states > 500, "{states} are not every sync");
    assert!(bad.is_empty(), "{} of {states}:\n{}", bad.len(), bad[..bad.len().min(8)].join("\n"));
}

#[test]
fn trying_a_failed_sync_again_is_detected() {
    let (states, bad) = every_failed_sync(Mistake::SyncTriedAgain, 10);
    println!("a sync tried again: {} of {states} states are bad", bad.len());
    assert!(bad.len() > 10, "only {} of {states} are bad", bad.len());
}
