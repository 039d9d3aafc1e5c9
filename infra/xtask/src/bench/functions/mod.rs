//! `cargo xtask bench functions`: how large the packaged functions are, how soon they answer, and what they take of memory; and
//! the same of a handler in Python and one in Node that read one item.
//!
//! Each is started anew for each run, behind a Lambda Runtime API that has one event for it, with the local system's table to read.
//! The time is from the start of the process to its answer. Every event makes its function read the table and do nothing.

mod baselines;
mod runtime_api;

use std::{
    fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::measure::Bench;
use crate::{
    package::ZIP_BYTES_MAX,
    workspace::{self, Metadata},
};

/// Budgets of the design (section 10), for functions of profile `lambda`; that of their zips is `package`'s.
const FIRST_ANSWER_MS_MAX: f64 = 30.0;
const MEMORY_KB_MAX: u64 = 32 * 1024;
/// Nobody takes so long.
const PATIENCE: Duration = Duration::from_secs(60);
const NOBODY: &str = "00000000-0000-7000-8000-000000000000";

/// How often to start each.
#[derive(Args)]
pub(crate) struct Options {
    /// Starts of each function; the median counts
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    runs: u32,
    /// Do not compare with Python and Node
    #[arg(long)]
    alone: bool,
}

/// Something that serves an event.
struct Subject {
    name: String,
    program: PathBuf,
    arguments: Vec<PathBuf>,
    event: Value,
    zip_bytes: Option<usize>,
}

/// What was measured of it.
struct Measured {
    zip_bytes: Option<usize>,
    first_answer_ms: f64,
    memory_kb: u64,
}

/// Measures what `cargo xtask package` has left in `target/lambda`, and prints it.
///
/// # Errors
/// A function that was not packaged or does not answer.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let data = tempfile::tempdir()?;
    let bench = runtime.block_on(Bench::start(data.path()))?;
    let endpoint = bench.system.endpoint();
    println!("{:<22} {:>12} {:>18} {:>16}", "", "zip, bytes", "first answer, ms", "peak memory, kB");
    let mut ours = Vec::new();
    for name in Metadata::load()?.functions() {
        let subject = unpacked(&name, data.path())?;
        let measured = measure(&subject, &endpoint, options.runs)?;
        print(&subject.name, &measured);
        ours.push(measured);
    }
    let compared = if options.alone { Vec::new() } else { baselines::baselines() };
    let mut theirs = Vec::new();
    for baseline in compared {
        let subject = Subject {
            name: baseline.name.to_owned(),
            program: baseline.program,
            arguments: vec![baseline.script],
            event: json!({}),
            zip_bytes: None,
        };
        let measured = measure(&subject, &endpoint, options.runs)?;
        print(&subject.name, &measured);
        theirs.push((baseline.name, measured));
    }
    summarise(&ours, &theirs);
    Ok(())
}

/// The function as it was packaged.
fn unpacked(name: &str, data: &Path) -> anyhow::Result<Subject> {
    let file = workspace::root().join("target/lambda").join(name).with_extension("zip");
    let zip = fs::read(&file).with_context(|| format!("{}: run cargo xtask package first", file.display()))?;
    let zip_bytes = zip.len();
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(zip))?;
    let mut bootstrap = Vec::new();
    archive.by_name("bootstrap")?.read_to_end(&mut bootstrap)?;
    let program = data.join(name);
    fs::write(&program, bootstrap)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    Ok(Subject {
        name: name.to_owned(),
        program,
        arguments: Vec::new(),
        event: event(name)?,
        zip_bytes: Some(zip_bytes),
    })
}

/// An event that makes the function read the table and find nothing to do.
fn event(function: &str) -> anyhow::Result<Value> {
    let stage =
        json!({ "pipeline": "nobody", "executionId": NOBODY, "stage": "Nowhere", "generation": 1, "attempt": 1 });
    let with = |more: Value| {
        let mut event = stage.clone();
        if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
            event.extend(more);
        }
        event
    };
    Ok(match function {
        "api" => sim::api_event("GetPipelineState", &json!({ "name": "nobody" })),
        "source-trigger" => json!({ "source": "aws.s3", "detail-type": "Object Created", "detail": {
            "bucket": { "name": "nobodys" }, "object": { "key": "nothing", "size": 1, "etag": "e", "version-id": "v", "sequencer": "01" },
        } }),
        "stage-gate" => json!({ "pipeline": "nobody", "executionId": NOBODY, "token": "of-nobody" }),
        "run-action" => with(json!({ "operation": "Run", "action": "Nothing", "token": "of-nobody" })),
        "evaluate-condition" => with(json!({ "condition": "BeforeEntry" })),
        "evaluate-rollback" => with(json!({})),
        "alarm-handler" => json!({ "source": "aws.cloudwatch", "detail-type": "CloudWatch Alarm State Change",
            "resources": ["arn:aws:cloudwatch:us-east-1:000000000000:alarm:nobodys"],
            "detail": { "alarmName": "nobodys", "state": { "value": "ALARM", "reason": "bench", "timestamp": "2026-11-26T10:00:00.000+0000" } },
        }),
        "reconciler" => json!({}),
        other => anyhow::bail!("add an event for {other} to bench functions"),
    })
}

