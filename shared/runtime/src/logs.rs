//! Logs: one flat JSON object per line, so that CloudWatch Logs Insights can query every key.

use std::{fmt, io::Write, sync::Arc};

use engine::ports::Clock;
use serde_json::{Map, Value, json};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

use crate::SystemClock;

/// Longest value of one text field, in bytes. Keys, ids and reasons fit; a payload that slipped in does not.
const FIELD_BYTES_MAX: usize = 8 * 1024;
/// How fields begin that are metrics as well.
const METRIC: &str = "metric.";
/// Where metrics are in CloudWatch.
const NAMESPACE: &str = "Lastgood";

/// Ours, by the names under which crates log. In detail they say what they decide; what others say in detail holds requests
/// and events whole, and with them tokens and payloads. A name stands for all that begin with it, so our `aws`, which says
/// nothing, is not among them: the SDK's crates would be too.
const OURS: [&str; 17] = [
    "alarm_handler",
    "api",
    "engine",
    "evaluate_condition",
    "evaluate_rollback",
    "github",
    "local",
    "local_cloudwatch",
    "local_lambda",
    "local_s3",
    "local_states",
    "reconciler",
    "run_action",
    "runtime",
    "source_trigger",
    "stage_gate",
    "store",
];

/// Writes the process's logs to stdout as JSON lines with the key `service`.
///
/// The level comes from `AWS_LAMBDA_LOG_LEVEL`, else `RUST_LOG`, else `info`; without either, `quieted` says what of
/// others' logs to leave out, such as `library=error`. A second call changes nothing.
#[expect(clippy::disallowed_methods, reason = "the log level is configuration")]
pub fn init_logs(service: &str, quieted: &str) {
    let level = ["AWS_LAMBDA_LOG_LEVEL", "RUST_LOG"].iter().find_map(|name| std::env::var(name).ok());
    let level = level.unwrap_or_else(|| format!("info,{quieted}"));
    log_to(service, &level, std::io::stdout);
}

/// As [`init_logs`], at `level` and to whatever `writer` opens for each line: for tests that read what was logged.
pub fn log_to<W, O>(service: &str, level: &str, writer: W)
where
    W: Fn() -> O + Send + Sync + 'static,
    O: Write,
{
    let lines = JsonLines::new(service, Arc::new(SystemClock), writer);
    let subscriber = tracing_subscriber::registry().with(filter(level)).with(lines);
    // Err means that a subscriber is installed already, by an earlier call or by the process we are embedded in.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// What is logged at `level`: a level, or several of `target=level` after commas; what cannot be read counts as `info`. A level
/// without a target is for us alone where it asks for details.
fn filter(level: &str) -> Targets {
    let level = match level.trim() {
        "" => "info",
        // Lambda says FATAL where tracing has nothing above ERROR.
        fatal if fatal.eq_ignore_ascii_case("fatal") => "error",
        level => level,
    };
    let asked = level.parse().unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    let targets = match asked.default_level() {
        Some(details) if details > LevelFilter::INFO => {
            let ours = Targets::new().with_default(LevelFilter::INFO).with_targets(OURS.map(|ours| (ours, details)));
            ours.with_targets(asked.iter())
        }
        Some(_) => asked,
        // Whoever names targets alone wants no more of others than their errors; what names none is no level.
        None if level.contains('=') => asked.with_default(LevelFilter::ERROR),
        None => Targets::new().with_default(LevelFilter::INFO),
    };
    // The runtime repeats each failure in Rust's debug form; `lambda::serve` has already logged it with its name.
    targets.with_target("lambda_runtime::layers::panic", LevelFilter::OFF)
}

/// A layer that writes each event, with the fields of the spans it is in, as one line of JSON.
///
/// An event's field beats a span's, an inner span's an outer one's; `level`, `timestamp`, `service`, `target` and
/// `message` are always the layer's own.
pub(crate) struct JsonLines<W> {
    service: String,
    clock: Arc<dyn Clock>,
    writer: W,
}

impl<W, O> JsonLines<W>
where
    W: Fn() -> O,
    O: Write,
{
    pub(crate) fn new(service: &str, clock: Arc<dyn Clock>, writer: W) -> Self {
        Self { service: service.to_owned(), clock, writer }
    }

    fn write(&self, fields: &Map<String, Value>) {
        let mut line = Value::Object(fields.clone()).to_string();
        line.push('\n');
        // One write per line keeps concurrent lines whole. A log that cannot be written has nowhere to be reported.
        let _ = (self.writer)().write_all(line.as_bytes());
    }
}

/// The fields of one span, kept with it.
struct SpanFields(Map<String, Value>);

impl<S, W, O> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn() -> O + 'static,
    O: Write,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(SpanFields(fields.0));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        let Some(known) = extensions.get_mut::<SpanFields>() else {
            return;
        };
        let mut fields = Fields::default();
        values.record(&mut fields);
        known.0.append(&mut fields.0);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Map::new();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(fields) = span.extensions().get::<SpanFields>() {
                line.extend(fields.0.clone());
            }
        }
        let mut own = Fields::default();
        event.record(&mut own);
        let message = own.0.remove("message").unwrap_or_else(|| Value::from(""));
        line.append(&mut own.0);
        line.append(&mut metrics(&line, self.clock.now()));
        let metadata = event.metadata();
        line.insert("level".into(), metadata.level().as_str().into());
        line.insert("timestamp".into(), format!("{:.3}", self.clock.now()).into());
        line.insert("service".into(), self.service.as_str().into());
        line.insert("target".into(), metadata.target().into());
        line.insert("message".into(), message);
        self.write(&line);
    }
}

