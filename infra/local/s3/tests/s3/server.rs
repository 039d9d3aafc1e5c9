//! A stand-in on a port of its own, with clients.

use std::sync::Arc;

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    error::{ProvideErrorMetadata, SdkError},
    primitives::ByteStream,
};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Bytes};
use hyper_util::{client::legacy, rt::TokioExecutor};
use jiff::Timestamp;
use local_s3::S3;
use runtime::{ManualClock, SeededEntropy};
use tempfile::TempDir;

pub(crate) struct Server {
    pub(crate) dir: TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) s3: S3,
    pub(crate) client: Client,
    pub(crate) url: String,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_on(TempDir::new().expect("a temporary directory"), 1).await
    }

    /// Serves what another server left in `dir`; `seed` differs from start to start, as real entropy does.
    pub(crate) async fn start_on(dir: TempDir, seed: u64) -> Self {
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().expect("valid");
        let clock = Arc::new(ManualClock::new(now));
        let entropy = Arc::new(SeededEntropy::new(seed));
        let s3 = S3::open(dir.path(), Arc::clone(&clock) as _, entropy).expect("the directory can be served");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let router = s3.router();
        tokio::spawn(async move {
            axum::serve(listener, router).await.expect("serving never fails");
        });
        Self { dir, clock, s3, client: client(&url), url }
    }

    /// Starts another server on a copy of what a SIGKILL would leave at this moment.
    pub(crate) async fn restart(self, seed: u64) -> Self {
        let copy = TempDir::new().expect("a temporary directory");
        copy_all(self.dir.path(), copy.path());
        Self::start_on(copy, seed).await
    }

    pub(crate) async fn bucket(&self, name: &str) {
        self.client.create_bucket().bucket(name).send().await.expect("a new bucket");
    }

    pub(crate) async fn versioned_bucket(&self, name: &str) {
        self.bucket(name).await;
        self.set_versioning(name, "Enabled").await;
    }

    pub(crate) async fn set_versioning(&self, name: &str, status: &str) {
        let configuration = aws_sdk_s3::types::VersioningConfiguration::builder().status(status.into()).build();
        let request = self.client.put_bucket_versioning().bucket(name);
        request.versioning_configuration(configuration).send().await.expect("versioning is set");
    }

    /// Puts an object; the version id, if any.
    pub(crate) async fn put(&self, bucket: &str, key: &str, body: &str) -> Option<String> {
        let body = ByteStream::from(body.as_bytes().to_vec());
        let request = self.client.put_object().bucket(bucket).key(key).body(body);
        request.send().await.expect("the object is stored").version_id
    }

    pub(crate) async fn get(&self, bucket: &str, key: &str) -> String {
        let found = self.client.get_object().bucket(bucket).key(key).send().await.expect("the object is there");
        text(found.body).await
    }

    /// Sends a request as it is, unsigned.
    pub(crate) async fn raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response<Bytes> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body))).expect("a valid request");
        let client: legacy::Client<_, Full<Bytes>> = legacy::Client::builder(TokioExecutor::new()).build_http();
        let (parts, body) = client.request(request).await.expect("an answer").into_parts();
        let body = body.collect().await.expect("the whole body").to_bytes();
        Response::from_parts(parts, body)
    }

    /// Names of the body files.
    pub(crate) fn body_files(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.dir.path().join("bodies")).expect("the folder of bodies");
        files.map(|file| file.expect("readable").file_name().to_string_lossy().into_owned()).collect()
    }
}

pub(crate) async fn text(body: ByteStream) -> String {
    let bytes = body.collect().await.expect("the whole body").into_bytes();
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// S3's code of an error.
pub(crate) fn code<E: ProvideErrorMetadata + std::fmt::Debug, R: std::fmt::Debug>(error: &SdkError<E, R>) -> &str {
    match error {
        SdkError::ServiceError(context) => context.err().code().unwrap_or("none"),
        other => panic!("not an answer of S3: {other:?}"),
    }
}

fn client(url: &str) -> Client {
    let configuration = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("anyone", "anything", None, None, "test"))
        .endpoint_url(url)
        .force_path_style(true)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(configuration)
}

fn copy_all(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).expect("a readable directory") {
        let entry = entry.expect("readable");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir(&target).expect("a new directory");
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}
