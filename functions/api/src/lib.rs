//! The API endpoint: CodePipeline's protocol in, use cases of the engine, CodePipeline's protocol out.
//!
//! **May touch**: the world it is given, by way of the engine's use cases and plain reads of its store.
//!
//! **Architecture invariants**: decides nothing: an operation here turns wire input into a use case's arguments and its
//! result into wire output. Every request gets an answer; nothing from outside makes it panic. No payload, token or
//! signature reaches a log. The match over operations is total, so a new one cannot be forgotten.

mod action_types;
mod actions;
mod approvals;
mod catalogue;
mod compatibility;
mod conditions;
mod console;
mod decisions;
mod deliveries;
mod dispatch;
mod event;
mod executions;
mod failure;
mod health;
mod holds;
mod jobs;
mod kept;
mod paging;
mod pipelines;
mod preview;
mod reference;
mod revisions;
mod revoked;
mod rollback;
mod rules;
mod runs;
mod shadow;
mod state;
mod tags;
mod targets;
mod transitions;
mod webhooks;

use engine::{EngineError, HasAlarms, HasFunctions, HasMachines, HasObjects, HasRoles, HasStore};
use protocol::{Call, HttpReply, HttpRequest};

use dispatch::Origin;

pub use deliveries::WEBHOOK_ROUTE;
pub use event::{ApiEvent, ApiReply, AskingAction, Authorizer, Http, Iam, Jwt, RequestContext};
pub use reference::differences;

/// Answers one request.
///
/// What an operation refuses, and what goes wrong behind it, is an answer in CodePipeline's form (spec 9).
///
/// # Errors
/// A refusal (`InvalidInput`) where the event claims a base64 body that is none: API Gateway makes no such event.
pub async fn handle<W>(world: &W, event: ApiEvent) -> Result<ApiReply, EngineError>
where
    W: HasStore + HasMachines + HasAlarms + HasFunctions + HasObjects + HasRoles,
{
    // CodePipeline's ids are UUIDs (spec 9.1); API Gateway's own is logged beside it.
    let request_id = world.entropy().uuid().to_string();
    if deliveries::is_delivery(&event) {
        return deliveries::receive(world, &event, &request_id).await;
    }
    // Who came with a token of the console has not signed: for them there are pages, and no operations.
    if event.request_context.authorizer.as_ref().is_some_and(|by| by.jwt.is_some()) {
        return Box::pin(console::serve(world, &event, &request_id)).await;
    }
    let reply = match decode(&event, &request_id)? {
        Addressed::Elsewhere if console::is_console(&event.raw_path) => {
            return Box::pin(console::serve(world, &event, &request_id)).await;
        }
        Addressed::Elsewhere => return Ok(ApiReply::not_served(&request_id)),
        Addressed::Refused(reply) => *reply,
        Addressed::Call(call) => {
            let caller = event.caller(world.settings());
            let Call { operation, input, codec } = call;
            // Boxed, since the futures of all operations together nest deeper than the compiler follows.
            let authorizer = event.request_context.authorizer.as_ref();
            let from = Origin { caller: &caller, action: authorizer.and_then(|by| by.action.as_ref()) };
            let answer = Box::pin(dispatch::answer(world, operation, input, from, &event.endpoint())).await;
            let answer = answer.map_err(|failure| failure.into_api(operation, &request_id));
            let code = answer.as_ref().err().map(|error| error.code.name());
            tracing::info!(
                request.id = request_id,
                gateway.request_id = event.gateway_request_id(),
                request.source_ip = event.request_context.http.source_ip,
                request.caller = caller,
                api.operation = operation.name(),
                api.error = code,
                "{}: {}",
                operation.name(),
                code.unwrap_or("done")
            );
            codec.reply(operation, answer, &request_id)
        }
    };
    Ok(reply.into())
}

/// What a request turned out to be.
enum Addressed {
    Call(Call),
    Refused(Box<HttpReply>),
    /// Not a request of the protocol at all.
    Elsewhere,
}

fn decode(event: &ApiEvent, request_id: &str) -> Result<Addressed, EngineError> {
    let body = event.body_bytes()?;
    let header = |name: &str| event.headers.get(name).map(String::as_str);
    let request =
        HttpRequest { method: &event.request_context.http.method, path: &event.raw_path, header: &header, body: &body };
    if !protocol::is_protocol_request(&request) {
        return Ok(Addressed::Elsewhere);
    }
    Ok(match protocol::decode(request, request_id) {
        Ok(call) => Addressed::Call(call),
        Err(reply) => Addressed::Refused(reply),
    })
}
