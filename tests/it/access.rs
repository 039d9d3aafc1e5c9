//! Who may come in: requests signed by the Rust SDK's own signer, and everything that is wrong with others.

use std::{collections::BTreeMap, net::Ipv4Addr, path::Path, time::SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_s3::{config::SharedCredentialsProvider, error::ProvideErrorMetadata};
use aws_sigv4::{
    http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use engine::ports::Clock;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client as Http, connect::HttpConnector},
    rt::TokioExecutor,
};
use jiff::{SignedDuration, Timestamp};
use local::{Access, EventOptions, Keys, Options, System};
use runtime::SystemClock;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::world::{eventually, publish, release};

const KEYS: &str = "[ana]\naws_access_key_id = AKIAANA\naws_secret_access_key = anas/secret\n\n\
    [bot]\naws_access_key_id = AKIABOT\naws_secret_access_key = bots-secret\n\
    arn = arn:aws:sts::000000000000:assumed-role/deploy/bot\n";

/// A system that knows ana and bot.
struct Guarded {
    system: System,
    http: Http<HttpConnector, String>,
    _data: TempDir,
}

/// What a request is signed with.
#[derive(Clone)]
struct Signer {
    key: (&'static str, &'static str),
    token: Option<&'static str>,
    service: &'static str,
    region: &'static str,
    at: Timestamp,
}

impl Guarded {
    async fn start(strict: bool) -> Self {
        let data = tempdir().expect("a temporary directory");
        let access = Access { strict, keys: Some(keys(data.path())), ..Access::default() };
        let options = Options {
            data: data.path().join("data"),
            port: 0,
            regions: Vec::new(),
            functions: Vec::new(),
            endpoints: Vec::new(),
            events: EventOptions::default(),
            access,
        };
        let system = System::start(options).await.expect("its own functions may come in");
        Self { system, http: Http::builder(TokioExecutor::new()).build_http(), _data: data }
    }

    fn list_pipelines(&self) -> Request<String> {
        self.operation("CodePipeline_20150709.ListPipelines", &json!({}))
    }

    fn operation(&self, target: &str, input: &Value) -> Request<String> {
        let request = Request::post(self.system.endpoint() + "/").header("x-amz-target", target);
        request.header("content-type", "application/x-amz-json-1.1").body(input.to_string()).expect("constants")
    }

    /// Status, error type and text, of whatever protocol.
    async fn send(&self, request: Request<String>) -> (StatusCode, String, String) {
        let response = self.http.request(request).await.expect("the system answers");
        let status = response.status();
        let error_type =
            response.headers().get("x-amzn-errortype").map(|value| value.to_str().expect("text").to_owned());
        let body = response.into_body().collect().await.expect("the answer is whole").to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        let json: Value = serde_json::from_str(&body).unwrap_or_default();
        let within = |tag: &str| {
            let text = body.split_once(&format!("<{tag}>")).and_then(|(_, rest)| rest.split_once(&format!("</{tag}>")));
            text.map(|(text, _)| text.to_owned())
        };
        let code = json["__type"].as_str().map(str::to_owned).or(error_type).or_else(|| within("Code"));
        let text = json["message"].as_str().map(str::to_owned).or_else(|| within("Message"));
        (status, code.unwrap_or_default(), text.unwrap_or(body))
    }

    async fn call(&self, signer: &Signer, operation: &str, input: &Value) -> Value {
        let request = self.operation(&format!("CodePipeline_20150709.{operation}"), input);
        let (status, _, text) = self.send(signer.sign(request)).await;
        assert_eq!(status, StatusCode::OK, "{operation}: {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }
}

fn keys(dir: &Path) -> Keys {
    let path = dir.join("keys");
    std::fs::write(&path, KEYS).expect("a temporary directory");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    }
    Keys::read(&path).expect("the file is good")
}

fn ana() -> Signer {
    let key = ("AKIAANA", "anas/secret");
    Signer { key, token: None, service: "codepipeline", region: "us-east-1", at: SystemClock.now() }
}

impl Signer {
    fn sign(&self, mut request: Request<String>) -> Request<String> {
        let (id, secret) = self.key;
        let identity = Credentials::new(id, secret, self.token.map(str::to_owned), None, "test").into();
        let mut settings = SigningSettings::default();
        if self.service == "s3" {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(SystemTime::from(self.at))
            .settings(settings);
        let params = params.build().expect("all is given").into();
        let (uri, body) = (request.uri().to_string(), request.body().clone());
        let headers: BTreeMap<String, String> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned()))
            .collect();
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let body = SignableBody::Bytes(body.as_bytes());
        let signable = SignableRequest::new(request.method().as_str(), uri, headers, body).expect("it is valid");
        let (instructions, _) = sign(signable, &params).expect("it can be signed").into_parts();
        instructions.apply_to_request_http1x(&mut request);
        request
    }
}

