//! The filters of a trigger.

use serde::Deserialize;
use serde_json::Value;

use super::{
    TriggerMiss,
    event::{GitEvent, GitEventKind, Step},
    glob::Glob,
};

/// Most filters for pushes, and as many for pull requests (spec 1.10).
const FILTERS_MAX: usize = 3;
/// Most patterns that include, and as many that exclude, in one filter.
const PATTERNS_MAX: usize = 8;
/// Longest pattern, in characters.
const PATTERN_CHARS_MAX: usize = 255;

/// What a Source action's trigger lets pass.
#[derive(Debug, Clone)]
pub(crate) struct GitTrigger {
    push: Vec<PushFilter>,
    pull_request: Vec<PullRequestFilter>,
}

#[derive(Debug, Clone)]
enum PushFilter {
    Tags(Criteria),
    Branches { branches: Criteria, files: Option<Criteria> },
}

#[derive(Debug, Clone)]
struct PullRequestFilter {
    /// All of them where there is none.
    steps: Vec<Step>,
    branches: Option<Criteria>,
    files: Option<Criteria>,
}

/// Patterns that let names pass: one that includes, if there is any, and none that excludes.
#[derive(Debug, Clone)]
struct Criteria {
    includes: Vec<Glob>,
    excludes: Vec<Glob>,
}

