//! Runs that are stopped after each of their operations.

use super::{Mistake, SCRIPT, Setup, World};
use crate::logfile::file_set::mistakes::{
    LATER_NOT_LEFT, NOT_OVERWRITTEN, OVERWRITTEN_FIRST, WITHOUT_POSITIONS,
};
use crate::logfile::journal::{IN_FORCE_FIRST, OVERWRITTEN_WITHOUT_SYNC};
use crate::logfile::ledger::{TAKEN_ONCE, TAKEN_WITHOUT_SYNC};

/// Sets or ends a mistake of pandad's own code.
pub(super) fn make(mistake: Mistake) {
    NOT_OVERWRITTEN.set(mistake == Mistake::NotOverwritten);
    OVERWRITTEN_FIRST.set(mistake == Mistake::OverwrittenFirst);
    TAKEN_WITHOUT_SYNC.set(mistake == Mistake::TakenWithoutSync);
    OVERWRITTEN_WITHOUT_SYNC.set(mistake == Mistake::OverwrittenWithoutSync);
    IN_FORCE_FIRST.set(mistake == Mistake::InForceFirst);
    LATER_NOT_LEFT.set(mistake == Mistake::LaterNotLeft);
    TAKEN_ONCE.set(mistake == Mistake::TakenOnce);
    WITHOUT_POSITIONS.set(mistake == Mistake::WithoutPositions);
}

/// What was examined.
#[derive(Debug, Default)]
pub(super) struct Examined {
    pub(super) states: u64,
    /// How often an older pandad went on with an old journal between two runs.
    pub(super) older_runs: u64,
    pub(super) bad: Vec<String>,
}

/// Stops the run of the new pandad that follows after each operation, in several ways, then lets another run
/// finish, or stops that run, too.
pub(super) fn crash_everywhere(begun: &World, name: &str, ways: u64, examined: &mut Examined) {
    let mut whole = begun.copy();
    let before = whole.disk.operations();
    examined.states += 1;
    if whole.run(SCRIPT).is_none() || !whole.faults().is_empty() {
        examined.bad.push(format!("{name}: without a crash: {}", whole.faults().join("; ")));
    }
    for at in 0..whole.disk.operations() - before {
        let mut stopped = begun.copy();
        stopped.disk.stop_after(at);
        assert!(stopped.run(SCRIPT).is_none(), "not stopped after {at}");
        for way in 0..ways {
            examined.states += 1;
            let mut world = stopped.copy();
            if let Some(fault) = finish(&mut world, at, way) {
                examined.bad.push(format!("{name}, stopped after {at}, way {way}: {fault}"));
            }
            examined.older_runs += u64::from(world.older_runs - begun.older_runs);
        }
    }
}

fn every_crash_point(setups: &[Setup], mistake: Mistake, ways: u64) -> Examined {
    make(mistake);
    let mut examined = Examined::default();
    for setup in setups {
        crash_everywhere(&World::new(*setup), &format!("{setup:?}"), ways, &mut examined);
    }
    make(Mistake::Nothing);
    examined
}

/// Odd ways are stopped once more. In every third way, an older pandad is started in between.
fn finish(world: &mut World, at: u64, way: u64) -> Option<String> {
    let mut dice = fastrand::Rng::with_seed(at * 1_000_003 + way);
    world.end(dice.u64(0..4), &mut dice);
    let mut faults = world.opened_by_older();
    if way % 3 == 2 && world.may_go_back {
        world.go_back(&mut dice);
    }
    if way % 2 == 1 {
        world.disk.stop_after(dice.u64(0..60));
        let script = &SCRIPT[dice.usize(0..SCRIPT.len())..];
        if world.run(script).is_none() {
            let second = dice.u64(0..4);
            world.end(second, &mut dice);
            faults.extend(world.opened_by_older());
        }
        world.disk.stop_after(u64::MAX);
    }
    if world.run(&[]).is_none() {
        return Some("the last run did not end".to_owned());
    }
    faults.extend(world.faults());
    (!faults.is_empty()).then(|| faults[..faults.len().min(4)].join("; "))
}

/// Old journals of each format, of one to three topics.
pub(super) fn setups(variants: u64) -> Vec<Setup> {
    let all = (0..variants).flat_map(|variant| {
        let of =
            move |version| Setup { old: 1 + (variant as usize + version as usize) % 3, version, variant };
        [1, 2, 3].map(of)
    });
    all.collect()
}

#[test]
fn after_any_crash_of_a_take_over_each_record_is_in_its_file_once() {
    let (variants, ways) = if std::env::var_os("PANDAD_TEST_ALL").is_some() { (24, 24) } else { (3, 6) };
    let Examined { states, older_runs, bad } = every_crash_point(&setups(variants), Mistake::Nothing, ways);
    println!("{states} states after a crash, {older_runs} runs of an older pandad, {} bad", bad.len());
    assert!(states > 4000 && older_runs > 200, "{states} and {older_runs} are not every crash point");
    assert!(bad.is_empty(), "{} of {states}:\n{}", bad.len(), bad[..bad.len().min(8)].join("\n"));
}

#[test]
fn deliberate_mistakes_of_a_take_over_are_detected() {
    use Mistake::{
        LaterNotLeft, NotOverwritten, OverwrittenFirst, OverwrittenWithoutSync, TakenWithoutSync,
        WithoutPositions,
    };
    for mistake in [
        NotOverwritten,
        OverwrittenFirst,
        TakenWithoutSync,
        OverwrittenWithoutSync,
        LaterNotLeft,
        WithoutPositions,
    ] {
        let Examined { states, bad, .. } = every_crash_point(&setups(2), mistake, 3);
        println!("{mistake:?}: {} of {states} states are bad", bad.len());
        assert!(bad.len() > 1, "{mistake:?}: only {} of {states} are bad", bad.len());
    }
}

/// Lets the power fail after each operation, in many ways. Returns how many states were examined, and those
/// in which an older pandad would open a journal that is not as it was, or would put it aside.
fn every_torn_end(mistake: Mistake, ways: u64) -> (u64, Vec<String>) {
    make(mistake);
    let (mut states, mut bad) = (0, Vec::new());
    for setup in setups(3) {
        let begun = World::new(setup);
        let mut whole = begun.copy();
        whole.run(&[]).expect("nothing stops it");
        for at in 0..whole.disk.operations() - begun.disk.operations() {
            let mut stopped = begun.copy();
            stopped.disk.stop_after(at);
            let _stopped = stopped.run(&[]);
            for way in 0..ways {
                let mut world = stopped.copy();
                world.end(2, &mut fastrand::Rng::with_seed(at * 1_000_003 + way));
                states += 1;
                let faults = world.opened_by_older();
                if !faults.is_empty() {
                    bad.push(format!("{setup:?}, after {at}, way {way}: {}", faults.join("; ")));
                }
            }
        }
    }
    make(Mistake::Nothing);
    (states, bad)
}

#[test]
fn an_older_pandad_finds_a_journal_as_it_was_or_refuses_it() {
    let ways = if std::env::var_os("PANDAD_TEST_ALL").is_some() { 300 } else { 25 };
    let (states, bad) = every_torn_end(Mistake::Nothing, ways);
    println!("{states} states of old journals after a loss of power, {} bad", bad.len());
    assert!(bad.is_empty(), "{} of {states}:\n{}", bad.len(), bad[..bad.len().min(8)].join("\n"));
    let (states, bad) = every_torn_end(Mistake::InForceFirst, ways);
    println!("the half in force first: {} of {states} states are bad", bad.len());
    assert!(bad.len() > 1, "only {} of {states} are bad", bad.len());
}
