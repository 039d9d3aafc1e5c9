//! Git triggers (spec 6.5): which pushes and pull requests start a pipeline.

mod event;
mod filter;
mod glob;
#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::{ActionDeclaration, SourcePin, Trigger, TriggerType, rollback::escaped_prefix};

pub use event::GitEvent;
pub(crate) use filter::GitTrigger;

use event::GitEventKind;

/// Provider of the Source actions that Git triggers are for.
pub const GIT_CONNECTION: &str = "CodeStarSourceConnection";

/// Longest values of a trigger's detail, in characters as JSON, so that all of it takes at most 1024 (spec 2.2).
const REPOSITORY_CHARS_MAX: usize = 200;
const NAME_CHARS_MAX: usize = 300;
const AUTHOR_CHARS_MAX: usize = 200;

/// Why an event of a Git repository starts nothing, as it follows "Nothing was started: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TriggerMiss {
    /// Such as a comment, or no JSON of GitHub's at all.
    #[error("the payload is neither a push nor the opening, updating or closing of a pull request.")]
    NoGitEvent,
    /// A branch or a tag is gone.
    #[error("the push deletes what it names.")]
    Deleted,
    /// The source takes another repository.
    #[error("the payload is of another repository than the source action takes.")]
    OtherRepository,
    /// There is no trigger, and the push is to another branch, or is none to a branch.
    #[error("the source action takes pushes to another branch.")]
    OtherBranch,
    /// There is no trigger, and changes are not to start the pipeline.
    #[error("the source action has DetectChanges false and no trigger.")]
    Undetected,
    /// No filter lets it pass.
    #[error("no filter of the source action's trigger passes.")]
    Filtered,
    /// A filter would have to know which files a pull request changes, or a push without new commits.
    #[error(
        "the trigger's filter looks at file paths, which payloads of pull requests, and of pushes without new commits, \
         do not name."
    )]
    FilesUnknown,
    /// A trigger that was stored before it was checked.
    #[error("the trigger of the source action cannot be read. Update the pipeline.")]
    Unreadable,
}

/// Whether `event` starts the pipeline by its Source action `source`, given all of the pipeline's `triggers`. Without one
/// for this source, or with one that has no filter, every push to the source's branch does.
///
/// # Errors
/// [`TriggerMiss`].
pub fn judge_git_event(triggers: &[Value], source: &ActionDeclaration, event: &GitEvent) -> Result<(), TriggerMiss> {
    let setting = |key: &str| source.configuration.get(key).map(String::as_str);
    // GitHub's names are the same in capital letters and small ones.
    if !setting("FullRepositoryId").is_some_and(|repository| repository.eq_ignore_ascii_case(&event.repository)) {
        return Err(TriggerMiss::OtherRepository);
    }
    let declared = triggers.iter().find(|trigger| filter::source_of(trigger) == Some(source.name.as_str()));
    let trigger = declared.map(GitTrigger::parse).transpose().map_err(|_| TriggerMiss::Unreadable)?;
    match trigger {
        Some(trigger) if trigger.has_filters() => trigger.judge(event),
        None if setting("DetectChanges") == Some("false") => Err(TriggerMiss::Undetected),
        _ => match &event.kind {
            GitEventKind::Branch { name, .. } if setting("BranchName") == Some(name) => Ok(()),
            _ => Err(TriggerMiss::OtherBranch),
        },
    }
}

impl GitEvent {
    /// The trigger of the execution it starts, with the members that CodePipeline's events have (spec 8).
    pub fn trigger(&self) -> Trigger {
        let (key, name) = match &self.kind {
            GitEventKind::Branch { name, .. } => ("branch-name", name.clone()),
            GitEventKind::Tag { name } => ("tag-name", name.clone()),
            GitEventKind::PullRequest { number, .. } => ("pull-request-id", number.to_string()),
        };
        let mut detail = serde_json::json!({
            "provider-type": "GitHub",
            "full-repository-name": escaped_prefix(&self.repository, REPOSITORY_CHARS_MAX),
            "commit-id": self.commit,
        });
        detail[key] = escaped_prefix(&name, NAME_CHARS_MAX).into();
        if let Some(author) = &self.author {
            detail["author-display-name"] = escaped_prefix(author, AUTHOR_CHARS_MAX).into();
        }
        Trigger { trigger_type: TriggerType::WebhookV2, trigger_detail: Some(detail.to_string()), starter: None }
    }

    /// What the Source action shall take.
    pub fn pin(&self) -> SourcePin {
        SourcePin { key: None, version_id: Some(self.commit.clone()) }
    }
}
