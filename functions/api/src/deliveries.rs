//! Requests to the URLs of webhooks. They are signed by nobody AWS knows, so they come by a route of their own, and
//! nothing else is reached by it.

use domain::{Secret, Sender, WebhookName};
use engine::{Delivered, Delivery, EngineError, HasMachines, HasObjects, HasStore};
use percent_encoding::percent_decode_str;
use protocol::BODY_BYTES_MAX;
use serde_json::json;

use crate::event::{ApiEvent, ApiReply};

/// The route of API Gateway that nobody has to sign for.
pub const WEBHOOK_ROUTE: &str = "POST /webhooks/{webhook}";

/// How paths of webhooks begin.
const PREFIX: &str = "/webhooks/";

/// Seconds after which a sender should try again what could not be done.
const RETRY_AFTER_S: &str = "5";

/// The URL of a webhook. Name and key are one part of its path, since a name may be `..`.
pub(crate) fn webhook_url(endpoint: &str, name: &WebhookName, key: &Secret) -> String {
    format!("{endpoint}{PREFIX}{name}-{}", key.expose())
}

/// Whether a request goes to a webhook: by its route, or by its path where all come by one route. Such a request is
/// nothing else, whatever its headers say: nobody has authorised it.
pub(crate) fn is_delivery(event: &ApiEvent) -> bool {
    event.route_key == WEBHOOK_ROUTE || event.raw_path.starts_with(PREFIX)
}

/// Answers a request to a webhook. What is wrong with it, or behind it, is an answer too.
///
/// # Errors
/// As [`crate::handle`].
pub(crate) async fn receive<W: HasStore + HasObjects + HasMachines>(
    world: &W,
    event: &ApiEvent,
    request_id: &str,
) -> Result<ApiReply, EngineError> {
    if event.request_context.http.method != "POST" {
        let mut reply = reply(405, request_id, "Deliver by POST.", None);
        reply.headers.insert("allow".to_owned(), "POST".to_owned());
        return Ok(reply);
    }
    let body = event.body_bytes()?;
    if body.len() > BODY_BYTES_MAX {
        let message = format!("A delivery has at most {BODY_BYTES_MAX} bytes.");
        return Ok(reply(413, request_id, &message, None));
    }
    let address = address_of(&event.raw_path);
    let Some((webhook, url_key)) = &address else {
        return Ok(answer(request_id, &Delivered::Nowhere));
    };
    let header = |name: &str| event.headers.get(name).map(String::as_str);
    let delivery = Delivery {
        webhook,
        url_key,
        sender: Sender {
            address: event.request_context.http.source_ip.parse().ok(),
            signature_sha256: header("x-hub-signature-256"),
            signature_sha1: header("x-hub-signature"),
        },
        id: header("x-github-delivery"),
        is_ping: header("x-github-event") == Some("ping"),
        is_form: header("content-type").is_some_and(is_form),
        body: &body,
    };
    Ok(match engine::deliver(world, &delivery).await {
        Ok(delivered) => {
            log(event, request_id, &delivery, &delivered);
            answer(request_id, &delivered)
        }
        Err(error) => unanswered(event, request_id, &delivery, &error),
    })
}

/// The webhook and the key that a path names. Some gateways decode paths, some do not.
fn address_of(path: &str) -> Option<(WebhookName, String)> {
    let (_, last) = path.rsplit_once('/')?;
    let last = percent_decode_str(last).decode_utf8().ok()?;
    let (name, key) = last.rsplit_once('-')?;
    Some((name.parse().ok()?, key.to_owned()))
}

fn is_form(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn answer(request_id: &str, delivered: &Delivered) -> ApiReply {
    let execution = match delivered {
        Delivered::Started(started) => Some(started.execution().to_string()),
        _ => None,
    };
    reply(delivered.status(), request_id, &delivered.message(), execution)
}

fn reply(status_code: u16, request_id: &str, message: &str, execution: Option<String>) -> ApiReply {
    let mut body = json!({ "message": message });
    if let Some(execution) = execution {
        body["pipelineExecutionId"] = json!(execution);
    }
    let headers = [("content-type", "application/json"), ("x-amzn-requestid", request_id)];
    ApiReply {
        status_code,
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        cookies: Vec::new(),
        body: body.to_string(),
        is_base64_encoded: false,
    }
}

/// One line for each delivery. Texts of refusals quote definitions, and keys open webhooks: neither is in it.
fn log(event: &ApiEvent, request_id: &str, delivery: &Delivery<'_>, delivered: &Delivered) {
    // A name that is nobody's is the sender's own text.
    let webhook = (*delivered != Delivered::Nowhere).then(|| delivery.webhook.as_str());
    tracing::info!(
        request.id = request_id,
        gateway.request_id = event.gateway_request_id(),
        request.source_ip = event.request_context.http.source_ip,
        webhook.name = webhook,
        webhook.status = delivered.status(),
        "a webhook's delivery was answered with {}",
        delivered.status()
    );
}

/// Nobody knows whether it started anything: the sender should deliver again, which starts nothing twice.
fn unanswered(event: &ApiEvent, request_id: &str, delivery: &Delivery<'_>, error: &EngineError) -> ApiReply {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::error!(
        request.id = request_id,
        gateway.request_id = event.gateway_request_id(),
        webhook.name = delivery.webhook.as_str(),
        error.message = %error,
        error.cause = cause,
        "a webhook's delivery could not be judged"
    );
    if let EngineError::Broken(_) = error {
        let message = "Lastgood met something it cannot handle; its log has the reason under this answer's request id.";
        return reply(500, request_id, message, None);
    }
    let mut reply = reply(503, request_id, "Lastgood is not available at the moment. Deliver again.", None);
    reply.headers.insert("retry-after".to_owned(), RETRY_AFTER_S.to_owned());
    reply
}
