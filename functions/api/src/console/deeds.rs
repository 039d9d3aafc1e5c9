//! Forms: each becomes the input of an operation, checked by the service model like any client's.

use domain::PipelineName;
use engine::{HasAlarms, HasFunctions, HasMachines, HasObjects, HasRoles, HasStore};
use protocol::{ErrorCode, HttpRequest, Operation};
use serde_json::{Value, json};

use super::{
    configure,
    forms::{Form, query},
    frame::{COOKIE, Visit},
    route::{Act, Deed, ROOT, execution_path, pipeline_path},
    start,
};
use crate::{
    ApiEvent,
    dispatch::{self, Origin},
    failure::Failure,
};

/// Whether the form is one of ours, sent by somebody who may act.
///
/// Two things each keep out forms of other sites: browsers say where a request comes from, and the form's token has to be
/// that of a cookie that is never sent from elsewhere.
pub(super) fn check(visit: &Visit, event: &ApiEvent, form: &Form) -> Result<(), Failure> {
    let denied = |why: &str| Err(Failure::refused(ErrorCode::AccessDeniedException, why));
    if !visit.viewer.may_act {
        return denied("You may look, and not change anything: you are not in the group of the console's operators.");
    }
    if !is_same_origin(event) {
        return denied("This form came from another site. Nothing was done.");
    }
    match event.cookie(COOKIE) {
        Some(cookie) if is_equal(cookie, form.text("token")) => Ok(()),
        _ => denied("The page was open for too long, or cookies are off. Nothing was done; try again."),
    }
}

/// Browsers say `same-origin` of forms of a page's own; those that do not yet name the page's origin.
fn is_same_origin(event: &ApiEvent) -> bool {
    let header = |name: &str| event.headers.get(name).map(String::as_str);
    if let Some(site) = header("sec-fetch-site") {
        return site == "same-origin";
    }
    let Some((_, origin)) = header("origin").and_then(|origin| origin.split_once("://")) else { return false };
    // Behind a proxy the browser knows another name than the one that arrives here.
    [header("x-forwarded-host"), header("host")].into_iter().flatten().any(|host| host == origin)
}

/// Compares in the same time whatever differs.
fn is_equal(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |found, (a, b)| found | (a ^ b)) == 0
}

/// The operation that the deed is. What is refused or fails is worded and logged as that operation's.
pub(super) fn operation(act: &Act, form: &Form) -> Operation {
    match act {
        Act::Start => Operation::StartPipelineExecution,
        Act::Configure => Operation::UpdatePipeline,
        Act::Reinstate => Operation::ReinstateRevision,
        Act::Stop(_) => Operation::StopPipelineExecution,
        Act::RollBack(_) => Operation::StartRollback,
        Act::Transition(_) if opens(form) => Operation::EnableStageTransition,
        Act::Transition(_) => Operation::DisableStageTransition,
        Act::Release(_) => Operation::ReleaseHold,
        Act::Retry(_) => Operation::RetryStageExecution,
        Act::Override(_) => Operation::OverrideStageCondition,
        Act::Approve(_) => Operation::PutApprovalResult,
    }
}

/// Whether a form about a transition is to enable it.
fn opens(form: &Form) -> bool {
    form.text("to") == "enabled"
}

