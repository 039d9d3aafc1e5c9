//! Automation of this repository, as `cargo xtask`.

mod adopt;
mod bench;
mod deploy;
mod import;
mod judge;
mod lint;
mod model;
mod package;
mod simulate;
mod walk;
mod workspace;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Automation of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check formatting, lints and documentation, as CI does
    Lint,
    /// Build the functions and zip each for Lambda, into target/lambda/FUNCTION.zip
    Package(package::Options),
    /// Package, and deploy the template to an account; asks before it changes anything
    Deploy(deploy::Options),
    /// Print the template of what outlives a stack, with which a new stack takes on the table, bucket and queue of an old one
    Adopt,
    /// Rewrite the table of CodePipeline's operations and shapes from botocore's service model
    Model {
        /// botocore's codepipeline/2015-07-09/service-2.json, unpacked
        service_model: PathBuf,
    },
    /// Print a pipeline as the input of `create-pipeline`: from get-pipeline, or from a CloudFormation template
    Import(import::Options),
    /// Run the whole system in a world that fails as a seed says, again and again, and check it after every step
    Simulate(simulate::Options),
    /// Visit every state that three executions can reach with an alarm, a stop, a retry and a rollback, in each mode
    Walk,
    /// Judge deploys: JSON lines of series in, verdicts out; lines with suspects are asked which deploy did it
    Judge(judge::Options),
    /// Judge past releases: exports of CloudWatch's GetMetricData in, the verdicts out that the running system would have come to
    JudgeExport(judge::replay::Options),
    /// Measure
    #[command(subcommand)]
    Bench(Bench),
}

#[derive(Subcommand)]
enum Bench {
    /// Run the reference pipeline (3 stages, 5 actions) many times: what a release costs on AWS, and how long our own work takes
    Release(bench::Options),
    /// What a month costs for so many releases a day, beside CodePipeline: exact counts of a release, and list prices
    Cost,
    /// Size of the packaged functions, time to their first answer and memory, beside a handler in Python and one in Node
    Functions(bench::functions::Options),
    /// Call the API with a short and a long history: times, throughput and requests to the table of each operation
    Api(bench::api::Options),
    /// Many pipelines and bursts of uploads, each told three times: nothing lost, nothing twice; throughput, times and memory. Ten
    /// thousand uploads take a build for development most of an hour on two cores, a release build some minutes
    Load(bench::load::Options),
    /// How often the judge of metrics is right, beside simpler rules, and how long it takes
    Judge(bench::judge::Options),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Lint => lint::run(),
        Command::Package(options) => package::run(&options),
        Command::Deploy(options) => deploy::run(&options),
        Command::Adopt => adopt::run(),
        Command::Model { service_model } => model::run(&service_model),
        Command::Import(options) => import::run(&options),
        Command::Simulate(options) => simulate::run(&options),
        Command::Walk => walk::run(),
        Command::Judge(options) => judge::run(&options),
        Command::JudgeExport(options) => judge::replay::run(&options),
        Command::Bench(Bench::Release(options)) => bench::run(&options),
        Command::Bench(Bench::Cost) => bench::cost::run(),
        Command::Bench(Bench::Functions(options)) => bench::functions::run(&options),
        Command::Bench(Bench::Api(options)) => bench::api::run(&options),
        Command::Bench(Bench::Load(options)) => bench::load::run(&options),
        Command::Bench(Bench::Judge(options)) => bench::judge::run(&options),
    }
}
