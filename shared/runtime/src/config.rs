//! What a function is told by its environment, read once at start.

use std::{collections::BTreeMap, fmt, time::Duration};

use aws_config::{BehaviorVersion, Region, retry::RetryConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_http_client::{
    Builder, Connector,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpConnector};
use aws_types::SdkConfig;

/// Longest time to wait for a connection to another service than AWS's.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time to wait for the beginning of its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Tries per AWS call, the first included: the SDKs' own default, written down because budgets count requests.
const ATTEMPTS_MAX: u32 = 3;

/// The settings every function needs to reach the system's stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The DynamoDB table (`LASTGOOD_TABLE`).
    pub table: String,
    /// The S3 bucket of pipeline definitions (`LASTGOOD_BUCKET`); artifacts are in the stores of pipelines.
    pub bucket: String,
    /// The 12-digit account the system runs in (`LASTGOOD_ACCOUNT`).
    pub account: String,
    /// The region it runs in (`AWS_REGION`).
    pub region: String,
    /// The state machine that drives pipeline executions (`LASTGOOD_PIPELINE_MACHINE_ARN`), with the alias by which it and the
    /// machines of providers are started, if they have one.
    pub pipeline_machine_arn: String,
    /// The EventBridge bus that changes of state are told on (`LASTGOOD_EVENT_BUS`; `default` where that is not set).
    pub event_bus: String,
    /// GitHub's API (`LASTGOOD_GITHUB_API`; GitHub's own where that is not set).
    pub github_api: String,
    /// The queue of events that no function could handle (`LASTGOOD_DEAD_LETTERS`; none where that is not set).
    pub dead_letters: Option<String>,
    /// Where people reach the console, without its path (`LASTGOOD_CONSOLE`); empty where they do not.
    pub console: String,
}

/// The environment does not describe a working function. Lists every problem, so that one deployment mends all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "environment: {}", self.problems.join("; "))
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// Every missing or malformed variable, with what to set it to.
    #[expect(clippy::disallowed_methods, reason = "the one place where configuration enters")]
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_map(
            &Self::variables().filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))).collect(),
        )
    }

    /// Reads a map of variables, as [`Config::from_env`] reads the environment.
    ///
    /// # Errors
    /// As [`Config::from_env`].
    pub fn from_map(variables: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let mut read = |setting: &Setting| match variables.get(setting.name).map(|value| value.trim()) {
            None | Some("") if setting.default.is_some() => setting.default.unwrap_or_default().to_owned(),
            None | Some("") => {
                problems.push(format!("{} is not set; set it to {}", setting.name, setting.what));
                String::new()
            }
            Some(value) if !(setting.is_valid)(value) => {
                problems.push(format!("{} is {value:?}, which is not {}", setting.name, setting.what));
                String::new()
            }
            Some(value) => value.to_owned(),
        };
        let config = Self {
            table: read(&TABLE),
            bucket: read(&BUCKET),
            account: read(&ACCOUNT),
            region: read(&REGION),
            pipeline_machine_arn: read(&PIPELINE_MACHINE_ARN),
            event_bus: read(&EVENT_BUS),
            github_api: read(&GITHUB_API),
            dead_letters: Some(read(&DEAD_LETTERS)).filter(|queue| !queue.is_empty()),
            console: read(&CONSOLE),
        };
        if problems.is_empty() { Ok(config) } else { Err(ConfigError { problems }) }
    }

    /// Names of all variables that are read, those with a default too.
    pub fn variables() -> impl Iterator<Item = &'static str> {
        SETTINGS.iter().map(|setting| setting.name)
    }

    /// What use cases know of the installation.
    pub fn settings(&self) -> engine::Settings {
        let console = self.console.trim_end_matches('/');
        engine::Settings {
            account: self.account.clone(),
            region: self.region.clone(),
            bucket: self.bucket.clone(),
            dead_letters: self.dead_letters.clone(),
            console: Some(console.to_owned()).filter(|console| !console.is_empty()),
        }
    }

    /// The AWS SDK's settings: this region, credentials from the default chain, rustls with ring.
    ///
    /// `AWS_ENDPOINT_URL` (and its per-service forms) are honoured, as in every AWS SDK.
    pub async fn sdk_config(&self) -> SdkConfig {
        let http_client = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        aws_config::defaults(behavior())
            .region(Region::new(self.region.clone()))
            .http_client(http_client)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX))
            .load()
            .await
    }

    /// A connector for other services than AWS's, with and without TLS: the AWS SDK's own, rustls with ring.
    pub fn http_connector(&self) -> SharedHttpConnector {
        let connector = Connector::builder()
            .connector_settings(
                HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(ANSWER_TIMEOUT).build(),
            )
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build();
        SharedHttpConnector::new(connector)
    }

    /// The AWS SDK's settings for a stand-in at `endpoint_url` (plain HTTP) which takes any credentials.
    ///
    /// Reads neither environment nor profile, so a developer's real credentials can never reach the stand-in.
    pub fn sdk_config_at(&self, endpoint_url: &str) -> SdkConfig {
        let credentials = Credentials::new("AKIALASTGOODLOCAL000", "local", None, None, "stand-in");
        SdkConfig::builder()
            .behavior_version(behavior())
            .region(Region::new(self.region.clone()))
            .endpoint_url(endpoint_url)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(Builder::new().build_http())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX))
            .build()
    }
}

