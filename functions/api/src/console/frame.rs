//! What is around every page: head, navigation, headers, policy.

use std::collections::BTreeMap;

use askama::Template;
use engine::HasBasics;
use jiff::Timestamp;
use protocol::ErrorCode;

use super::{
    assets::{Addresses, Asset, addresses},
    forms::{Fields, Form},
    parts::When,
    route::Page,
    viewer::Viewer,
};
use crate::{ApiEvent, ApiReply, failure::Failure};

/// What a page may load and do: its own style sheet, script and icon, and forms to its own origin.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// Cookie that holds the token of forms.
pub(super) const COOKIE: &str = "lastgood-form";
/// Random bytes of the token.
const TOKEN_BYTES: usize = 16;

/// One request of a person.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) viewer: Viewer,
    /// Token that the page's forms carry, equal to the cookie's.
    pub(super) token: String,
    /// Whether the browser has yet to be given the cookie.
    is_new: bool,
    /// Whether the browser came by TLS.
    is_secure: bool,
    pub(super) now: Timestamp,
    pub(super) path: String,
    pub(super) query: Fields,
    /// Said at the top of the page.
    notice: Option<Notice>,
    status: u16,
    /// What was typed into the form that was refused.
    typed: Form,
    /// A random word, by which two clicks on one form are one start.
    pub(super) once: String,
}

/// Something said at the top of a page.
#[derive(Debug, Clone)]
pub(super) struct Notice {
    pub(super) look: &'static str,
    pub(super) text: String,
}

impl Notice {
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self { look: "bad", text: text.into() }
    }
}

/// An answer before it has its frame.
pub(super) enum Reply {
    Html(String),
    SeeOther(String),
    Missing,
    NotAllowed(&'static str),
    /// Status and reason.
    Failed(u16, String),
}

impl Visit {
    pub(super) fn new<W: HasBasics>(world: &W, event: &ApiEvent, viewer: Viewer) -> Self {
        let query = Fields::read(event.raw_query_string.as_bytes());
        let cookie = event.cookie(COOKIE).filter(|token| is_token(token));
        Self {
            viewer,
            is_new: cookie.is_none(),
            token: cookie.map_or_else(|| random(world), str::to_owned),
            is_secure: event.endpoint().starts_with("https:"),
            now: world.now(),
            path: event.raw_path.clone(),
            notice: query.given("done").and_then(done).map(|text| Notice { look: "good", text: text.to_owned() }),
            query,
            status: 200,
            typed: Form::default(),
            once: random(world),
        }
    }

    /// A form was refused: its page says why and keeps what was typed.
    pub(super) fn refused_with(&mut self, page: &Page, status: u16, notice: Notice, typed: Form) {
        self.path = page.path();
        (self.status, self.notice, self.typed) = (status, Some(notice), typed);
    }

    /// What was typed into the field of a form that was refused.
    pub(super) fn typed(&self, name: &str) -> &str {
        self.typed.text(name)
    }

    /// Whether a form was refused, whose fields the page has to show again.
    pub(super) fn is_refused(&self) -> bool {
        self.status != 200
    }

    /// The frame of a page.
    pub(super) fn frame(&self, title: impl Into<String>) -> Frame {
        Frame {
            title: title.into(),
            crumbs: Vec::new(),
            moves: false,
            viewer: self.viewer.name.clone(),
            may_act: self.viewer.may_act,
            token: self.token.clone(),
            notice: self.notice.clone(),
            path: self.path.clone(),
            now: self.now.into(),
            assets: addresses(),
        }
    }
}

/// What templates need of the frame.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) title: String,
    /// Pages above this one: name and address.
    pub(super) crumbs: Vec<(String, String)>,
    /// Whether something on the page moves, so that it is looked at again soon.
    pub(super) moves: bool,
    pub(super) viewer: Option<String>,
    pub(super) may_act: bool,
    pub(super) token: String,
    pub(super) notice: Option<Notice>,
    pub(super) path: String,
    pub(super) now: When,
    pub(super) assets: &'static Addresses,
}

impl Frame {
    /// The page above.
    pub(super) fn under(mut self, name: impl Into<String>, address: impl Into<String>) -> Self {
        self.crumbs.push((name.into(), address.into()));
        self
    }

    pub(super) fn moving(mut self, moves: bool) -> Self {
        self.moves = moves;
        self
    }
}

