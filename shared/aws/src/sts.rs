//! STS: short-lived keys of the roles of pipelines and actions.

use aws_sdk_sts::Client;
use aws_types::SdkConfig;
use engine::ports::{CloudError, Credentials, Roles};
use jiff::Timestamp;

use crate::{cloud_error::cloud_error, machine_arn::without_alias};

/// An hour: what every role allows, and the most when one role assumes another.
const DURATION_S: i32 = 3600;
/// Longest session name STS takes.
const SESSION_CHARS_MAX: usize = 64;
/// Shortest session name STS takes.
const SESSION_CHARS_MIN: usize = 2;

/// Roles that may be assumed with the client's own keys.
#[derive(Debug, Clone)]
pub struct StsRoles {
    client: Client,
    external_id: String,
}

impl StsRoles {
    /// Over a client made from `config`.
    ///
    /// Every role is told `installation`, the ARN of the state machine that drives pipeline executions, without its alias, as
    /// external id, so that its trust policy can ask who is there. Step Functions sends its machine's ARN in the same place.
    pub fn connect(config: &SdkConfig, installation: &str) -> Self {
        Self::new(Client::new(config), installation)
    }

    /// Assumes through `client`; `installation` as in [`StsRoles::connect`].
    pub fn new(client: Client, installation: &str) -> Self {
        Self { client, external_id: without_alias(installation).0.to_owned() }
    }
}

impl Roles for StsRoles {
    async fn assume(&self, role_arn: &str, session: &str) -> Result<Credentials, CloudError> {
        let what = format!("the role {role_arn}");
        let request = self
            .client
            .assume_role()
            .role_arn(role_arn)
            .role_session_name(session_name(session))
            .external_id(&self.external_id)
            .duration_seconds(DURATION_S);
        let assumed = request.send().await.map_err(|error| cloud_error(error, &what, &[]))?;
        let keys =
            assumed.credentials.ok_or_else(|| CloudError::Refused(format!("{what}: STS answered without keys")))?;
        let expires_at = Timestamp::from_second(keys.expiration.secs())
            .map_err(|_| CloudError::Refused(format!("{what}: STS answered with keys of no known end")))?;
        Ok(Credentials {
            access_key_id: keys.access_key_id,
            secret_access_key: keys.secret_access_key,
            session_token: keys.session_token,
            expires_at,
        })
    }
}

/// `session` as STS takes it: 2 to 64 of `[A-Za-z0-9_+=,.@-]`.
fn session_name(session: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    let name = session.chars().take(SESSION_CHARS_MAX).map(|c| if allowed(c) { c } else { '-' });
    format!("{:-<SESSION_CHARS_MIN$}", name.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replies::{Replies, reply};

    fn roles(replies: &Replies) -> StsRoles {
        StsRoles::new(Client::new(&replies.config()), "arn:aws:states:r:1:stateMachine:m:live")
    }

    #[test]
    fn any_text_becomes_a_session_name() {
        assert_eq!(session_name("shop/Deploy: 1"), "shop-Deploy--1");
        assert_eq!(session_name(""), "--");
        assert_eq!(session_name("ä"), "--");
        assert_eq!(session_name(&"x".repeat(100)).len(), SESSION_CHARS_MAX);
    }

    #[tokio::test]
    async fn keys_are_handed_over_with_their_end() {
        let body = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>AKID</AccessKeyId>\
            <SecretAccessKey>SECRET</SecretAccessKey><SessionToken>TOKEN</SessionToken>\
            <Expiration>2026-11-23T07:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";
        let replies = Replies::of([reply(200, &[], body)]);
        let keys = roles(&replies).assume("arn:aws:iam::123456789012:role/deploy", "a b").await.unwrap();
        assert_eq!((keys.access_key_id.as_str(), keys.session_token.as_str()), ("AKID", "TOKEN"));
        assert_eq!(keys.expires_at.to_string(), "2026-11-23T07:00:00Z");
        let sent = String::from_utf8(replies.body(0)).unwrap();
        assert!(sent.contains("RoleSessionName=a-b&DurationSeconds=3600"), "{sent}");
        let installation = "ExternalId=arn%3Aaws%3Astates%3Ar%3A1%3AstateMachine%3Am";
        assert!(sent.contains(installation) && !sent.contains("live"), "{sent}");
    }

    #[tokio::test]
    async fn a_role_that_may_not_be_assumed_is_denied() {
        let body = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error>\
            </ErrorResponse>";
        let error = roles(&Replies::of([reply(403, &[], body)])).assume("arn:r", "s").await.err().unwrap();
        assert_eq!(error.to_string(), "no permission: the role arn:r: AccessDenied: no");
    }
}
