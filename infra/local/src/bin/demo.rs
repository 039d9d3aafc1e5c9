//! `cargo demo`: a release goes out, breaks, and comes back.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, Subcommand};
use local::{
    Access, EventOptions, Options, PORT, System, UserFunction,
    demo::{Client, Guard, Narrator, PIPELINE, SITE, SMOKE_CHECK, Story, smoke_check, timeline, with_short_ids},
};

/// Tells the story of a release that breaks and comes back, on the whole system in this process; then serves it.
#[derive(Debug, Parser)]
#[command(name = "cargo demo")]
struct Arguments {
    /// End after the story; the exit code is 0 only if every step was observed to be as told.
    #[arg(long)]
    once: bool,
    /// Define no alarm: the judge finds by metrics alone that a release does harm. Takes about two minutes more.
    #[arg(long)]
    judge: bool,
    /// Port on 127.0.0.1; with --once any free one.
    #[arg(long)]
    port: Option<u16>,
    #[command(subcommand)]
    function: Option<Function>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Function {
    /// Runs as the story's Lambda function.
    #[command(hide = true)]
    SmokeCheck,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(Function::SmokeCheck) = arguments.function {
        return serve_function().await;
    }
    let data = tempfile::tempdir().context("a temporary directory for the demonstration")?;
    let function = UserFunction {
        name: SMOKE_CHECK.to_owned(),
        command: std::env::current_exe().context("the path of this program")?,
        args: vec!["smoke-check".to_owned()],
        region: None,
    };
    let mut system = System::start(Options {
        data: PathBuf::from(data.path()),
        port: arguments.port.unwrap_or(if arguments.once { 0 } else { PORT }),
        regions: Vec::new(),
        functions: vec![function],
        endpoints: Vec::new(),
        events: EventOptions::default(),
        access: Access::default(),
    })
    .await?;
    let endpoint = system.endpoint();
    let client = Client::new(&endpoint)?;
    let mut teller = Teller;
    let guard = if arguments.judge { Guard::Judge } else { Guard::Alarm };
    let told = Story::new(&client, &mut teller, guard).tell().await;
    anstream::println!("\n{BOLD}What happened{BOLD:#}\n\n{}", timeline(&client).await?);
    told.context("the story did not go as told")?;
    anstream::println!("{GREEN}Every step was observed to be as told.{GREEN:#}");
    if arguments.once {
        return Ok(());
    }
    by_hand(&endpoint);
    tokio::select! {
        () = system.run() => anyhow::bail!("a part of the system ended unexpectedly"),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

#[expect(clippy::disallowed_methods, reason = "a user's function finds the services by its own environment")]
async fn serve_function() -> anyhow::Result<()> {
    let endpoint = std::env::var("AWS_ENDPOINT_URL").context("AWS_ENDPOINT_URL is not set")?;
    smoke_check::serve(&endpoint).await.map_err(|error| anyhow::anyhow!(error))
}

const BOLD: anstyle::Style = anstyle::Style::new().bold();
const GREEN: anstyle::Style = anstyle::AnsiColor::Green.on_default();
const DIM: anstyle::Style = anstyle::Style::new().dimmed();

/// Tells the story on the terminal.
struct Teller;

impl Narrator for Teller {
    fn chapter(&mut self, title: &str) {
        anstream::println!("\n{BOLD}{title}{BOLD:#}");
    }

    fn done(&mut self, what: &str) {
        anstream::println!("  {DIM}>{DIM:#} {what}");
    }

    fn seen(&mut self, what: &str) {
        anstream::println!("  {GREEN}\u{2713}{GREEN:#} {}", with_short_ids(what));
    }
}

fn by_hand(endpoint: &str) {
    anstream::println!(
        "
{BOLD}Go on by hand{BOLD:#} (Ctrl-C ends it), in a browser at {endpoint}/console or here:

  export AWS_ENDPOINT_URL={endpoint} AWS_DEFAULT_REGION=us-east-1
  export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any
  curl {endpoint}/{SITE}/index.html
  aws codepipeline get-pipeline-state --name {PIPELINE}
  aws codepipeline list-pipeline-executions --pipeline-name {PIPELINE}
  aws codepipeline enable-stage-transition --pipeline-name {PIPELINE} --stage-name Deploy --transition-type Inbound
  aws codepipeline rollback-stage --pipeline-name {PIPELINE} --stage-name Deploy \\
    --target-pipeline-execution-id EXECUTION
  aws stepfunctions list-state-machines
  aws dynamodb scan --table-name lastgood"
    );
}
