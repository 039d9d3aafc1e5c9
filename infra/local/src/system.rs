//! Putting the process together, in the order in which the parts need each other.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use axum::serve::ListenerExt as _;
use engine::ports::Entropy;
use jiff::SignedDuration;
use local_cloudwatch::CloudWatch;
use local_lambda::{Functions, Owner, Process};
use local_s3::S3;
use local_states::States;
use runtime::{SystemClock, SystemEntropy, Timer};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use crate::{
    ACCOUNT, BUCKET, REGION,
    access::{Access, Gate, INTERNAL_KEY_ID},
    data_dir::DataDir,
    dynamodb::{DynamoDb, create_table},
    event_bus::{EventBus, EventOptions},
    front::{self, Services},
    handlers, machines,
    regions::Regions,
    services::{Endpoint, GITHUB, ServiceClient},
    topics::Topics,
};

/// How often the reconciler looks, as the schedule in the template.
const RECONCILE_EVERY: SignedDuration = SignedDuration::from_mins(1);
/// Longest time one invocation of a user's function may take, as Lambda's own limit.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// How to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where everything is kept.
    pub data: PathBuf,
    /// Port; 0 takes a free one.
    pub port: u16,
    /// Regions that it serves besides its own, such as `eu-west-1`: buckets and functions only.
    pub regions: Vec<String>,
    /// The user's functions.
    pub functions: Vec<UserFunction>,
    /// Services that state machines ask and that this process is not.
    pub endpoints: Vec<Endpoint>,
    /// What happens to events.
    pub events: EventOptions,
    /// Who may reach it.
    pub access: Access,
}

/// A user's own Lambda function: a bootstrap program run behind the Lambda Runtime API.
#[derive(Debug, Clone)]
pub struct UserFunction {
    /// Name that pipelines use in `FunctionName`.
    pub name: String,
    /// The program.
    pub command: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// The region it is in; absent, the process's own.
    pub region: Option<String>,
}

impl std::str::FromStr for UserFunction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form =
            || format!("'{text}' is not of the form NAME=PATH or REGION/NAME=PATH, such as smoke-check=./bootstrap");
        let (name, path) = text.split_once('=').ok_or_else(form)?;
        let (region, name) = name.split_once('/').map_or((None, name), |(region, name)| (Some(region), name));
        if name.is_empty() || path.is_empty() {
            return Err(form());
        }
        let region = region.map(str::to_owned);
        Ok(Self { name: name.to_owned(), command: PathBuf::from(path), args: Vec::new(), region })
    }
}

/// The running system. Dropped, everything stops; what it was doing goes on when it is started again.
pub struct System {
    address: SocketAddr,
    functions: Functions,
    regions: Regions,
    states: States,
    events: EventBus,
    topics: Topics,
    world: Arc<handlers::LocalWorld>,
    tasks: JoinSet<()>,
    _stop: watch::Sender<bool>,
    _data: DataDir,
}

impl System {
    /// Starts everything, and finishes what an earlier process on the same data left behind.
    ///
    /// # Errors
    /// A port or a data directory that cannot be used, with what to do.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let clock: Arc<dyn Timer> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        options.access.check()?;
        let data = DataDir::open(&options.data)?;
        let listener = bind(options.access.bind, options.port).await?;
        let address = listener.local_addr()?;
        let endpoint = format!("http://{}", reachable(address));
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();

