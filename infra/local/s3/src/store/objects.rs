//! Object versions and delete markers.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use rusqlite::{OptionalExtension, params};
use s3s::{S3Error, S3ErrorCode, dto::ETagCondition};

use super::{
    Change,
    buckets::Versioning,
    version::{Attributes, VERSION_COLUMNS, Version, read_version},
};
use crate::{
    bodies::{Draft, Segment},
    events::{Cause, Created},
    fault::Fault,
};

/// The version id of what was written while versioning was not enabled.
pub(crate) const NULL_VERSION: &str = "null";

/// A version about to be stored.
pub(crate) struct NewVersion {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) etag: String,
    pub(crate) attributes: Attributes,
    pub(crate) segments: Vec<Segment>,
    pub(crate) cause: Cause,
    pub(crate) precondition: Precondition,
}

/// What must hold for a write to happen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Precondition {
    pub(crate) if_match: Option<ETagCondition>,
    pub(crate) if_none_match: Option<ETagCondition>,
}

/// What became of a write.
pub(crate) struct Written {
    /// Absent in a bucket that never had versioning.
    pub(crate) version_id: Option<String>,
    pub(crate) modified_ms: i64,
}

/// What became of a delete.
#[derive(Default)]
pub(crate) struct Deleted {
    pub(crate) version_id: Option<String>,
    /// Whether the delete made, or removed, a delete marker.
    pub(crate) marker: bool,
}