/// Does it; where to look then.
pub(super) async fn perform<W>(world: &W, visit: &Visit, deed: &Deed, form: &Form) -> Result<String, Failure>
where
    W: HasStore + HasMachines + HasAlarms + HasFunctions + HasObjects + HasRoles,
{
    let pipeline = &deed.pipeline;
    let operation = operation(&deed.act, form);
    let operate = async |input| call(world, visit, operation, input).await;
    let done = |word: &str| format!("{}{}", pipeline_path(pipeline), query(&[("done", word)]));
    match &deed.act {
        Act::Start => {
            let output = operate(start::input(pipeline, form)).await?;
            Ok(to_execution(pipeline, &output, "started"))
        }
        Act::Configure => {
            let declaration = configure::changed(world, pipeline, form).await?;
            operate(json!({ "pipeline": declaration })).await?;
            Ok(format!("{}/configure{}", pipeline_path(pipeline), query(&[("done", "saved")])))
        }
        Act::Reinstate => {
            let input = json!({ "contentId": form.text("content"), "reason": form.text("reason") });
            operate(input).await?;
            Ok(format!("{ROOT}/attention{}", query(&[("done", "reinstated")])))
        }
        Act::Stop(id) => {
            let input = json!({
                "pipelineName": pipeline, "pipelineExecutionId": id, "abandon": form.is_on("abandon"),
                "reason": form.given("reason"),
            });
            operate(input).await?;
            Ok(format!("{}{}", execution_path(pipeline, *id), query(&[("done", "stopped")])))
        }
        Act::RollBack(stage) => {
            let input = json!({
                "pipelineName": pipeline, "stageName": stage, "targetPipelineExecutionId": form.text("target"),
                "reason": form.text("reason"), "force": form.is_on("force"),
            });
            let output = operate(input).await?;
            Ok(to_execution(pipeline, &output, "rollback"))
        }
        Act::Transition(stage) => {
            let mut input = json!({ "pipelineName": pipeline, "stageName": stage, "transitionType": "Inbound" });
            if opens(form) {
                operate(input).await?;
                return Ok(done("opened"));
            }
            input["reason"] = json!(form.text("reason"));
            operate(input).await?;
            Ok(done("closed"))
        }
        Act::Release(stage) => {
            let input = json!({ "pipelineName": pipeline, "stageName": stage, "comment": form.text("comment") });
            operate(input).await?;
            Ok(done("released"))
        }
        Act::Retry(stage) => {
            let input = json!({
                "pipelineName": pipeline, "stageName": stage, "pipelineExecutionId": form.text("execution"),
                "retryMode": form.text("mode"),
            });
            operate(input).await?;
            Ok(done("retried"))
        }
        Act::Override(stage) => {
            let input = json!({
                "pipelineName": pipeline, "stageName": stage, "pipelineExecutionId": form.text("execution"),
                "conditionType": form.text("condition"),
            });
            operate(input).await?;
            Ok(done("overridden"))
        }
        Act::Approve(stage) => {
            let approves = form.text("answer") == "Approved";
            let result = json!({ "status": form.text("answer"), "summary": form.text("summary") });
            let input = json!({
                "pipelineName": pipeline, "stageName": stage, "actionName": form.text("action"), "result": result,
                "token": form.text("approval"),
            });
            operate(input).await?;
            let word = if approves { "approved" } else { "rejected" };
            // Back to where it was answered.
            let execution = form.given("execution").and_then(|id| id.parse().ok());
            Ok(execution.map_or_else(
                || done(word),
                |id| format!("{}{}", execution_path(pipeline, id), query(&[("done", word)])),
            ))
        }
    }
}

fn to_execution(pipeline: &PipelineName, output: &Value, word: &str) -> String {
    let id = output["pipelineExecutionId"].as_str().and_then(|id| id.parse().ok());
    let path = id.map_or_else(|| pipeline_path(pipeline), |id| execution_path(pipeline, id));
    format!("{path}{}", query(&[("done", word)]))
}

/// Carries an operation out in the viewer's name. Its input goes through the same door as that of clients.
async fn call<W>(world: &W, visit: &Visit, operation: Operation, input: Value) -> Result<Value, Failure>
where
    W: HasStore + HasMachines + HasAlarms + HasFunctions + HasObjects + HasRoles,
{
    let (target, body) = (format!("{}.{}", operation.service().target(), operation.name()), input.to_string());
    let header = |name: &str| match name {
        "x-amz-target" => Some(target.as_str()),
        "content-type" => Some("application/x-amz-json-1.1"),
        _ => None,
    };
    let request = HttpRequest { method: "POST", path: "/", header: &header, body: body.as_bytes() };
    let call = protocol::decode(request, "").map_err(|refused| {
        let refused: Value = serde_json::from_slice(&refused.body).unwrap_or_default();
        let why = refused["message"].as_str().or(refused["Message"].as_str()).unwrap_or("The form is incomplete.");
        Failure::refused(ErrorCode::ValidationException, why)
    })?;
    let from = Origin { caller: &visit.viewer.caller, action: None };
    // No operation of a form says where it can be reached.
    Box::pin(dispatch::answer(world, operation, call.input, from, "")).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_forms_of_the_page_itself_are_taken() {
        for (headers, expected) in [
            (vec![("sec-fetch-site", "same-origin"), ("origin", "null")], true),
            (vec![("sec-fetch-site", "cross-site"), ("origin", "http://a"), ("host", "a")], false),
            (vec![("sec-fetch-site", "same-site")], false),
            (vec![("sec-fetch-site", "none")], false),
            (vec![("origin", "http://127.0.0.1:4180"), ("host", "127.0.0.1:4180")], true),
            (
                vec![
                    ("origin", "https://console.example.com"),
                    ("host", "a"),
                    ("x-forwarded-host", "console.example.com"),
                ],
                true,
            ),
            (vec![("origin", "http://evil"), ("host", "127.0.0.1:4180")], false),
            (vec![("origin", "null"), ("host", "null")], false),
            (vec![("host", "a")], false),
        ] {
            let given = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let event = ApiEvent { headers: given, ..ApiEvent::default() };
            assert_eq!(is_same_origin(&event), expected, "{headers:?}");
        }
        assert!(is_equal("ab", "ab") && !is_equal("ab", "ac") && !is_equal("ab", "abc"));
    }
}
