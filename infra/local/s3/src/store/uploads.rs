//! Multipart uploads: parts wait as bodies of their own and become the segments of the object.

use rusqlite::{OptionalExtension, params};
use s3s::S3ErrorCode;
use serde::{Deserialize, Serialize};

use super::{
    Change,
    objects::{NewVersion, Precondition, Written},
    version::{Attributes, Encryption},
};
use crate::{
    bodies::{Draft, Segment},
    digests::{Algorithm, Checksum, Digested, multipart_etag},
    events::Cause,
    fault::Fault,
};

/// Smallest size of any part but the last, as S3.
const PART_BYTES_MIN: u64 = 5 << 20;

/// How the parts of an upload are checked.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Checking {
    pub(crate) algorithm: Algorithm,
    pub(crate) composite: bool,
}

/// An upload under way.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) id: String,
    pub(crate) attributes: Attributes,
    pub(crate) checking: Option<Checking>,
}

/// A part that has arrived.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) number: i32,
    pub(crate) segment: Segment,
    pub(crate) md5: [u8; 16],
    pub(crate) modified_ms: i64,
    pub(crate) checksum: Option<Checksum>,
}

/// A part as the client lists it at completion.
#[derive(Debug)]
pub(crate) struct NamedPart {
    pub(crate) number: i32,
    pub(crate) etag: String,
}

/// The finished object.
pub(crate) struct Completed {
    pub(crate) written: Written,
    pub(crate) etag: String,
    pub(crate) checksum: Option<Checksum>,
    pub(crate) encryption: Option<Encryption>,
}

