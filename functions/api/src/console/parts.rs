//! Small parts that every page is made of, each escaped by its own template.

use askama::{Template, filters::HtmlSafe};
use domain::{
    ActionStatus, ConditionStatus, Execution, ExecutionId, ExecutionStatus, PipelineName, SourceRevision, StageStatus,
    TriggerType,
};
use jiff::{SignedDuration, Timestamp};

use super::route::execution_path;

/// Characters of an execution's id that people tell executions apart by: the last group, which is random.
const SHORT_ID_CHARS: usize = 12;
/// Characters of an id, and of the longest instant.
const ID_CHARS: usize = 36;
const INSTANT_CHARS_MAX: usize = 31;

/// A point in time. Pages without a script show it in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(ext = "html", source = r#"<time datetime="{{ iso }}" title="{{ utc }}">{{ utc }}</time>"#)]
pub(super) struct When {
    iso: String,
    utc: String,
}

impl From<Timestamp> for When {
    fn from(at: Timestamp) -> Self {
        Self { iso: format!("{at:.3}"), utc: utc(at) }
    }
}

impl HtmlSafe for When {}

impl When {
    /// The instant in ISO 8601, which serves as an id on a page.
    pub(super) fn iso(&self) -> &str {
        &self.iso
    }
}

/// How long ago something was.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(ext = "html", source = r#"<time datetime="{{ iso }}" title="{{ utc }}" data-age>{{ age }}</time>"#)]
pub(super) struct Age {
    iso: String,
    utc: String,
    age: String,
}

impl Age {
    /// The time from `at` to `now`; a clock that runs ahead makes no negative age.
    pub(super) fn of(at: Timestamp, now: Timestamp) -> Self {
        Self { iso: format!("{at:.3}"), utc: utc(at), age: format!("{} ago", span(now.duration_since(at))) }
    }
}

impl HtmlSafe for Age {}

fn utc(at: Timestamp) -> String {
    at.strftime("%-d %b %Y, %H:%M:%S UTC").to_string()
}

/// A length of time in at most two units, as people say it.
pub(super) fn span(time: SignedDuration) -> String {
    let seconds = time.as_secs().max(0);
    match seconds {
        0 if (0..100).contains(&time.as_millis()) => format!("{} ms", time.as_millis()),
        0..60 if time.as_millis() < 10_000 && time.as_millis() >= 0 => format!("{:.1} s", time.as_secs_f64().max(0.0)),
        0..60 => format!("{seconds} s"),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

fn two(large: i64, unit: &str, small: i64, of: &str) -> String {
    if small == 0 { format!("{large} {unit}") } else { format!("{large} {unit} {small} {of}") }
}

/// A status: colour, sign and word together, never colour alone.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r##"<span class="badge {{ look }}"><svg class="sign" aria-hidden="true"><use href="#sign-{{ look }}"/></svg>{{ word }}</span>"##
)]
pub(super) struct Badge {
    /// How it looks: a class of the style sheet, and a sign.
    pub(super) look: &'static str,
    word: String,
}

impl HtmlSafe for Badge {}

impl Badge {
    pub(super) fn new(look: &'static str, word: impl Into<String>) -> Self {
        Self { look, word: word.into() }
    }

    /// What nothing has happened to yet.
    pub(super) fn never() -> Self {
        Self::new("off", "Not run yet")
    }
}

impl From<StageStatus> for Badge {
    fn from(status: StageStatus) -> Self {
        Self::new(
            match status {
                StageStatus::Succeeded => "good",
                StageStatus::Failed => "bad",
                StageStatus::InProgress | StageStatus::Stopping => "run",
                StageStatus::Stopped | StageStatus::Cancelled | StageStatus::Skipped => "off",
            },
            words(status.as_str()),
        )
    }
}

impl From<ExecutionStatus> for Badge {
    fn from(status: ExecutionStatus) -> Self {
        Self::new(
            match status {
                ExecutionStatus::Succeeded => "good",
                ExecutionStatus::Failed => "bad",
                ExecutionStatus::InProgress | ExecutionStatus::Stopping => "run",
                ExecutionStatus::Stopped | ExecutionStatus::Superseded | ExecutionStatus::Cancelled => "off",
            },
            words(status.as_str()),
        )
    }
}

impl From<ActionStatus> for Badge {
    fn from(status: ActionStatus) -> Self {
        Self::new(
            match status {
                ActionStatus::Succeeded => "good",
                ActionStatus::Failed => "bad",
                ActionStatus::InProgress => "run",
                ActionStatus::Abandoned => "off",
            },
            words(status.as_str()),
        )
    }
}

impl From<ConditionStatus> for Badge {
    fn from(status: ConditionStatus) -> Self {
        Self::new(
            match status {
                ConditionStatus::Succeeded => "good",
                ConditionStatus::Failed | ConditionStatus::Errored => "bad",
                ConditionStatus::InProgress => "run",
                ConditionStatus::Overridden => "hold",
                ConditionStatus::Cancelled | ConditionStatus::Abandoned => "off",
            },
            words(status.as_str()),
        )
    }
}

/// `InProgress` as `In progress`.
pub(super) fn words(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push(' ');
            text.push(c.to_ascii_lowercase());
        } else {
            text.push(c);
        }
    }
    text
}

/// A link to an execution, with the end of its id.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(ext = "html", source = r#"<a class="id" href="{{ href }}" title="Execution {{ id }}">{{ short }}</a>"#)]
pub(super) struct ExecutionLink {
    href: String,
    id: String,
    short: String,
}