        let owner = Owner { account: ACCOUNT.to_owned(), region: REGION.to_owned() };
        let functions = Functions::open(&data.of("lambda"), owner, clock.clone(), entropy.clone())?;
        let regions = Regions::open(&options.regions, &data.of("lambda"), &clock, &entropy)?;
        let gate = Gate::new(options.access, functions.clone(), clock.clone(), entropy.clone());
        let internal_secret = gate.internal_secret().to_owned();
        let github = options.endpoints.iter().find(|one| one.service == GITHUB).map(|one| one.url.clone());
        let services = ServiceClient::new(&endpoint, &internal_secret, options.endpoints);
        let invoker = Arc::new(Invoker { functions: functions.clone(), services: Arc::new(services) });
        let s3 = S3::open(&data.of("s3"), clock.clone(), entropy.clone())?;
        let cloudwatch = CloudWatch::open(&data.of("cloudwatch"), clock.clone(), entropy.clone())?;
        let states = States::open(&data.of("states"), clock.clone(), entropy.clone(), invoker.clone())?;
        let events = EventBus::new(options.events, functions.clone(), clock.clone(), entropy.clone());
        let topics = Topics::new(clock.clone(), entropy.clone());
        let dynamodb = DynamoDb::start(&data.of("dynamodb"), stopped).await?;
        let services = Services {
            gate,
            s3: s3.router(),
            states: states.router(),
            cloudwatch: cloudwatch.router(),
            lambda: functions.router(),
            regions: regions.clone(),
            sts: functions.sts_router(),
            events: events.clone(),
            topics: topics.clone(),
            dynamodb: dynamodb.clone(),
            functions: functions.clone(),
        };
        tasks.spawn(serve(listener, services));

        let mut config = handlers::config()?;
        config.console.clone_from(&endpoint);
        config.github_api = github.unwrap_or(config.github_api);
        let sdk = with_key(config.sdk_config_at(&endpoint), &internal_secret);
        prepare_stores(&sdk).await?;
        let world = Arc::new(handlers::world(&config, &sdk, clock.clone(), entropy));
        handlers::register(&functions, &world, clock.clone())?;
        for function in &options.functions {
            let of = function.region.as_deref().filter(|region| *region != REGION);
            let functions = of.map_or(Ok(&functions), |region| regions.functions(region))?;
            functions.add_process(&function.name, process(function, &endpoint, &internal_secret))?;
        }
        machines::install(&states)?;

        tasks.spawn(functions.clone().run());
        for functions in regions.all() {
            tasks.spawn(functions.clone().run());
        }
        tasks.spawn(states.clone().run());
        tasks.spawn(s3.deliver(invoker.clone()));
        tasks.spawn(cloudwatch.run(invoker));
        tasks.spawn(dynamodb.keep_swept(clock.clone()));
        tasks.spawn(reconcile(functions.clone(), clock));
        Ok(Self { address, functions, regions, states, events, topics, world, tasks, _stop: stop, _data: data })
    }

    /// The one address, for `AWS_ENDPOINT_URL` on this machine.
    pub fn endpoint(&self) -> String {
        format!("http://{}", reachable(self.address))
    }

    /// Invocations of each function since the start.
    pub fn invocations(&self) -> BTreeMap<String, u64> {
        self.functions.invocations()
    }

    /// State transitions since the start, as AWS bills them.
    pub fn transitions(&self) -> u64 {
        self.states.transitions()
    }

    /// Requests to the table since the start, and the capacity units they took.
    pub fn table_usage(&self) -> store::Usage {
        engine::HasStore::store(&*self.world).usage()
    }

    /// The newest events on the bus, newest first, in EventBridge's form.
    pub fn events(&self) -> Vec<Value> {
        self.events.newest()
    }

    /// Events on the bus since the start.
    pub fn events_taken(&self) -> u64 {
        self.events.taken()
    }

    /// The newest messages to topics, newest first.
    pub fn messages(&self) -> Vec<Value> {
        self.topics.newest()
    }

    /// Registers a function that lives in this process, for benchmarks and tests.
    ///
    /// # Errors
    /// Lambda would not accept the name.
    pub fn add_handler(&self, name: &str, handler: Arc<dyn local_lambda::Handler>) -> anyhow::Result<()> {
        Ok(self.functions.add_handler(name, handler)?)
    }

    /// As [`System::add_handler`], in another region that is served.
    ///
    /// # Errors
    /// Nobody serves the region, or Lambda would not accept the name.
    pub fn add_handler_in(
        &self,
        region: &str,
        name: &str,
        handler: Arc<dyn local_lambda::Handler>,
    ) -> anyhow::Result<()> {
        Ok(self.regions.functions(region)?.add_handler(name, handler)?)
    }

    /// Runs until one of the services ends, which none does by itself.
    pub async fn run(&mut self) {
        self.tasks.join_next().await;
    }
}

