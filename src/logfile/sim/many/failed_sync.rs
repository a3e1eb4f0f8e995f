//! Failed syncs of a journal with several files: in each recorded run one sync fails, and the bytes that it
//! should have made durable are lost. Then the same process opens the files again, or the run goes on, or
//! another process opens the files after a loss of power.

use super::{Gzip, Mistake, SCRIPT, World};
use crate::logfile::disk::RETRY_FAILED_SYNC;
use crate::logfile::sim::disk::RunEnd;

/// Returns how many states were examined, and the bad ones.
fn every_failed_sync(is_tried_again: bool, gzip: Gzip, ways: u64) -> (u64, Vec<String>) {
    RETRY_FAILED_SYNC.set(is_tried_again);
    let begin = || World::new(Mistake::Nothing).compressing(gzip);
    let mut whole = begin();
    whole.run(SCRIPT).expect("nothing fails");
    let (mut states, mut bad) = (0, Vec::new());
    let begun = begin().disk.operations();
    for at in 0..whole.disk.operations() - begun {
        for way in 0..ways {
            let mut dice = fastrand::Rng::with_seed(at * 1_000_003 + way);
            let mut world = begin();
            world.disk.fail_sync_after(begun + at);
            // A run that does not end itself is stopped some time later.
            world.disk.stop_after(at + dice.u64(1..120));
            let ended = world.run(SCRIPT);
            if !world.disk.has_failed() {
                // The operation was not the sync of a file, or the file had nothing to be written back.
                break;
            }
            states += 1;
            if let Some(fault) = finish(&mut world, ended.is_some(), &mut dice, way) {
                bad.push(format!("failed at {at}, way {way}: {fault}"));
            }
        }
    }
    RETRY_FAILED_SYNC.set(false);
    (states, bad)
}

/// In even ways, the same process tries again; the kernel may or may not have evicted the pages. In odd
/// ways, the power fails first.
fn finish(world: &mut World, has_ended: bool, dice: &mut fastrand::Rng, way: u64) -> Option<String> {
    if way % 2 == 1 {
        world.end(2, dice);
    } else {
        world.disk.end(RunEnd::Kill, dice);
        world.sync_failed = !has_ended;
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
fn a_failed_sync_of_any_file_loses_and_repeats_no_record() {
    let ways = if std::env::var_os("PANDAD_TEST_ALL").is_some() { 400 } else { 3 };
    for gzip in [Gzip::Never, Gzip::Always] {
        let (states, bad) = every_failed_sync(false, gzip, ways);
        println!(
            "{states} states of several files after a failed sync, compressed {gzip:?}, {} bad",
            bad.len()
        );
        assert!(states > 180, "{states} are not every sync");
        assert!(bad.is_empty(), "{} of {states}:\n{}", bad.len(), bad[..bad.len().min(8)].join("\n"));
    }
}

#[test]
fn trying_a_failed_sync_of_a_file_again_is_detected() {
    let (states, bad) = every_failed_sync(true, Gzip::Never, 2);
    println!("a sync tried again: {} of {states} states are bad", bad.len());
    assert!(bad.len() > 10, "only {} of {states} are bad", bad.len());
}
