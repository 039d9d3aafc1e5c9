//! The local system as a process of its own, so that tests can kill it: `system DATA PORT`. As `system smoke-check` it
//! is the story's Lambda function.

use std::{env, path::PathBuf};

use anyhow::Context;
use local::{
    Access, EventOptions, Options, System, UserFunction,
    demo::{SMOKE_CHECK, smoke_check},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["smoke-check"] => serve_function().await,
        [data, port] => {
            let function = UserFunction {
                name: SMOKE_CHECK.to_owned(),
                command: env::current_exe().context("the path of this program")?,
                args: vec!["smoke-check".to_owned()],
                region: None,
            };
            let port = port.parse().context("PORT is not a number")?;
            let mut system = System::start(Options {
                data: PathBuf::from(data),
                port,
                regions: Vec::new(),
                functions: vec![function],
                endpoints: Vec::new(),
                events: EventOptions::default(),
                access: Access::default(),
            })
            .await?;
            system.run().await;
            anyhow::bail!("a part of the system ended")
        }
        _ => anyhow::bail!("usage: system DATA PORT | system smoke-check"),
    }
}

#[expect(clippy::disallowed_methods, reason = "a user's function finds the services by its own environment")]
async fn serve_function() -> anyhow::Result<()> {
    let endpoint = env::var("AWS_ENDPOINT_URL").context("AWS_ENDPOINT_URL is not set")?;
    smoke_check::serve(&endpoint).await.map_err(|error| anyhow::anyhow!(error))
}
