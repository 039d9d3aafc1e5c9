//! The functions that exist, and how they are invoked.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use engine::ports::Entropy;
use jiff::Timestamp;
use runtime::Timer;
use serde_json::Value;
use tokio::sync::{Notify, watch};

use crate::{
    FunctionError, Handler, InvocationContext, OpenError, Process, RegisterError, handler, identity,
    limits::{ASYNC_PAYLOAD_BYTES_MAX, SYNC_PAYLOAD_BYTES_MAX, TIMEOUT_MAX},
    name,
    process::Pool,
    queue::{Accepted, Queue},
    sts::Sessions,
};

/// Whose functions these are: what their ARNs say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The 12-digit account.
    pub account: String,
    /// The region.
    pub region: String,
}

impl Default for Owner {
    fn default() -> Self {
        Self { account: "000000000000".to_owned(), region: "us-east-1".to_owned() }
    }
}

/// The registry of functions. Clones share it; processes end with the last clone.
#[derive(Clone)]
pub struct Functions {
    inner: Arc<Inner>,
}

struct Inner {
    owner: Owner,
    clock: Arc<dyn Timer>,
    entropy: Arc<dyn Entropy>,
    opened: Timestamp,
    functions: RwLock<BTreeMap<String, Arc<Function>>>,
    queue: Queue,
    queue_changed: Notify,
    sessions: Sessions,
    /// Dropped with the registry, which ends every process, busy or idle.
    open: watch::Sender<()>,
}

/// One function.
pub(crate) struct Function {
    pub(crate) arn: String,
    body: Body,
    invocations: AtomicU64,
}

enum Body {
    Handler(Arc<dyn Handler>),
    Process(Arc<Pool>),
}

impl Functions {
    /// Opens the registry whose queue lives in `dir`, creating it if need be. It starts without functions.
    ///
    /// # Errors
    /// The directory cannot be used, is damaged, or was written by a newer version.
    pub fn open(dir: &Path, owner: Owner, clock: Arc<dyn Timer>, entropy: Arc<dyn Entropy>) -> Result<Self, OpenError> {
        Ok(Self {
            inner: Arc::new(Inner {
                queue: Queue::open(dir)?,
                owner,
                opened: clock.now(),
                clock,
                entropy,
                functions: RwLock::default(),
                queue_changed: Notify::new(),
                sessions: Sessions::default(),
                open: watch::Sender::new(()),
            }),
        })
    }

    /// Adds a function that lives in this process, or replaces the one of that name.
    ///
    /// # Errors
    /// Lambda would not accept the name.
    pub fn add_handler(&self, name: &str, handler: Arc<dyn Handler>) -> Result<(), RegisterError> {
        name::check(name)?;
        self.add(name, Body::Handler(handler));
        Ok(())
    }

    /// Adds a function whose bootstrap is started on demand, or replaces the one of that name.
    ///
    /// # Errors
    /// Lambda would not accept the name or the timeout, or the command is not an executable file.
    pub fn add_process(&self, name: &str, process: Process) -> Result<(), RegisterError> {
        name::check(name)?;
        let pool =
            Pool::new(name, process, &self.inner.owner, Arc::clone(&self.inner.clock), self.inner.open.subscribe())?;
        self.add(name, Body::Process(Arc::new(pool)));
        Ok(())
    }

    fn add(&self, name: &str, body: Body) {
        let function = Arc::new(Function { arn: self.arn(name), body, invocations: AtomicU64::new(0) });
        let mut functions = self.inner.functions.write().unwrap_or_else(PoisonError::into_inner);
        functions.insert(name.to_owned(), function);
    }

    /// Invokes a function, named or by ARN, and waits for its answer. Once begun it runs to its end, even if the caller
    /// stops waiting.
    ///
    /// # Errors
    /// The function's own error; `Runtime.ExitError` when it died; `Sandbox.Timedout`; `ResourceNotFoundException`;
    /// `RequestTooLargeException` beyond [`SYNC_PAYLOAD_BYTES_MAX`].
    pub async fn invoke(&self, name: &str, payload: Value) -> Result<Value, FunctionError> {
        if payload.to_string().len() > SYNC_PAYLOAD_BYTES_MAX {
            return Err(FunctionError::too_large(SYNC_PAYLOAD_BYTES_MAX));
        }
        self.call(name, payload, &self.new_request_id()).await
    }