impl Change<'_> {
    /// # Errors
    /// `NoSuchBucket`.
    pub(crate) fn start_upload(
        &mut self,
        bucket: &str,
        key: &str,
        attributes: &Attributes,
        checking: Option<Checking>,
    ) -> Result<String, Fault> {
        self.versioning(bucket)?;
        let id = self.fresh_id();
        self.tx.execute(
            "INSERT INTO uploads (id, bucket, key, initiated_ms, attributes, checksum) VALUES (?, ?, ?, ?, ?, ?)",
            params![
                id,
                bucket,
                key,
                self.now_ms(),
                serde_json::to_string(attributes)?,
                serde_json::to_string(&checking)?
            ],
        )?;
        Ok(id)
    }

    /// # Errors
    /// `NoSuchUpload`, also if the id belongs to another key.
    pub(crate) fn upload(&self, bucket: &str, key: &str, id: &str) -> Result<Upload, Fault> {
        let found: Option<(String, String)> = self
            .tx
            .prepare_cached("SELECT attributes, checksum FROM uploads WHERE id = ? AND bucket = ? AND key = ?")?
            .query_row([id, bucket, key], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (attributes, checking) = found.ok_or_else(|| {
            Fault::refused(
                S3ErrorCode::NoSuchUpload,
                "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
            )
        })?;
        Ok(Upload {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            id: id.to_owned(),
            attributes: serde_json::from_str(&attributes)?,
            checking: serde_json::from_str(&checking)?,
        })
    }

    /// Stores a part, replacing an earlier one of that number.
    ///
    /// # Errors
    /// `NoSuchUpload`.
    pub(crate) fn put_part(
        &mut self,
        bucket: &str,
        key: &str,
        id: &str,
        number: i32,
        measured: &Digested,
        draft: Draft,
    ) -> Result<(), Fault> {
        self.upload(bucket, key, id)?;
        let earlier: Option<String> = self
            .tx
            .query_row("SELECT body FROM parts WHERE upload = ? AND part = ?", params![id, number], |row| row.get(0))
            .optional()?;
        self.doomed.extend(earlier);
        self.tx.execute(
            "INSERT OR REPLACE INTO parts (upload, part, body, size, md5, modified_ms, checksum) VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![
                id,
                number,
                draft.id(),
                measured.size as i64,
                hex::encode(measured.md5),
                self.now_ms(),
                serde_json::to_string(&measured.checksum)?
            ],
        )?;
        draft.keep();
        Ok(())
    }

    /// Up to `limit` parts numbered above `after`, in order.
    pub(crate) fn parts(&self, id: &str, after: i32, limit: usize) -> Result<Vec<Part>, Fault> {
        let mut statement = self.tx.prepare_cached(
            "SELECT part, body, size, md5, modified_ms, checksum FROM parts WHERE upload = ? AND part > ?
             ORDER BY part LIMIT ?",
        )?;
        let rows = statement.query_map(params![id, after, limit as i64], |row| {
            Ok((
                Part {
                    number: row.get(0)?,
                    segment: Segment { body: row.get(1)?, size: row.get::<_, i64>(2)?.unsigned_abs() },
                    md5: [0; 16],
                    modified_ms: row.get(4)?,
                    checksum: None,
                },
                row.get::<_, String>(3)?,
                row.get::<_, String>(5)?,
            ))
        })?;
        let mut parts = Vec::new();
        for row in rows {
            let (mut part, md5, checksum) = row?;
            hex::decode_to_slice(&md5, &mut part.md5).map_err(|error| Fault::Damaged(error.to_string()))?;
            part.checksum = serde_json::from_str(&checksum)?;
            parts.push(part);
        }
        Ok(parts)
    }

    /// Makes the object out of the named parts and forgets the upload.
    ///
    /// # Errors
    /// `NoSuchUpload`, `MalformedXML`, `InvalidPart`, `InvalidPartOrder`, `EntityTooSmall`, and those of a put.
    pub(crate) fn complete_upload(
        &mut self,
        upload: Upload,
        named: &[NamedPart],
        precondition: Precondition,
        cause: Cause,
    ) -> Result<Completed, Fault> {
        let all = self.parts(&upload.id, 0, usize::MAX >> 1)?;
        let chosen = choose(&all, named)?;
        let md5s: Vec<_> = chosen.iter().map(|part| part.md5).collect();
        let etag = multipart_etag(&md5s);
        let checksum = upload.checking.and_then(|checking| {
            let parts: Option<Vec<_>> =
                chosen.iter().map(|part| Some((part.checksum.as_ref()?.value.as_str(), part.segment.size))).collect();
            Checksum::of_parts(checking.algorithm, checking.composite, &parts?)
        });
        let encryption = upload.attributes.encryption.clone();
        let new = NewVersion {
            bucket: upload.bucket,
            key: upload.key,
            etag: etag.clone(),
            attributes: Attributes { checksum: checksum.clone(), ..upload.attributes },
            segments: chosen.iter().map(|part| part.segment.clone()).collect(),
            cause,
            precondition,
        };
        let written = self.put_version(&new, Vec::new())?;
        let left_out = all.iter().filter(|part| !chosen.iter().any(|used| used.number == part.number));
        self.doomed.extend(left_out.map(|part| part.segment.body.clone()));
        self.drop_upload(&upload.id, false)?;
        Ok(Completed { written, etag, checksum, encryption })
    }

    /// Forgets an upload, with its bodies if they belong to nothing else.
    pub(crate) fn drop_upload(&mut self, id: &str, with_bodies: bool) -> Result<(), Fault> {
        if with_bodies {
            let parts = self.parts(id, 0, usize::MAX >> 1)?;
            self.doomed.extend(parts.into_iter().map(|part| part.segment.body));
        }
        self.tx.execute("DELETE FROM parts WHERE upload = ?", [id])?;
        self.tx.execute("DELETE FROM uploads WHERE id = ?", [id])?;
        Ok(())
    }
}

fn choose<'p>(all: &'p [Part], named: &[NamedPart]) -> Result<Vec<&'p Part>, Fault> {
    if named.is_empty() {
        return Err(Fault::refused(S3ErrorCode::MalformedXML, "You must specify at least one part."));
    }
    if named.windows(2).any(|pair| pair[0].number >= pair[1].number) {
        return Err(Fault::refused(
            S3ErrorCode::InvalidPartOrder,
            "The list of parts was not in ascending order. Parts must be ordered by part number.",
        ));
    }
    let mut chosen = Vec::with_capacity(named.len());
    for name in named {
        let found = all
            .iter()
            .find(|part| part.number == name.number && hex::encode(part.md5) == name.etag)
            .ok_or_else(|| {
                Fault::refused(
                    S3ErrorCode::InvalidPart,
                    format!(
                        "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag (part {}).",
                        name.number
                    ),
                )
            })?;
        chosen.push(found);
    }
    let (_, but_last) = chosen.split_last().unwrap_or((&chosen[0], &[]));
    if but_last.iter().any(|part| part.segment.size < PART_BYTES_MIN) {
        return Err(Fault::refused(
            S3ErrorCode::EntityTooSmall,
            "Your proposed upload is smaller than the minimum allowed size: every part but the last needs 5 MiB.",
        ));
    }
    Ok(chosen)
}
