//! `cargo local`: the system, empty and durable.

use std::{net::IpAddr, path::PathBuf};

use clap::Parser;
use local::{Access, Endpoint, EventOptions, Keys, Options, PORT, System, UserFunction};

/// Serves Lastgood with stand-ins for the AWS services it uses, at one address, until Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "cargo local")]
struct Arguments {
    /// Where everything is kept; start again with the same directory to go on.
    #[arg(long, default_value = "target/lastgood")]
    data: PathBuf,
    /// Port.
    #[arg(long, default_value_t = PORT)]
    port: u16,
    /// Address to listen on. Any other than this machine's own needs --keys and --strict.
    #[arg(long, value_name = "ADDRESS", default_value_t = Access::default().bind)]
    bind: IpAddr,
    /// File of access keys in AWS's credentials format; what they sign is verified.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Refuses requests that are signed by nobody, or by a key that is not in the file.
    #[arg(long)]
    strict: bool,
    /// Another region that buckets and functions can be in, such as eu-west-1. May be given several times.
    #[arg(long = "region", value_name = "REGION")]
    regions: Vec<String>,
    /// A Lambda function of yours: NAME=PATH of a bootstrap program, or REGION/NAME=PATH. May be given several times.
    #[arg(long = "function", value_name = "NAME=PATH")]
    functions: Vec<UserFunction>,
    /// Where actions find a service that this process is not: SERVICE=URL of a stand-in, such as
    /// codebuild=http://127.0.0.1:5000. May be given several times.
    #[arg(long = "endpoint", value_name = "SERVICE=URL")]
    endpoints: Vec<Endpoint>,
    /// Prints each event, such as that an execution has failed, as one line of JSON.
    #[arg(long)]
    events: bool,
    /// Hands each event to a function, as a rule of EventBridge would; name it with --function too.
    #[arg(long, value_name = "FUNCTION")]
    on_event: Option<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(name) = &arguments.on_event {
        let known = arguments.functions.iter().any(|function| function.name == *name && function.region.is_none());
        anyhow::ensure!(
            known,
            "--on-event names the function '{name}', which is not there. Add --function {name}=PATH."
        );
    }
    // It warns of every conditional write that is refused, which is how writers take turns.
    runtime::init_logs("lastgood-local", "dynoxide=error");
    let data = arguments.data.display().to_string();
    let keys = arguments.keys.as_deref().map(Keys::read).transpose()?;
    let profile = keys.as_ref().and_then(|keys| keys.profiles().next()).map(|(_, profile)| profile.to_owned());
    let options = Options {
        data: arguments.data,
        port: arguments.port,
        regions: arguments.regions,
        functions: arguments.functions,
        endpoints: arguments.endpoints,
        events: EventOptions { print: arguments.events, on_event: arguments.on_event },
        access: Access { bind: arguments.bind, keys, strict: arguments.strict },
    };
    let mut system = System::start(options).await?;
    let endpoint = system.endpoint();
    println!("Lastgood is serving at {endpoint}, data in {data}. Stop it with Ctrl-C.\n");
    if !arguments.strict {
        println!("  The console: {endpoint}/console\n");
    }
    println!("  export AWS_ENDPOINT_URL={endpoint} AWS_DEFAULT_REGION=us-east-1");
    match (arguments.keys, profile) {
        (Some(keys), Some(profile)) => {
            println!("  export AWS_SHARED_CREDENTIALS_FILE={} AWS_PROFILE={profile}", keys.display());
        }
        _ => println!("  export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any"),
    }
    println!("  aws codepipeline list-pipelines");
    println!("  curl {endpoint}/_events");
    tokio::select! {
        () = system.run() => anyhow::bail!("a part of the system ended unexpectedly; see the log above"),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}