impl Change<'_> {
    /// Makes a version the latest of its key and queues its notifications, all or nothing.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchKey` or `PreconditionFailed`.
    pub(crate) fn put_version(&mut self, new: &NewVersion, drafts: Vec<Draft>) -> Result<Written, Fault> {
        let versioning = self.versioning(&new.bucket)?;
        self.check_precondition(&new.bucket, &new.key, &new.precondition)?;
        let size: u64 = new.segments.iter().map(|segment| segment.size).sum();
        let version_id = self.make_room(versioning, &new.bucket, &new.key)?;
        let seq = self.insert_row(&new.bucket, &new.key, &version_id, false, size, &new.etag, &new.attributes)?;
        for (part, segment) in new.segments.iter().enumerate() {
            self.tx
                .prepare_cached("INSERT INTO segments (version, part, body, size) VALUES (?, ?, ?, ?)")?
                .execute(params![seq, part as i64 + 1, segment.body, segment.size as i64])?;
        }
        self.enqueue_created(&Created {
            bucket: &new.bucket,
            key: &new.key,
            size,
            etag: &new.etag,
            version_id: (versioning == Versioning::Enabled).then_some(version_id.as_str()),
            seq,
            cause: &new.cause,
        })?;
        // A failing commit after this leaves files without owner, which the sweep at the next start removes.
        drafts.into_iter().for_each(Draft::keep);
        Ok(Written { version_id: (versioning != Versioning::Never).then_some(version_id), modified_ms: self.now_ms() })
    }

    /// Deletes a version by name, or the object as its bucket's versioning has it.
    ///
    /// # Errors
    /// `NoSuchBucket` or `PreconditionFailed`.
    pub(crate) fn delete(
        &mut self,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
        if_match: Option<&ETagCondition>,
    ) -> Result<Deleted, Fault> {
        let versioning = self.versioning(bucket)?;
        if let Some(condition) = if_match {
            let current = match version_id {
                Some(id) => self.version(bucket, key, id)?,
                None => self.latest(bucket, key)?,
            };
            if !current.is_some_and(|found| !found.marker && matches(condition, &found.etag)) {
                return Err(precondition_failed());
            }
        }
        if let Some(id) = version_id {
            let marker = self.erase(bucket, key, id)?.unwrap_or(false);
            return Ok(Deleted { version_id: Some(id.to_owned()), marker });
        }
        if versioning == Versioning::Never {
            self.erase(bucket, key, NULL_VERSION)?;
            return Ok(Deleted::default());
        }
        let id = self.make_room(versioning, bucket, key)?;
        self.insert_row(bucket, key, &id, true, 0, "", &Attributes::default())?;
        Ok(Deleted { version_id: Some(id), marker: true })
    }

    /// The version a read means: the named one, else the latest.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchKey`, `NoSuchVersion`; for a delete marker `NoSuchKey` or `MethodNotAllowed`
    /// with `x-amz-delete-marker`.
    pub(crate) fn find(&self, bucket: &str, key: &str, version_id: Option<&str>) -> Result<Version, Fault> {
        self.versioning(bucket)?;
        let Some(id) = version_id else {
            return match self.latest(bucket, key)? {
                Some(found) if found.marker => Err(is_marker(S3ErrorCode::NoSuchKey, &found)),
                Some(found) => Ok(found),
                None => Err(no_such_key()),
            };
        };
        match self.version(bucket, key, id)? {
            Some(found) if found.marker => Err(is_marker(S3ErrorCode::MethodNotAllowed, &found)),
            Some(found) => Ok(found),
            None => Err(Fault::refused(S3ErrorCode::NoSuchVersion, "The specified version does not exist.")),
        }
    }

    /// The body files of a version, in order.
    pub(crate) fn segments(&self, version: &Version) -> Result<Vec<Segment>, Fault> {
        let mut statement =
            self.tx.prepare_cached("SELECT body, size FROM segments WHERE version = ? ORDER BY part")?;
        let rows = statement.query_map([version.seq], |row| {
            Ok(Segment { body: row.get(0)?, size: row.get::<_, i64>(1)?.unsigned_abs() })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(crate) fn set_attributes(&mut self, version: &Version, attributes: &Attributes) -> Result<(), Fault> {
        self.tx.execute(
            "UPDATE versions SET attributes = ? WHERE seq = ?",
            params![serde_json::to_string(attributes)?, version.seq],
        )?;
        Ok(())
    }

    /// # Errors
    /// `NoSuchKey` or `PreconditionFailed`.
    pub(crate) fn check_precondition(&self, bucket: &str, key: &str, wanted: &Precondition) -> Result<(), Fault> {
        if wanted.if_match.is_none() && wanted.if_none_match.is_none() {
            return Ok(());
        }
        let current = self.latest(bucket, key)?.filter(|found| !found.marker);
        if let Some(condition) = &wanted.if_match {
            let current = current.as_ref().ok_or_else(no_such_key)?;
            if !matches(condition, &current.etag) {
                return Err(precondition_failed());
            }
        }
        if let (Some(condition), Some(current)) = (&wanted.if_none_match, &current)
            && matches(condition, &current.etag)
        {
            return Err(precondition_failed());
        }
        Ok(())
    }

    fn latest(&self, bucket: &str, key: &str) -> Result<Option<Version>, Fault> {
        let sql =
            format!("SELECT {VERSION_COLUMNS} FROM versions WHERE bucket = ? AND key = ? ORDER BY seq DESC LIMIT 1");
        let mut statement = self.tx.prepare_cached(&sql)?;
        statement.query_row([bucket, key], read_version).optional()?.transpose()
    }

    pub(crate) fn version(&self, bucket: &str, key: &str, id: &str) -> Result<Option<Version>, Fault> {
        let sql = format!("SELECT {VERSION_COLUMNS} FROM versions WHERE bucket = ? AND key = ? AND version_id = ?");
        let mut statement = self.tx.prepare_cached(&sql)?;
        statement.query_row([bucket, key, id], read_version).optional()?.transpose()
    }

    /// The id of the version about to be written; removes the null version if it takes that place.
    fn make_room(&mut self, versioning: Versioning, bucket: &str, key: &str) -> Result<String, Fault> {
        if versioning == Versioning::Enabled {
            return Ok(self.fresh_id());
        }
        self.erase(bucket, key, NULL_VERSION)?;
        Ok(NULL_VERSION.to_owned())
    }

    /// Removes a version and its bodies; `None` if there was none, else whether it was a marker.
    fn erase(&mut self, bucket: &str, key: &str, id: &str) -> Result<Option<bool>, Fault> {
        let Some(version) = self.version(bucket, key, id)? else {
            return Ok(None);
        };
        let bodies = self.segments(&version)?;
        self.doomed.extend(bodies.into_iter().map(|segment| segment.body));
        self.tx.execute("DELETE FROM segments WHERE version = ?", [version.seq])?;
        self.tx.execute("DELETE FROM versions WHERE seq = ?", [version.seq])?;
        self.tx.execute(
            "UPDATE versions SET latest = 1 WHERE seq =
                 (SELECT max(seq) FROM versions WHERE bucket = ? AND key = ?)",
            [bucket, key],
        )?;
        Ok(Some(version.marker))
    }

    #[expect(clippy::too_many_arguments, reason = "one per column; private, and called from two places")]
    fn insert_row(
        &mut self,
        bucket: &str,
        key: &str,
        id: &str,
        marker: bool,
        size: u64,
        etag: &str,
        attributes: &Attributes,
    ) -> Result<i64, Fault> {
        self.tx
            .prepare_cached("UPDATE versions SET latest = 0 WHERE bucket = ? AND key = ? AND latest = 1")?
            .execute([bucket, key])?;
        self.tx
            .prepare_cached(
                "INSERT INTO versions (bucket, key, version_id, latest, marker, size, etag, modified_ms, attributes)
                 VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                bucket,
                key,
                id,
                marker,
                size as i64,
                etag,
                self.now_ms(),
                serde_json::to_string(attributes)?
            ])?;
        Ok(self.tx.last_insert_rowid())
    }
}

/// Whether `etag` (unquoted) satisfies the condition.
pub(crate) fn matches(condition: &ETagCondition, etag: &str) -> bool {
    condition.as_etag().is_none_or(|wanted| wanted.value() == etag)
}

pub(crate) fn precondition_failed() -> Fault {
    Fault::refused(S3ErrorCode::PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
}

fn no_such_key() -> Fault {
    Fault::refused(S3ErrorCode::NoSuchKey, "The specified key does not exist.")
}

fn is_marker(code: S3ErrorCode, marker: &Version) -> Fault {
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-delete-marker", HeaderValue::from_static("true"));
    if let Ok(id) = HeaderValue::from_str(&marker.version_id) {
        headers.insert("x-amz-version-id", id);
    }
    let mut error = if code == S3ErrorCode::MethodNotAllowed {
        headers.insert(header::ALLOW, HeaderValue::from_static("DELETE"));
        let mut error = S3Error::with_message(code, "The specified method is not allowed against this resource.");
        error.set_status_code(StatusCode::METHOD_NOT_ALLOWED);
        error
    } else {
        S3Error::with_message(code, "The specified key does not exist.")
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    error.set_headers(headers);
    Fault::Refused(error)
}
