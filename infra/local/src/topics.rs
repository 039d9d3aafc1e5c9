//! SNS's part: takes messages to any topic and shows the newest to people. They may hold tokens, so none is printed.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use axum::body::Body;
use engine::ports::Entropy;
use http::{HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Limited};
use runtime::Timer;
use serde_json::{Value, json};

/// Where people read the newest messages. No bucket's name begins with `_`.
pub(crate) const MESSAGES_PATH: &str = "/_messages";
/// Messages kept for reading.
const KEPT_MAX: usize = 100;
/// Most bytes of a message, as SNS's.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Largest body read: encoding may treble the bytes of a message.
const BODY_BYTES_MAX: usize = 1024 * 1024;
const NAMESPACE: &str = "http://sns.amazonaws.com/doc/2010-03-31/";

/// Every topic.
#[derive(Clone)]
pub(crate) struct Topics(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Timer>,
    entropy: Arc<dyn Entropy>,
    /// Newest first.
    kept: Mutex<VecDeque<Value>>,
}

impl Topics {
    pub(crate) fn new(clock: Arc<dyn Timer>, entropy: Arc<dyn Entropy>) -> Self {
        Self(Arc::new(Inner { clock, entropy, kept: Mutex::default() }))
    }

    /// The newest messages, newest first.
    pub(crate) fn newest(&self) -> Vec<Value> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(crate) async fn call(&self, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        if head.method == Method::GET && head.uri.path() == MESSAGES_PATH {
            return answer(StatusCode::OK, "application/json", json!({ "messages": self.newest() }).to_string());
        }
        let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
            return refuse("InvalidParameter", "The request is too large.");
        };
        let form: BTreeMap<String, String> = form_urlencoded::parse(&body.to_bytes()).into_owned().collect();
        match form.get("Action").map(String::as_str) {
            Some("Publish") => self.publish(&form),
            _ => refuse("InvalidAction", "The local SNS knows Publish alone."),
        }
    }

    fn publish(&self, form: &BTreeMap<String, String>) -> Response<Body> {
        let text = |member: &str| form.get(member).map(String::as_str).unwrap_or_default();
        let (topic, message) = (text("TopicArn"), text("Message"));
        if !matches!(topic.split(':').collect::<Vec<_>>().as_slice(), ["arn", _, "sns", _, _, name] if !name.is_empty())
        {
            return refuse("InvalidParameter", "Invalid parameter: TopicArn");
        }
        if message.is_empty() || message.len() > MESSAGE_BYTES_MAX {
            return refuse("InvalidParameter", "Invalid parameter: Message too long or empty");
        }
        let id = self.new_id();
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_front(json!({
            "MessageId": id,
            "TopicArn": topic,
            "Subject": text("Subject"),
            "Message": message,
            "Timestamp": format!("{:.3}", self.0.clock.now()),
        }));
        kept.truncate(KEPT_MAX);
        let body = format!(
            "<PublishResponse xmlns=\"{NAMESPACE}\"><PublishResult><MessageId>{id}</MessageId></PublishResult>\
             <ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></PublishResponse>"
        );
        answer(StatusCode::OK, "text/xml", body)
    }

    fn new_id(&self) -> String {
        let mut random = [0; 16];
        self.0.entropy.fill(&mut random);
        uuid::Builder::from_random_bytes(random).into_uuid().to_string()
    }
}

/// Codes and texts are constants of ours: nothing in them has to be escaped.
fn refuse(code: &'static str, message: &'static str) -> Response<Body> {
    let body = format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error></ErrorResponse>"
    );
    answer(StatusCode::BAD_REQUEST, "text/xml", body)
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