    /// Queues an invocation, to be delivered at least once by [`Functions::run`]. It is durable when this returns the
    /// request id.
    ///
    /// # Errors
    /// `ResourceNotFoundException`; `RequestTooLargeException` beyond [`ASYNC_PAYLOAD_BYTES_MAX`]; `ServiceException`
    /// when it cannot be stored.
    pub async fn invoke_async(&self, name: &str, payload: Value) -> Result<String, FunctionError> {
        let payload = payload.to_string();
        if payload.len() > ASYNC_PAYLOAD_BYTES_MAX {
            return Err(FunctionError::too_large(ASYNC_PAYLOAD_BYTES_MAX));
        }
        self.find(name)?;
        let accepted = Accepted {
            request_id: self.new_request_id(),
            function: name::resolve(name, &self.inner.owner)?.to_owned(),
            payload,
            failures: 0,
        };
        self.inner
            .queue
            .push(&accepted, self.inner.clock.now())
            .map_err(|error| FunctionError::service(format!("the invocation cannot be stored: {error}")))?;
        self.inner.queue_changed.notify_one();
        Ok(accepted.request_id)
    }

    /// How often each function was started, retries included.
    pub fn invocations(&self) -> BTreeMap<String, u64> {
        let functions = self.inner.functions.read().unwrap_or_else(PoisonError::into_inner);
        functions.iter().map(|(name, function)| (name.clone(), function.invocations.load(Ordering::Relaxed))).collect()
    }

    /// Asynchronous invocations that were accepted and are not finished.
    ///
    /// # Errors
    /// `ServiceException`: the queue cannot be read.
    pub fn queued(&self) -> Result<usize, FunctionError> {
        let count = self.inner.queue.len();
        count.map_err(|error| FunctionError::service(format!("the invocation queue cannot be read: {error}")))
    }

    /// Runs one attempt of the invocation `request_id`.
    pub(crate) async fn call(&self, name: &str, event: Value, request_id: &str) -> Result<Value, FunctionError> {
        let function = self.find(name)?;
        function.invocations.fetch_add(1, Ordering::Relaxed);
        let now = self.inner.clock.now();
        let context = InvocationContext {
            request_id: request_id.to_owned(),
            function_name: name::resolve(name, &self.inner.owner)?.to_owned(),
            invoked_function_arn: function.arn.clone(),
            trace_id: identity::trace_id(&*self.inner.entropy, now),
            deadline: now,
        };
        // A task of its own: it neither ends with an impatient caller nor takes the caller down with it.
        let attempt = match &function.body {
            Body::Handler(handler) => tokio::spawn(handler::run(Arc::clone(handler), event, context)),
            Body::Process(pool) => tokio::spawn(Arc::clone(pool).invoke(event, context)),
        };
        attempt.await.unwrap_or_else(|_| {
            Err(FunctionError::new(
                "Runtime.ExitError",
                format!("RequestId: {request_id} Error: Runtime exited with error: the handler panicked"),
            ))
        })
    }

    /// The function that `reference`, a name or an ARN, means.
    pub(crate) fn find(&self, reference: &str) -> Result<Arc<Function>, FunctionError> {
        let name = name::resolve(reference, &self.inner.owner)?;
        let functions = self.inner.functions.read().unwrap_or_else(PoisonError::into_inner);
        match functions.get(name) {
            Some(function) => Ok(Arc::clone(function)),
            None => Err(FunctionError::not_found(&self.arn(name))),
        }
    }

    /// Every function by name.
    pub(crate) fn all(&self) -> BTreeMap<String, Arc<Function>> {
        let functions = self.inner.functions.read().unwrap_or_else(PoisonError::into_inner);
        functions.clone()
    }

    pub(crate) fn new_request_id(&self) -> String {
        self.inner.entropy.uuid().to_string()
    }

    pub(crate) fn owner(&self) -> &Owner {
        &self.inner.owner
    }

    pub(crate) fn clock(&self) -> &dyn Timer {
        &*self.inner.clock
    }

    pub(crate) fn entropy(&self) -> &dyn Entropy {
        &*self.inner.entropy
    }

    pub(crate) fn opened(&self) -> Timestamp {
        self.inner.opened
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.inner.queue
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.inner.sessions
    }

    /// Resolves once something was queued since the last call.
    pub(crate) async fn queue_changed(&self) {
        self.inner.queue_changed.notified().await;
    }

    fn arn(&self, name: &str) -> String {
        let Owner { account, region } = &self.inner.owner;
        format!("arn:aws:lambda:{region}:{account}:function:{name}")
    }
}

impl Function {
    /// The function's timeout in seconds.
    pub(crate) fn timeout_s(&self) -> u64 {
        match &self.body {
            Body::Handler(_) => TIMEOUT_MAX.as_secs(),
            Body::Process(pool) => pool.timeout().as_secs().max(1),
        }
    }
}
