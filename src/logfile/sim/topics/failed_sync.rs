//! Failed syncs of the topics' files and their journal: in each recorded run one sync fails, and the bytes
//! that it should have made durable are lost. The same process goes on with that file held back, and has it
//! again at a later start.

use super::crash::finish;
use super::{Mistake, SCRIPT, World};
use crate::logfile::disk::RETRY_FAILED_SYNC;

/// Returns how many states were examined, and the bad ones.
fn every_failed_sync(is_tried_again: bool, ways: u64) -> (u64, Vec<String>) {
    RETRY_FAILED_SYNC.set(is_tried_again);
    let mut whole = World::new(Mistake::Nothing);
    let begun = whole.disk.operations();
    whole.run(SCRIPT).expect("nothing stops it");
    let (mut states, mut bad) = (0, Vec::new());
    for at in whole.disk.syncs().into_iter().filter_map(|at| at.checked_sub(begun)) {
        for way in 0..ways {
            let mut world = World::new(Mistake::Nothing);
            world.disk.fail_sync_after(begun + at);
            // Half of the runs are stopped some time later.
            let mut dice = fastrand::Rng::with_seed(at * 1_000_003 + way);
            if way % 2 == 1 {
                world.disk.stop_after(at + dice.u64(40..160));
            }
            let has_ended = world.run(SCRIPT).is_some();
            assert!(world.disk.has_failed_as_planned(), "the sync {at} did not fail");
            states += 1;
            if has_ended {
                world.disk.stop_after(u64::MAX);
                world.disk.relent();
                world.held_back.clear();
                world.run(&[]).expect("nothing stops it");
                world.disk.evict();
            } else {
                finish(&mut world, at, 2 + way % 2);
            }
            let faults = world.all_faults();
            if !faults.is_empty() {
                bad.push(format!("failed at {at}, way {way}: {}", faults.join("; ")));
            }
        }
    }
    RETRY_FAILED_SYNC.set(false);
    (states, bad)
}

#[test]
fn a_failed_sync_of_any_topics_file_loses_and_repeats_no_record() {
    let ways = if std::env::var_os("PANDAD_TEST_ALL").is_some() { 60 } else { 2 };
    let (states, bad) = every_failed_sync(false, ways);
    println!("{states} states of topics' files after a failed sync, {} bad", bad.len());
    assert!(states > 200, "{states} are not every sync");
    assert!(bad.is_empty(), "{} of {states}:\n{}", bad.len(), bad[..bad.len().min(8)].join("\n"));
}

#[test]
fn trying_a_failed_sync_of_a_topics_file_again_is_detected() {
    let (states, bad) = every_failed_sync(true, 2);
    println!("a sync tried again: {} of {states} states are bad", bad.len());
    assert!(bad.len() > 10, "only {} of {states} are bad", bad.len());
}
