//! The simulator: the seeds that every run tells, and every broken rule.

use sim::{Dial, Mutant, Options, Release, count_release, shrink, simulate};

/// Seeds that found a mistake each, without metrics, which were not simulated then; and how many of the first are simulated
/// beside them, with everything.
const FOUND_MISTAKES: [u64; 25] = [
    25,
    40,
    158,
    227,
    369,
    373_151_457_427,
    643_969_897_951,
    670_774_979_737,
    976_323_363_314,
    5035,
    757_174_424_486,
    85_439_363_547,
    966_637_612_212,
    5_000_119,
    5_000_481,
    5_000_505,
    5_000_891,
    70_002_270,
    70_004_316,
    70_008_353,
    70_008_546,
    70_008_953,
    71_000_404,
    71_000_618,
    91_000_154,
];
const FIRST: u64 = 36;
/// One in which a metric begins a rollback.
const JUDGED: u64 = 58;
/// Those that found one in a short story.
const FOUND_IN_SHORT: [u64; 4] = [30_013_124, 30_016_152, 30_016_590, 81_019_405];
/// What people do in one.
const SHORT: u32 = 5;

#[test]
fn whatever_fails_everything_comes_to_a_good_end() {
    let (mut executions, mut rollbacks, mut judged, mut faults, mut pages, mut builds) = (0, 0, 0, 0, 0, 0);
    let everything = Options::default();
    let dials = everything.dials.iter().copied().filter(|dial| *dial != Dial::Metrics).collect();
    let before = Options { dials, ..everything.clone() };
    let short = Options { interventions: SHORT, ..before.clone() };
    let found = FOUND_MISTAKES.map(|seed| (seed, &before)).into_iter().chain(FOUND_IN_SHORT.map(|seed| (seed, &short)));
    let seeds: Vec<(u64, &Options)> = found.chain((0..FIRST).chain([JUDGED]).map(|seed| (seed, &everything))).collect();
    for (seed, options) in &seeds {
        let (seed, outcome) = (*seed, simulate(*seed, options, false).unwrap());
        if let Some(broken) = outcome.broken {
            let small = shrink(seed, options).unwrap();
            let (story, command) = (small.outcome.story.join("\n"), small.command(seed));
            panic!("{story}\n\nseed {seed}: {broken}\nsmaller: {:?}\nTell it again: {command}", small.outcome.broken);
        }
        executions += outcome.executions;
        rollbacks += outcome.rollbacks;
        judged += outcome.judged;
        faults += outcome.faults;
        pages += outcome.pages;
        builds += outcome.builds;
    }
    println!(
        "{} seeds: {executions} executions, {rollbacks} rollbacks ({judged} by a metric), {builds} builds, {faults} \
         faults, {pages} pages as they had to be",
        seeds.len()
    );
    assert!(judged > 0, "nothing was rolled back for a metric");
    assert!(executions > 200 && rollbacks > 10 && faults > 1_000 && pages > 10 && builds > 5, "too little happened");
}

/// Seeds to try until one of them finds a rule that is broken on purpose. (A change of the system changes what happens
/// in a seed, so which one finds it is printed.)
const TRIED: u64 = 300;

#[test]
fn every_rule_that_is_broken_on_purpose_is_found() {
    for mutant in Mutant::ALL {
        let options = Options { mutant: Some(mutant), ..Options::default() };
        let broken = |seed| simulate(seed, &options, false).unwrap().broken.map(|broken| (seed, broken));
        let found = (0..TRIED).find_map(broken);
        let (seed, broken) = found.unwrap_or_else(|| panic!("nobody notices {mutant}"));
        println!("{mutant}: seed {seed}: {broken}");
    }
}

/// What a release took when somebody last looked.
const COUNTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/release.json");

#[expect(clippy::disallowed_methods, reason = "asks whoever runs the test, not the product's configuration")]
fn wants_update() -> bool {
    std::env::var("UPDATE").is_ok_and(|value| value == "1")
}

#[test]
fn a_release_takes_what_it_took_before() {
    let counted = count_release().unwrap();
    assert_eq!(counted, count_release().unwrap(), "the same code has to count the same");
    if wants_update() {
        std::fs::write(COUNTED, serde_json::to_string_pretty(&counted).unwrap() + "\n").unwrap();
    }
    let before: Release = serde_json::from_str(&std::fs::read_to_string(COUNTED).unwrap()).unwrap();
    assert_eq!(
        counted, before,
        "a release takes more or less of what AWS bills than infra/release.json says. Look at `cargo xtask bench cost`; \
         if this is meant, run UPDATE=1 cargo test -p tests --test sim a_release and say why in the commit"
    );
}
