//! STS, driven by the official client.

use aws_sdk_sts::{Client, config::Credentials, error::ProvideErrorMetadata};
use jiff::Timestamp;
use local_lambda::Functions;

use crate::bench::{open, sdk, serve, start_time};

const ROLE: &str = "arn:aws:iam::123456789012:role/deploy/web";

async fn client(functions: &Functions) -> (Client, aws_sdk_sts::config::Builder) {
    let settings = sdk(&serve(functions.sts_router()).await);
    (Client::new(&settings), aws_sdk_sts::config::Builder::from(&settings))
}

#[tokio::test]
async fn an_assumed_role_is_who_its_credentials_say() {
    let dir = tempfile::tempdir().expect("a directory");
    let (functions, clock) = open(dir.path());
    let (client, settings) = client(&functions).await;
    let me = client.get_caller_identity().send().await.expect("answered");
    assert_eq!(me.arn(), Some("arn:aws:iam::000000000000:user/local"));
    assert_eq!(me.account(), Some("000000000000"));

    let request = client.assume_role().role_arn(ROLE).role_session_name("run-action");
    let assumed = request.duration_seconds(900).send().await.expect("assumed");
    let user = assumed.assumed_role_user().expect("present");
    assert_eq!(user.arn(), "arn:aws:sts::123456789012:assumed-role/web/run-action");
    assert!(user.assumed_role_id().starts_with("AROA") && user.assumed_role_id().ends_with(":run-action"));
    let credentials = assumed.credentials().expect("present");
    assert!(credentials.access_key_id().starts_with("ASIA") && credentials.access_key_id().len() == 20);
    assert_eq!(credentials.secret_access_key().len(), 40);
    assert_eq!(credentials.expiration().secs(), start_time().as_second() + 900);

    let bearer = settings
        .credentials_provider(Credentials::new(
            credentials.access_key_id(),
            credentials.secret_access_key(),
            Some(credentials.session_token().to_owned()),
            None,
            "test",
        ))
        .build();
    let bearer = Client::from_conf(bearer);
    let me = bearer.get_caller_identity().send().await.expect("answered");
    assert_eq!(me.arn(), Some(user.arn()));
    assert_eq!(me.user_id(), Some(user.assumed_role_id()));
    assert_eq!(me.account(), Some("123456789012"));

    clock.advance_to(Timestamp::from_second(start_time().as_second() + 900).expect("in range"));
    let error = bearer.get_caller_identity().send().await.expect_err("over");
    assert_eq!(error.code(), Some("ExpiredToken"));
}

#[tokio::test]
async fn bad_requests_are_refused_as_sts_does() {
    let dir = tempfile::tempdir().expect("a directory");
    let (functions, _clock) = open(dir.path());
    let (client, _) = client(&functions).await;
    for (role, session, seconds, expected) in [
        ("nonsense", "run", 900, "nonsense is invalid"),
        ("arn:aws:iam::123456789012:user/<x>", "run", 900, "arn:aws:iam::123456789012:user/<x> is invalid"),
        (ROLE, "r", 900, "'roleSessionName'"),
        (ROLE, "a b", 900, "'roleSessionName'"),
        (ROLE, "run", 899, "greater than or equal to 900"),
        (ROLE, "run", 43_201, "less than or equal to 43200"),
    ] {
        let request = client.assume_role().role_arn(role).role_session_name(session);
        let error = request.duration_seconds(seconds).send().await.expect_err(expected);
        assert_eq!(error.code(), Some("ValidationError"));
        assert!(error.message().is_some_and(|message| message.contains(expected)), "{error:?}");
    }
    let error = client.get_session_token().send().await.expect_err("not served");
    assert_eq!(error.code(), Some("InvalidAction"));
}
