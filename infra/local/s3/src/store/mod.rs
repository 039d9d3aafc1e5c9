//! The durable state: one SQLite file for everything but bodies, and the folder of bodies beside it.

pub(crate) mod buckets;
pub(crate) mod listing;
pub(crate) mod objects;
pub(crate) mod queue;
pub(crate) mod tags;
pub(crate) mod uploads;
pub(crate) mod version;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use engine::ports::Entropy;
use jiff::Timestamp;
use runtime::Timer;
use rusqlite::{Connection, Transaction};
use tokio::sync::Notify as Wake;

use crate::{
    OpenError,
    bodies::{Bodies, blocking},
    fault::Fault,
};

/// The layout of the metadata file that this code writes.
const LAYOUT: i64 = 1;
const METADATA_FILE: &str = "metadata.sqlite";
const BODIES_DIR: &str = "bodies";

/// Everything behind one stand-in.
pub(crate) struct Store {
    db: Mutex<Connection>,
    pub(crate) bodies: Arc<Bodies>,
    pub(crate) timer: Arc<dyn Timer>,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// Rung after every commit that queued a notification.
    pub(crate) queued: Wake,
}

impl Store {
    pub(crate) fn open(dir: &Path, timer: Arc<dyn Timer>, entropy: Arc<dyn Entropy>) -> Result<Self, OpenError> {
        std::fs::create_dir_all(dir)?;
        let mut db = Connection::open(dir.join(METADATA_FILE))?;
        db.busy_timeout(std::time::Duration::ZERO)?;
        // One process owns the directory; the lock makes a second one fail here instead of corrupting bodies.
        db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        // WAL with NORMAL keeps every commit when the process dies; only a power cut may lose the newest.
        db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        db.pragma_update(None, "synchronous", "NORMAL")?;
        let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let found: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match found {
            0 => {
                tx.execute_batch(include_str!("schema.sql"))?;
                tx.pragma_update(None, "user_version", LAYOUT)?;
            }
            LAYOUT => {}
            found => {
                return Err(OpenError::OtherLayout { found, supported: LAYOUT });
            }
        }
        let live = tx
            .prepare("SELECT body FROM segments UNION ALL SELECT body FROM parts")?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        tx.commit()?;
        let bodies = Bodies::open(&dir.join(BODIES_DIR), Arc::clone(&entropy))?;
        bodies.sweep(&live)?;
        Ok(Self { db: Mutex::new(db), bodies: Arc::new(bodies), timer, entropy, queued: Wake::new() })
    }

    /// Runs `work` in one transaction. Nothing is visible unless it returns `Ok`; then everything is.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Change<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let store = Arc::clone(self);
        blocking(move || {
            let mut db = store.db.lock().unwrap_or_else(PoisonError::into_inner);
            let tx = db.transaction()?;
            let mut change = Change {
                tx: &tx,
                bodies: &store.bodies,
                entropy: store.entropy.as_ref(),
                now: store.timer.now(),
                doomed: Vec::new(),
                queued: false,
            };
            let out = work(&mut change)?;
            let (doomed, queued) = (change.doomed, change.queued);
            tx.commit()?;
            // Still under the lock: nobody can look up a body and take a lease in between.
            store.bodies.remove(&doomed);
            if queued {
                store.queued.notify_one();
            }
            Ok(out)
        })
        .await
    }
}

/// A transaction under way, with what it needs from outside.
pub(crate) struct Change<'a> {
    pub(crate) tx: &'a Transaction<'a>,
    pub(crate) bodies: &'a Arc<Bodies>,
    pub(crate) entropy: &'a dyn Entropy,
    pub(crate) now: Timestamp,
    /// Bodies without an owner once this commits.
    pub(crate) doomed: Vec<String>,
    queued: bool,
}

impl Change<'_> {
    pub(crate) fn now_ms(&self) -> i64 {
        self.now.as_millisecond()
    }

    /// A name of the shape S3 gives versions and uploads: 32 characters that need no escaping anywhere.
    pub(crate) fn fresh_id(&self) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._";
        let mut bytes = [0; 32];
        self.entropy.fill(&mut bytes);
        bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect()
    }
}
