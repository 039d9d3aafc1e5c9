//! `cargo xtask bench api`: every reading operation, and those that write without starting work, with a short history and
//! with a long one.
//!
//! The whole system runs in this process and is called over HTTP, as clients call it. The history is made of copies of a
//! release that really ran, so that rows have their real size. Requests to the table are counted and exact; times are of
//! this machine and this build, so what counts is the ratio between the two histories, and to another implementation
//! measured in the same run.

mod calls;
mod history;
mod moto;
mod report;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use clap::Args;
use engine::ports::Clock;
use runtime::SystemClock;
use serde_json::Value;

use super::{client::CodePipeline, measure::Bench};
use calls::Call;
use moto::Moto;

/// How much to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Executions in the short history
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    short: u32,
    /// Executions in the long history
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    long: u32,
    /// Calls of each operation
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    calls: u32,
    /// Clients that call at the same time
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    clients: u32,
    /// The program moto_server, to measure beside ours what it serves as well
    #[arg(long, value_name = "PROGRAM")]
    moto: Option<PathBuf>,
}

/// How one operation did.
#[derive(Debug, Clone)]
struct Measured {
    /// Requests to the table of one call; absent where there is no table of ours.
    requests: Option<u64>,
    /// Of each call, in microseconds, sorted.
    micros: Vec<u64>,
    per_second: f64,
}

/// How one operation did everywhere.
struct Row {
    call: Call,
    short: Measured,
    long: Measured,
    moto: Option<Measured>,
}

/// Runs and prints.
///
/// # Errors
/// When the system or moto does not start, or an operation refuses.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    ensure!(options.short < options.long, "--short has to be less than --long");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let rows = runtime.block_on(measure(options))?;
    report::print(options, &rows);
    Ok(())
}

async fn measure(options: &Options) -> anyhow::Result<Vec<Row>> {
    let data = tempfile::tempdir()?;
    let bench = Bench::start(data.path()).await?;
    bench.create().await.context("the first release")?;
    let history = history::History::of_the_release(&bench).await?;
    history.grow(options.short).await?;
    let calls = calls::all(&bench.api).await?;
    let short = measure_ours(&bench, &calls, options).await?;
    history.grow(options.long).await?;
    let long = measure_ours(&bench, &calls, options).await?;
    let theirs = match &options.moto {
        Some(program) => measure_theirs(&Moto::start(program).await?, &calls, options).await?,
        None => calls.iter().map(|_| None).collect(),
    };
    let rows = calls.into_iter().zip(short).zip(long).zip(theirs);
    Ok(rows.map(|(((call, short), long), moto)| Row { call, short, long, moto }).collect())
}

async fn measure_ours(bench: &Bench, calls: &[Call], options: &Options) -> anyhow::Result<Vec<Measured>> {
    let mut measured = Vec::new();
    for call in calls {
        let requests = requests_of(bench, call).await?;
        measured.push(Measured { requests: Some(requests), ..time(&bench.api, call, options).await? });
    }
    Ok(measured)
}

async fn measure_theirs(moto: &Moto, calls: &[Call], options: &Options) -> anyhow::Result<Vec<Option<Measured>>> {
    let mut measured = Vec::new();
    for call in calls {
        // What moto does not serve, it refuses.
        measured.push(match moto.api.call_target(&call.target, &call.input).await {
            Ok(_) => Some(time(&moto.api, call, options).await?),
            Err(_) => None,
        });
    }
    Ok(measured)
}

/// Requests to the table of one call: the least of a few, since the reconciler asks too.
async fn requests_of(bench: &Bench, call: &Call) -> anyhow::Result<u64> {
    let mut least = u64::MAX;
    for _ in 0..5 {
        let before = bench.system.table_usage().requests();
        bench.api.call_target(&call.target, &call.input).await?;
        least = least.min(bench.system.table_usage().requests() - before);
    }
    Ok(least)
}

/// Has `options.clients` call at the same time, until all calls are made.
async fn time(api: &CodePipeline, call: &Call, options: &Options) -> anyhow::Result<Measured> {
    let each = options.calls.div_ceil(options.clients);
    let clock = Arc::new(SystemClock);
    let begun = clock.now();
    let clients: Vec<_> = (0..options.clients)
        .map(|_| {
            let (api, clock) = (api.clone(), Arc::clone(&clock));
            let (target, input): (String, Value) = (call.target.clone(), call.input.clone());
            tokio::spawn(async move {
                let mut micros = Vec::new();
                for _ in 0..each {
                    let from = clock.now();
                    api.call_target(&target, &input).await?;
                    micros.push(u64::try_from(clock.now().duration_since(from).as_micros()).unwrap_or(0));
                }
                anyhow::Ok(micros)
            })
        })
        .collect();
    let mut micros = Vec::new();
    for client in clients {
        micros.extend(client.await??);
    }
    let took = Duration::try_from(clock.now().duration_since(begun)).unwrap_or(Duration::ZERO);
    micros.sort_unstable();
    let per_second = micros.len() as f64 / took.as_secs_f64().max(f64::EPSILON);
    Ok(Measured { requests: None, micros, per_second })
}