fn measure(subject: &Subject, endpoint: &str, runs: u32) -> anyhow::Result<Measured> {
    let mut times = Vec::new();
    let mut memory_kb = 0;
    // Once before anything counts, so that files are in memory, as they are for whoever is measured later.
    start(subject, endpoint)?;
    for _ in 0..runs {
        let (took, memory) = start(subject, endpoint)?;
        times.push(took.as_secs_f64() * 1e3);
        memory_kb = memory_kb.max(memory);
    }
    times.sort_by(f64::total_cmp);
    Ok(Measured { zip_bytes: subject.zip_bytes, first_answer_ms: times[times.len() / 2], memory_kb })
}

/// Starts it, waits for its answer, and ends it. The time until the answer, and the most memory it held until then.
fn start(subject: &Subject, endpoint: &str) -> anyhow::Result<(Duration, u64)> {
    let name = &subject.name;
    let (address, answers) = runtime_api::serve(&subject.event.to_string())?;
    let mut command = Command::new(&subject.program);
    command
        .args(&subject.arguments)
        .env_clear()
        .envs(variables(endpoint))
        .env("AWS_LAMBDA_RUNTIME_API", address.to_string());
    let since = runtime_api::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn()?;
    let answer = answers.recv_timeout(PATIENCE);
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    child.kill()?;
    child.wait()?;
    let answer = answer.with_context(|| format!("{name} does not answer"))?;
    let refused = answer.is_error && (answer.body.contains("InvalidInput") || answer.body.contains("Unavailable"));
    ensure!(!refused, "{name} has not done what it was asked: {}", answer.body);
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    let peak = peak.and_then(|peak| peak.trim().parse().ok()).context("/proc does not tell the memory of a process")?;
    Ok((answer.at - since, peak))
}

/// What Lambda and the template set.
fn variables(endpoint: &str) -> Vec<(&'static str, String)> {
    let machine =
        format!("arn:aws:states:{}:{}:stateMachine:lastgood-pipeline-execution", local::REGION, local::ACCOUNT);
    let fixed = [
        ("AWS_REGION", local::REGION),
        ("AWS_DEFAULT_REGION", local::REGION),
        ("AWS_ACCESS_KEY_ID", "bench"),
        ("AWS_SECRET_ACCESS_KEY", "bench"),
        // Its SDK warns of old versions of Node.
        ("NODE_NO_WARNINGS", "1"),
        ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "bench"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "bench"),
        ("LASTGOOD_TABLE", local::TABLE),
        ("LASTGOOD_BUCKET", local::BUCKET),
        ("LASTGOOD_ACCOUNT", local::ACCOUNT),
        ("LASTGOOD_PIPELINE_MACHINE_ARN", &machine),
    ];
    let mut all: Vec<_> = fixed.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
    all.push(("AWS_ENDPOINT_URL", endpoint.to_owned()));
    all
}

fn print(name: &str, measured: &Measured) {
    let zip = measured.zip_bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
    println!("{name:<22} {zip:>12} {:>18.1} {:>16}", measured.first_answer_ms, measured.memory_kb);
}

fn summarise(ours: &[Measured], theirs: &[(&str, Measured)]) {
    let slowest = ours.iter().map(|one| one.first_answer_ms).fold(0.0, f64::max);
    let largest = ours.iter().map(|one| one.memory_kb).max().unwrap_or(1);
    println!();
    for (name, measured) in theirs {
        println!(
            "{name}: {:.1} times the time and {:.1} times the memory of the slowest and the largest of ours",
            measured.first_answer_ms / slowest,
            measured.memory_kb as f64 / largest as f64
        );
    }
    let zip = ours.iter().filter_map(|one| one.zip_bytes).max().unwrap_or(0);
    let kept = |is: bool| if is { "kept" } else { "missed" };
    println!("Budgets: zip under {ZIP_BYTES_MAX} bytes: {}", kept(zip < ZIP_BYTES_MAX));
    println!("         first answer within {FIRST_ANSWER_MS_MAX} ms: {}", kept(slowest <= FIRST_ANSWER_MS_MAX));
    println!("         under {MEMORY_KB_MAX} kB: {}", kept(largest < MEMORY_KB_MAX));
    println!("They are for profile lambda on a machine at rest; another profile makes larger and slower functions.");
}
