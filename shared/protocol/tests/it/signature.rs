//! Signatures made by botocore (fixtures/sign_by_botocore.py) and published by AWS, and everything that spoils them.

use jiff::{SignedDuration, Timestamp};
use protocol::ErrorCode;
use protocol::signature::{Claim, Expected, Payload, SKEW, SignatureError, SignedRequest, named_key};
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fixtures {
    now: Timestamp,
    access_key_id: String,
    secret: String,
    region: String,
    requests: Vec<Request>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    name: String,
    service: String,
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: String,
    session_token: Option<String>,
}

/// Who checks, and when.
#[derive(Clone)]
struct Checker {
    secret: String,
    region: String,
    services: Vec<String>,
    session_token: Option<String>,
    now: Timestamp,
}

impl Checker {
    fn check(&self, request: &Request) -> Result<(), SignatureError> {
        let headers: Vec<(&str, &[u8])> =
            request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let signed =
            SignedRequest { method: &request.method, path: &request.path, query: &request.query, headers: &headers };
        let services: Vec<&str> = self.services.iter().map(String::as_str).collect();
        let expected = Expected {
            secret: &self.secret,
            session_token: self.session_token.as_deref(),
            region: &self.region,
            services: &services,
        };
        let payload = if request.service == "s3" { Payload::Claimed } else { Payload::Body(request.body.as_bytes()) };
        let claim = Claim::read(&signed)?.ok_or(SignatureError::Missing)?;
        assert_eq!(named_key(&signed).as_deref(), Some(claim.access_key_id()));
        claim.verify(&signed, payload, &expected, self.now)
    }
}

fn fixtures() -> Fixtures {
    serde_json::from_str(include_str!("../fixtures/signed-by-botocore.json")).unwrap()
}

fn checker(fixtures: &Fixtures, request: &Request) -> Checker {
    Checker {
        secret: fixtures.secret.clone(),
        region: fixtures.region.clone(),
        services: vec![request.service.clone()],
        session_token: request.session_token.clone(),
        now: fixtures.now,
    }
}

/// The request called `name`, and a checker that accepts it.
fn accepted(name: &str) -> (Request, Checker) {
    let fixtures = fixtures();
    let request = fixtures.requests.iter().find(|request| request.name == name).unwrap().clone();
    let checker = checker(&fixtures, &request);
    assert_eq!(checker.check(&request), Ok(()), "{name}");
    (request, checker)
}

impl Request {
    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }

    fn header(&mut self, name: &str) -> &mut String {
        &mut self.headers.iter_mut().find(|(header, _)| header == name).unwrap().1
    }

    fn authorization(&self, from: &str, to: &str) -> Self {
        self.with(|request| {
            let header = request.header("authorization");
            assert!(header.contains(from), "{header}");
            *header = header.replace(from, to);
        })
    }
}

fn refusal(checker: &Checker, request: &Request) -> (ErrorCode, String) {
    let error = checker.check(request).expect_err("it must be refused");
    (error.code(), error.to_string())
}

const PLAIN: &str = "codepipeline, beyond ASCII";
const PRESIGNED: &str = "s3, a presigned download";

#[test]
fn what_botocore_signs_is_accepted_and_any_other_secret_is_not() {
    let fixtures = fixtures();
    assert!(fixtures.requests.len() >= 15);
    for request in &fixtures.requests {
        let right = checker(&fixtures, request);
        assert_eq!(right.check(request), Ok(()), "{}", request.name);
        let wrong = Checker { secret: "another".to_owned(), ..right };
        assert_eq!(wrong.check(request), Err(SignatureError::Mismatch), "{}", request.name);
    }
    assert_eq!(fixtures.access_key_id, "AKIDEXAMPLE");
}

