//! The console: pages for people, rendered here and complete without a script.
//!
//! A request goes one way: [`route`] names the page or the deed, [`viewer`] says who asks, the page's file computes a view
//! model from the use cases and reads that the API's operations call as well, and its template in `templates/` renders it.
//! [`frame`] puts the same head, headers and policy around every page. A deed is a form: it becomes the input of an
//! operation, passes the service model like any client's, and ends in a redirect to the page that shows what became of it.
//!
//! **May touch**: what the API's operations may.
//!
//! **Architecture invariants**: decides nothing about releases. Templates escape every value; no page has a style or a
//! script in it, so the policy allows neither. Nobody sees a page whom no authoriser named, and nobody acts without the
//! form's token, from another site, or without being an operator. What a page costs does not grow with the number of
//! pipelines or the length of a history.

mod assets;
mod attention;
mod conditions;
mod configure;
mod decision;
mod deeds;
mod execution;
mod forms;
mod frame;
mod gantt;
mod history;
mod parts;
mod pipeline;
mod pipelines;
mod plot;
mod rollback;
mod rollbacks;
mod route;
mod stage;
mod start;
mod viewer;
mod weeks;

use engine::{EngineError, HasAlarms, HasFunctions, HasMachines, HasObjects, HasRoles, HasStore};
use protocol::{ApiError, ErrorCode, Operation};

use crate::{ApiEvent, ApiReply, failure::Failure};
use forms::Form;
use frame::{Notice, Reply, Visit};
use route::{NoRoute, Page, Route, route};
use viewer::Viewer;

pub(crate) use route::is_console;

/// Answers a request for the console.
///
/// # Errors
/// A refusal (`InvalidInput`) where the event claims a base64 body that is none.
pub(crate) async fn serve<W>(world: &W, event: &ApiEvent, request_id: &str) -> Result<ApiReply, EngineError>
where
    W: HasStore + HasMachines + HasAlarms + HasFunctions + HasObjects + HasRoles,
{
    let method = event.request_context.http.method.as_str();
    let found = route(method, &event.raw_path);
    if let Ok(Route::Asset { digest, name }) = &found {
        return Ok(match assets::find(digest, name) {
            Some(asset) => frame::asset(&asset, request_id),
            None => frame::bare(404, "Not found", "There is no such file.", request_id),
        });
    }
    let Some(viewer) = Viewer::of(event, world.settings()) else {
        let why = "The console is for people who have signed in, and nobody has said who you are.";
        return Ok(frame::bare(401, "Sign in", why, request_id));
    };
    let mut visit = Visit::new(world, event, viewer);
    let reply = match found {
        Ok(Route::Page(page)) => show(world, &visit, &page).await,
        Ok(Route::Deed(deed)) => {
            let form = Form::read(&event.body_bytes()?);
            let done = match deeds::check(&visit, event, &form) {
                Ok(()) => Box::pin(deeds::perform(world, &visit, &deed, &form)).await,
                Err(refused) => Err(refused),
            };
            match done {
                Ok(to) => Ok(Reply::SeeOther(to)),
                Err(failure) => {
                    // The page once more, with what was typed and why it was refused.
                    let error = failure.into_api(deeds::operation(&deed.act, &form), request_id);
                    let page = deed.page();
                    visit.refused_with(&page, status_of(&error), Notice::bad(error.message), form);
                    show(world, &visit, &page).await
                }
            }
        }
        Ok(Route::Asset { .. }) | Err(NoRoute::NotFound) => Ok(Reply::Missing),
        Err(NoRoute::NotAllowed(methods)) => Ok(Reply::NotAllowed(methods)),
    };
    let reply = reply.or_else(|failure| {
        // In the words that clients of the API get; the operation names what is logged with it.
        let error = failure.into_api(Operation::GetPipelineState, request_id);
        Ok::<_, EngineError>(Reply::Failed(status_of(&error), error.message))
    })?;
    let answer = frame::answer(&visit, reply, method == "HEAD", request_id);
    tracing::info!(
        request.id = request_id,
        gateway.request_id = event.gateway_request_id(),
        request.source_ip = event.request_context.http.source_ip,
        request.caller = visit.viewer.caller,
        http.status = answer.status_code,
        "console"
    );
    Ok(answer)
}

async fn show<W>(world: &W, visit: &Visit, page: &Page) -> Result<Reply, Failure>
where
    W: HasStore + HasObjects,
{
    // Boxed, since the futures of all pages together nest deeper than the compiler follows.
    let html = match page {
        Page::Pipelines => Box::pin(pipelines::show(world, visit)).await,
        Page::Attention => Box::pin(attention::show(world, visit)).await,
        Page::Pipeline(name) => Box::pin(pipeline::show(world, visit, name)).await,
        Page::Start(name) => Box::pin(start::show(world, visit, name)).await,
        Page::Configure(name) => Box::pin(configure::show(world, visit, name)).await,
        Page::History(name) => Box::pin(history::show(world, visit, name)).await,
        Page::AllRollbacks => Box::pin(rollbacks::show(world, visit, None)).await,
        Page::Rollbacks(name) => Box::pin(rollbacks::show(world, visit, Some(name))).await,
        Page::Execution(name, id) => Box::pin(execution::show(world, visit, name, *id)).await,
        Page::Rollback(name, stage) => Box::pin(rollback::show(world, visit, name, stage)).await,
    };
    Ok(Reply::Html(html?))
}

fn status_of(error: &ApiError) -> u16 {
    match error.code {
        ErrorCode::PipelineNotFoundException
        | ErrorCode::StageNotFoundException
        | ErrorCode::ActionNotFoundException
        | ErrorCode::PipelineExecutionNotFoundException
        | ErrorCode::ResourceNotFoundException => 404,
        ErrorCode::ConflictException => 409,
        ErrorCode::AccessDeniedException => 403,
        ErrorCode::ThrottlingException => 429,
        ErrorCode::ServiceUnavailable => 503,
        ErrorCode::InternalFailure => 500,
        _ => 400,
    }
}
