//! The console over the real table: every page, what forms do, and whom it keeps out.

use api::{ApiEvent, ApiReply, Authorizer};
use domain::ExecutionId;
use serde_json::{Value, json};

use crate::world::{Bench, NOBODY, asking, event, shop};

mod deeds;
mod pages;

/// The token of forms, which a browser got as a cookie.
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// What must never be markup.
const MARKUP: &str = "<img src=x onerror=alert(1)>\"'&";

/// A request of a browser at this machine.
fn visit(method: &str, path: &str) -> ApiEvent {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut event = event(method);
    event.request_context.authorizer = Some(Authorizer { local_console: true, ..Authorizer::default() });
    event.headers = [("sec-fetch-site".to_owned(), "same-origin".to_owned())].into();
    ApiEvent {
        raw_path: format!("/console{path}"),
        raw_query_string: query.to_owned(),
        cookies: vec!["other=1".to_owned(), format!("lastgood-form={TOKEN}")],
        ..event
    }
}

/// The same by somebody with a token of an issuer.
fn signed_in(event: ApiEvent, groups: &str) -> ApiEvent {
    let claims = json!({"claims": {"sub": "1", "email": "ana@example.com", "cognito:groups": groups}});
    let mut event = event;
    event.request_context.authorizer =
        Some(Authorizer { jwt: Some(serde_json::from_value(claims).unwrap()), ..Authorizer::default() });
    event.stage_variables = [("consoleOperators".to_owned(), "release".to_owned())].into();
    event
}

/// A form with the right token.
fn form(path: &str, fields: &[(&str, &str)]) -> ApiEvent {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.append_pair("token", TOKEN).extend_pairs(fields);
    ApiEvent { body: Some(body.finish()), ..visit("POST", path) }
}

/// A page that is there.
pub(crate) async fn page(bench: &Bench, path: &str) -> String {
    let reply = bench.send(visit("GET", path)).await;
    assert_eq!(reply.status_code, 200, "{path}: {}", reply.body);
    reply.body
}

/// Where a form that was taken leads to.
async fn done(bench: &Bench, path: &str, fields: &[(&str, &str)]) -> String {
    let reply = bench.send(form(path, fields)).await;
    assert_eq!((reply.status_code, reply.body.as_str()), (303, ""), "{path}");
    reply.headers["location"].clone()
}

/// Status and page of a form that was refused.
async fn refused(bench: &Bench, event: ApiEvent) -> (u16, String) {
    let ApiReply { status_code, body, .. } = bench.send(event).await;
    assert!(status_code >= 400, "{body}");
    (status_code, body)
}

/// The stage Prod as clients see it.
async fn prod(bench: &Bench) -> Value {
    bench.ok("GetPipelineState", json!({"name": "shop"})).await["stageStates"][1].clone()
}

/// A release after the first.
async fn another(bench: &Bench) -> ExecutionId {
    let next = bench.start().await;
    bench.pass(next).await;
    next
}
