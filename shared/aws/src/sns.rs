//! SNS: tells people that an approval waits.

use aws_sdk_sns::Client;
use aws_sdk_sns::config::{Builder, Credentials as Keys, Region};
use aws_types::SdkConfig;
use domain::ApprovalNotice;
use engine::ports::{CloudError, Credentials, Notifications};

use crate::cloud_error::cloud_error;

/// Codes that say that a topic is not there.
const ABSENT: [&str; 2] = ["NotFound", "NotFoundException"];
/// What SNS calls a missing permission.
const DENIED: &str = "AuthorizationError";

/// Topics of any account and region, each reached with the keys of whoever publishes.
#[derive(Debug, Clone)]
pub struct SnsTopics {
    config: SdkConfig,
}

impl SnsTopics {
    /// Over clients made from `config`, but for region and keys.
    pub fn connect(config: &SdkConfig) -> Self {
        Self { config: config.clone() }
    }

    fn client(&self, region: &str, keys: &Credentials) -> Client {
        let session = Some(keys.session_token.clone());
        let keys = Keys::new(&keys.access_key_id, &keys.secret_access_key, session, None, "role of an action");
        let config = Builder::from(&self.config).region(Region::new(region.to_owned())).credentials_provider(keys);
        Client::from_conf(config.build())
    }
}

impl Notifications for SnsTopics {
    async fn publish(&self, notice: &ApprovalNotice, credentials: &Credentials) -> Result<(), CloudError> {
        let topic = &notice.topic_arn;
        let region = region_of(topic)?;
        let request = self
            .client(region, credentials)
            .publish()
            .topic_arn(topic)
            .subject(&notice.subject)
            .message(notice.message.to_string());
        // What SNS says of a malformed request may repeat the message, which holds a token: its code is all that is told.
        request.send().await.map(drop).map_err(|error| {
            let denied = error.as_service_error().is_some_and(|error| error.meta().code() == Some(DENIED));
            match cloud_error(error, "the topic", &ABSENT) {
                CloudError::Refused(_) | CloudError::Denied(_) if denied => CloudError::Denied(DENIED.to_owned()),
                CloudError::Refused(why) => CloudError::Refused(code_of(&why)),
                CloudError::Denied(why) => CloudError::Denied(code_of(&why)),
                other => other,
            }
        })
    }
}

/// `the topic: <code>: <message>` without the message.
fn code_of(why: &str) -> String {
    why.split(": ").nth(1).unwrap_or("SNS refuses the message").to_owned()
}

fn region_of(topic: &str) -> Result<&str, CloudError> {
    match topic.split(':').collect::<Vec<_>>().as_slice() {
        ["arn", _, "sns", region, _, name] if !region.is_empty() && !name.is_empty() => Ok(region),
        _ => Err(CloudError::Refused("it is not the ARN of a topic".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::replies::{Replies, reply};

    const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:releases";

    fn keys() -> Credentials {
        Credentials {
            access_key_id: "ASIAROLE".to_owned(),
            secret_access_key: "secret".to_owned(),
            session_token: "session".to_owned(),
            expires_at: jiff::Timestamp::MAX,
        }
    }

    async fn publish(topic: &str, replies: &Replies) -> Result<(), CloudError> {
        let notice = ApprovalNotice {
            topic_arn: topic.to_owned(),
            subject: "APPROVAL NEEDED: shop for action Approve".to_owned(),
            message: json!({ "approval": { "token": "t-o-k-e-n" } }),
        };
        SnsTopics::connect(&replies.config()).publish(&notice, &keys()).await
    }

    fn error(status: u16, code: &str) -> Replies {
        let body = format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>t-o-k-e-n</Message></Error></ErrorResponse>"
        );
        Replies::of([reply(status, &[("content-type", "text/xml")], body)])
    }

    #[tokio::test]
    async fn a_message_goes_to_the_topics_region_with_the_roles_keys() {
        let answer = "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>";
        let replies = Replies::of([reply(200, &[("content-type", "text/xml")], answer)]);
        publish(TOPIC, &replies).await.unwrap();
        let body = String::from_utf8(replies.body(0)).unwrap();
        assert!(body.starts_with("Action=Publish&") && body.contains("t-o-k-e-n"), "{body}");
        let signed = replies.header(0, "authorization");
        assert!(signed.contains("Credential=ASIAROLE/") && signed.contains("/eu-central-1/sns/"), "{signed}");
        assert_eq!(replies.header(0, "x-amz-security-token"), "session");
    }

    #[tokio::test]
    async fn errors_say_what_can_be_done_and_never_the_token() {
        for (status, code, expected) in [
            (404, "NotFound", "the topic is not there"),
            (403, "AuthorizationError", "no permission: AuthorizationError"),
            (400, "InvalidParameter", "refused: InvalidParameter"),
            (500, "InternalError", "the service is not available"),
        ] {
            let told = publish(TOPIC, &error(status, code)).await.unwrap_err().to_string();
            assert_eq!(told, expected, "{code}");
        }
        for topic in ["releases", "arn:aws:sqs:eu-west-1:123456789012:releases", "arn:aws:sns::123456789012:releases"] {
            let told = publish(topic, &Replies::of([])).await.unwrap_err();
            assert_eq!(told.to_string(), "refused: it is not the ARN of a topic");
        }
    }
}