/// What makes a line a metric too, in CloudWatch's embedded format: each field `metric.NAME` that is not zero becomes the
/// metric NAME of this service. Nothing where there is none: a metric costs by the hour in which it is sent.
fn metrics(line: &Map<String, Value>, now: jiff::Timestamp) -> Map<String, Value> {
    let named = line.iter().filter_map(|(name, value)| Some((name.strip_prefix(METRIC)?, value)));
    let counted: Vec<(&str, &Value)> = named.filter(|(_, value)| value.as_f64().is_some_and(|is| is > 0.0)).collect();
    let mut added: Map<String, Value> =
        counted.iter().map(|(name, value)| ((*name).to_owned(), (*value).clone())).collect();
    if !counted.is_empty() {
        let metrics: Vec<Value> = counted.iter().map(|(name, _)| json!({"Name": name, "Unit": "Count"})).collect();
        let directive = json!({"Namespace": NAMESPACE, "Dimensions": [["service"]], "Metrics": metrics});
        added.insert("_aws".into(), json!({"Timestamp": now.as_millisecond(), "CloudWatchMetrics": [directive]}));
    }
    added
}

/// Collects fields as JSON values.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        // The Lambda runtime's own names, in the spelling that Powertools users already query.
        let name = match field.name() {
            "requestId" => "function_request_id",
            "xrayTraceId" => "xray_trace_id",
            name => name.strip_prefix("r#").unwrap_or(name),
        };
        self.0.insert(name.to_owned(), value.into());
    }

    fn put_text(&mut self, field: &Field, text: &str) {
        if text.len() <= FIELD_BYTES_MAX {
            return self.put(field, text);
        }
        let end = text.floor_char_boundary(FIELD_BYTES_MAX);
        self.put(field, format!("{}... ({} bytes)", &text[..end], text.len()));
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put_text(field, &value.to_string());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use jiff::Timestamp;

    use super::*;
    use crate::ManualClock;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn lines(level: &str, log: impl FnOnce()) -> Vec<String> {
        let buffer = Buffer::default();
        let clock = ManualClock::new(Timestamp::from_second(1_796_083_200).expect("in range"));
        let writer = buffer.clone();
        let layer = JsonLines::new("stage-gate", Arc::new(clock), move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(filter(level)).with(layer);
        tracing::subscriber::with_default(subscriber, log);
        let bytes = buffer.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let text = String::from_utf8(bytes).expect("JSON is UTF-8");
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_is_flat_and_holds_the_fields_of_its_spans() {
        let logged = lines("", || {
            let outer = tracing::info_span!("invoke", requestId = "r-1", stage.name = "Deploy");
            let _outer = outer.enter();
            let inner = tracing::info_span!("call", cold_start = true, late = tracing::field::Empty);
            inner.record("late", 7);
            let _inner = inner.enter();
            tracing::info!(stage.name = "Prod", "entered {}", "stage");
        });
        // Compared as values: the order of members depends on features of serde_json that others choose.
        let logged: Vec<Value> = logged.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(
            logged,
            [serde_json::json!({
                "cold_start": true, "function_request_id": "r-1", "late": 7, "level": "INFO",
                "message": "entered stage", "service": "stage-gate", "stage.name": "Prod",
                "target": "runtime::logs::tests", "timestamp": "2026-12-01T00:00:00.000Z",
            })]
        );
    }

    #[test]
    fn reserved_keys_cannot_be_forged_and_newlines_cannot_split_a_line() {
        let logged = lines("info", || {
            tracing::warn!(level = "NONE", service = "other", "one\ntwo");
        });
        assert_eq!(logged.len(), 1);
        let line: Value = serde_json::from_str(&logged[0]).expect("JSON");
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["service"], "stage-gate");
        assert_eq!(line["message"], "one\ntwo");
    }

    #[test]
    fn a_field_that_is_a_metric_makes_the_line_one() {
        let logged = lines("", || {
            tracing::info!(metric.Rollbacks = 2_u64, metric.EventsLost = 0_u64, "decided");
            tracing::info!(metric.Rollbacks = 0_u64, "decided");
        });
        let logged: Vec<Value> = logged.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let metrics = json!([{"Name": "Rollbacks", "Unit": "Count"}]);
        let directive = json!({"Namespace": "Lastgood", "Dimensions": [["service"]], "Metrics": metrics});
        assert_eq!(logged[0]["_aws"], json!({"Timestamp": 1_796_083_200_000_u64, "CloudWatchMetrics": [directive]}));
        assert_eq!((&logged[0]["Rollbacks"], &logged[0]["service"]), (&json!(2), &json!("stage-gate")));
        assert!(logged[1].get("_aws").is_none() && logged[1].get("Rollbacks").is_none(), "{}", logged[1]);
    }

    #[test]
    fn details_are_ours_alone_unless_others_are_named() {
        let log = || {
            tracing::debug!(target: "lambda_runtime::layers::trace", "a payload");
            tracing::debug!(target: "aws_smithy_runtime::client::orchestrator", "an answer");
            tracing::debug!(target: "engine::commit", "a decision");
        };
        assert_eq!(lines("DEBUG", log).len(), 1);
        assert_eq!(lines("trace,h2=off", log).len(), 1);
        assert_eq!(lines("5", log).len(), 1);
        assert_eq!(lines("debug,engine=warn", log).len(), 0);
        assert_eq!(lines("info,lambda_runtime=debug", log).len(), 1);
        assert_eq!(lines("", log).len(), 0);
    }

    #[test]
    fn levels_filter_and_long_values_are_cut() {
        let long = "x".repeat(FIELD_BYTES_MAX + 1);
        let logged = lines("FATAL", || {
            tracing::warn!("unseen");
            tracing::error!(reason = long.as_str(), "seen");
        });
        assert_eq!(logged.len(), 1);
        let line: Value = serde_json::from_str(&logged[0]).expect("JSON");
        let reason = line["reason"].as_str().expect("text");
        assert!(reason.ends_with("xxx... (8193 bytes)"), "{reason}");
        assert_eq!(lines("no such=level=", || tracing::info!("seen")).len(), 1);
        assert_eq!(lines("verbose", || tracing::info!("seen")).len(), 1);
        assert_eq!(lines("engine=debug", || tracing::warn!("unseen")).len(), 0);
    }
}