#[tokio::test]
async fn a_signed_request_is_answered_and_its_caller_is_who_signed() {
    let guarded = Guarded::start(true).await;
    for service in ["codepipeline", "execute-api", "lastgood"] {
        let (status, code, text) = guarded.send(Signer { service, ..ana() }.sign(guarded.list_pipelines())).await;
        assert_eq!((status, code.as_str()), (StatusCode::OK, ""), "{service}: {text}");
    }
    // The SDKs for PHP and JavaScript (v2) leave the content type unsigned.
    let untyped = Request::post(guarded.system.endpoint() + "/");
    let untyped = untyped.header("x-amz-target", "CodePipeline_20150709.ListPipelines").body("{}".to_owned()).unwrap();
    let mut typed = ana().sign(untyped);
    typed.headers_mut().insert("content-type", "application/x-amz-json-1.1".parse().unwrap());
    let (status, _, text) = guarded.send(typed).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let bot = Signer { key: ("AKIABOT", "bots-secret"), ..ana() };
    for (signer, arn) in
        [(ana(), "arn:aws:iam::000000000000:user/ana"), (bot, "arn:aws:sts::000000000000:assumed-role/deploy/bot")]
    {
        let request = Request::post(guarded.system.endpoint() + "/")
            .header("content-type", "application/x-www-form-urlencoded")
            .body("Action=GetCallerIdentity&Version=2011-06-15".to_owned())
            .unwrap();
        let (_, _, text) = guarded.send(Signer { service: "sts", ..signer }.sign(request)).await;
        assert!(text.contains(&format!("<Arn>{arn}</Arn>")), "{text}");
    }
}

#[tokio::test]
async fn releases_run_where_everything_has_to_be_signed() {
    let guarded = Guarded::start(true).await;
    let sdk = aws_sdk_s3::Config::builder()
        .behavior_version_latest()
        .endpoint_url(guarded.system.endpoint())
        .region(aws_sdk_s3::config::Region::new("us-east-1"))
        .force_path_style(true)
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "AKIAANA",
            "anas/secret",
            None,
            None,
            "test",
        )))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    let s3 = aws_sdk_s3::Client::from_conf(sdk);
    for bucket in ["shop-releases", "shop-artifacts", "shop-site"] {
        s3.create_bucket().bucket(bucket).send().await.expect("it is new");
    }
    let enabled = aws_sdk_s3::types::VersioningConfiguration::builder()
        .status(aws_sdk_s3::types::BucketVersioningStatus::Enabled)
        .build();
    s3.put_bucket_versioning().bucket("shop-releases").versioning_configuration(enabled).send().await.expect("set");
    let put = s3.put_object().bucket("shop-releases").key("app.zip").body(release("hello").into());
    put.send().await.expect("the bucket is there");
    let pipeline = crate::world::pipeline("shop", &[publish("shop", 1)]);
    guarded.call(&ana(), "CreatePipeline", &json!({ "pipeline": pipeline })).await;
    let started = guarded.call(&ana(), "StartPipelineExecution", &json!({ "name": "shop" })).await;
    let query = json!({ "pipelineName": "shop", "pipelineExecutionId": started["pipelineExecutionId"] });
    let ended = eventually("the end of the release", async || {
        let found = guarded.call(&ana(), "GetPipelineExecution", &query).await;
        Some(found).filter(|found| found["pipelineExecution"]["status"] != "InProgress")
    })
    .await;
    assert_eq!(ended["pipelineExecution"]["status"], "Succeeded", "{ended}");
    assert_eq!(ended["pipelineExecution"]["trigger"]["triggerDetail"], "arn:aws:iam::000000000000:user/ana");
    let page = s3.get_object().bucket("shop-site").key("index.html").send().await.expect("it was deployed");
    assert_eq!(page.body.collect().await.unwrap().into_bytes(), "hello");
    let sdk = s3.config().to_builder().credentials_provider(SharedCredentialsProvider::new(Credentials::new(
        "AKIAANA", "guessed", None, None, "test",
    )));
    let guess = aws_sdk_s3::Client::from_conf(sdk.build()).list_buckets().send().await.expect_err("a guess");
    assert_eq!(guess.code(), Some("SignatureDoesNotMatch"));
}

