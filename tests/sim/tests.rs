//! The simulator: the seeds that every run tells, and every broken rule.

use sim::{Mutant, Options, shrink, simulate};

/// Seeds that every run simulates. Some of the first found a mistake each.
const FIXED: [u64; 40] = [
    25, 158, 227, 369, 0, 12, 14, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 26,
    27, 28, 29, 30, 31, 32, 33, 34, 35, 36,
];

#[test]
fn whatever_fails_everything_comes_to_a_good_end() {
    let (mut executions, mut rollbacks, mut faults) = (0, 0, 0);
    for seed in FIXED {
        let outcome = simulate(seed, &Options::default(), false).unwrap();
        if let Some(broken) = outcome.broken {
            let small = shrink(seed, &Options::default()).unwrap();
            let (story, command) = (small.outcome.story.join("\n"), small.command(seed));
            panic!("{story}\n\nseed {seed}: {broken}\nsmaller: {:?}\nTell it again: {command}", small.outcome.broken);
        }
        executions += outcome.executions;
        rollbacks += outcome.rollbacks;
        faults += outcome.faults;
    }
    println!("{} seeds: {executions} executions, {rollbacks} rollbacks, {faults} faults", FIXED.len());
    assert!(executions > 200 && rollbacks > 10 && faults > 1_000, "too little happened");
}

/// Rules that are broken on purpose, of which each is found by one of the first seeds. (A change of the system changes
/// what happens in a seed, so which one finds it is printed.)
const FOUND: [Mutant; 12] = [
    Mutant::StageWithoutPrecondition,
    Mutant::ExecutionWithoutPrecondition,
    Mutant::GenerationKept,
    Mutant::LockReleasedEarly,
    Mutant::CandidatesReversed,
    Mutant::OutboxEmpty,
    Mutant::StartForgotten,
    Mutant::WaitingKept,
    Mutant::OpenForgotten,
    Mutant::SlotKept,
    Mutant::StartMarkerForgotten,
    Mutant::OneTokenKept,
];
/// Seeds to try.
const TRIED: u64 = 100;

#[test]
fn every_rule_that_is_broken_on_purpose_is_found() {
    for mutant in FOUND {
        let options = Options { mutant: Some(mutant), ..Options::default() };
        let broken = |seed| simulate(seed, &options, false).unwrap().broken.map(|broken| (seed, broken));
        let found = (0..TRIED).find_map(broken);
        let (seed, broken) = found.unwrap_or_else(|| panic!("nobody notices {mutant}"));
        println!("{mutant}: seed {seed}: {broken}");
    }
}
