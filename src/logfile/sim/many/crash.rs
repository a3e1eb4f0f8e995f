//! Runs that are stopped after each of their operations.

use super::{Gzip, Mistake, SCRIPT, World};
use crate::logfile::archive::COMPRESSED_WITHOUT_SYNC;
use crate::logfile::file_set::{
    MOVED_WITHOUT_SYNC, ONE_PART_IS_ENOUGH, PART_WITHOUT_SYNC, PARTS_STAY, UNLINKED_BEFORE_LINK,
};
use crate::logfile::journal::BEGUN_WITHOUT_SYNC;
use crate::logfile::ledger::CLOSED_WITHOUT_SYNC;

/// Shares no divisor with any number of points up to it.
const STRIDE: u64 = 10_007;

/// Sets or ends a mistake of pandad's own code.
fn make(mistake: Mistake) {
    ONE_PART_IS_ENOUGH.set(mistake == Mistake::OnePartIsEnough);
    PARTS_STAY.set(mistake == Mistake::PartsStay);
    CLOSED_WITHOUT_SYNC.set(mistake == Mistake::ClosedWithoutSync);
    MOVED_WITHOUT_SYNC.set(mistake == Mistake::MovedWithoutSync);
    BEGUN_WITHOUT_SYNC.set(mistake == Mistake::BegunWithoutSync);
    COMPRESSED_WITHOUT_SYNC.set(mistake == Mistake::CompressedWithoutSync);
    UNLINKED_BEFORE_LINK.set(mistake == Mistake::UnlinkedBeforeLink);
    PART_WITHOUT_SYNC.set(mistake == Mistake::PartWithoutSync);
}

/// Stops the scripted run after each operation, in several ways, then lets a second run finish, or stops
/// that run, too. Ends when `enough` bad states were found. Returns how many were examined, and the bad ones.
fn every_crash_point(mistake: Mistake, gzip: Gzip, ways: u64, enough: usize) -> (u64, Vec<String>) {
    make(mistake);
    let begin = || World::new(mistake).compressing(gzip);
    let mut whole = begin();
    whole.run(SCRIPT).expect("nothing stops it");
    assert_eq!(whole.faults(), Vec::<String>::new(), "without a crash");
    let (mut states, mut bad) = (0, Vec::new());
    let points = whole.disk.operations() - begin().disk.operations();
    // Bad states lie close together, so the points are not taken in their order.
    for at in (0..points).map(|point| point * STRIDE % points) {
        if bad.len() >= enough {
            break;
        }
        let mut stopped = begin();
        stopped.disk.stop_after(at);
        assert!(stopped.run(SCRIPT).is_none(), "not stopped after {at}");
        for way in 0..ways {
            states += 1;
            if let Some(fault) = finish(&mut stopped.copy(), at, way) {
                bad.push(format!("stopped after {at}, way {way}: {fault}"));
            }
        }
    }
    make(Mistake::Nothing);
    (states, bad)
}

/// Odd ways are stopped once more.
fn finish(world: &mut World, at: u64, way: u64) -> Option<String> {
    let mut dice = fastrand::Rng::with_seed(at * 1_000_003 + way);
    world.end(way, &mut dice);
    if way % 2 == 1 {
        world.disk.stop_after(dice.u64(0..60));
        let script = &SCRIPT[dice.usize(0..SCRIPT.len())..];
        if world.run(script).is_none() {
            let second = dice.u64(0..4);
            world.end(second, &mut dice);
        }
        world.disk.stop_after(u64::MAX);
    }
    if world.run(&[]).is_none() {
        return Some("the last run did not end".to_owned());
    }
    let faults = world.faults();
    (!faults.is_empty()).then(|| faults.join("; "))
}

#[test]
fn after_any_crash_each_record_is_in_its_file_once() {
    each_is_in_its_file_once(Gzip::Never);
}

#[test]
fn after_any_crash_each_record_is_in_its_compressed_file_once() {
    each_is_in_its_file_once(Gzip::Always);
}

#[test]
fn whether_files_are_compressed_may_change_between_two_runs() {
    each_is_in_its_file_once(Gzip::Changing);
}

fn examines_all() -> bool {
    std::env::var_os("PANDAD_TEST_ALL").is_some()
}

fn each_is_in_its_file_once(gzip: Gzip) {
    // The short form of what compression adds looks at half as many.
    let few = if gzip == Gzip::Never { 4 } else { 2 };
    let ways = if examines_all() { 200 } else { few };
    let (states, bad) = every_crash_point(Mistake::Nothing, gzip, ways, usize::MAX);
    println!("{states} states of several files after a crash, compressed {gzip:?}, {} bad", bad.len());
    assert!(states > 500 * ways, "{states} are not every crash point");
    assert!(bad.is_empty(), "{} of {states}:\n{}", bad.len(), bad[..bad.len().min(8)].join("\n"));
}

#[test]
fn deliberate_mistakes_with_several_files_are_detected() {
    use Mistake::{
        BegunWithoutSync, ClosedWithoutSync, CommitBeforeSync, MovedWithoutSync, NamesNotSynced,
        OnePartIsEnough, PartsStay,
    };
    for mistake in [
        CommitBeforeSync,
        NamesNotSynced,
        OnePartIsEnough,
        ClosedWithoutSync,
        BegunWithoutSync,
        MovedWithoutSync,
        PartsStay,
    ] {
        is_detected(mistake, Gzip::Never);
    }
}

#[test]
fn deliberate_mistakes_with_compressed_files_are_detected() {
    use Mistake::{CompressedWithoutSync, PartWithoutSync, UnlinkedBeforeLink};
    for mistake in [CompressedWithoutSync, PartWithoutSync, UnlinkedBeforeLink] {
        is_detected(mistake, Gzip::Always);
    }
}

fn is_detected(mistake: Mistake, gzip: Gzip) {
    let enough = if examines_all() { usize::MAX } else { 2 };
    let (states, bad) = every_crash_point(mistake, gzip, 4, enough);
    println!("{mistake:?}, compressed {gzip:?}: {} of {states} states are bad", bad.len());
    assert!(bad.len() > 1, "{mistake:?}: only {} of {states} are bad", bad.len());
}
