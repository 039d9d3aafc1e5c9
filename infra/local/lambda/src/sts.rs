//! AWS STS: credentials of roles, for whoever checks signatures, and who their bearer is.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use axum::{
    Form, Router,
    extract::{Extension, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::{Functions, identity};

/// Shortest session in seconds (STS's limit).
const DURATION_S_MIN: i64 = 900;
/// Longest session in seconds (STS's limit).
const DURATION_S_MAX: i64 = 43_200;
/// Length of a session nobody chose, in seconds.
const DURATION_S_DEFAULT: i64 = 3600;
/// Sessions remembered for GetCallerIdentity: far more than one process has roles, and little memory. Beyond it the
/// one that ends first is forgotten.
const SESSIONS_MAX: usize = 10_000;
/// The API version in every request and the name space of every answer.
const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Who signed the request, for GetCallerIdentity: an extension of requests whose signature was verified.
#[derive(Debug, Clone)]
pub struct CallerArn(pub String);

/// Credentials of an assumed role, for checking what they sign.
#[derive(Clone)]
pub struct SessionKey {
    /// The secret access key.
    pub secret: String,
    /// The session token.
    pub token: String,
    /// Who holds it.
    pub arn: String,
    /// When it ends.
    pub expires: Timestamp,
}

/// Who holds which access key.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<BTreeMap<String, Session>>);

#[derive(Clone)]
struct Session {
    /// `AROA...:name`
    id: String,
    secret: String,
    token: String,
    arn: String,
    expires: Timestamp,
}

impl Sessions {
    fn remember(&self, access_key: String, session: Session, now: Timestamp) {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= SESSIONS_MAX {
            sessions.retain(|_, session| session.expires > now);
        }
        if sessions.len() >= SESSIONS_MAX {
            let first = sessions.iter().min_by_key(|(_, session)| session.expires);
            if let Some(key) = first.map(|(key, _)| key.clone()) {
                sessions.remove(&key);
            }
        }
        sessions.insert(access_key, session);
    }

    fn find(&self, access_key: &str) -> Option<Session> {
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.get(access_key).cloned()
    }
}

impl Functions {
    /// STS at `/`, in its Query protocol: AssumeRole and GetCallerIdentity.
    ///
    /// Any role may be assumed by anyone; policies, tags and external ids are ignored.
    pub fn sts_router(&self) -> Router {
        Router::new().route("/", get(answer).post(answer)).with_state(self.clone())
    }

    /// The credentials of an assumed role that have this access key id, those of past sessions too. Forgotten when the
    /// process ends.
    pub fn session(&self, access_key_id: &str) -> Option<SessionKey> {
        let Session { secret, token, arn, expires, .. } = self.sessions().find(access_key_id)?;
        Some(SessionKey { secret, token, arn, expires })
    }
}

struct Fault {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Fault {
    fn validation(message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: "ValidationError", message }
    }
}

async fn answer(
    State(functions): State<Functions>,
    headers: HeaderMap,
    caller: Option<Extension<CallerArn>>,
    Form(parameters): Form<BTreeMap<String, String>>,
) -> Response {
    let request_id = functions.new_request_id();
    let action = parameters.get("Action").map(String::as_str).unwrap_or_default();
    let result = match action {
        "AssumeRole" => assume_role(&functions, &parameters),
        "GetCallerIdentity" => caller_identity(&functions, &headers, caller.map(|Extension(caller)| caller.0)),
        _ => Err(Fault {
            status: StatusCode::BAD_REQUEST,
            code: "InvalidAction",
            message: format!(
                "Could not find operation {action}; the local STS serves AssumeRole and GetCallerIdentity"
            ),
        }),
    };
    let (status, body) = match result {
        Ok(result) => (
            StatusCode::OK,
            format!(
                "<{action}Response xmlns=\"{NAMESPACE}\"><{action}Result>{result}</{action}Result>\
                 <ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
            ),
        ),
        Err(fault) => (
            fault.status,
            format!(
                "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{}</Code><Message>{}</Message>\
                 </Error><RequestId>{request_id}</RequestId></ErrorResponse>",
                fault.code,
                escape(&fault.message)
            ),
        ),
    };
    let headers = [(header::CONTENT_TYPE.as_str(), "text/xml".to_owned()), ("x-amzn-RequestId", request_id)];
    (status, headers, body).into_response()
}

fn assume_role(functions: &Functions, parameters: &BTreeMap<String, String>) -> Result<String, Fault> {
    let get = |name: &str| parameters.get(name).map(String::as_str).unwrap_or_default();
    let (account, role) = parse_role(get("RoleArn"))?;
    let session_name = get("RoleSessionName");
    check_session_name(session_name)?;
    let now = functions.clock().now();
    let expires = now + SignedDuration::from_secs(parse_duration(parameters.get("DurationSeconds"))?);
    let entropy = functions.entropy();
    let mut random = [0; 16 + 30 + 192];
    entropy.fill(&mut random);
    let access_key = format!("ASIA{}", identity::base_32(&random[..16]));
    let secret = STANDARD.encode(&random[16..46]);
    let token = STANDARD.encode(&random[46..]);
    // A role's own id never changes, as in AWS.
    let role_id = identity::base_32(&Sha256::digest(get("RoleArn").as_bytes())[..17]);
    let session = Session {
        id: format!("AROA{role_id}:{session_name}"),
        secret,
        token,
        // A role's path is not part of the session's ARN.
        arn: format!("arn:aws:sts::{account}:assumed-role/{}/{session_name}", role.rsplit('/').next().unwrap_or(role)),
        expires,
    };
    let result = format!(
        "<AssumedRoleUser><AssumedRoleId>{}</AssumedRoleId><Arn>{}</Arn></AssumedRoleUser>\
         <Credentials><AccessKeyId>{access_key}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey>\
         <SessionToken>{}</SessionToken><Expiration>{expires:.0}</Expiration></Credentials>",
        escape(&session.id),
        escape(&session.arn),
        session.secret,
        session.token,
    );
    functions.sessions().remember(access_key, session, now);
    Ok(result)
}

fn caller_identity(functions: &Functions, headers: &HeaderMap, verified: Option<String>) -> Result<String, Fault> {
    let account = &functions.owner().account;
    let session = match access_key(headers) {
        Some(key) if key.starts_with("ASIA") => {
            let known = functions.sessions().find(key);
            Some(known.filter(|session| session.expires > functions.clock().now()).ok_or_else(|| Fault {
                status: StatusCode::FORBIDDEN,
                code: "ExpiredToken",
                message: "The security token included in the request is expired".to_owned(),
            })?)
        }
        _ => None,
    };
    let (id, arn) = match session {
        Some(session) => (session.id, session.arn),
        None => {
            let arn = verified.unwrap_or_else(|| format!("arn:aws:iam::{account}:user/local"));
            ("AIDALASTGOODLOCAL0000".to_owned(), arn)
        }
    };
    // A session's account is its role's.
    let account = arn.split(':').nth(4).unwrap_or(account);
    Ok(format!("<Arn>{}</Arn><UserId>{}</UserId><Account>{account}</Account>", escape(&arn), escape(&id)))
}

/// The access key in a SigV4 `Authorization` header.
fn access_key(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (_, credential) = header.split_once("Credential=")?;
    credential.split('/').next()
}

/// Account and role, with its path, in a role's ARN.
fn parse_role(arn: &str) -> Result<(&str, &str), Fault> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    match parts.as_slice() {
        ["arn", partition, "iam", "", account, resource]
            if partition.starts_with("aws") && account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) =>
        {
            match resource.strip_prefix("role/") {
                Some(role) if !role.is_empty() && !role.ends_with('/') => Ok((account, role)),
                _ => Err(Fault::validation(format!("{arn} is invalid"))),
            }
        }
        _ => Err(Fault::validation(format!("{arn} is invalid"))),
    }
}

fn check_session_name(name: &str) -> Result<(), Fault> {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
    if (2..=64).contains(&name.len()) && name.bytes().all(is_allowed) {
        Ok(())
    } else {
        Err(Fault::validation(format!(
            "1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [\\w+=,.@-]{{2,64}}"
        )))
    }
}

fn parse_duration(text: Option<&String>) -> Result<i64, Fault> {
    let Some(text) = text else {
        return Ok(DURATION_S_DEFAULT);
    };
    let problem = match text.parse::<i64>() {
        Ok(seconds) if seconds < DURATION_S_MIN => {
            format!("Member must have value greater than or equal to {DURATION_S_MIN}")
        }
        Ok(seconds) if seconds > DURATION_S_MAX => {
            format!("Member must have value less than or equal to {DURATION_S_MAX}")
        }
        Ok(seconds) => return Ok(seconds),
        Err(_) => "Member must be a whole number".to_owned(),
    };
    Err(Fault::validation(format!(
        "1 validation error detected: Value '{text}' at 'durationSeconds' failed to satisfy constraint: {problem}"
    )))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
