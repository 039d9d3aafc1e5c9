//! [`Objects`] over S3.

mod failure;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use aws_sdk_s3::{
    Client,
    error::ProvideErrorMetadata,
    operation::{
        copy_object::builders::CopyObjectFluentBuilder,
        create_multipart_upload::builders::CreateMultipartUploadFluentBuilder,
        put_object::builders::PutObjectFluentBuilder,
    },
    primitives::{ByteStream, DateTime},
    types::{
        BucketVersioningStatus, ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart,
        MetadataDirective, ObjectCannedAcl, ServerSideEncryption, Tag, Tagging, TaggingDirective,
    },
};
use aws_types::{SdkConfig, region::Region, service_config::ServiceConfigKey};
use bytes::Bytes;
use domain::ArtifactDigest;
use engine::ports::objects::{
    COPY_BYTES_MAX, ObjectAt, ObjectInfo, Objects, ObjectsError, Part, PinnedObject, PutOptions, Upload, Written,
    copy_parts,
};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use failure::{Asked, failure, is_bare};

/// How often a download is tried that breaks off inside its body.
const READ_ATTEMPTS_MAX: u32 = 3;

/// What need not be escaped in a copy source or a tag: S3's unreserved characters; a slash separates.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const ESCAPED_IN_PATH: &AsciiSet = &ESCAPED.remove(b'/');

/// Makes an S3 client of the general configuration: with path-style addresses if it names an endpoint, since the
/// bucket cannot be part of the host name of a local endpoint.
pub fn client(config: &SdkConfig) -> Client {
    let own_endpoint = || {
        let key = ServiceConfigKey::builder()
            .service_id("S3")
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build()
            .ok()?;
        config.service_config()?.load_config(key)
    };
    let has_endpoint = config.endpoint_url().is_some() || own_endpoint().is_some();
    let s3 = aws_sdk_s3::config::Builder::from(config).force_path_style(has_endpoint).build();
    Client::from_conf(s3)
}

/// The checksum in an answer, SHA-256 before others; the SDK's answers share members but no trait.
macro_rules! digest {
    ($answer:expr) => {{
        let told = [
            ("SHA256", $answer.checksum_sha256()),
            ("CRC64NVME", $answer.checksum_crc64_nvme()),
            ("SHA1", $answer.checksum_sha1()),
            ("CRC32C", $answer.checksum_crc32_c()),
            ("CRC32", $answer.checksum_crc32()),
        ];
        let digest = |(algorithm, value): (&str, Option<&str>)| {
            Some(ArtifactDigest { algorithm: algorithm.to_owned(), value: value?.to_owned() })
        };
        told.into_iter().find_map(digest)
    }};
}

/// The buckets that a client reaches, and those of other regions.
#[derive(Debug, Clone)]
pub struct S3Objects {
    client: Client,
    /// Made when first asked for: a client keeps its connections.
    elsewhere: Arc<Mutex<BTreeMap<String, Client>>>,
}

impl S3Objects {
    /// Over a client made from `config`.
    pub fn connect(config: &SdkConfig) -> Self {
        Self::new(client(config))
    }

    /// Objects by way of `client`, as [`client`] makes it.
    pub fn new(client: Client) -> Self {
        Self { client, elsewhere: Arc::default() }
    }

    /// The client for the region of `at`. A copy is asked of the region it is written to.
    fn client_of(&self, at: &ObjectAt) -> Client {
        let Some(region) = &at.region else { return self.client.clone() };
        let mut elsewhere = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Client::from_conf(self.client.config().to_builder().region(Region::new(region.clone())).build());
        elsewhere.entry(region.clone()).or_insert_with(make).clone()
    }

    async fn read_once(&self, object: &PinnedObject, range: &Range<u64>) -> Result<Bytes, ObjectsError> {
        let asked = Asked::read("GetObject", &object.at);
        let (version_id, etag) = condition(object);
        let output = self
            .client_of(&object.at)
            .get_object()
            .bucket(&object.at.bucket)
            .key(&object.at.key)
            .set_version_id(version_id)
            .set_if_match(etag)
            .range(http_range(range))
            .send()
            .await
            .map_err(|error| failure(&asked, error))?;
        let body = output.body.collect().await.map_err(|_| asked.unavailable("the download broke off"))?;
        Ok(body.into_bytes())
    }