#[tokio::test]
async fn what_was_not_signed_so_is_refused_in_awss_words() {
    let guarded = Guarded::start(true).await;
    let refused = async |request: Request<String>| {
        let (status, code, text) = guarded.send(request).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
        (code, text)
    };
    let (code, text) = refused(guarded.list_pipelines()).await;
    assert_eq!((code.as_str(), text.as_str()), ("MissingAuthenticationTokenException", "Missing Authentication Token"));
    let stranger = Signer { key: ("AKIASTRANGER", "anas/secret"), ..ana() };
    let (code, text) = refused(stranger.sign(guarded.list_pipelines())).await;
    assert_eq!(code, "UnrecognizedClientException");
    assert_eq!(text, "The security token included in the request is invalid.");
    let guess = Signer { key: ("AKIAANA", "bots-secret"), ..ana() };
    let (code, text) = refused(guess.sign(guarded.list_pipelines())).await;
    assert_eq!(code, "InvalidSignatureException");
    assert!(
        text.starts_with("The request signature we calculated does not match the signature you provided."),
        "{text}"
    );

    let mut tampered = ana().sign(guarded.list_pipelines());
    *tampered.body_mut() = r#"{"maxResults":1}"#.to_owned();
    assert_eq!(refused(tampered).await.0, "InvalidSignatureException");
    let mut other = ana().sign(guarded.list_pipelines());
    other.headers_mut().insert("x-amz-target", "CodePipeline_20150709.DeletePipeline".parse().unwrap());
    assert_eq!(refused(other).await.0, "InvalidSignatureException");
    let mut unsigned = ana().sign(guarded.list_pipelines());
    unsigned.headers_mut().insert("x-amz-meta-added", "later".parse().unwrap());
    let (code, text) = refused(unsigned).await;
    assert_eq!(code, "InvalidSignatureException");
    assert!(text.contains("not signed: x-amz-meta-added"), "{text}");

    for (minutes, part) in [(-6, "Signature expired: "), (6, "Signature not yet current: ")] {
        let at = SystemClock.now() + SignedDuration::from_mins(minutes);
        let (code, text) = refused(Signer { at, ..ana() }.sign(guarded.list_pipelines())).await;
        assert_eq!(code, "InvalidSignatureException");
        assert!(text.starts_with(part), "{text}");
    }
    for signer in [Signer { region: "eu-west-1", ..ana() }, Signer { service: "codebuild", ..ana() }] {
        let (code, text) = refused(signer.sign(guarded.list_pipelines())).await;
        assert!(code == "InvalidSignatureException" && text.starts_with("Credential should be scoped to"), "{text}");
    }
    let token = Signer { token: Some("made up"), ..ana() };
    assert_eq!(refused(token.sign(guarded.list_pipelines())).await.0, "UnrecognizedClientException");
    let mut incomplete = guarded.list_pipelines();
    incomplete.headers_mut().insert("authorization", "AWS4-HMAC-SHA256 Credential=AKIAANA/x".parse().unwrap());
    assert_eq!(refused(incomplete).await.0, "IncompleteSignatureException");
}