impl HtmlSafe for ExecutionLink {}

impl ExecutionLink {
    pub(super) fn new(pipeline: &PipelineName, id: ExecutionId) -> Self {
        Self { href: execution_path(pipeline, id), id: id.to_string(), short: short(id) }
    }
}

/// The end of an id.
pub(super) fn short(id: ExecutionId) -> String {
    let id = id.to_string();
    id[id.len() - SHORT_ID_CHARS..].to_owned()
}

/// A text in which ids of executions are links, and instants are the viewer's.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"{% for piece in pieces %}{% match piece %}{% when Piece::Text(text) %}{{ text }}{% when Piece::Execution(link) %}{{ link }}{% when Piece::Instant(when) %}{{ when }}{% endmatch %}{% endfor %}"#
)]
pub(super) struct Prose {
    pieces: Vec<Piece>,
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Execution(ExecutionLink),
    Instant(When),
}

impl HtmlSafe for Prose {}

impl Prose {
    pub(super) fn new(pipeline: &PipelineName, text: &str) -> Self {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((at, piece, length)) = first_known(pipeline, rest) {
            pieces.extend([Piece::Text(rest[..at].to_owned()), piece]);
            rest = &rest[at + length..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Self { pieces }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}

/// The first execution or instant in a text, where it begins and how long it is. Only ids of version 7 are of executions.
fn first_known(pipeline: &PipelineName, text: &str) -> Option<(usize, Piece, usize)> {
    text.char_indices().filter(|(_, c)| c.is_ascii_hexdigit()).find_map(|(at, _)| {
        let id = text.get(at..at + ID_CHARS).filter(|id| id.as_bytes()[14] == b'7').and_then(|id| id.parse().ok());
        if let Some(id) = id {
            return Some((at, Piece::Execution(ExecutionLink::new(pipeline, id)), ID_CHARS));
        }
        // Such as 2026-11-27T01:13:18.532Z, and nothing of other forms.
        let is_instant = text.as_bytes().get(at + 10) == Some(&b'T');
        let length = text[at..].find('Z').filter(|length| is_instant && *length < INSTANT_CHARS_MAX)? + 1;
        let instant: Timestamp = text[at..at + length].parse().ok()?;
        Some((at, Piece::Instant(instant.into()), length))
    })
}

/// What an execution took, for people: what was said of it, or the revision's own id.
pub(super) fn revision(execution: &Execution) -> String {
    let of = |revision: &SourceRevision| match revision.revision_summary.as_deref().map(str::trim) {
        Some(summary) if !summary.is_empty() => cut(summary.lines().next().unwrap_or_default(), 80),
        _ => cut(&revision.revision_id, 14),
    };
    let of_all: Vec<String> = execution.revisions.iter().map(of).collect();
    if of_all.is_empty() { "no revision yet".to_owned() } else { of_all.join(", ") }
}

/// The first `chars` characters.
pub(super) fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// The part of an alarm's ARN that people gave it; of metrics that are judged, which they are.
pub(super) fn alarm_name(arn: &str) -> &str {
    domain::watched_as(arn).1
}

/// The part of a caller's ARN that tells people apart.
pub(super) fn person(arn: &str) -> &str {
    arn.rsplit_once(':').map_or(arn, |(_, name)| name)
}

/// What started an execution, in CodePipeline's words.
pub(super) fn trigger_words(trigger: TriggerType) -> String {
    match trigger {
        TriggerType::CloudWatchEvent => "Change of the source".to_owned(),
        TriggerType::CreatePipeline => "Creation of the pipeline".to_owned(),
        TriggerType::StartPipelineExecution => "Started by hand".to_owned(),
        TriggerType::WebhookV2 => "Git event".to_owned(),
        other => words(other.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_units_at_most() {
        for (millis, expected) in [
            (-5, "0 s"),
            (12, "12 ms"),
            (1_250, "1.2 s"),
            (59_900, "59 s"),
            (61_000, "1 min 1 s"),
            (3_600_000, "1 h"),
            (90_061_000, "1 d 1 h"),
        ] {
            let text = span(SignedDuration::from_millis(millis));
            assert_eq!(text, expected, "{millis}");
        }
    }

    #[test]
    fn parts_escape_what_they_show() {
        let badge = Badge::new("bad", "<b>&");
        assert!(badge.render().unwrap().contains("&#60;b&#62;&#38;"), "{badge}");
        let id = "01a21a86-449f-7f32-b200-2197ba0ebf58";
        let prose = Prose::new(&"shop".parse().unwrap(), &format!("ä <b>{id}, {id}. {}", &id[..35])).to_string();
        assert_eq!((prose.matches("/console/pipelines/shop/executions/").count(), prose.contains("<b>")), (2, false));
        assert!(prose.ends_with(&id[..35]) && prose.contains(">2197ba0ebf58</a>"), "{prose}");
        assert!(Prose::new(&"shop".parse().unwrap(), "").is_empty());
        let said = Prose::new(&"shop".parse().unwrap(), "red at 2026-11-27T01:13:18.532Z, not at 2026-11-27T25:00:00Z");
        assert!(said.to_string().contains(">27 Nov 2026, 01:13:18 UTC</time>, not at 2026-11-27T25"), "{said}");
        assert_eq!(cut("äöü", 2), "äö…");
        assert_eq!(words("InProgress"), "In progress");
    }
}
