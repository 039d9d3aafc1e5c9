//! What happened in a Git repository, as GitHub tells it.

use serde_json::Value;

use super::TriggerMiss;

/// So many changed files are looked at (spec 6.5).
const FILES_MAX: usize = 100;

/// A push, or a step of a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitEvent {
    /// `owner/name`.
    pub(super) repository: String,
    /// The newest commit.
    pub(super) commit: String,
    /// Who made it.
    pub(super) author: Option<String>,
    /// What it is about.
    pub(super) kind: GitEventKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GitEventKind {
    Branch {
        name: String,
        /// Whether the push made the branch.
        is_new: bool,
        /// Paths of what it added, changed and removed, the first of them.
        files: Vec<String>,
    },
    Tag {
        name: String,
    },
    PullRequest {
        number: u64,
        step: Step,
        /// The branch it is to be merged into.
        into: String,
    },
}

/// What became of a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Open,
    Updated,
    Closed,
}

impl Step {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Updated => "UPDATED",
            Self::Closed => "CLOSED",
        }
    }
}

impl GitEvent {
    /// Reads a payload of GitHub's by its form: the header that names the kind of event is signed by nobody.
    ///
    /// # Errors
    /// [`TriggerMiss::NoGitEvent`] for other payloads, [`TriggerMiss::Deleted`].
    pub fn read(payload: &Value) -> Result<Self, TriggerMiss> {
        let repository = text(payload, "/repository/full_name").ok_or(TriggerMiss::NoGitEvent)?;
        if payload.get("pull_request").is_some() {
            return read_pull_request(payload, repository).ok_or(TriggerMiss::NoGitEvent);
        }
        // Other events name a branch too, but no commit before and after.
        let after = text(payload, "/after").ok_or(TriggerMiss::NoGitEvent)?;
        if payload["deleted"] == true {
            return Err(TriggerMiss::Deleted);
        }
        let kind = read_ref(payload).ok_or(TriggerMiss::NoGitEvent)?;
        // A tag with a message is an object of its own: the commit it is on is the newest one.
        let commit = text(payload, "/head_commit/id").unwrap_or(after);
        let author = text(payload, "/head_commit/author/name").or_else(|| text(payload, "/pusher/name"));
        if !is_commit(&commit) {
            return Err(TriggerMiss::NoGitEvent);
        }
        Ok(Self { repository, commit, author, kind })
    }
}

fn read_ref(payload: &Value) -> Option<GitEventKind> {
    let name = text(payload, "/ref")?;
    if let Some(tag) = name.strip_prefix("refs/tags/") {
        return Some(GitEventKind::Tag { name: tag.to_owned() });
    }
    let branch = name.strip_prefix("refs/heads/")?;
    Some(GitEventKind::Branch { name: branch.to_owned(), is_new: payload["created"] == true, files: files(payload) })
}

/// The first changed files, each once, in the order of the commits.
fn files(payload: &Value) -> Vec<String> {
    let mut files: Vec<String> = Vec::new();
    let lists = payload["commits"].as_array().into_iter().flatten();
    let lists = lists.flat_map(|commit| ["added", "modified", "removed"].map(|kind| &commit[kind]));
    for path in lists.filter_map(Value::as_array).flatten().filter_map(Value::as_str) {
        if files.len() == FILES_MAX {
            break;
        }
        if !files.iter().any(|known| known == path) {
            files.push(path.to_owned());
        }
    }
    files
}

fn read_pull_request(payload: &Value, repository: String) -> Option<GitEvent> {
    // Events about reviews and comments have a pull request too, and other actions.
    let step = match payload["action"].as_str()? {
        "opened" | "reopened" => Step::Open,
        "synchronize" => Step::Updated,
        "closed" => Step::Closed,
        _ => return None,
    };
    let head = text(payload, "/pull_request/head/sha")?;
    // What was merged is in the branch now, by a commit of its own.
    let is_merged = payload["pull_request"]["merged_at"].is_string() && step == Step::Closed;
    let merged = text(payload, "/pull_request/merge_commit_sha").filter(|_| is_merged);
    let commit = merged.unwrap_or(head);
    Some(GitEvent {
        repository,
        commit: Some(commit).filter(|commit| is_commit(commit))?,
        author: text(payload, "/pull_request/user/login"),
        kind: GitEventKind::PullRequest {
            number: payload["pull_request"]["number"].as_u64()?,
            step,
            into: text(payload, "/pull_request/base/ref")?,
        },
    })
}

fn text(payload: &Value, at: &str) -> Option<String> {
    payload.pointer(at)?.as_str().map(str::to_owned)
}

/// A digest by SHA-1 or SHA-256.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