#[test]
fn the_examples_of_aws_are_accepted() {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let authorization = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
        SignedHeaders=content-type;host;x-amz-date, \
        Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
    let request = Request {
        name: "IAM's ListUsers".to_owned(),
        service: "iam".to_owned(),
        method: "GET".to_owned(),
        path: "/".to_owned(),
        query: "Action=ListUsers&Version=2010-05-08".to_owned(),
        headers: vec![
            header("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
            header("host", "iam.amazonaws.com"),
            header("x-amz-date", "20150830T123600Z"),
            header("authorization", authorization),
        ],
        body: String::new(),
        session_token: None,
    };
    let checker = Checker {
        secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
        region: "us-east-1".to_owned(),
        services: vec!["iam".to_owned()],
        session_token: None,
        now: "2015-08-30T12:36:00Z".parse().unwrap(),
    };
    assert_eq!(checker.check(&request), Ok(()));

    let request = Request {
        name: "S3's presigned GetObject".to_owned(),
        service: "s3".to_owned(),
        path: "/test.txt".to_owned(),
        query: "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
            &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
            &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
            .to_owned(),
        headers: vec![header("host", "examplebucket.s3.amazonaws.com")],
        ..request
    };
    let checker = Checker {
        secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
        services: vec!["s3".to_owned()],
        now: "2013-05-24T23:59:59Z".parse().unwrap(),
        ..checker
    };
    assert_eq!(checker.check(&request), Ok(()));
}

#[test]
fn any_change_of_what_was_signed_is_found() {
    let (request, checker) = accepted(PLAIN);
    let mismatch = Err(SignatureError::Mismatch);
    assert_eq!(checker.check(&request.with(|changed| changed.body.push(' '))), mismatch);
    assert_eq!(checker.check(&request.with(|changed| changed.method = "PUT".to_owned())), mismatch);
    assert_eq!(checker.check(&request.with(|changed| changed.path = "/console".to_owned())), mismatch);
    assert_eq!(checker.check(&request.with(|changed| changed.query = "a=b".to_owned())), mismatch);
    for name in ["host", "content-type", "x-amz-target"] {
        assert_eq!(checker.check(&request.with(|changed| changed.header(name).push('x'))), mismatch, "{name}");
        let removed = request.with(|changed| changed.headers.retain(|(header, _)| header != name));
        assert_eq!(checker.check(&removed), mismatch, "{name} removed");
        let doubled = request.with(|changed| changed.headers.push((name.to_owned(), "x".to_owned())));
        assert_eq!(checker.check(&doubled), mismatch, "{name} doubled");
    }
    let (presigned, checker) = accepted(PRESIGNED);
    for (from, to) in [("versionId=k", "versionId=K"), ("X-Amz-Expires=600", "X-Amz-Expires=601")] {
        let changed = presigned.with(|changed| changed.query = changed.query.replace(from, to));
        assert_ne!(changed.query, presigned.query);
        assert_eq!(checker.check(&changed), mismatch, "{to}");
    }
    assert_eq!(checker.check(&presigned.with(|changed| changed.query.push_str("&a=b"))), mismatch);
    assert_eq!(checker.check(&presigned.with(|changed| changed.path.push('x'))), mismatch);
}

#[test]
fn a_claimed_digest_is_not_believed() {
    let (request, checker) = accepted(PLAIN);
    for claimed in ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", &"0".repeat(64)] {
        let claiming =
            request.with(|changed| changed.headers.push(("x-amz-content-sha256".to_owned(), claimed.to_owned())));
        assert!(checker.check(&claiming).is_err(), "{claimed}");
    }
    let (s3, checker) = accepted("s3, a query");
    let silent = s3.with(|changed| changed.headers.retain(|(name, _)| name != "x-amz-content-sha256"));
    assert!(checker.check(&silent).is_err());
    assert!(checker.check(&s3.with(|changed| *changed.header("x-amz-content-sha256") = "0".repeat(64))).is_err());
}

