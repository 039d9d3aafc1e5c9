//! Buckets and their sub-resources.

use rusqlite::{OptionalExtension, params};
use s3s::{S3ErrorCode, xml};

use super::Change;
use crate::fault::Fault;

/// What a bucket does with versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Versioning {
    /// Never switched on; there is one version per key, called `null`, and the API does not show its name.
    Never,
    Enabled,
    Suspended,
}

impl Versioning {
    /// The word S3's API uses; empty if versioning was never set.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Never => "",
            Self::Enabled => "Enabled",
            Self::Suspended => "Suspended",
        }
    }

    /// The status called `word`.
    ///
    /// # Errors
    /// `IllegalVersioningConfigurationException` for any other word.
    pub(crate) fn parse(word: &str) -> Result<Self, Fault> {
        match word {
            "Enabled" => Ok(Self::Enabled),
            "Suspended" => Ok(Self::Suspended),
            _ => Err(Fault::refused(
                S3ErrorCode::IllegalVersioningConfigurationException,
                "The Versioning element must be Enabled or Suspended.",
            )),
        }
    }

    fn stored(word: &str) -> Self {
        Self::parse(word).unwrap_or(Self::Never)
    }
}

/// A bucket in a listing.
pub(crate) struct Bucket {
    pub(crate) name: String,
    pub(crate) created_ms: i64,
    /// Absent, the stand-in's own.
    pub(crate) region: Option<String>,
}

/// The sub-resources that are stored and returned as they came.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Document {
    Acl,
    Cors,
    Encryption,
    Lifecycle,
    Notification,
    Ownership,
    Policy,
    PublicAccessBlock,
    /// The plain name of the bucket's region; absent, the stand-in's own.
    Region,
    Tagging,
}

impl Document {
    fn kind(self) -> &'static str {
        match self {
            Self::Acl => "acl",
            Self::Cors => "cors",
            Self::Encryption => "encryption",
            Self::Lifecycle => "lifecycle",
            Self::Notification => "notification",
            Self::Ownership => "ownershipControls",
            Self::Policy => "policy",
            Self::PublicAccessBlock => "publicAccessBlock",
            Self::Region => "region",
            Self::Tagging => "tagging",
        }
    }
}

