//! The simulator: fixed seeds and fresh ones, and every broken rule.

use sim::{Mutant, Options, shrink, simulate};

/// Seeds that every run simulates.
const FIXED: std::ops::Range<u64> = 0..60;

#[test]
fn whatever_fails_everything_comes_to_a_good_end() {
    let mut met = (0, 0, 0, 0);
    for seed in FIXED {
        let outcome = simulate(seed, &Options::default(), false).unwrap();
        if let Some(broken) = outcome.broken {
            let small = shrink(seed, &Options::default()).unwrap();
            let (story, command) = (small.outcome.story.join("\n"), small.command(seed));
            panic!("seed {seed}: {broken}\n{story}\n{:?}\nTell it again: {command}", small.outcome.broken);
        }
        met = (
            met.0 + outcome.executions,
            met.1 + outcome.rollbacks,
            met.2 + outcome.faults,
            met.3 + u64::from(outcome.steps),
        );
    }
    println!("{} executions, {} rollbacks, {} faults, {} steps", met.0, met.1, met.2, met.3);
    assert!(met.0 > 100 && met.1 > 10 && met.2 > 100, "too little happened: {met:?}");
}

#[test]
fn every_broken_rule_is_found() {
    let mut unseen = Vec::new();
    for mutant in Mutant::ALL {
        let options = Options { mutant: Some(mutant), ..Options::default() };
        let found = (0..200).find(|seed| simulate(*seed, &options, false).unwrap().broken.is_some());
        match found {
            Some(seed) => println!("{mutant}: seed {seed}"),
            None => unseen.push(mutant),
        }
    }
    assert!(unseen.is_empty(), "nobody notices {unseen:?}");
}
