//! What is called, and with what.

use anyhow::Context;
use serde_json::{Value, json};

use super::super::{
    client::CodePipeline,
    reference::{DEPLOY, PIPELINE, declaration},
};

/// A call that can be made again and again and does the same each time.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// As in `X-Amz-Target`.
    pub(super) target: String,
    pub(super) input: Value,
}

impl Call {
    /// Name of the operation.
    pub(super) fn name(&self) -> &str {
        self.target.split_once('.').map_or(&self.target, |(_, name)| name)
    }
}

/// Every call, over the history of the reference pipeline.
pub(super) async fn all(api: &CodePipeline) -> anyhow::Result<Vec<Call>> {
    let newest = api.call("ListPipelineExecutions", json!({ "pipelineName": PIPELINE, "maxResults": 1 })).await?;
    let execution = newest["pipelineExecutionSummaries"][0]["pipelineExecutionId"].as_str().context("no execution")?;
    let arn = format!("arn:aws:codepipeline:{}:{}:{PIPELINE}", local::REGION, local::ACCOUNT);
    // Pages that are full with the short history too: what is compared is the same answer.
    let pipeline = json!({ "pipelineName": PIPELINE, "maxResults": 10 });
    let transition = json!({ "pipelineName": PIPELINE, "stageName": DEPLOY, "transitionType": "Inbound" });
    let mut disable = transition.clone();
    disable["reason"] = "benchmark".into();
    let theirs = [
        ("GetPipelineState", json!({ "name": PIPELINE })),
        ("ListPipelineExecutions", pipeline.clone()),
        ("GetPipelineExecution", json!({ "pipelineName": PIPELINE, "pipelineExecutionId": execution })),
        ("ListActionExecutions", pipeline.clone()),
        ("ListRuleExecutions", pipeline),
        ("GetPipeline", json!({ "name": PIPELINE })),
        ("ListPipelines", json!({})),
        ("ListActionTypes", json!({})),
        ("ListRuleTypes", json!({})),
        ("ListWebhooks", json!({})),
        ("ListTagsForResource", json!({ "resourceArn": arn })),
        ("TagResource", json!({ "resourceArn": arn, "tags": [{ "key": "team", "value": "shop" }] })),
        ("UntagResource", json!({ "resourceArn": arn, "tagKeys": ["team"] })),
        ("DisableStageTransition", disable),
        ("EnableStageTransition", transition),
        ("UpdatePipeline", json!({ "pipeline": declaration(false) })),
    ];
    let ours = [("ListRollbackCandidates", json!({ "pipelineName": PIPELINE, "stageName": DEPLOY, "maxResults": 10 }))];
    let call = |service: &str, (name, input): (&str, Value)| Call { target: format!("{service}.{name}"), input };
    let ours = ours.map(|one| call("Lastgood_20261201", one));
    Ok(theirs.map(|one| call("CodePipeline_20150709", one)).into_iter().chain(ours).collect())
}
