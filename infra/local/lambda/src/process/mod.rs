//! Functions that are processes: a bootstrap, as Lambda's custom runtimes have it.

mod output;
mod pool;
mod running;
mod runtime_api;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

pub(crate) use pool::Pool;

/// How to run a function's bootstrap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The executable, Lambda's `bootstrap`. It runs in its own directory.
    pub command: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment, besides what Lambda sets. Give `AWS_ENDPOINT_URL` here. Nothing is inherited.
    pub env: BTreeMap<String, String>,
    /// Longest time for one invocation, the start of the process included.
    pub timeout: Duration,
}
