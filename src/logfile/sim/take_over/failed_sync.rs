//! Failed syncs: in each run with a take-over one sync fails, and the bytes that it should have made durable
//! are lost. Then the same process opens the files again, or another one does so after a loss of power.

use super::crash::{Examined, setups};
use super::{SCRIPT, World};
use crate::logfile::disk::RETRY_FAILED_SYNC;
use crate::logfile::sim::disk::RunEnd;

fn every_failed_sync(is_tried_again: bool, variants: u64, ways: u64) -> Examined {
    let mut examined = Examined::default();
    for setup in setups(variants) {
        let begun = World::new(setup);
        let mut whole = begun.copy();
        whole.run(SCRIPT).expect("nothing fails");
        let before = begun.disk.operations();
        RETRY_FAILED_SYNC.set(is_tried_again);
        for at in 0..whole.disk.operations() - before {
            for way in 0..ways {
                let mut world = begun.copy();
                let mut dice = fastrand::Rng::with_seed(at * 1_000_003 + way);
                world.disk.fail_sync_after(before + at);
                // A run that does not end itself is stopped some time later.
                world.disk.stop_after(at + dice.u64(1..60));
                let ended = world.run(SCRIPT).is_some();
                if !world.disk.has_failed() {
                    // The operation was not the sync of a file, or the file had nothing to be written back.
                    break;
                }
                examined.states += 1;
                let faults = finish(&mut world, ended, &mut dice, way);
                if !faults.is_empty() {
                    examined.bad.push(format!("{setup:?}, failed at {at}, way {way}: {}", faults.join("; ")));
                }
            }
        }
        RETRY_FAILED_SYNC.set(false);
    }
    examined
}

/// In even ways, the same process tries again, in odd ways, the power fails first. Either way the power may
/// fail once more, some time later.
fn finish(world: &mut World, has_ended: bool, dice: &mut fastrand::Rng, way: u64) -> Vec<String> {
    if way % 2 == 1 {
        world.end(2, dice);
    } else {
        world.disk.end(RunEnd::Kill, dice);
        world.sync_failed = !has_ended;
        if way.is_multiple_of(4) {
            world.disk.evict();
        }
        world.disk.stop_after(dice.u64(0..120));
        if world.run(SCRIPT).is_none() {
            world.end(2, dice);
        }
        world.disk.stop_after(u64::MAX);
    }
    let mut faults = world.opened_by_older();
    if world.run(&[]).is_none() {
        faults.push("the last run did not end".to_owned());
    }
    // What was believed must stand on the disk, not only in pages that the kernel takes for clean.
    world.disk.evict();
    faults.extend(world.faults());
    faults.truncate(4);
    faults
}

#[test]
fn a_failed_sync_of_a_take_over_loses_and_repeats_no_record() {
    let (variants, ways) = if std::env::var_os("PANDAD_TEST_ALL").is_some() { (24, 24) } else { (3, 6) };
    let Examined { states, bad, .. } = every_failed_sync(false, variants, ways);
    println!("{states} states of a take-over after a failed sync, {} bad", bad.len());
    assert!(states > 500, "{states} are not every sync");
    assert!(bad.is_empty(), "{} of {states}:\n{}", bad.len(), bad[..bad.len().min(8)].join("\n"));
}

#[test]
fn trying_a_failed_sync_of_a_take_over_again_is_detected() {
    let Examined { states, bad, .. } = every_failed_sync(true, 2, 3);
    println!("a sync tried again: {} of {states} states are bad", bad.len());
    assert!(bad.len() > 1, "only {} of {states} are bad", bad.len());
}