/// As declared.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Declared {
    git_configuration: GitConfiguration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GitConfiguration {
    #[serde(default)]
    push: Vec<DeclaredFilter>,
    #[serde(default)]
    pull_request: Vec<DeclaredFilter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeclaredFilter {
    #[serde(default)]
    events: Vec<String>,
    tags: Option<Patterns>,
    branches: Option<Patterns>,
    file_paths: Option<Patterns>,
}

#[derive(Deserialize)]
struct Patterns {
    #[serde(default)]
    includes: Vec<String>,
    #[serde(default)]
    excludes: Vec<String>,
}

/// The Source action that a trigger, as declared, is for.
pub(super) fn source_of(trigger: &Value) -> Option<&str> {
    trigger["gitConfiguration"]["sourceActionName"].as_str()
}

impl GitTrigger {
    /// Reads a trigger as declared.
    ///
    /// # Errors
    /// What is wrong and what to do, for people, as it follows "The trigger of source action 'Code' ".
    pub(crate) fn parse(trigger: &Value) -> Result<Self, String> {
        let Declared { git_configuration: GitConfiguration { push, pull_request } } =
            Declared::deserialize(trigger).map_err(|error| format!("cannot be read: {error}"))?;
        for (kind, filters) in [("push", &push), ("pullRequest", &pull_request)] {
            if filters.len() > FILTERS_MAX {
                return Err(format!("has {} {kind} filters. It can have up to {FILTERS_MAX}", filters.len()));
            }
        }
        let at = |kind: &str, index: usize| format!("has a {kind} filter, number {}, that", index + 1);
        let push = push
            .iter()
            .enumerate()
            .map(|(index, filter)| PushFilter::parse(filter).map_err(|why| format!("{} {why}", at("push", index))));
        let pull_request = pull_request.iter().enumerate().map(|(index, filter)| {
            PullRequestFilter::parse(filter).map_err(|why| format!("{} {why}", at("pullRequest", index)))
        });
        Ok(Self { push: push.collect::<Result<_, _>>()?, pull_request: pull_request.collect::<Result<_, _>>()? })
    }

    pub(super) fn has_filters(&self) -> bool {
        !self.push.is_empty() || !self.pull_request.is_empty()
    }

    /// Whether a filter for pull requests looks at file paths.
    pub(crate) fn looks_at_files_of_pull_requests(&self) -> bool {
        self.pull_request.iter().any(|filter| filter.files.is_some())
    }

    /// Whether one filter lets the event pass.
    ///
    /// # Errors
    /// [`TriggerMiss::Filtered`], or [`TriggerMiss::FilesUnknown`] where nothing but the files is in the way.
    pub(super) fn judge(&self, event: &GitEvent) -> Result<(), TriggerMiss> {
        match &event.kind {
            GitEventKind::PullRequest { step, into, .. } => {
                let mut passing = self.pull_request.iter().filter(|filter| filter.passes(*step, into)).peekable();
                match (passing.peek().is_some(), passing.any(|filter| filter.files.is_none())) {
                    (_, true) => Ok(()),
                    (true, false) => Err(TriggerMiss::FilesUnknown),
                    (false, false) => Err(TriggerMiss::Filtered),
                }
            }
            pushed if self.push.iter().any(|filter| filter.passes(pushed)) => Ok(()),
            // A branch that is set back to an older commit has no new ones: what changed in it is nowhere named.
            GitEventKind::Branch { name, is_new: false, files } if files.is_empty() => {
                let passes = |filter: &PushFilter| filter.passes_but_for_files(name);
                Err(if self.push.iter().any(passes) { TriggerMiss::FilesUnknown } else { TriggerMiss::Filtered })
            }
            _ => Err(TriggerMiss::Filtered),
        }
    }
}

impl PushFilter {
    fn parse(filter: &DeclaredFilter) -> Result<Self, String> {
        let DeclaredFilter { tags, branches, file_paths, .. } = filter;
        match (tags, branches, file_paths) {
            (Some(tags), None, None) => Ok(Self::Tags(Criteria::parse("tags", tags)?)),
            (None, Some(branches), files) => Ok(Self::Branches {
                branches: Criteria::parse("branches", branches)?,
                files: files.as_ref().map(|files| Criteria::parse("filePaths", files)).transpose()?,
            }),
            (Some(_), ..) => Err("has tags beside branches or filePaths. Put them into a filter of their own".into()),
            (None, None, Some(_)) => Err("has filePaths without branches. Add branches, ** for all of them".into()),
            (None, None, None) => Err("is empty. Give it tags, branches, or branches and filePaths".into()),
        }
    }

    /// Each changed file is judged by itself, and one that passes is enough. What a push that makes a branch changes is
    /// not known: its payload tells what is new in the branch compared with nothing.
    fn passes(&self, pushed: &GitEventKind) -> bool {
        match (self, pushed) {
            (Self::Tags(tags), GitEventKind::Tag { name }) => tags.passes(name),
            (Self::Branches { branches, files: wanted }, GitEventKind::Branch { name, is_new, files }) => {
                let has_file = |wanted: &Criteria| !is_new && files.iter().any(|file| wanted.passes(file));
                branches.passes(name) && wanted.as_ref().is_none_or(has_file)
            }
            _ => false,
        }
    }

    /// Whether a push to `branch` lacks nothing but the files.
    fn passes_but_for_files(&self, branch: &str) -> bool {
        matches!(self, Self::Branches { branches, files: Some(_) } if branches.passes(branch))
    }
}

impl PullRequestFilter {
    fn parse(filter: &DeclaredFilter) -> Result<Self, String> {
        let DeclaredFilter { events, tags, branches, file_paths } = filter;
        if tags.is_some() {
            return Err("has tags, which pull requests do not have. Remove them".into());
        }
        if file_paths.is_some() && branches.is_none() {
            return Err("has filePaths without branches. Add branches, ** for all of them".into());
        }
        if events.is_empty() && branches.is_none() {
            return Err("is empty. Give it events, branches, or both".into());
        }
        let step = |event: &String| {
            let steps = [Step::Open, Step::Updated, Step::Closed];
            let known = steps.into_iter().find(|step| step.as_str() == event);
            known.ok_or_else(|| format!("has the event '{event}'. Use OPEN, UPDATED, CLOSED"))
        };
        let criteria = |kind, patterns: &Option<Patterns>| {
            patterns.as_ref().map(|patterns| Criteria::parse(kind, patterns)).transpose()
        };
        Ok(Self {
            steps: events.iter().map(step).collect::<Result<_, _>>()?,
            branches: criteria("branches", branches)?,
            files: criteria("filePaths", file_paths)?,
        })
    }

    fn passes(&self, step: Step, into: &str) -> bool {
        (self.steps.is_empty() || self.steps.contains(&step))
            && self.branches.as_ref().is_none_or(|branches| branches.passes(into))
    }
}

impl Criteria {
    fn parse(kind: &str, patterns: &Patterns) -> Result<Self, String> {
        let globs = |list: &str, patterns: &[String]| -> Result<Vec<Glob>, String> {
            if patterns.len() > PATTERNS_MAX {
                let count = patterns.len();
                return Err(format!("has {count} {list} of {kind}. It can have up to {PATTERNS_MAX}"));
            }
            let glob = |pattern: &String| match pattern.chars().count() {
                1..=PATTERN_CHARS_MAX => {
                    Glob::parse(pattern).map_err(|why| format!("has the pattern '{pattern}' for {kind}, which {why}"))
                }
                chars => Err(format!("has a pattern of {chars} characters for {kind}. Use 1 to {PATTERN_CHARS_MAX}")),
            };
            patterns.iter().map(glob).collect()
        };
        let criteria =
            Self { includes: globs("includes", &patterns.includes)?, excludes: globs("excludes", &patterns.excludes)? };
        if criteria.includes.is_empty() && criteria.excludes.is_empty() {
            return Err(format!("has {kind} without includes and excludes. Give it one of them"));
        }
        Ok(criteria)
    }

    fn passes(&self, name: &str) -> bool {
        let any = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(name));
        (self.includes.is_empty() || any(&self.includes)) && !any(&self.excludes)
    }
}