#[test]
fn headers_that_decide_must_be_signed() {
    let (request, checker) = accepted(PLAIN);
    let added = |name: &str| request.with(|changed| changed.headers.push((name.to_owned(), "x".to_owned())));
    let (code, text) = refusal(&checker, &added("x-amz-meta-more"));
    assert_eq!(code, ErrorCode::InvalidSignatureException);
    assert_eq!(text, "There were headers present in the request which were not signed: x-amz-meta-more");
    assert_eq!(checker.check(&added("accept")), Ok(()));

    let unsigned = request.authorization("content-type;host;x-amz-date;x-amz-target", "host;x-amz-date");
    let (_, text) = refusal(&checker, &unsigned);
    assert!(text.ends_with("not signed: x-amz-target"), "{text}");
    let (_, text) = refusal(&checker, &request.authorization(";host;", ";"));
    assert_eq!(text, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.");

    let (presigned, checker) = accepted(PRESIGNED);
    let added = |name: &str| presigned.with(|changed| changed.headers.push((name.to_owned(), "x".to_owned())));
    assert_eq!(checker.check(&added("content-type")), Ok(()));
    assert!(matches!(checker.check(&added("x-amz-acl")), Err(SignatureError::UnsignedHeaders(_))));
}

/// As the SDKs for PHP and JavaScript (v2) sign the request: their signers leave `content-type` out. The signature is the
/// fixture's, made anew over the other headers.
#[test]
fn a_content_type_need_not_be_signed() {
    let (signed, checker) = accepted(PLAIN);
    let request = signed
        .authorization("content-type;host;x-amz-date;x-amz-target", "host;x-amz-date;x-amz-target")
        .authorization(
            "2f2399656e409a00c014772c98882c04e5c108fc0176b4892106983d7fa4224b",
            "403561cb42509a1d88f425d2958fe2887f91c5742b4fe9680a898848210d0c0a",
        );
    assert_eq!(checker.check(&request), Ok(()));
    let changed = request.with(|changed| changed.body.push(' '));
    assert_eq!(checker.check(&changed), Err(SignatureError::Mismatch), "what is in the body is signed all the same");
}

#[test]
fn a_date_counts_for_five_minutes_either_way() {
    let (request, checker) = accepted(PLAIN);
    let at = |offset: SignedDuration| Checker { now: checker.now + offset, ..checker.clone() };
    let second = SignedDuration::from_secs(1);
    assert_eq!(at(SKEW).check(&request), Ok(()));
    assert_eq!(at(-SKEW).check(&request), Ok(()));
    let expired =
        "Signature expired: 20261126T111503Z is now earlier than 20261126T111504Z (20261126T112004Z - 5 min.)";
    assert_eq!(refusal(&at(SKEW + second), &request), (ErrorCode::InvalidSignatureException, expired.to_owned()));
    let early =
        "Signature not yet current: 20261126T111503Z is still later than 20261126T111502Z (20261126T111002Z + 5 min.)";
    assert_eq!(refusal(&at(-SKEW - second), &request), (ErrorCode::InvalidSignatureException, early.to_owned()));
}

#[test]
fn a_presigned_url_lives_as_long_as_it_says() {
    let (request, checker) = accepted(PRESIGNED);
    let at = |seconds| Checker { now: checker.now + SignedDuration::from_secs(seconds), ..checker.clone() };
    assert_eq!(at(600).check(&request), Ok(()));
    assert!(matches!(at(601).check(&request), Err(SignatureError::Skewed(_))));
    assert!(matches!(at(-301).check(&request), Err(SignatureError::Skewed(_))));
    for expires in ["604801", "-1", "x", ""] {
        let changed =
            request.with(|changed| changed.query = changed.query.replace("Expires=600", &format!("Expires={expires}")));
        assert!(matches!(checker.check(&changed), Err(SignatureError::Incomplete(_))), "{expires}");
    }
}

#[test]
fn a_signature_is_for_one_day_region_and_service() {
    let (request, checker) = accepted(PLAIN);
    let (code, text) = refusal(&checker, &request.authorization("/20261126/", "/20261125/"));
    assert_eq!(code, ErrorCode::InvalidSignatureException);
    assert_eq!(
        text,
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
         '20261125' != '20261126', from '20261126T111503Z'."
    );
    let elsewhere = Checker { region: "eu-west-1".to_owned(), ..checker.clone() };
    assert_eq!(refusal(&elsewhere, &request).1, "Credential should be scoped to a valid region, not 'us-east-1'.");
    let other = Checker { services: vec!["s3".to_owned()], ..checker.clone() };
    assert_eq!(refusal(&other, &request).1, "Credential should be scoped to correct service: 's3'.");
    // Whoever says another service in the scope than was signed for has another key.
    let both = Checker { services: vec!["codepipeline".to_owned(), "execute-api".to_owned()], ..checker };
    assert_eq!(both.check(&request), Ok(()));
    assert_eq!(both.check(&request.authorization("/codepipeline/", "/execute-api/")), Err(SignatureError::Mismatch));
}

#[test]
fn a_session_needs_its_token_and_a_key_has_none() {
    for name in ["codepipeline, a session", "s3, a presigned upload of a session"] {
        let (request, checker) = accepted(name);
        for session_token in [None, Some("another".to_owned())] {
            let other = Checker { session_token, ..checker.clone() };
            let (code, text) = refusal(&other, &request);
            assert_eq!(code, ErrorCode::UnrecognizedClientException, "{name}");
            assert_eq!(text, "The security token included in the request is invalid.");
        }
    }
    let (request, checker) = accepted(PLAIN);
    let session = Checker { session_token: Some("token".to_owned()), ..checker };
    assert_eq!(session.check(&request), Err(SignatureError::WrongToken));
}

#[test]
fn incomplete_signatures_say_what_is_missing() {
    let (request, checker) = accepted(PLAIN);
    let incomplete = |request: &Request| {
        let (code, text) = refusal(&checker, request);
        assert_eq!(code, ErrorCode::IncompleteSignatureException, "{text}");
        text
    };
    assert_eq!(
        incomplete(
            &request.with(|changed| *changed.header("authorization") = "AWS4-HMAC-SHA256 Credential=a".to_owned())
        ),
        "Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter."
    );
    let undated = request.with(|changed| changed.headers.retain(|(name, _)| name != "x-amz-date"));
    assert!(incomplete(&undated).contains("'X-Amz-Date' or a 'Date'"));
    for (from, to) in [
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        ("AWS4-HMAC-SHA256", "Bearer"),
        ("/aws4_request", "/aws5_request"),
        ("/aws4_request", ""),
        ("content-type;host", "host;content-type"),
        ("content-type;host", "content-type;Host"),
        ("host;", "host;host;"),
        ("Signature=", "Signature=0"),
        ("Signature=", "Signature=g, Signature="),
        ("SignedHeaders=", "SignedHeaders"),
    ] {
        incomplete(&request.authorization(from, to));
    }
    incomplete(&request.with(|changed| *changed.header("x-amz-date") = "yesterday".to_owned()));
    let upper = request.with(|changed| {
        let header = changed.header("authorization");
        let (start, signature) = header.split_once("Signature=").unwrap();
        *header = format!("{start}Signature={}", signature.to_uppercase());
    });
    incomplete(&upper);
    let doubled = request.with(|changed| {
        let header = changed.header("authorization").clone();
        changed.headers.push(("authorization".to_owned(), header));
    });
    incomplete(&doubled);
    incomplete(&request.with(|changed| changed.query = "X-Amz-Algorithm=AWS4-HMAC-SHA256".to_owned()));
    let unsigned = request.with(|changed| changed.headers.retain(|(name, _)| name != "authorization"));
    assert_eq!(checker.check(&unsigned), Err(SignatureError::Missing));

    let (presigned, checker) = accepted(PRESIGNED);
    for part in ["X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Signature"] {
        let lacking = presigned.with(|changed| changed.query = changed.query.replace(part, "x"));
        let error = checker.check(&lacking).unwrap_err();
        assert_eq!(error.to_string(), format!("AWS query-string parameters must include '{part}'."));
    }
}