#[tokio::test]
async fn every_service_refuses_in_its_own_form() {
    let guarded = Guarded::start(true).await;
    let at = |path: &str| Request::post(format!("{}{path}", guarded.system.endpoint()));
    let stranger = |service| Signer { key: ("AKIASTRANGER", "x"), service, ..ana() };
    let target = |name: &str| at("/").header("x-amz-target", name).body("{}".to_owned()).unwrap();
    for (service, request, status, code) in [
        ("dynamodb", target("DynamoDB_20120810.ListTables"), 400, "UnrecognizedClientException"),
        ("states", target("AWSStepFunctions.ListStateMachines"), 400, "UnrecognizedClientException"),
        ("monitoring", target("GraniteServiceVersion20100801.ListMetrics"), 400, "UnrecognizedClientException"),
        ("monitoring", at("/").body("Action=ListMetrics".to_owned()).unwrap(), 403, "InvalidClientTokenId"),
        ("sts", at("/").body("Action=GetCallerIdentity".to_owned()).unwrap(), 403, "InvalidClientTokenId"),
        (
            "lambda",
            at("/2015-03-31/functions/f/invocations").body("{}".to_owned()).unwrap(),
            403,
            "UnrecognizedClientException",
        ),
        ("s3", at("/bucket?delete").body(String::new()).unwrap(), 403, "InvalidAccessKeyId"),
    ] {
        let (found, error, text) = guarded.send(stranger(service).sign(request)).await;
        assert_eq!((found.as_u16(), error.as_str()), (status, code), "{service}: {text}");
    }
    let cbor = at("/service/CodePipeline_20150709/operation/ListPipelines").header("smithy-protocol", "rpc-v2-cbor");
    let (status, _, text) = guarded.send(stranger("codepipeline").sign(cbor.body(String::new()).unwrap())).await;
    assert!(status == StatusCode::BAD_REQUEST && text.contains("UnrecognizedClientException"), "{text}");
    let page = Request::get(guarded.system.endpoint() + "/site/index.html").body(String::new()).unwrap();
    let (status, code, _) = guarded.send(page).await;
    assert_eq!((status, code.as_str()), (StatusCode::FORBIDDEN, "AccessDenied"));
}

#[tokio::test]
async fn pages_and_webhooks_are_open_but_no_way_around_the_door() {
    let guarded = Guarded::start(true).await;
    for path in ["/console", "/console/pipelines"] {
        let request = Request::get(guarded.system.endpoint() + path).body(String::new()).unwrap();
        let (status, code, _) = guarded.send(request).await;
        assert!(
            status == StatusCode::UNAUTHORIZED && code.is_empty(),
            "{path} says itself that nobody is known: {status}"
        );
    }
    let operation = |path: &str| {
        Request::post(guarded.system.endpoint() + path)
            .header("x-amz-target", "CodePipeline_20150709.ListPipelines")
            .body("{}".to_owned())
            .unwrap()
    };
    for path in ["/console", "/console/x"] {
        assert_eq!(guarded.send(operation(path)).await.1, "MissingAuthenticationTokenException", "{path}");
    }
    let (status, code, _) = guarded.send(operation("/webhooks/x")).await;
    assert!(status == StatusCode::NOT_FOUND && code.is_empty(), "a webhook that is not there: {status} {code}");
}

#[tokio::test]
async fn where_keys_are_known_but_not_demanded_a_known_one_is_still_verified() {
    let guarded = Guarded::start(false).await;
    let stranger = Signer { key: ("AKIASTRANGER", "x"), ..ana() };
    for request in
        [guarded.list_pipelines(), stranger.sign(guarded.list_pipelines()), ana().sign(guarded.list_pipelines())]
    {
        assert_eq!(guarded.send(request).await.0, StatusCode::OK);
    }
    let guess = Signer { key: ("AKIAANA", "x"), ..ana() };
    assert_eq!(guarded.send(guess.sign(guarded.list_pipelines())).await.1, "InvalidSignatureException");
    let functions_key = Signer { key: ("AKIALASTGOODLOCAL000", "local"), ..ana() };
    assert_eq!(guarded.send(functions_key.sign(guarded.list_pipelines())).await.1, "InvalidSignatureException");
}

#[tokio::test]
async fn nobody_else_may_reach_a_system_that_lets_everybody_in() {
    let data = tempdir().expect("a temporary directory");
    let refused = async |access: Access| {
        let options = Options {
            data: data.path().join("data"),
            port: 0,
            regions: Vec::new(),
            functions: Vec::new(),
            endpoints: Vec::new(),
            events: EventOptions::default(),
            access,
        };
        System::start(options).await.err().expect("it must not start").to_string()
    };
    let everywhere = Access { bind: Ipv4Addr::UNSPECIFIED.into(), ..Access::default() };
    assert!(refused(everywhere.clone()).await.contains("--keys FILE and --strict"));
    let keys = Some(keys(data.path()));
    assert!(refused(Access { keys, ..everywhere }).await.contains("--keys FILE and --strict"));
    assert!(refused(Access { strict: true, ..Access::default() }).await.contains("Add --keys FILE"));
}
