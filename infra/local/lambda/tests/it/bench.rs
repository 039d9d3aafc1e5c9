//! What the tests stand on.

use std::{collections::BTreeMap, future::IntoFuture, net::Ipv4Addr, path::Path, sync::Arc, time::Duration};

use aws_types::SdkConfig;
use axum::Router;
use jiff::Timestamp;
use local_lambda::{Functions, Owner, Process};
use runtime::{Config, ManualClock, SeededEntropy};
use tokio::net::TcpListener;

pub(crate) const TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) fn start_time() -> Timestamp {
    Timestamp::from_second(1_796_083_200).expect("in range")
}

/// A registry over `dir` with a clock that stands still.
pub(crate) fn open(dir: &Path) -> (Functions, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(start_time()));
    let entropy = Arc::new(SeededEntropy::new(7));
    let functions = Functions::open(dir, Owner::default(), clock.clone(), entropy).expect("opens");
    (functions, clock)
}

/// The process of `examples/echo.rs`.
pub(crate) fn echo(env: &[(&str, &str)]) -> Process {
    Process { env: env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(), ..example("echo") }
}

/// The process of an example, which cargo builds beside the tests.
pub(crate) fn example(name: &str) -> Process {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test.ancestors().nth(2).expect("target/PROFILE/deps");
    let command = profile.join("examples").join(name);
    assert!(command.exists(), "run cargo build -p local-lambda --examples");
    Process { command, args: Vec::new(), env: BTreeMap::new(), timeout: TIMEOUT }
}

/// Serves `router` for as long as the test's runtime lives.
pub(crate) async fn serve(router: Router) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(axum::serve(listener, router).into_future());
    format!("http://{address}")
}

/// The SDK's settings for a stand-in at `endpoint`.
pub(crate) fn sdk(endpoint: &str) -> SdkConfig {
    let variables = [
        ("LASTGOOD_TABLE", "lastgood"),
        ("LASTGOOD_BUCKET", "lastgood"),
        ("LASTGOOD_ACCOUNT", "000000000000"),
        ("AWS_REGION", "us-east-1"),
        ("LASTGOOD_PIPELINE_MACHINE_ARN", "arn:aws:states:us-east-1:000000000000:stateMachine:pipeline-execution"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let config = Config::from_map(&variables).expect("valid");
    config.sdk_config_at(endpoint)
}
