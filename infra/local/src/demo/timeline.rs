//! What happened, when, how long it took, and why: read from the API after the story.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{
    Client,
    story::{PIPELINE, SITE, short, text},
};

/// The executions of the story, oldest first, as a table.
///
/// # Errors
/// The API does not answer.
pub async fn timeline(client: &Client) -> anyhow::Result<String> {
    let executions = executions(client).await?;
    let begin = executions.first().map_or(0.0, |first| seconds(&first["startTime"]));
    let mut table =
        format!("{:>7}  {:>6}  {:<12}  {:<9}  {:<17}  status\n", "at", "took", "execution", "revision", "trigger");
    for one in &executions {
        let (start, end) = (seconds(&one["startTime"]), seconds(&one["lastUpdateTime"]));
        let _ = writeln!(
            table,
            "{:>6.1}s  {:>5.1}s  {:<12}  {:<9}  {:<17}  {}\n{:>17}{}",
            start - begin,
            end - start,
            short(text(&one["pipelineExecutionId"])),
            one["sourceRevisions"][0]["revisionSummary"].as_str().unwrap_or("-"),
            text(&one["trigger"]["triggerType"]),
            text(&one["status"]),
            "",
            with_short_ids(&why(one)),
        );
    }
    Ok(table)
}

async fn executions(client: &Client) -> anyhow::Result<Vec<Value>> {
    let listed = client.call("ListPipelineExecutions", &json!({ "pipelineName": PIPELINE })).await?;
    let mut executions = listed["pipelineExecutionSummaries"].as_array().cloned().unwrap_or_default();
    executions.reverse();
    Ok(executions)
}

fn why(execution: &Value) -> String {
    if let Some(summary) = execution["statusSummary"].as_str() {
        return summary.to_owned();
    }
    let target = short(text(&execution["rollbackMetadata"]["rollbackTargetPipelineExecutionId"])).to_owned();
    let detail: Value = serde_json::from_str(text(&execution["trigger"]["triggerDetail"])).unwrap_or_default();
    let undone = short(text(&detail["FailedPipelineExecutionId"])).to_owned();
    match (text(&execution["trigger"]["triggerType"]), detail["AlarmArn"].as_str()) {
        ("AutomatedRollback", Some(alarm)) => match domain::watched_as(alarm) {
            ("Metrics", _) => format!("metrics got worse after {undone}; back to {target}"),
            (_, alarm) => format!("alarm {alarm} turned red after {undone}; back to {target}"),
        },
        ("AutomatedRollback", None) => format!("{undone} failed; back to {target}"),
        ("ManualRollback", _) => format!("asked for by hand; back to {target}"),
        _ => "the upload".to_owned(),
    }
}

/// The text with execution ids as the timeline shows them, so that the eye finds them again.
pub fn with_short_ids(text: &str) -> String {
    let one = |word: &str| {
        let id = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        if id.len() == 36 && id.matches('-').count() == 4 { word.replace(id, short(id)) } else { word.to_owned() }
    };
    text.split(' ').map(one).collect::<Vec<_>>().join(" ")
}

fn seconds(time: &Value) -> f64 {
    time.as_f64().unwrap_or_default()
}

/// How a story ended, without what differs from telling to telling: ids and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Type, trigger, status, revision and target's revision of each execution, oldest first.
    pub executions: Vec<String>,
    /// The page that the site serves.
    pub page: String,
    /// Whether the way into the Deploy stage is open.
    pub open: bool,
    /// Number of runs of each action that ended, and how.
    pub runs: Vec<String>,
}

/// Reads how a story ended.
///
/// # Errors
/// The API does not answer.
pub async fn ending(client: &Client) -> anyhow::Result<Ending> {
    let executions = executions(client).await?;
    let revision = |one: &Value| one["sourceRevisions"][0]["revisionSummary"].as_str().unwrap_or("-").to_owned();
    let lines = executions.iter().map(|one| {
        let parts = [&one["executionType"], &one["trigger"]["triggerType"], &one["status"]].map(text);
        format!("{} {}", parts.join(" "), revision(one))
    });
    let lines: Vec<String> = lines.collect();
    let state = client.call("GetPipelineState", &json!({ "name": PIPELINE })).await?;
    let runs = client.call("ListActionExecutions", &json!({ "pipelineName": PIPELINE })).await?;
    let mut runs: Vec<String> = runs["actionExecutionDetails"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|run| [&run["stageName"], &run["actionName"], &run["status"]].map(text).join(" "))
        .collect();
    runs.sort();
    let page = client.page(&format!("{SITE}/index.html")).await?.unwrap_or_default();
    Ok(Ending {
        executions: lines,
        page: String::from_utf8_lossy(&page).into_owned(),
        open: state["stageStates"][1]["inboundTransitionState"]["enabled"] == true,
        runs,
    })
}