impl Change<'_> {
    /// # Errors
    /// `BucketAlreadyOwnedByYou`.
    pub(crate) fn create_bucket(&mut self, name: &str) -> Result<(), Fault> {
        let added = self.tx.execute(
            "INSERT INTO buckets (name, created_ms) VALUES (?, ?) ON CONFLICT DO NOTHING",
            params![name, self.now_ms()],
        )?;
        if added == 0 {
            return Err(Fault::refused(
                S3ErrorCode::BucketAlreadyOwnedByYou,
                "Your previous request to create the named bucket succeeded and you already own it.",
            ));
        }
        Ok(())
    }

    /// # Errors
    /// `NoSuchBucket`, or `BucketNotEmpty` while any version or delete marker is left.
    pub(crate) fn delete_bucket(&mut self, name: &str) -> Result<(), Fault> {
        self.versioning(name)?;
        let occupied: bool =
            self.tx.query_row("SELECT EXISTS (SELECT 1 FROM versions WHERE bucket = ?)", [name], |row| row.get(0))?;
        if occupied {
            return Err(Fault::refused(
                S3ErrorCode::BucketNotEmpty,
                "The bucket you tried to delete is not empty. You must delete all versions in the bucket.",
            ));
        }
        let uploads: Vec<String> = self
            .tx
            .prepare_cached("SELECT id FROM uploads WHERE bucket = ?")?
            .query_map([name], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for upload in uploads {
            self.drop_upload(&upload, true)?;
        }
        self.tx.execute("DELETE FROM bucket_documents WHERE bucket = ?", [name])?;
        self.tx.execute("DELETE FROM buckets WHERE name = ?", [name])?;
        Ok(())
    }

    pub(crate) fn list_buckets(&self) -> Result<Vec<Bucket>, Fault> {
        let mut statement = self.tx.prepare_cached(
            "SELECT name, created_ms, document FROM buckets
             LEFT JOIN bucket_documents ON bucket = name AND kind = ? ORDER BY name",
        )?;
        let read =
            |row: &rusqlite::Row<'_>| Ok(Bucket { name: row.get(0)?, created_ms: row.get(1)?, region: row.get(2)? });
        let rows = statement.query_map([Document::Region.kind()], read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The bucket's versioning; also how every operation checks that the bucket exists.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    pub(crate) fn versioning(&self, bucket: &str) -> Result<Versioning, Fault> {
        self.tx
            .prepare_cached("SELECT versioning FROM buckets WHERE name = ?")?
            .query_row([bucket], |row| row.get::<_, String>(0))
            .optional()?
            .map(|word| Versioning::stored(&word))
            .ok_or_else(|| Fault::refused(S3ErrorCode::NoSuchBucket, "The specified bucket does not exist"))
    }

    /// # Errors
    /// `NoSuchBucket`.
    pub(crate) fn set_versioning(&mut self, bucket: &str, versioning: Versioning) -> Result<(), Fault> {
        self.versioning(bucket)?;
        self.tx.execute("UPDATE buckets SET versioning = ? WHERE name = ?", [versioning.word(), bucket])?;
        Ok(())
    }

    /// # Errors
    /// `NoSuchBucket`.
    pub(crate) fn document_text(&self, bucket: &str, document: Document) -> Result<Option<String>, Fault> {
        self.versioning(bucket)?;
        Ok(self
            .tx
            .prepare_cached("SELECT document FROM bucket_documents WHERE bucket = ? AND kind = ?")?
            .query_row([bucket, document.kind()], |row| row.get(0))
            .optional()?)
    }

    /// Stores the document, or removes it.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    pub(crate) fn set_document_text(
        &mut self,
        bucket: &str,
        document: Document,
        text: Option<&str>,
    ) -> Result<(), Fault> {
        self.versioning(bucket)?;
        match text {
            Some(text) => self.tx.execute(
                "INSERT INTO bucket_documents (bucket, kind, document) VALUES (?, ?, ?)
                 ON CONFLICT DO UPDATE SET document = excluded.document",
                [bucket, document.kind(), text],
            )?,
            None => self
                .tx
                .execute("DELETE FROM bucket_documents WHERE bucket = ? AND kind = ?", [bucket, document.kind()])?,
        };
        Ok(())
    }

    /// As [`document_text`](Self::document_text), parsed.
    pub(crate) fn document<T: for<'x> xml::Deserialize<'x>>(
        &self,
        bucket: &str,
        document: Document,
    ) -> Result<Option<T>, Fault> {
        self.document_text(bucket, document)?.map(|text| from_xml(&text)).transpose()
    }

    /// As [`set_document_text`](Self::set_document_text), from the wire's structure.
    pub(crate) fn set_document<T: xml::Serialize>(
        &mut self,
        bucket: &str,
        document: Document,
        value: &T,
    ) -> Result<(), Fault> {
        self.set_document_text(bucket, document, Some(&to_xml(value)?))
    }
}

/// A structure of the wire as the text that is stored.
pub(crate) fn to_xml<T: xml::Serialize>(value: &T) -> Result<String, Fault> {
    let mut text = Vec::new();
    value.serialize(&mut xml::Serializer::new(&mut text)).map_err(|error| Fault::Damaged(error.to_string()))?;
    String::from_utf8(text).map_err(|error| Fault::Damaged(error.to_string()))
}

/// What [`to_xml`] wrote.
pub(crate) fn from_xml<T: for<'x> xml::Deserialize<'x>>(text: &str) -> Result<T, Fault> {
    let mut reader = xml::Deserializer::new(text.as_bytes());
    T::deserialize(&mut reader).map_err(|error| Fault::Damaged(error.to_string()))
}
