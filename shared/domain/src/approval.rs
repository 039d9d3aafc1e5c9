//! What people are told who are to approve something (spec 6.2).

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{ActionRun, execution_page, pipeline_page};

/// SNS's limit for a subject, in characters.
const SUBJECT_CHARS_MAX: usize = 100;

/// The setting of an approval that names the topic to tell.
const NOTIFICATION_ARN: &str = "NotificationArn";

/// A message to those who can approve. It holds the token that answers, so it is for the topic alone.
#[derive(Clone, PartialEq, Eq)]
pub struct ApprovalNotice {
    /// ARN of the SNS topic.
    pub topic_arn: String,
    /// At most 100 characters.
    pub subject: String,
    /// In CodePipeline's form. Where nobody said how people reach the console, `consoleLink` and `approvalReviewLink` are
    /// missing: AWS's own console knows nothing of the pipeline.
    pub message: Value,
}

impl ActionRun {
    /// Whether somebody is to be told that it waits.
    pub fn names_topic(&self) -> bool {
        self.resolved_configuration.get(NOTIFICATION_ARN).is_some_and(|topic| !topic.is_empty())
    }
}

/// The message about an approval that waits; none where its action names no topic. `console` is the address below which
/// people reach the console.
pub fn approval_notice(
    run: &ActionRun,
    token: Uuid,
    expires: Timestamp,
    region: &str,
    console: Option<&str>,
) -> Option<ApprovalNotice> {
    let setting = |key: &str| run.resolved_configuration.get(key).filter(|value| !value.is_empty());
    let topic_arn = setting(NOTIFICATION_ARN)?.clone();
    let mut approval = json!({
        "pipelineName": run.pipeline,
        "stageName": run.stage,
        "actionName": run.action,
        "token": token,
        "expires": expires.strftime("%Y-%m-%dT%H:%MZ").to_string(),
    });
    for (member, key) in [("externalEntityLink", "ExternalEntityLink"), ("customData", "CustomData")] {
        if let Some(value) = setting(key) {
            approval[member] = json!(value);
        }
    }
    let mut message = json!({ "region": region });
    if let Some(console) = console {
        message["consoleLink"] = json!(format!("{console}{}", pipeline_page(&run.pipeline)));
        // Where it is answered: beside what it lets through.
        approval["approvalReviewLink"] = json!(format!("{console}{}", execution_page(&run.pipeline, run.execution)));
    }
    message["approval"] = approval;
    let subject = format!("APPROVAL NEEDED: {} for action {}", run.pipeline, run.action);
    Some(ApprovalNotice { topic_arn, subject: subject.chars().take(SUBJECT_CHARS_MAX).collect(), message })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(configuration: Value) -> ActionRun {
        serde_json::from_value(json!({
            "id": "00000000-0000-0000-0000-000000000009", "pipeline": "shop", "pipelineVersion": 7,
            "execution": "00000000-0000-0000-0000-000000000007", "stage": "Prod", "action": "Approve",
            "actionType": { "category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1" },
            "generation": 1, "status": "InProgress", "startedAt": "2026-11-23T10:15:02Z",
            "updatedAt": "2026-11-23T10:15:02Z", "roleArn": "arn:aws:iam::111122223333:role/shop",
            "resolvedConfiguration": configuration,
        }))
        .unwrap()
    }

    fn notice(configuration: Value) -> Option<ApprovalNotice> {
        linked(configuration, None)
    }

    fn linked(configuration: Value, console: Option<&str>) -> Option<ApprovalNotice> {
        let expires = "2026-11-30T10:15:02.5Z".parse().unwrap();
        approval_notice(&run(configuration), Uuid::nil(), expires, "eu-west-1", console)
    }

    #[test]
    fn the_message_has_codepipelines_form() {
        let told = notice(json!({
            "NotificationArn": "arn:aws:sns:eu-west-1:111122223333:releases",
            "CustomData": "build 7", "ExternalEntityLink": "https://shop.example/preview",
        }))
        .unwrap();
        assert_eq!(told.topic_arn, "arn:aws:sns:eu-west-1:111122223333:releases");
        assert_eq!(told.subject, "APPROVAL NEEDED: shop for action Approve");
        let approval = json!({
            "pipelineName": "shop", "stageName": "Prod", "actionName": "Approve",
            "token": "00000000-0000-0000-0000-000000000000", "expires": "2026-11-30T10:15Z",
            "externalEntityLink": "https://shop.example/preview", "customData": "build 7",
        });
        assert_eq!(told.message, json!({ "region": "eu-west-1", "approval": approval }));
    }

    #[test]
    fn the_message_links_to_the_console_where_people_reach_it() {
        let told = linked(json!({ "NotificationArn": "arn" }), Some("https://console.example.com")).unwrap().message;
        assert_eq!(told["consoleLink"], "https://console.example.com/console/pipelines/shop");
        let review =
            "https://console.example.com/console/pipelines/shop/executions/00000000-0000-0000-0000-000000000007";
        assert_eq!(told["approval"]["approvalReviewLink"], review);
    }

    #[test]
    fn nobody_is_told_without_a_topic() {
        assert!(notice(json!({ "CustomData": "build 7" })).is_none());
        assert!(notice(json!({ "NotificationArn": "" })).is_none());
        let bare = notice(json!({ "NotificationArn": "arn" })).unwrap();
        assert!(bare.message["approval"].get("customData").is_none());
    }
}