    /// What HEAD was refused for that was answered with 400 and no word: GET's answer has a body. Where that says no more, it is
    /// what was `told`.
    async fn ask_why(&self, at: &ObjectAt, version_id: Option<&str>, told: ObjectsError) -> ObjectsError {
        let asked = Asked::head(at, version_id.is_some());
        let request = self.client_of(at).get_object().bucket(&at.bucket).key(&at.key).range(http_range(&(0..1)));
        match request.set_version_id(version_id.map(str::to_owned)).send().await {
            Err(error) if !is_bare(&error) => failure(&asked, error),
            _ => told,
        }
    }

    async fn copy_once(
        &self,
        from: &PinnedObject,
        to: &ObjectAt,
        options: &PutOptions,
    ) -> Result<Written, ObjectsError> {
        let asked = Asked::copy("CopyObject", &from.at, to);
        let (_, etag) = condition(from);
        let request = self
            .client_of(to)
            .copy_object()
            .bucket(&to.bucket)
            .key(&to.key)
            .copy_source(copy_source(from))
            .set_copy_source_if_match(etag)
            .metadata_directive(MetadataDirective::Replace)
            .tagging_directive(TaggingDirective::Replace);
        let request = request.set_checksum_algorithm(options.sha256.then_some(ChecksumAlgorithm::Sha256));
        let output = stored_copy(request, options).send().await.map_err(|error| failure(&asked, error))?;
        let (version_id, result) = (output.version_id, output.copy_object_result);
        let digest = result.as_ref().and_then(|result| digest!(result));
        Ok(Written { digest, ..written(version_id, result.and_then(|result| result.e_tag)) })
    }
}

impl Objects for S3Objects {
    async fn head(&self, at: &ObjectAt, version_id: Option<&str>) -> Result<ObjectInfo, ObjectsError> {
        let asked = Asked::head(at, version_id.is_some());
        let answer = self
            .client_of(at)
            .head_object()
            .bucket(&at.bucket)
            .key(&at.key)
            .set_version_id(version_id.map(str::to_owned))
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await;
        let output = match answer {
            Ok(output) => output,
            Err(error) if is_bare(&error) => return Err(self.ask_why(at, version_id, failure(&asked, error)).await),
            Err(error) => return Err(failure(&asked, error)),
        };
        let size = output
            .content_length
            .and_then(|size| u64::try_from(size).ok())
            .ok_or_else(|| asked.unavailable("the answer had no size"))?;
        let digest = digest!(output);
        Ok(ObjectInfo {
            version_id: output.version_id,
            etag: plain_etag(output.e_tag),
            size,
            digest,
            last_modified: output.last_modified.as_ref().and_then(timestamp),
            content_type: output.content_type,
            metadata: output.metadata.unwrap_or_default().into_iter().collect(),
        })
    }

