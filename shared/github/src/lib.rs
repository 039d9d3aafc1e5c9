//! GitHub: the engine's port [`Repositories`] over its REST API.
//!
//! **May touch**: GitHub's API at the address it is given, through the HTTP connector it is given.
//!
//! **Architecture invariants**: no decisions and no state; no keys, so only what everybody sees; every failure leaves as the
//! port's error, named by what the caller can do; an archive is handed on in pieces and never held.

use aws_smithy_runtime_api::client::{
    http::{HttpConnector, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
};
use aws_smithy_types::byte_stream::ByteStream;
use bytes::Bytes;
use engine::ports::{Commit, Repositories, RepositoryError, RepositoryName, Revision};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

/// Where GitHub's own API is.
pub const API: &str = "https://api.github.com";
/// Version of the API that answers are read as.
const API_VERSION: &str = "2022-11-28";
/// How often one address leads to another: an archive is at another server than the API.
const REDIRECTS_MAX: usize = 3;
/// Largest answer that is read whole, in bytes: GitHub lists the first 300 changed files of a commit, with their changes.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// What need not be escaped in a part of a path.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Repositories that everybody sees.
#[derive(Debug, Clone)]
pub struct GitHub {
    api: String,
    connector: SharedHttpConnector,
}

/// A commit, as far as it is read.
#[derive(Deserialize)]
struct CommitAnswer {
    sha: String,
    html_url: Option<String>,
    commit: CommitDetail,
}

#[derive(Deserialize)]
struct CommitDetail {
    message: String,
    author: Option<Author>,
}

#[derive(Deserialize)]
struct Author {
    date: Option<Timestamp>,
}

impl GitHub {
    /// The API at `api`, such as [`API`], by way of `connector`.
    pub fn new(api: &str, connector: SharedHttpConnector) -> Self {
        Self { api: api.trim_end_matches('/').to_owned(), connector }
    }

    async fn ask(&self, path: &str, accept: &str, what: &Asked<'_>) -> Result<HttpResponse, RepositoryError> {
        let mut address = format!("{}/{path}", self.api);
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.send(&address, accept).await?;
            let status = answer.status().as_u16();
            let header = |name: &str| answer.headers().get(name).map(str::to_owned);
            match status {
                200 => return Ok(answer),
                301 | 302 | 307 | 308 => match header("location").filter(|to| self.may_lead_to(to)) {
                    Some(location) => address = location,
                    None => return Err(RepositoryError::Refused(format!("{what} is at an address that is not safe"))),
                },
                404 | 409 | 422 => return Err(what.not_found()),
                429 => return Err(exhausted(header("x-ratelimit-reset"))),
                403 if header("x-ratelimit-remaining").as_deref() == Some("0") || header("retry-after").is_some() => {
                    return Err(exhausted(header("x-ratelimit-reset")));
                }
                500.. => return Err(RepositoryError::Unavailable(format!("{what}: status {status}"))),
                _ => return Err(RepositoryError::Refused(format!("GitHub refuses {what}: status {status}"))),
            }
        }
        Err(RepositoryError::Refused(format!("{what} is led to another address again and again")))
    }

    async fn send(&self, address: &str, accept: &str) -> Result<HttpResponse, RepositoryError> {
        let refused = |_| RepositoryError::Refused("the address of GitHub's API is none".to_owned());
        let mut request = HttpRequest::get(address).map_err(refused)?;
        for (name, value) in [("accept", accept), ("user-agent", "lastgood"), ("x-github-api-version", API_VERSION)] {
            request.headers_mut().insert(name, value.to_owned());
        }
        let answered = self.connector.call(request).await;
        // Its text may name internal addresses: what kind it is is enough.
        answered.map_err(|error| {
            let kind = if error.is_timeout() { "no answer in time" } else { "no connection" };
            RepositoryError::Unavailable(kind.to_owned())
        })
    }

    /// Whoever asks with TLS is led nowhere without it.
    fn may_lead_to(&self, address: &str) -> bool {
        address.starts_with("https://") || (self.api.starts_with("http://") && address.starts_with("http://"))
    }
}

