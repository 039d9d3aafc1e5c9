//! `cargo xtask bench judge [DIR..]`: how often the judge is right, beside simpler rules, and how long it takes.
//!
//! Without a folder it runs on cases it draws itself, the same for the same seed. A folder holds sets of recorded cases with
//! their truth, `SET.jsonl` or `SET.jsonl.gz` beside `SET.truth.jsonl`, as described in `shared/domain/src/judge/README.md`.

mod baselines;
mod draw;
mod null;
mod report;
mod score;
mod sets;
mod shapes;
mod speed;

use std::path::PathBuf;

use clap::Args;
use domain::JudgePolicy;

/// What to judge.
#[derive(Args)]
pub(crate) struct Options {
    /// Folders of recorded sets, in addition to the cases drawn
    folders: Vec<PathBuf>,
    /// Seed of the drawn cases
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Null streams of each kind, with 60 looks each
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    streams: u32,
    /// Only sets whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// Leave out the baselines
    #[arg(long)]
    no_baselines: bool,
    /// Folds over which the variance is reported; the cases of one source are in one fold
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=20))]
    folds: u32,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

/// Runs and prints.
///
/// # Errors
/// When a folder cannot be read, or holds a case or truth that is not valid.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let policy = JudgePolicy::default();
    let mut all = vec![draw::deploys(options.seed), draw::suspects(options.seed), shapes::deploys(options.seed)];
    for folder in &options.folders {
        all.extend(sets::read(folder)?);
    }
    all.retain(|set| options.only.as_ref().is_none_or(|only| set.name.contains(only.as_str())));
    let scores: Vec<score::SetScore> =
        all.iter().map(|set| score::score(set, &policy, !options.no_baselines, options.folds)).collect();
    let measured = report::Measured {
        scores,
        streams: null::run(options.seed, options.streams, &policy),
        alpha: policy.alpha,
        speed: speed::measure(&policy),
    };
    if options.json { report::print_json(&measured) } else { report::print(&measured) }
}
