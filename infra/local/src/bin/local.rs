//! `cargo local`: the system, empty and durable.

use std::path::PathBuf;

use clap::Parser;
use local::{Options, PORT, System, UserFunction};

/// Serves Lastgood with stand-ins for the AWS services it uses, at one address, until Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "cargo local")]
struct Arguments {
    /// Where everything is kept; start again with the same directory to go on.
    #[arg(long, default_value = "target/lastgood")]
    data: PathBuf,
    /// Port on 127.0.0.1.
    #[arg(long, default_value_t = PORT)]
    port: u16,
    /// A Lambda function of yours: NAME=PATH of a bootstrap program. May be given several times.
    #[arg(long = "function", value_name = "NAME=PATH")]
    functions: Vec<UserFunction>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // It warns of every conditional write that is refused, which is how writers take turns.
    runtime::init_logs("lastgood-local", "dynoxide=error");
    let data = arguments.data.display().to_string();
    let options = Options { data: arguments.data, port: arguments.port, functions: arguments.functions };
    let mut system = System::start(options).await?;
    let endpoint = system.endpoint();
    println!("Lastgood is serving at {endpoint}, data in {data}. Stop it with Ctrl-C.\n");
    println!("  export AWS_ENDPOINT_URL={endpoint} AWS_DEFAULT_REGION=us-east-1");
    println!("  export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any");
    println!("  aws codepipeline list-pipelines");
    tokio::select! {
        () = system.run() => anyhow::bail!("a part of the system ended unexpectedly; see the log above"),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}
