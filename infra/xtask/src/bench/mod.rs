//! Benchmarks. `release` and `cost` are here, `api`, `functions`, `judge` and `load` have folders.
//!
//! `cargo xtask bench release`: the reference pipeline in one process, counted and timed.
//!
//! Three stages, five actions: an S3 source; two Lambda actions in parallel; an S3 deploy, then a Lambda check. Everything is
//! what runs in AWS; only the services are stand-ins. Counts are exact; times are of this machine and this build.

pub(crate) mod api;
mod client;
pub(crate) mod cost;
pub(crate) mod functions;
pub(crate) mod judge;
pub(crate) mod load;
mod measure;
mod price;
mod reference;
mod report;

use clap::Args;

/// How much to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Good releases, which are counted
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    releases: u32,
    /// Rollbacks after a failed action, and as many after an alarm
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rollbacks: u32,
}

/// Runs and prints.
///
/// # Errors
/// When the system does not start, or a release does not end as it should.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(measure::measure(options.releases, options.rollbacks))?;
    report::print(&measured);
    Ok(())
}