/// What is asked for, for people.
struct Asked<'a> {
    repository: &'a RepositoryName,
    what: String,
}

impl Asked<'_> {
    fn not_found(&self) -> RepositoryError {
        RepositoryError::NotFound { repository: self.repository.to_string(), what: self.what.clone() }
    }
}

impl std::fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.what, self.repository)
    }
}

fn exhausted(reset: Option<String>) -> RepositoryError {
    let at = reset.and_then(|text| Timestamp::from_second(text.parse().ok()?).ok());
    let until = at.map_or("in an hour at the latest".to_owned(), |at| format!("after {at}"));
    RepositoryError::Exhausted(format!(
        "GitHub answers no more requests from here, which it limits for those without a token. Retry the stage {until}."
    ))
}

impl Repositories for GitHub {
    async fn commit(&self, repository: &RepositoryName, revision: &Revision) -> Result<Commit, RepositoryError> {
        let asked = Asked { repository, what: revision.to_string() };
        let reference = match revision {
            Revision::Commit(id) => id.clone(),
            // Else a tag of the same name would be taken, or a commit.
            Revision::Branch(name) => {
                let parts: Vec<String> =
                    name.split('/').map(|part| utf8_percent_encode(part, ESCAPED).to_string()).collect();
                if parts.iter().any(|part| matches!(part.as_str(), "" | "." | "..")) {
                    return Err(asked.not_found());
                }
                format!("heads/{}", parts.join("/"))
            }
        };
        let path = format!("repos/{repository}/commits/{reference}");
        let answer = self.ask(&path, "application/vnd.github+json", &asked).await?;
        let body = read_whole(answer, &asked).await?;
        let unreadable = || RepositoryError::Refused(format!("what GitHub says of {asked} cannot be read"));
        let found: CommitAnswer = serde_json::from_slice(&body).map_err(|_| unreadable())?;
        // It becomes a part of addresses and keys.
        if !matches!(found.sha.len(), 40 | 64) || !found.sha.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(unreadable());
        }
        Ok(Commit {
            id: found.sha,
            message: found.commit.message,
            authored_at: found.commit.author.and_then(|author| author.date),
            url: found.html_url.filter(|url| url.starts_with("https://")),
        })
    }

    async fn archive(
        &self,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, RepositoryError>>, RepositoryError> {
        let asked = Asked { repository, what: format!("archive of commit {id}") };
        let path = format!("repos/{repository}/zipball/{}", utf8_percent_encode(id, ESCAPED));
        let answer = self.ask(&path, "application/vnd.github+json", &asked).await?;
        let pieces = stream::unfold(ByteStream::new(answer.into_body()), |mut body| async {
            let piece = body.next().await?;
            Some((piece.map_err(|_| RepositoryError::Unavailable("the archive broke off".to_owned())), body))
        });
        Ok(pieces.boxed())
    }
}