async fn bind(address: IpAddr, port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind((address, port)).await.with_context(|| {
        format!("port {port} of {address} cannot be used. Stop the program that uses it, or choose another with --port")
    })
}

/// Where this machine finds what listens on `address`, which may stand for all of its addresses.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn with_key(sdk: aws_types::SdkConfig, secret: &str) -> aws_types::SdkConfig {
    let key = Credentials::new(INTERNAL_KEY_ID, secret, None, None, "local");
    sdk.into_builder().credentials_provider(SharedCredentialsProvider::new(key)).build()
}

async fn serve(listener: TcpListener, services: Services) {
    let router = front::router(services).into_make_service_with_connect_info::<SocketAddr>();
    // An answer in two segments would wait 40 ms for the client to acknowledge the first.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!("the local address is served no more: {error}");
    }
}

/// The table and the bucket that the template creates in AWS.
async fn prepare_stores(sdk: &aws_types::SdkConfig) -> anyhow::Result<()> {
    create_table(&aws_sdk_dynamodb::Client::new(sdk)).await?;
    let s3 = aws::s3::client(sdk);
    if s3.head_bucket().bucket(BUCKET).send().await.is_err() {
        s3.create_bucket().bucket(BUCKET).send().await.context("the bucket of pipeline definitions")?;
    }
    Ok(())
}

fn process(function: &UserFunction, endpoint: &str, secret: &str) -> Process {
    let region = function.region.as_deref().unwrap_or(REGION);
    let env = [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_REGION", region),
        ("AWS_DEFAULT_REGION", region),
        ("AWS_ACCESS_KEY_ID", INTERNAL_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", secret),
    ];
    Process {
        command: function.command.clone(),
        args: function.args.clone(),
        env: env.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        timeout: FUNCTION_TIMEOUT,
    }
}

/// After a start nobody else is at work, so the first look leaves nothing to others.
async fn reconcile(functions: Functions, clock: Arc<dyn Timer>) {
    let mut tick = json!({ "alone": true });
    loop {
        if let Err(error) = functions.invoke("lastgood-reconciler", tick).await {
            tracing::warn!("the reconciler did not finish: {}", error.error);
        }
        tick = json!({});
        clock.sleep_until(clock.now() + RECONCILE_EVERY).await;
    }
}

/// Carries events to functions, as EventBridge, S3 and Step Functions do.
struct Invoker {
    functions: Functions,
    services: Arc<ServiceClient>,
}

type Delivery = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

impl Invoker {
    fn deliver(&self, function: String, event: Value) -> Delivery {
        let functions = self.functions.clone();
        Box::pin(async move {
            functions
                .invoke_async(&function, event)
                .await
                .map(drop)
                .map_err(|error| format!("{function}: {}", error.error))
        })
    }
}

impl local_s3::Notify for Invoker {
    fn object_created(&self, event: Value) -> Delivery {
        self.deliver("lastgood-source-trigger".to_owned(), event)
    }

    fn invoke_function(&self, function_arn: String, records: Value) -> Delivery {
        let name = function_arn.split(":function:").last().unwrap_or(&function_arn);
        let name = name.split(':').next().unwrap_or(name).to_owned();
        self.deliver(name, records)
    }
}

impl local_cloudwatch::Notify for Invoker {
    fn alarm_changed(&self, event: Value) -> Delivery {
        self.deliver("lastgood-alarm-handler".to_owned(), event)
    }
}

impl local_states::Functions for Invoker {
    fn invoke(
        &self,
        function: String,
        payload: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, local_states::FunctionError>> + Send>> {
        let functions = self.functions.clone();
        Box::pin(async move {
            functions
                .invoke(&function, payload)
                .await
                .map_err(|error| local_states::FunctionError { cause: error.payload().to_string(), error: error.error })
        })
    }

    fn call_service(
        &self,
        call: local_states::ServiceCall,
    ) -> Pin<Box<dyn Future<Output = Result<Value, local_states::FunctionError>> + Send>> {
        let services = Arc::clone(&self.services);
        Box::pin(async move { services.call(&call).await })
    }
}