/// The one behaviour version of the whole system: raised deliberately, never by an upgrade of the SDK.
fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

struct Setting {
    name: &'static str,
    /// Completes both "set it to ..." and "is not ...".
    what: &'static str,
    is_valid: fn(&str) -> bool,
    default: Option<&'static str>,
}

const TABLE: Setting = Setting {
    name: "LASTGOOD_TABLE",
    what: "the name of the DynamoDB table (3 to 255 letters, digits, '_', '-', '.')",
    is_valid: |value| {
        (3..=255).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
    },
    default: None,
};

const BUCKET: Setting = Setting {
    name: "LASTGOOD_BUCKET",
    what: "the name of the S3 bucket of pipeline definitions (3 to 63 lower-case letters, digits, '-', '.')",
    is_valid: is_bucket,
    default: None,
};

const ACCOUNT: Setting = Setting {
    name: "LASTGOOD_ACCOUNT",
    what: "the 12-digit id of the AWS account",
    is_valid: is_account,
    default: None,
};

const REGION: Setting =
    Setting { name: "AWS_REGION", what: "an AWS region, such as eu-central-1", is_valid: is_region, default: None };

const PIPELINE_MACHINE_ARN: Setting = Setting {
    name: "LASTGOOD_PIPELINE_MACHINE_ARN",
    what: "the ARN of the state machine pipeline-execution, with an alias or without \
           (arn:aws:states:REGION:ACCOUNT:stateMachine:NAME[:ALIAS])",
    is_valid: is_machine_arn,
    default: None,
};

const EVENT_BUS: Setting = Setting {
    name: "LASTGOOD_EVENT_BUS",
    what: "the name of an EventBridge bus of this account and region (1 to 256 letters, digits, '_', '-', '.', '/')",
    is_valid: |value| value.len() <= 256 && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./".contains(&b)),
    default: Some("default"),
};

const GITHUB_API: Setting = Setting {
    name: "LASTGOOD_GITHUB_API",
    what: "the address of GitHub's API, such as https://github.example.com/api/v3",
    is_valid: is_address,
    default: Some("https://api.github.com"),
};

const DEAD_LETTERS: Setting = Setting {
    name: "LASTGOOD_DEAD_LETTERS",
    what: "the name of an SQS queue of this account and region (1 to 80 letters, digits, '_', '-')",
    is_valid: |value| value.len() <= 80 && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)),
    default: Some(""),
};

const CONSOLE: Setting = Setting {
    name: "LASTGOOD_CONSOLE",
    what: "the address where people reach the console, without /console, such as https://console.example.com",
    is_valid: is_address,
    default: Some(""),
};

const SETTINGS: [&Setting; 9] =
    [&TABLE, &BUCKET, &ACCOUNT, &REGION, &PIPELINE_MACHINE_ARN, &EVENT_BUS, &GITHUB_API, &DEAD_LETTERS, &CONSOLE];

fn is_address(value: &str) -> bool {
    let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
    // What follows a question mark or a number sign would swallow the paths that are added.
    rest.is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:/[]".contains(&b))
    })
}

fn is_bucket(value: &str) -> bool {
    let ends_well = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    (3..=63).contains(&value.len())
        && ends_well(value.bytes().next())
        && ends_well(value.bytes().last())
        && value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
}

fn is_account(value: &str) -> bool {
    value.len() == 12 && value.bytes().all(|b| b.is_ascii_digit())
}

fn is_region(value: &str) -> bool {
    let parts: Vec<&str> = value.split('-').collect();
    parts.len() >= 3
        && parts
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
        && parts.last().is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
}