async fn read_whole(answer: HttpResponse, asked: &Asked<'_>) -> Result<Vec<u8>, RepositoryError> {
    let mut body = ByteStream::new(answer.into_body());
    let mut whole = Vec::new();
    while let Some(piece) = body.next().await {
        whole.extend(piece.map_err(|_| RepositoryError::Unavailable("the answer broke off".to_owned()))?);
        if whole.len() > ANSWER_BYTES_MAX {
            return Err(RepositoryError::Refused(format!("what GitHub says of {asked} is too long")));
        }
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
    use aws_smithy_types::body::SdkBody;

    use super::*;

    const SHA: &str = "5f6c2d1e5f6c2d1e5f6c2d1e5f6c2d1e5f6c2d1e";

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> ReplayEvent {
        let request = http::Request::builder().body(SdkBody::empty()).expect("a request");
        let mut response = http::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        ReplayEvent::new(request, response.body(SdkBody::from(body)).expect("a response"))
    }

    fn github(answers: Vec<ReplayEvent>) -> (GitHub, StaticReplayClient) {
        let replies = StaticReplayClient::new(answers);
        (GitHub::new(API, SharedHttpConnector::new(replies.clone())), replies)
    }

    fn shop() -> RepositoryName {
        "octo-org/shop".parse().unwrap()
    }

    fn asked(replies: &StaticReplayClient) -> Vec<String> {
        replies.actual_requests().map(|request| request.uri().to_owned()).collect()
    }

    #[tokio::test]
    async fn a_branch_is_asked_for_as_one_and_its_newest_commit_is_told() {
        let body = format!(
            r#"{{"sha": "{SHA}", "html_url": "https://github.com/octo-org/shop/commit/{SHA}", "commit":
               {{"message": "Say hello", "author": {{"name": "Ana", "date": "2026-11-23T10:15:02Z"}}}}}}"#
        );
        let (github, replies) = github(vec![answer(200, &[], &body)]);
        let commit = github.commit(&shop(), &Revision::Branch("fix/a b?".to_owned())).await.unwrap();
        assert_eq!((commit.id.as_str(), commit.message.as_str()), (SHA, "Say hello"));
        assert_eq!(commit.authored_at.unwrap().to_string(), "2026-11-23T10:15:02Z");
        assert_eq!(asked(&replies), [format!("{API}/repos/octo-org/shop/commits/heads/fix/a%20b%3F")]);
        let request = replies.actual_requests().next().unwrap();
        assert_eq!(request.headers().get("user-agent"), Some("lastgood"));
        assert_eq!(request.headers().get("authorization"), None);
    }

    #[tokio::test]
    async fn an_archive_is_fetched_from_where_github_says() {
        let there = "https://codeload.github.com/octo-org/shop/legacy.zip/5f6c";
        let (github, replies) = github(vec![answer(302, &[("location", there)], ""), answer(200, &[], "PK...")]);
        let pieces: Vec<_> = github.archive(&shop(), SHA).await.unwrap().collect().await;
        let whole: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.unwrap().to_vec()).collect();
        assert_eq!(whole, b"PK...");
        assert_eq!(asked(&replies), [format!("{API}/repos/octo-org/shop/zipball/{SHA}"), there.to_owned()]);
    }

    #[tokio::test]
    async fn errors_say_what_can_be_done() {
        let limit = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1796083200")];
        let plain = [("location", "http://127.0.0.1/secret")];
        let nonsense = r#"{"sha": "../..", "commit": {"message": ""}}"#;
        for (reply, expected) in [
            (answer(404, &[], ""), "octo-org/shop has no commit 5f6c2d1 that can be seen"),
            (answer(422, &[], ""), "octo-org/shop has no commit 5f6c2d1 that can be seen"),
            (answer(403, &limit, ""), "Retry the stage after 2026-12-01T"),
            (answer(429, &[], ""), "in an hour at the latest"),
            (answer(403, &[], ""), "GitHub refuses commit 5f6c2d1 of octo-org/shop: status 403"),
            (answer(302, &plain, ""), "an address that is not safe"),
            (answer(502, &[], ""), "does not answer: commit 5f6c2d1 of octo-org/shop: status 502"),
            (answer(200, &[], nonsense), "cannot be read"),
        ] {
            let (github, _) = github(vec![reply]);
            let error = github.commit(&shop(), &Revision::Commit("5f6c2d1".to_owned())).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        let (github, replies) = github(vec![]);
        let error = github.commit(&shop(), &Revision::Branch("../../x".to_owned())).await.unwrap_err();
        assert!(matches!(error, RepositoryError::NotFound { .. }), "{error}");
        assert_eq!(asked(&replies).len(), 0, "it would be another address");
    }
}
