//! `cargo xtask bench load`: many pipelines, bursts of uploads, and every upload told more than once.
//!
//! The whole system runs in this process and is reached over HTTP, as its clients reach it. Each upload is told by both ways that
//! S3 has, as an event of EventBridge and as a notification to the function, so that two deliveries race. When all has ended, the
//! history of each pipeline is read; then each upload is told a third time, and has to be answered with the one execution that it
//! has in that history.
//!
//! Counts are exact and decide whether the command fails; times and memory are of this machine and this build.

mod check;
mod drive;
mod memory;
mod report;

use clap::Args;

/// How much to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Pipelines: two stages, an S3 source of its own and an S3 deploy
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pipelines: u32,
    /// Uploads, spread over the pipelines
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    uploads: u32,
    /// Uploads at once, each for another pipeline; the next burst comes when each of them has its execution
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    burst: u32,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

/// Runs and prints.
///
/// # Errors
/// When the system does not start or something does not end, and, after everything is printed, when an upload was lost, has
/// more than one execution or another's, or did not end as it should.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(drive::drive(options))?;
    if options.json {
        report::print_json(&measured)?
    } else {
        report::print(&measured)
    }
    measured.found.into_result()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_load_loses_nothing_and_doubles_nothing() {
        let options = Options { pipelines: 4, uploads: 12, burst: 3, json: true };
        run(&options).expect("exactly one execution for each upload");
    }
}
