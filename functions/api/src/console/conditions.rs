//! Conditions of a stage, and their rules.

use domain::{ConditionKind, ExecutionMode, PipelineView, StageIndex, check_overridable};

use super::frame::Visit;
use super::parts::{Age, Badge, When};

/// A condition as a pipeline's page shows it.
pub(super) struct ConditionCard {
    pub(super) kind: ConditionKind,
    /// What its failure leads to.
    pub(super) result: String,
    pub(super) status: Option<Badge>,
    pub(super) summary: String,
    pub(super) rules: Vec<RuleCard>,
    /// The execution for which it can be overridden, where it can.
    pub(super) overridable: Option<String>,
}

/// A rule of a condition.
pub(super) struct RuleCard {
    pub(super) name: String,
    pub(super) status: Option<Badge>,
    pub(super) summary: String,
    pub(super) changed: Option<Age>,
    pub(super) waits_until: Option<When>,
    pub(super) href: Option<String>,
    /// What a watch is about, where it is one.
    pub(super) watch: Option<String>,
}

impl ConditionCard {
    /// As forms name it.
    pub(super) fn form_name(&self) -> &'static str {
        match self.kind {
            ConditionKind::BeforeEntry => "BEFORE_ENTRY",
            ConditionKind::OnSuccess | ConditionKind::OnFailure => "ON_SUCCESS",
        }
    }

    pub(super) fn all_of(view: &PipelineView, index: &StageIndex, visit: &Visit) -> Vec<Self> {
        let kinds = [ConditionKind::BeforeEntry, ConditionKind::OnSuccess, ConditionKind::OnFailure];
        kinds.into_iter().filter_map(|kind| Self::of(view, index, kind, visit)).collect()
    }

    fn of(view: &PipelineView, index: &StageIndex, kind: ConditionKind, visit: &Visit) -> Option<Self> {
        let declared = index.condition(kind)?;
        let run = view.condition(&index.name, kind).filter(|_| view.index.mode != ExecutionMode::Parallel);
        let run = run.map(|run| run.seen_in(&view.stage(&index.name)));
        let rules = declared.rules.iter().map(|name| {
            let state = run.as_ref().and_then(|run| run.rules.iter().find(|rule| rule.name == *name));
            let watch = index.watches.iter().find(|watch| kind == ConditionKind::OnSuccess && watch.rule == *name);
            RuleCard {
                name: name.clone(),
                status: state.map(|state| Badge::from(state.status)),
                summary: state.and_then(|state| state.summary.clone()).unwrap_or_default(),
                changed: state.map(|state| Age::of(state.changed_at, visit.now)),
                waits_until: state.and_then(|state| state.waits_until).map(When::from),
                href: state.and_then(|state| state.entity_url.clone()).and_then(|url| safe_link(&url)),
                watch: watch.map(|watch| {
                    let shadow = if watch.shadow { ", telling only" } else { "" };
                    format!("watches {} for {} min{shadow}", watch.alarm, watch.minutes)
                }),
            }
        });
        // Whoever has taken the stage since went by another evaluation.
        let is_current = run.as_ref().is_some_and(|run| run.generation == view.stage(&index.name).generation);
        let can =
            is_current && kind != ConditionKind::OnFailure && check_overridable(Some(declared), run.as_ref()).is_ok();
        Some(Self {
            kind,
            result: declared.result.clone().unwrap_or_default(),
            status: run.as_ref().map(|run| Badge::from(run.status)),
            summary: run.as_ref().and_then(|run| run.summary.clone()).unwrap_or_default(),
            rules: rules.collect(),
            overridable: run.as_ref().filter(|_| can).map(|run| run.execution.to_string()),
        })
    }
}

/// A link that somebody else wrote: only the web's own kinds, since others run scripts.
pub(super) fn safe_link(url: &str) -> Option<String> {
    let lower = url.trim().to_ascii_lowercase();
    (lower.starts_with("https://") || lower.starts_with("http://")).then(|| url.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_others_lead_to_the_web_only() {
        assert!(safe_link("https://example.com/a?b").is_some() && safe_link(" HTTP://x").is_some());
        for evil in ["javascript:alert(1)", "JAVASCRIPT:1", "data:text/html,x", "//evil", "/console", ""] {
            assert_eq!(safe_link(evil), None, "{evil}");
        }
    }
}
