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
        let id = self.0.entropy.uuid().to_string();
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

#[cfg(test)]
mod tests {
    use runtime::{ManualClock, SeededEntropy};

    use super::*;

    const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:approvals";

    fn topics() -> Topics {
        let clock: Arc<dyn Timer> = Arc::new(ManualClock::new("2026-11-23T10:15:02.5Z".parse().unwrap()));
        Topics::new(clock, Arc::new(SeededEntropy::new(1)))
    }

    async fn ask(topics: &Topics, request: Request<Body>) -> (StatusCode, String) {
        let response = topics.call(request).await;
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn publish(topics: &Topics, action: &str, topic: &str, message: &str) -> (StatusCode, String) {
        let form = [("Action", action), ("TopicArn", topic), ("Subject", "APPROVAL & more"), ("Message", message)];
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        ask(topics, Request::builder().method(Method::POST).uri("/").body(Body::from(body)).unwrap()).await
    }

    #[tokio::test]
    async fn the_newest_messages_are_shown_newest_first() {
        let topics = topics();
        for n in 0..KEPT_MAX + 5 {
            let (status, answer) = publish(&topics, "Publish", TOPIC, &format!("message {n}")).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
        }
        let request = Request::builder().uri(MESSAGES_PATH).body(Body::empty()).unwrap();
        let (status, shown) = ask(&topics, request).await;
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let messages = shown["messages"].as_array().unwrap();
        assert_eq!((status, messages.len()), (StatusCode::OK, KEPT_MAX));
        let newest = &messages[0];
        let told = ["TopicArn", "Subject", "Message", "Timestamp"].map(|member| newest[member].as_str().unwrap());
        let last = format!("message {}", KEPT_MAX + 4);
        assert_eq!(told, [TOPIC, "APPROVAL & more", last.as_str(), "2026-11-23T10:15:02.500Z"]);
        let (_, answer) = publish(&topics, "Publish", TOPIC, "one more").await;
        let id = topics.newest()[0]["MessageId"].as_str().unwrap().to_owned();
        assert!(answer.contains(&format!("<MessageId>{id}</MessageId>")), "{answer}");
        assert_ne!(newest["MessageId"], json!(id));
    }

    #[tokio::test]
    async fn what_is_no_message_to_a_topic_is_refused_and_not_kept() {
        let topics = topics();
        let long = "x".repeat(MESSAGE_BYTES_MAX + 1);
        for (action, topic, message, code) in [
            ("Subscribe", TOPIC, "hello", "InvalidAction"),
            ("Publish", "approvals", "hello", "InvalidParameter"),
            ("Publish", "arn:aws:sqs:us-east-1:000000000000:approvals", "hello", "InvalidParameter"),
            ("Publish", "arn:aws:sns:us-east-1:000000000000:", "hello", "InvalidParameter"),
            ("Publish", TOPIC, "", "InvalidParameter"),
            ("Publish", TOPIC, &long, "InvalidParameter"),
        ] {
            let (status, answer) = publish(&topics, action, topic, message).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{action} {topic}");
            assert!(answer.contains(&format!("<Code>{code}</Code>")), "{answer}");
        }
        let huge = Request::builder().method(Method::POST).body(Body::from(vec![b'x'; BODY_BYTES_MAX + 1])).unwrap();
        assert_eq!(ask(&topics, huge).await.0, StatusCode::BAD_REQUEST);
        assert!(topics.newest().is_empty());
    }
}