/// Renders a page.
pub(super) fn render(page: &impl Template) -> Result<String, Failure> {
    page.render().map_err(|error| Failure::refused(ErrorCode::InternalFailure, error.to_string()))
}

/// What a deed's redirect says by its `done`: a word that only stands for a text, so no link can put words into a page.
fn done(word: &str) -> Option<&'static str> {
    Some(match word {
        "started" => "The execution was started.",
        "rollback" => "The rollback was started. This is its execution.",
        "stopped" => "The execution is being stopped.",
        "opened" => "The transition is enabled.",
        "closed" => "The transition is disabled.",
        "released" => "The hold was lifted.",
        "retried" => "The stage runs again.",
        "overridden" => "The condition was overridden.",
        "approved" => "You approved.",
        "rejected" => "You rejected.",
        "reinstated" => "The revision was reinstated: it may go out again.",
        "saved" => "The pipeline was changed, as a new version.",
        _ => return None,
    })
}

fn is_token(text: &str) -> bool {
    text.len() == 2 * TOKEN_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn random<W: HasBasics>(world: &W) -> String {
    let mut bytes = [0; TOKEN_BYTES];
    world.entropy().fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Template)]
#[template(path = "failed.html")]
struct FailedPage {
    frame: Frame,
    heading: &'static str,
    why: String,
    request_id: String,
}

/// The finished answer.
pub(super) fn answer(visit: &Visit, reply: Reply, is_head: bool, request_id: &str) -> ApiReply {
    let failed = |status, heading: &'static str, why: String| {
        let page = FailedPage { frame: visit.frame(heading), heading, why, request_id: request_id.to_owned() };
        (status, page.render().unwrap_or_default())
    };
    let mut extra = None;
    let (status, html) = match reply {
        Reply::Html(html) => (visit.status, html),
        Reply::SeeOther(to) => {
            extra = Some(("location", to));
            (303, String::new())
        }
        Reply::Missing => failed(404, "Not found", "There is no such page in the console.".to_owned()),
        Reply::NotAllowed(methods) => {
            extra = Some(("allow", methods.to_owned()));
            failed(405, "Not that way", "This page cannot be asked for like this.".to_owned())
        }
        Reply::Failed(status, why) => failed(status, heading_of(status), why),
    };
    let mut reply = page(status, if is_head { String::new() } else { html }, request_id);
    reply.headers.extend(extra.map(|(name, value)| (name.to_owned(), value)));
    if visit.is_new {
        let secure = if visit.is_secure { "; Secure" } else { "" };
        let cookie =
            format!("{COOKIE}={}; Path={}; HttpOnly; SameSite=Strict{secure}", visit.token, super::route::ROOT);
        reply.cookies.push(cookie);
    }
    reply
}

fn heading_of(status: u16) -> &'static str {
    match status {
        404 => "Not found",
        403 => "Not for you",
        429 | 503 => "Not at the moment",
        500 => "That went wrong",
        _ => "That cannot be",
    }
}

#[derive(Template)]
#[template(path = "bare.html")]
struct BarePage<'a> {
    heading: &'a str,
    why: &'a str,
    assets: &'static Addresses,
}

/// A page for somebody nobody knows: nothing of the installation is on it.
pub(super) fn bare(status: u16, heading: &str, why: &str, request_id: &str) -> ApiReply {
    let html = BarePage { heading, why, assets: addresses() }.render().unwrap_or_default();
    page(status, html, request_id)
}

/// A file that never changes at its address.
pub(super) fn asset(asset: &Asset, request_id: &str) -> ApiReply {
    let mut reply = reply(200, asset.media, asset.body.to_owned(), request_id);
    reply.headers.insert("cache-control".to_owned(), "public, max-age=31536000, immutable".to_owned());
    reply
}

fn page(status: u16, html: String, request_id: &str) -> ApiReply {
    let mut reply = reply(status, "text/html; charset=utf-8", html, request_id);
    reply.headers.insert("cache-control".to_owned(), "no-store".to_owned());
    reply
}

fn reply(status_code: u16, media: &str, body: String, request_id: &str) -> ApiReply {
    let headers = [
        ("content-type", media),
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("x-amzn-requestid", request_id),
    ];
    let headers: BTreeMap<_, _> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    ApiReply { status_code, headers, cookies: Vec::new(), body, is_base64_encoded: false }
}
