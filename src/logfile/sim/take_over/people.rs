//! What people do to old journals after the take-over.

use super::crash::{Examined, crash_everywhere, make, setups};
use super::{Mistake, SCRIPT, Setup, World};
use crate::logfile::sim::disk::RunEnd;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// The journals are put back as they were before the take-over.
    PutBack,
    /// The journals are removed, and an older pandad goes on with the files.
    GoOnWithout,
}

impl World {
    /// The take-over, some writes, and the act.
    fn after(setup: Setup, act: Act) -> Self {
        let mut world = Self::new(setup);
        let mut dice = fastrand::Rng::with_seed(setup.variant + 100);
        let run = world.run_for(SCRIPT).unwrap();
        match act {
            Act::PutBack => {
                // It would take the older copy for the newest state.
                world.may_go_back = false;
                drop(run);
                world.end(setup.variant % 4, &mut dice);
                for (topic, copy) in world.old_journals.clone().into_iter().enumerate() {
                    world.disk.damage(&super::journal_of(topic), |journal| journal.clone_from(&copy));
                }
            }
            Act::GoOnWithout => {
                let mut run = run;
                world.step(&mut run, super::Step::Settle).unwrap();
                world.step(&mut run, super::Step::Settle).unwrap();
                assert!(run.ledger.group_holds_all());
                if setup.variant.is_multiple_of(2) {
                    run.ledger.close().unwrap();
                }
                world.disk.end(RunEnd::Kill, &mut dice);
                world.go_on_without(&mut dice);
            }
        }
        world.has_appended = Default::default();
        world
    }
}

fn every_crash_after(act: Act, variants: u64, ways: u64, mistake: Mistake) -> Examined {
    let mut examined = Examined::default();
    for setup in setups(variants) {
        let world = World::after(setup, act);
        make(mistake);
        crash_everywhere(&world, &format!("{act:?}, {setup:?}"), ways, &mut examined);
        make(Mistake::Nothing);
    }
    examined
}

#[test]
fn journals_that_were_put_back_or_begun_anew_lose_and_repeat_no_record() {
    let (variants, ways) = if std::env::var_os("PANDAD_TEST_ALL").is_some() { (24, 24) } else { (3, 4) };
    for act in [Act::PutBack, Act::GoOnWithout] {
        let Examined { states, bad, .. } = every_crash_after(act, variants, ways, Mistake::Nothing);
        println!("{act:?}: {states} states after a crash, {} bad", bad.len());
        assert!(states > 2000, "{states} are not every crash point");
        assert!(bad.is_empty(), "{} of {states}:\n{}", bad.len(), bad[..bad.len().min(8)].join("\n"));
    }
}

#[test]
fn a_file_that_went_on_with_another_journal_must_be_left_to_it() {
    let Examined { states, bad, .. } = every_crash_after(Act::GoOnWithout, 4, 1, Mistake::LaterNotLeft);
    println!("the file is brought to what the set's journal says: {} of {states} states are bad", bad.len());
    assert!(bad.len() > 10, "only {} of {states} are bad", bad.len());
}
