//! S3 on a laptop: the protocol by `s3s` over a durable, versioned directory, with upload notifications.
//!
//! **May touch**: one directory of its own, the clock and entropy it is given.
//!
//! **Architecture invariants**: metadata and pending notifications change in one SQLite transaction; a body file is
//! whole before metadata refers to it; keys never become file names; bodies are never held in memory. Nothing here
//! knows pipelines or keys: whoever serves the router checks signatures, or lets everybody in.

mod acl;
mod bodies;
mod chunked;
mod claimed;
mod deliver;
mod digests;
mod events;
mod fault;
mod front;
mod service;
mod store;

use std::{path::Path, sync::Arc};

use axum::Router;
use engine::ports::Entropy;
use runtime::Timer;
use s3s::service::S3ServiceBuilder;

pub use deliver::Notify;
pub use front::SignedRegion;

use crate::{front::Front, service::Service, store::Store};

/// Why a directory cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process serves the directory.
    #[error("another process uses this S3 data directory; stop it or choose another directory")]
    InUse,
    /// The directory was written by a version with another layout.
    #[error(
        "the S3 data directory has layout {found}, this version reads layout {supported}; use the version that wrote it or another directory"
    )]
    OtherLayout {
        /// The layout found.
        found: i64,
        /// The layout this version reads and writes.
        supported: i64,
    },
    /// The metadata file cannot be read or written.
    #[error("the metadata of the S3 data directory cannot be used")]
    Metadata(#[source] rusqlite::Error),
    /// The directory cannot be read or written.
    #[error("the S3 data directory cannot be used")]
    Directory(#[from] std::io::Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => Self::InUse,
            _ => Self::Metadata(error),
        }
    }
}

/// The stand-in for S3. Clones share one directory.
#[derive(Clone)]
pub struct S3(Arc<Store>);

impl S3 {
    /// Opens `dir`, creating it if absent, and removes what a killed process left half-done.
    ///
    /// # Errors
    /// [`OpenError::InUse`] while another process has it, [`OpenError::OtherLayout`] for data of another version.
    pub fn open(dir: &Path, clock: Arc<dyn Timer>, entropy: Arc<dyn Entropy>) -> Result<Self, OpenError> {
        Ok(Self(Arc::new(Store::open(dir, clock, entropy)?)))
    }

    /// The S3 API, path-style (`/bucket/key`).
    pub fn router(&self) -> Router {
        let front = Front {
            service: S3ServiceBuilder::new(Service(Arc::clone(&self.0))).build(),
            store: Arc::clone(&self.0),
            entropy: Arc::clone(&self.0.entropy),
        };
        Router::new().fallback(front::serve).with_state(front)
    }

    /// Delivers notifications for ever: in order per receiver, each until it is acknowledged, over restarts too.
    /// Run it once per directory.
    pub async fn deliver(self, notify: Arc<dyn Notify>) {
        deliver::deliver(self.0, notify).await;
    }
}
