//! A damaged journal right after a take-over: one byte of it is flipped. Nothing else says what was taken
//! over.

use super::crash::{Examined, make, setups};
use super::{BASE, Mistake, World};
use crate::logfile::sim::disk::RunEnd;

const HEADER_BYTES: usize = 128;

/// Flips every `stride`-th byte of what the take-over has written.
fn every_flip(mistake: Mistake, variants: u64, stride: usize) -> Examined {
    let mut examined = Examined::default();
    let journal = format!("{BASE}.journal");
    for setup in setups(variants) {
        make(mistake);
        let mut taken = World::new(setup);
        drop(taken.run_for(&[]).unwrap());
        make(Mistake::Nothing);
        taken.disk.end(RunEnd::Kill, &mut fastrand::Rng::with_seed(0));
        let length = taken.disk.contents(&journal)[0].1.len();
        for at in (HEADER_BYTES..length).step_by(stride) {
            for other_boot in [false, true] {
                examined.states += 1;
                let mut world = taken.copy();
                world.disk.damage(&journal, |bytes| bytes[at] ^= 0x10);
                world.boot += u128::from(other_boot);
                let ended = world.run(&[]).is_some();
                let faults = world.faults();
                if !ended || !faults.is_empty() {
                    examined.bad.push(format!("{setup:?}, byte {at}, {other_boot}: {}", faults.join("; ")));
                }
            }
        }
    }
    examined
}

#[test]
fn a_damaged_byte_takes_nothing_away_that_was_taken_over() {
    let (variants, stride) = if std::env::var_os("PANDAD_TEST_ALL").is_some() { (12, 3) } else { (3, 61) };
    let Examined { states, bad, .. } = every_flip(Mistake::Nothing, variants, stride);
    println!("{states} states after a flipped byte, {} bad", bad.len());
    assert!(states > 1000, "{states} are not every byte");
    assert!(bad.is_empty(), "{} of {states}:\n{}", bad.len(), bad[..bad.len().min(8)].join("\n"));
}

#[test]
fn a_take_over_that_stands_only_once_in_the_journal_is_detected() {
    let Examined { states, bad, .. } = every_flip(Mistake::TakenOnce, 3, 29);
    println!("taken over by one entry: {} of {states} states are bad", bad.len());
    assert!(bad.len() > 1, "only {} of {states} are bad", bad.len());
}
