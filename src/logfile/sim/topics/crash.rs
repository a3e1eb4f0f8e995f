//! Runs that are stopped after each of their operations.

use super::{Mistake, Refused, SCRIPT, Step, TOPICS, World, directory};
use crate::logfile::file_set::{KEPT_FORGOTTEN, UNEXAMINED_FORGOTTEN};
use crate::logfile::journal::BEGUN_WITHOUT_SYNC;
use crate::logfile::written_files::HELD_NOT_WRITTEN;

/// A prime number, so that multiples of it come to every crash point.
const STRIDE: u64 = 10_007;

/// Sets or ends a mistake of pandad's own code.
fn make(mistake: Mistake) {
    BEGUN_WITHOUT_SYNC.set(mistake == Mistake::BegunWithoutSync);
    HELD_NOT_WRITTEN.set(mistake == Mistake::HeldNotWritten);
    KEPT_FORGOTTEN.set(mistake == Mistake::KeptForgotten);
    UNEXAMINED_FORGOTTEN.set(mistake == Mistake::UnexaminedForgotten);
}

/// Stops the scripted run after each operation, in several ways, then lets other runs finish, or stops these,
/// too. Returns how many states were examined, and the bad ones, of which `enough` may do.
fn every_crash_point(mistake: Mistake, ways: u64, enough: usize) -> (u64, Vec<String>) {
    make(mistake);
    let mut whole = World::new(mistake);
    let begun = whole.disk.operations();
    whole.run(SCRIPT);
    let points = whole.disk.operations() - begun;
    let (mut states, mut bad) = (0, Vec::new());
    // Neighbouring points are not examined one after the other.
    for at in (0..points).map(|number| number * STRIDE % points) {
        let mut stopped = World::new(mistake);
        stopped.disk.stop_after(at);
        assert!(stopped.run(SCRIPT).is_none(), "not stopped after {at}");
        for way in 0..ways {
            states += 1;
            let mut world = stopped.copy();
            finish(&mut world, at, way);
            let faults = world.all_faults();
            if !faults.is_empty() {
                bad.push(format!("stopped after {at}, way {way}: {}", faults.join("; ")));
            }
        }
        if bad.len() >= enough {
            break;
        }
    }
    make(Mistake::Nothing);
    (states, bad)
}

/// Up to three runs in which a file may be in trouble, of which one is stopped in odd ways, and the power may
/// be lost between these. Then a run with nothing in its way.
pub(super) fn finish(world: &mut World, at: u64, way: u64) {
    world.dice = fastrand::Rng::with_seed(at * 1_000_003 + way);
    world.end(way % 4);
    for round in 0..world.dice.u64(0..4) {
        world.trouble();
        if way % 2 == 1 && round == 0 {
            world.disk.stop_after(world.dice.clone().u64(0..60));
        }
        let script = &SCRIPT[world.dice.usize(0..SCRIPT.len())..];
        let script = &script[..world.dice.usize(0..=script.len().min(12))];
        let has_ended = world.run(script).is_some();
        world.disk.stop_after(u64::MAX);
        if !has_ended || world.dice.bool() {
            let second = world.dice.u64(0..4);
            world.end(second);
        }
    }
    world.disk.relent();
    world.held_back.clear();
    if world.run(&[]).is_none() {
        world.faults.push("the last run did not end".to_owned());
    }
}

impl World {
    /// A file gets into trouble, or none is any more, or all stays as it is.
    fn trouble(&mut self) {
        let topic = self.dice.usize(0..TOPICS.len());
        let room = self.dice.usize(0..80);
        let refused = [Refused::Open, Refused::Sync, Refused::Append(room)][self.dice.usize(0..3)];
        match self.dice.u8(0..8) {
            0 => {}
            1 => self.disk.relent(),
            2..=4 => {
                self.disk.relent();
                self.held_back.insert(topic);
            }
            _ => self.disk.refuse(&directory(topic), refused),
        }
    }
}

fn examines_all() -> bool {
    std::env::var_os("PANDAD_TEST_ALL").is_some()
}

#[test]
fn without_a_crash_each_record_is_in_its_topics_files_once() {
    let mut whole = World::new(Mistake::Nothing);
    whole.run(SCRIPT).expect("nothing stops it");
    whole.run(&[]).expect("nothing stops it");
    assert_eq!(whole.all_faults(), Vec::<String>::new());
}

#[test]
fn after_any_crash_each_record_is_in_its_topics_files_once() {
    let ways = if examines_all() { 60 } else { 2 };
    let (states, bad) = every_crash_point(Mistake::Nothing, ways, usize::MAX);
    println!("{states} states of topics' files after a crash, {} bad", bad.len());
    assert!(states > 1300, "{states} are not every crash point");
    assert!(bad.is_empty(), "{} of {states}:\n{}", bad.len(), bad[..bad.len().min(8)].join("\n"));
}

#[test]
fn deliberate_mistakes_with_topics_files_are_detected() {
    use Mistake::{
        BegunWithoutSync, CommitBeforeSync, HeldNotWritten, KeptForgotten, NamesNotSynced,
        UnexaminedForgotten,
    };
    for mistake in [
        CommitBeforeSync,
        NamesNotSynced,
        BegunWithoutSync,
        HeldNotWritten,
        KeptForgotten,
        UnexaminedForgotten,
    ] {
        let (ways, enough) = if examines_all() { (6, usize::MAX) } else { (4, 4) };
        let (states, bad) = every_crash_point(mistake, ways, enough);
        println!("{mistake:?}: {} of {states} states are bad", bad.len());
        assert!(bad.len() > 1, "{mistake:?}: only {} of {states} are bad", bad.len());
    }
}

/// A start that was killed may have created the journal, and not have come to make its name durable.
#[test]
fn the_name_of_a_journal_is_durable_before_any_line() {
    let mut bad = Vec::new();
    for (at, seed) in (0..40).flat_map(|at| (0..12).map(move |seed| (at, seed))) {
        let mut world = World::new(Mistake::Nothing);
        world.dice = fastrand::Rng::with_seed(seed);
        world.disk.stop_after(at);
        world.run(SCRIPT);
        world.end(0);
        world.run(&[Step::Both(2), Step::Append(2, 2), Step::PowerLoss(None)]).expect("nothing stops it");
        let faults = world.all_faults();
        if !faults.is_empty() {
            bad.push(format!("stopped after {at}, seed {seed}: {}", faults.join("; ")));
        }
    }
    assert!(bad.is_empty(), "{}:\n{}", bad.len(), bad[..bad.len().min(8)].join("\n"));
}