    async fn read(&self, object: &PinnedObject, range: Range<u64>) -> Result<Bytes, ObjectsError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let mut attempt = 1;
        loop {
            match self.read_once(object, &range).await {
                // The SDK has retried the request itself; a body that breaks off is ours to ask for again.
                Err(ObjectsError::Unavailable { .. }) if attempt < READ_ATTEMPTS_MAX => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    async fn put(&self, at: &ObjectAt, body: Bytes, options: &PutOptions) -> Result<Written, ObjectsError> {
        let asked = Asked::write("PutObject", at);
        let request = self.client_of(at).put_object().bucket(&at.bucket).key(&at.key).body(ByteStream::from(body));
        let output = stored_put(request, options).send().await.map_err(|error| failure(&asked, error))?;
        Ok(written(output.version_id, output.e_tag))
    }

    async fn begin_upload(&self, at: &ObjectAt, options: &PutOptions) -> Result<Upload, ObjectsError> {
        let asked = Asked::write("CreateMultipartUpload", at);
        let request = self
            .client_of(at)
            .create_multipart_upload()
            .bucket(&at.bucket)
            .key(&at.key)
            .checksum_algorithm(ChecksumAlgorithm::Crc32);
        let output = stored_upload(request, options).send().await.map_err(|error| failure(&asked, error))?;
        let id = output.upload_id.ok_or_else(|| asked.unavailable("the answer had no upload id"))?;
        Ok(Upload { at: at.clone(), id, if_none_match: options.if_none_match })
    }

    async fn put_part(&self, upload: &Upload, number: u32, body: Bytes) -> Result<Part, ObjectsError> {
        let asked = Asked::write("UploadPart", &upload.at);
        let output = self
            .client_of(&upload.at)
            .upload_part()
            .bucket(&upload.at.bucket)
            .key(&upload.at.key)
            .upload_id(&upload.id)
            .part_number(part_number(number))
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(ByteStream::from(body))
            .send()
            .await
            .map_err(|error| failure(&asked, error))?;
        Ok(Part { number, etag: output.e_tag.unwrap_or_default(), crc32: output.checksum_crc32 })
    }

    async fn copy_part(
        &self,
        upload: &Upload,
        number: u32,
        from: &PinnedObject,
        range: Option<Range<u64>>,
    ) -> Result<Part, ObjectsError> {
        let asked = Asked::copy("UploadPartCopy", &from.at, &upload.at);
        let (_, etag) = condition(from);
        let output = self
            .client_of(&upload.at)
            .upload_part_copy()
            .bucket(&upload.at.bucket)
            .key(&upload.at.key)
            .upload_id(&upload.id)
            .part_number(part_number(number))
            .copy_source(copy_source(from))
            .set_copy_source_range(range.as_ref().map(http_range))
            .set_copy_source_if_match(etag)
            .send()
            .await
            .map_err(|error| failure(&asked, error))?;
        let result = output.copy_part_result.ok_or_else(|| asked.unavailable("the answer had no receipt"))?;
        Ok(Part { number, etag: result.e_tag.unwrap_or_default(), crc32: result.checksum_crc32 })
    }

    async fn complete_upload(&self, upload: &Upload, parts: &[Part]) -> Result<Written, ObjectsError> {
        let asked = Asked::write("CompleteMultipartUpload", &upload.at);
        let parts = parts.iter().map(|part| {
            CompletedPart::builder()
                .part_number(part_number(part.number))
                .e_tag(&part.etag)
                .set_checksum_crc32(part.crc32.clone())
                .build()
        });
        let output = self
            .client_of(&upload.at)
            .complete_multipart_upload()
            .bucket(&upload.at.bucket)
            .key(&upload.at.key)
            .upload_id(&upload.id)
            .set_if_none_match(upload.if_none_match.then(|| "*".to_owned()))
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build())
            .send()
            .await
            .map_err(|error| failure(&asked, error))?;
        Ok(written(output.version_id, output.e_tag))
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<(), ObjectsError> {
        let asked = Asked::write("AbortMultipartUpload", &upload.at);
        self.client_of(&upload.at)
            .abort_multipart_upload()
            .bucket(&upload.at.bucket)
            .key(&upload.at.key)
            .upload_id(&upload.id)
            .send()
            .await
            .map(drop)
            .or_else(|error| if error.code() == Some("NoSuchUpload") { Ok(()) } else { Err(failure(&asked, error)) })
    }

    async fn uploads_under(&self, prefix: &ObjectAt) -> Result<Vec<Upload>, ObjectsError> {
        let asked = Asked::write("ListMultipartUploads", prefix);
        let (mut uploads, mut after) = (Vec::new(), (None, None));
        loop {
            let page = self
                .client_of(prefix)
                .list_multipart_uploads()
                .bucket(&prefix.bucket)
                .prefix(&prefix.key)
                .set_key_marker(after.0)
                .set_upload_id_marker(after.1)
                .send()
                .await
                .map_err(|error| failure(&asked, error))?;
            uploads.extend(page.uploads.unwrap_or_default().into_iter().filter_map(|found| {
                let at = ObjectAt { key: found.key?, ..prefix.clone() };
                Some(Upload { at, id: found.upload_id?, if_none_match: false })
            }));
            if page.is_truncated != Some(true) {
                return Ok(uploads);
            }
            after = (page.next_key_marker, page.next_upload_id_marker);
        }
    }

    async fn copy(
        &self,
        from: &PinnedObject,
        size: u64,
        to: &ObjectAt,
        options: &PutOptions,
    ) -> Result<Written, ObjectsError> {
        if size <= COPY_BYTES_MAX {
            return self.copy_once(from, to, options).await;
        }
        let upload = self.begin_upload(to, options).await?;
        let outcome = match copy_parts(self, from, size, &upload).await {
            Ok(parts) => self.complete_upload(&upload, &parts).await,
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            // If this fails too, the first failure is the one to tell; a lifecycle rule removes the parts.
            let _ = self.abort_upload(&upload).await;
        }
        outcome
    }

    /// Two who set tags of one object at the same time may undo each other's: S3 replaces all of them at once, under no
    /// condition. Whoever sets a tag for good has to look at it again.
    async fn set_tag(&self, at: &ObjectAt, name: &str, value: &str) -> Result<(), ObjectsError> {
        let asked = Asked::read("GetObjectTagging", at);
        let request = self.client_of(at).get_object_tagging().bucket(&at.bucket).key(&at.key);
        let mut tags = request.send().await.map_err(|error| failure(&asked, error))?.tag_set;
        if tags.iter().any(|tag| tag.key == name && tag.value == value) {
            return Ok(());
        }
        tags.retain(|tag| tag.key != name);
        let asked = Asked::write("PutObjectTagging", at);
        let tag = |error: aws_sdk_s3::error::BuildError| asked.unavailable(error.to_string());
        tags.push(Tag::builder().key(name).value(value).build().map_err(tag)?);
        let tagging = Tagging::builder().set_tag_set(Some(tags)).build().map_err(tag)?;
        let request = self.client_of(at).put_object_tagging().bucket(&at.bucket).key(&at.key).tagging(tagging);
        request.send().await.map_err(|error| failure(&asked, error))?;
        Ok(())
    }

    async fn is_versioned(&self, bucket: &str) -> Result<bool, ObjectsError> {
        let at = ObjectAt::new(bucket, "");
        let asked = Asked::read("GetBucketVersioning", &at);
        let output =
            self.client.get_bucket_versioning().bucket(bucket).send().await.map_err(|error| failure(&asked, error))?;
        Ok(output.status == Some(BucketVersioningStatus::Enabled))
    }
}

/// Writes [`PutOptions`] on a request; the SDK's builders share setters but no trait.
macro_rules! stored {
    ($name:ident, $builder:ty) => {
        fn $name(request: $builder, options: &PutOptions) -> $builder {
            request
                .set_content_type(options.content_type.clone())
                .set_cache_control(options.cache_control.clone())
                .set_acl(options.acl.as_deref().map(ObjectCannedAcl::from))
                .set_server_side_encryption(options.kms_key.as_ref().map(|_| ServerSideEncryption::AwsKms))
                .set_ssekms_key_id(options.kms_key.clone())
                .set_tagging(tagging(&options.tags))
        }
    };
}

stored!(stored_put_always, PutObjectFluentBuilder);
stored!(stored_copy, CopyObjectFluentBuilder);
stored!(stored_upload, CreateMultipartUploadFluentBuilder);

fn stored_put(request: PutObjectFluentBuilder, options: &PutOptions) -> PutObjectFluentBuilder {
    stored_put_always(request, options).set_if_none_match(options.if_none_match.then(|| "*".to_owned()))
}

fn tagging(tags: &BTreeMap<String, String>) -> Option<String> {
    let escape = |text| utf8_percent_encode(text, ESCAPED);
    let pairs: Vec<String> = tags.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    (!pairs.is_empty()).then(|| pairs.join("&"))
}

/// The version to ask for; for an object without one, the ETag it must have.
fn condition(object: &PinnedObject) -> (Option<String>, Option<String>) {
    match &object.version_id {
        Some(version_id) => (Some(version_id.clone()), None),
        None => (None, Some(format!("\"{}\"", object.etag))),
    }
}

fn copy_source(from: &PinnedObject) -> String {
    let path = format!("{}/{}", from.at.bucket, utf8_percent_encode(&from.at.key, ESCAPED_IN_PATH));
    match &from.version_id {
        Some(version_id) => format!("{path}?versionId={}", utf8_percent_encode(version_id, ESCAPED)),
        None => path,
    }
}

/// HTTP counts the last byte in.
fn http_range(range: &Range<u64>) -> String {
    format!("bytes={}-{}", range.start, range.end - 1)
}

fn part_number(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn written(version_id: Option<String>, etag: Option<String>) -> Written {
    Written { version_id, etag: plain_etag(etag), digest: None }
}

fn plain_etag(etag: Option<String>) -> String {
    etag.unwrap_or_default().trim_matches('"').to_owned()
}

fn timestamp(at: &DateTime) -> Option<Timestamp> {
    Timestamp::new(at.secs(), 0).ok()
}
