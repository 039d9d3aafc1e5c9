//! One live bootstrap process and the Runtime API it talks to.

use std::{
    io,
    net::Ipv4Addr,
    path::Path,
    process::{ExitStatus, Stdio},
    sync::Arc,
};

use serde_json::Value;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{
    Process, output,
    runtime_api::{self, Slot, Work},
};
use crate::{FunctionError, InvocationContext, Owner, limits::MEMORY_MB};

/// What Lambda's own environments search for programs.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/opt/bin";

/// A process that serves one invocation at a time. Dropping it kills it.
pub(crate) struct Running {
    child: Child,
    work: mpsc::Sender<Work>,
    slot: Arc<Slot>,
    server: JoinHandle<io::Result<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // The child dies with its handle; the server would outlive it.
        self.server.abort();
    }
}

impl Running {
    /// Starts a process of the function `name`, with a Runtime API of its own.
    pub(crate) fn start(name: &str, process: &Process, owner: &Owner) -> io::Result<Self> {
        // AWS_LAMBDA_RUNTIME_API holds a host and a port and no path, so each process needs its own port.
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?.to_string();
        let listener = TcpListener::from_std(listener)?;
        let (work, waiting) = mpsc::channel(1);
        let slot = Arc::new(Slot::new(waiting));
        let server = runtime_api::router(Arc::clone(&slot));
        let mut child = command(name, process, owner, &address).spawn()?;
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(output::forward(name.to_owned(), "stdout", stdout));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(output::forward(name.to_owned(), "stderr", stderr));
        }
        Ok(Self { child, work, slot, server: tokio::spawn(async move { axum::serve(listener, server).await }) })
    }

    /// Whether the process still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Has the process handle one event.
    ///
    /// # Errors
    /// It ended without an answer: how.
    pub(crate) async fn handle(
        &mut self,
        event: Value,
        context: InvocationContext,
    ) -> Result<Result<Value, FunctionError>, String> {
        let (answer, answered) = oneshot::channel();
        let work = Work { event, context, answer };
        // The slot holds the receiver and lives as long as we do, and the place is free, for no other work is under way.
        if self.work.try_send(work).is_err() {
            return Err("it is busy with another invocation".to_owned());
        }
        let exited = tokio::select! {
            biased;
            Ok(answer) = answered => return Ok(answer),
            () = self.slot.init_failed() => None,
            status = self.child.wait() => Some(status),
        };
        match (self.slot.take_init_error(), exited) {
            (Some(error), _) => {
                // The process is of no use; it must not be kept for the next invocation.
                self.child.start_kill().map_err(|error| error.to_string())?;
                self.child.wait().await.map_err(|error| error.to_string())?;
                Ok(Err(error))
            }
            (None, Some(Ok(status))) => Err(describe(status)),
            (None, Some(Err(error))) => Err(error.to_string()),
            (None, None) => Err("it failed to start".to_owned()),
        }
    }
}

fn command(name: &str, process: &Process, owner: &Owner, runtime_api: &str) -> Command {
    let directory = process.command.parent().unwrap_or(Path::new("/"));
    let mut command = Command::new(&process.command);
    command
        .args(&process.args)
        .current_dir(directory)
        .env_clear()
        .env("PATH", PATH)
        .env("TZ", ":UTC")
        .env("LAMBDA_TASK_ROOT", directory)
        .env("AWS_REGION", &owner.region)
        .env("AWS_DEFAULT_REGION", &owner.region)
        .env("AWS_ACCESS_KEY_ID", "AKIALASTGOODLOCAL000")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}"))
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "local")
        .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
        .env("_HANDLER", "bootstrap")
        .envs(&process.env)
        // What the frame itself relies on cannot be overridden.
        .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
        .env("AWS_LAMBDA_FUNCTION_NAME", name)
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", MEMORY_MB.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// How a process ended, in Lambda's words.
fn describe(status: ExitStatus) -> String {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        if let Some(signal) = status.signal() {
            return if signal == 9 { "signal: killed".to_owned() } else { format!("signal: {signal}") };
        }
    }
    match status.code() {
        Some(code) => format!("exit status {code}"),
        None => status.to_string(),
    }
}