fn is_machine_arn(value: &str) -> bool {
    let parts: Vec<&str> = value.split(':').collect();
    matches!(
        parts.as_slice(),
        ["arn", partition, "states", region, account, "stateMachine", name, alias @ ..]
            if partition.starts_with("aws") && is_region(region) && is_account(account) && !name.is_empty()
                && matches!(alias, [] | [_]) && alias.iter().all(|alias| !alias.is_empty())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> BTreeMap<String, String> {
        [
            ("LASTGOOD_TABLE", "lastgood"),
            ("LASTGOOD_BUCKET", "lastgood-definitions"),
            ("LASTGOOD_ACCOUNT", "123456789012"),
            ("AWS_REGION", "us-gov-west-1"),
            (
                "LASTGOOD_PIPELINE_MACHINE_ARN",
                "arn:aws:states:eu-central-1:123456789012:stateMachine:pipeline-execution",
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    #[test]
    fn a_full_environment_is_read() {
        let config = Config::from_map(&good()).expect("valid");
        assert_eq!(config.table, "lastgood");
        assert_eq!(config.region, "us-gov-west-1");
        let (mut variables, name) = (good(), "LASTGOOD_PIPELINE_MACHINE_ARN");
        let by_alias = format!("{}:live", variables[name]);
        variables.insert(name.to_owned(), by_alias.clone());
        assert_eq!(Config::from_map(&variables).expect("valid").pipeline_machine_arn, by_alias);
    }

    #[test]
    fn a_variable_with_a_default_may_be_left_out() {
        assert_eq!(Config::from_map(&good()).expect("valid").event_bus, "default");
        let mut variables = good();
        assert_eq!(Config::from_map(&variables).expect("valid").settings().dead_letters, None);
        assert_eq!(Config::from_map(&variables).expect("valid").settings().console, None);
        variables.insert("LASTGOOD_EVENT_BUS".to_owned(), "releases".to_owned());
        assert_eq!(Config::from_map(&variables).expect("valid").event_bus, "releases");
        variables.insert("LASTGOOD_DEAD_LETTERS".to_owned(), "stack-DeadLetters-1X".to_owned());
        let settings = Config::from_map(&variables).expect("valid").settings();
        assert_eq!(settings.dead_letters.as_deref(), Some("stack-DeadLetters-1X"));
        variables.insert("LASTGOOD_CONSOLE".to_owned(), "https://console.example.com/".to_owned());
        let config = Config::from_map(&variables).expect("valid");
        assert_eq!(config.settings().console.as_deref(), Some("https://console.example.com"));
    }

    #[test]
    fn every_problem_is_named_with_its_cure() {
        let error = Config::from_map(&BTreeMap::new()).expect_err("empty").to_string();
        for setting in SETTINGS.iter().filter(|setting| setting.default.is_none()) {
            assert!(error.contains(&format!("{} is not set; set it to {}", setting.name, setting.what)), "{error}");
        }
    }

    #[test]
    fn malformed_values_are_refused() {
        for (name, value) in [
            ("LASTGOOD_TABLE", "a b"),
            ("LASTGOOD_BUCKET", "Upper"),
            ("LASTGOOD_BUCKET", "-edge"),
            ("LASTGOOD_ACCOUNT", "1234"),
            ("AWS_REGION", "Frankfurt"),
            ("LASTGOOD_EVENT_BUS", "my bus"),
            ("LASTGOOD_DEAD_LETTERS", "https://sqs.eu-west-1.amazonaws.com/123456789012/q"),
            ("LASTGOOD_GITHUB_API", "github.com"),
            ("LASTGOOD_GITHUB_API", "https://github.com/?x="),
            ("LASTGOOD_CONSOLE", "console.example.com"),
            ("LASTGOOD_CONSOLE", "https://console.example.com/?page="),
            ("LASTGOOD_PIPELINE_MACHINE_ARN", "pipeline-execution"),
            ("LASTGOOD_PIPELINE_MACHINE_ARN", "arn:aws:states:eu-central-1:123:stateMachine:x"),
            ("LASTGOOD_PIPELINE_MACHINE_ARN", "arn:aws:states:eu-central-1:123456789012:stateMachine:x:"),
            ("LASTGOOD_PIPELINE_MACHINE_ARN", "arn:aws:states:eu-central-1:123456789012:stateMachine:x:live:2"),
        ] {
            let mut variables = good();
            variables.insert(name.to_owned(), value.to_owned());
            let error = Config::from_map(&variables).expect_err(value).to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }

    #[tokio::test]
    async fn sdk_settings_carry_region_retries_and_endpoint() {
        let config = Config::from_map(&good()).expect("valid");
        let sdk = config.sdk_config().await;
        assert_eq!(sdk.region().map(Region::as_ref), Some("us-gov-west-1"));
        assert_eq!(sdk.retry_config().map(RetryConfig::max_attempts), Some(ATTEMPTS_MAX));
        assert!(sdk.http_client().is_some() && sdk.sleep_impl().is_some() && sdk.time_source().is_some());
        let local = config.sdk_config_at("http://127.0.0.1:4180");
        assert_eq!(local.endpoint_url(), Some("http://127.0.0.1:4180"));
        assert!(local.credentials_provider().is_some());
    }
}
