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

/// Each rule that is broken on purpose, and the seed that finds it.
const FOUND_BY: [(Mutant, u64); 13] = [
    (Mutant::StageWithoutPrecondition, 8),
    (Mutant::ExecutionWithoutPrecondition, 8),
    (Mutant::GenerationKept, 0),
    (Mutant::LockReleasedEarly, 0),
    (Mutant::CandidatesReversed, 5),
    (Mutant::OutboxEmpty, 1),
    (Mutant::StartForgotten, 0),
    (Mutant::WaitingKept, 0),
    (Mutant::OpenForgotten, 0),
    (Mutant::SlotKept, 0),
    (Mutant::StartMarkerForgotten, 0),
    (Mutant::RunWithoutPrecondition, 45),
    (Mutant::JobWithoutPrecondition, 47),
];

#[test]
fn every_rule_that_is_broken_on_purpose_is_found() {
    for (mutant, seed) in FOUND_BY {
        let options = Options { mutant: Some(mutant), ..Options::default() };
        let broken = simulate(seed, &options, false).unwrap().broken;
        println!("{mutant}: {}", broken.as_deref().unwrap_or("unseen"));
        assert!(broken.is_some(), "nobody notices {mutant}");
    }
}
