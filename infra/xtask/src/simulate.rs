//! `cargo xtask simulate`: the simulator over many seeds, or the story of one.

use std::{
    io::IsTerminal,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use anyhow::bail;
use clap::Args;
use engine::ports::{Clock as _, Entropy as _};
use jiff::SignedDuration;
use runtime::{SystemClock, SystemEntropy};
use sim::{Dial, Mutant, Outcome, shrink, simulate};

/// Of each thread that simulates.
const STACK_BYTES: usize = 64 << 20;

/// What to simulate.
#[derive(Args)]
pub(crate) struct Options {
    /// How many seeds
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Begin with a seed that nobody chose
    #[arg(long, conflicts_with = "from")]
    fresh: bool,
    /// Begin no more seeds after so many seconds
    #[arg(long)]
    seconds: Option<i64>,
    /// One seed, with its story
    #[arg(long, conflicts_with_all = ["seeds", "from", "fresh", "seconds"])]
    seed: Option<u64>,
    /// Things that people do in each simulation
    #[arg(long, default_value_t = sim::Options::default().interventions)]
    interventions: u32,
    /// A kind of trouble that does not happen; may be given several times
    #[arg(long, value_name = "DIAL")]
    without: Vec<Dial>,
    /// Only seeds that a rule, broken on purpose, makes fail
    #[arg(long)]
    mutant: Option<Mutant>,
}

/// What all simulations did.
#[derive(Default)]
struct Sum {
    seeds: u64,
    executions: usize,
    rollbacks: usize,
    judged: usize,
    pages: usize,
    builds: usize,
    requests: u64,
    faults: u64,
    steps: u64,
    /// The first seed that broke a rule.
    broken: Option<(u64, String)>,
}

/// Runs and prints.
///
/// # Errors
/// When a rule is broken.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    // A handler that panics is a finding; its backtrace would stand in the way of the story.
    std::panic::set_hook(Box::new(|_| {}));
    let chosen = sim::Options {
        dials: Dial::ALL.into_iter().filter(|dial| !options.without.contains(dial)).collect(),
        interventions: options.interventions,
        mutant: options.mutant,
    };
    match options.seed {
        Some(seed) => tell(seed, &chosen),
        None => run_many(options, &chosen),
    }
}

fn tell(seed: u64, chosen: &sim::Options) -> anyhow::Result<()> {
    let outcome = simulate(seed, chosen, true)?;
    for line in &outcome.story {
        println!("{line}");
    }
    let Outcome { executions, rollbacks, requests, faults, steps, .. } = outcome;
    println!(
        "\nseed {seed}: {executions} executions, {rollbacks} rollbacks, {requests} requests, {faults} faults, {steps} steps"
    );
    match outcome.broken {
        None => Ok(()),
        Some(broken) => bail!("seed {seed}: {broken}"),
    }
}

fn run_many(options: &Options, chosen: &sim::Options) -> anyhow::Result<()> {
    let from = if options.fresh { fresh_seed() } else { options.from };
    let (next, end) = (AtomicU64::new(from), from.saturating_add(options.seeds));
    let until = options.seconds.map(|seconds| SystemClock.now() + SignedDuration::from_secs(seconds));
    let is_over = || until.is_some_and(|until| SystemClock.now() >= until);
    let sum = Mutex::new(Sum::default());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let work = || {
            loop {
                let seed = next.fetch_add(1, Relaxed);
                if seed >= end || is_over() || sum.lock().unwrap_or_else(PoisonError::into_inner).broken.is_some() {
                    return anyhow::Ok(());
                }
                let outcome = simulate(seed, chosen, false)?;
                let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                add(&mut sum, seed, outcome);
                progress(seed + 1 - from, options.seeds);
            }
        };
        // On a small stack JSONata's evaluator takes another one for each expression.
        let spawn = |_| std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
        let threads = (0..workers).map(spawn).collect::<Result<Vec<_>, _>>()?;
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(done) => done,
            Err(_) => bail!("the simulator itself panicked"),
        })
    })?;
    let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some((seed, broken)) = &sum.broken {
        return explain(*seed, broken, chosen);
    }
    let Sum { seeds, executions, rollbacks, judged, pages, builds, requests, faults, steps, .. } = sum;
    println!(
        "{seeds} seeds from {from}, all well: {executions} executions, {rollbacks} rollbacks ({judged} by a metric), \
         {builds} builds, {requests} requests, {faults} faults, {steps} steps, {pages} pages as they had to be"
    );
    Ok(())
}

/// Small enough that the seeds after it are numbers too.
fn fresh_seed() -> u64 {
    let mut bytes = [0; 8];
    SystemEntropy.fill(&mut bytes[..5]);
    u64::from_le_bytes(bytes)
}

fn add(sum: &mut Sum, seed: u64, outcome: Outcome) {
    sum.seeds += 1;
    sum.executions += outcome.executions;
    sum.rollbacks += outcome.rollbacks;
    sum.judged += outcome.judged;
    sum.pages += outcome.pages;
    sum.builds += outcome.builds;
    sum.requests += outcome.requests;
    sum.faults += outcome.faults;
    sum.steps += u64::from(outcome.steps);
    if let Some(broken) = outcome.broken {
        let first = sum.broken.get_or_insert_with(|| (seed, broken.clone()));
        if seed < first.0 {
            *first = (seed, broken);
        }
    }
}

/// The smallest story that still fails.
fn explain(seed: u64, broken: &str, chosen: &sim::Options) -> anyhow::Result<()> {
    let small = shrink(seed, chosen)?;
    for line in &small.outcome.story {
        println!("{line}");
    }
    println!("\nTell it again: {}", small.command(seed));
    bail!("seed {seed}: {}", small.outcome.broken.as_deref().unwrap_or(broken))
}

fn progress(done: u64, of: u64) {
    if std::io::stderr().is_terminal() && (done.is_multiple_of(50) || done == of) {
        let end = if done < of { "" } else { "\r\x1b[K" };
        eprint!("\r\x1b[Kseed {done} of {of}{end}");
    }
}
