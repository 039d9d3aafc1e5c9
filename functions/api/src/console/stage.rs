//! A stage at a glance: how it stands, what is live, what is on its way, and why nothing comes in.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    Execution, ExecutionId, ExecutionMode, ExecutionType, Hold, PipelineName, PipelineView, RollbackCause, StageIndex,
    StageState,
};
use engine::{HasStore, ports::Store};
use jiff::{SignedDuration, Timestamp};

use super::parts::{Age, Badge, ExecutionLink, When, person, revision};
use crate::failure::Failure;

/// A stage as both the list and the pipeline's own page show it.
pub(super) struct StageGlance {
    pub(super) name: String,
    pub(super) status: Badge,
    /// The execution whose status that is.
    pub(super) execution: Option<ExecutionLink>,
    pub(super) live: Option<LiveGlance>,
    /// Until when a watch runs.
    pub(super) watched_until: Option<When>,
    pub(super) hold: Option<HoldGlance>,
    /// Why a person closed the way in; absent where it is open or held.
    pub(super) closed: Option<String>,
    pub(super) waiting: usize,
    /// Whether something happens in it or before it by itself.
    pub(super) moves: bool,
}

/// What is live in a stage.
pub(super) struct LiveGlance {
    pub(super) revision: String,
    pub(super) link: ExecutionLink,
    pub(super) since: Age,
    /// The rollback that brought it back.
    pub(super) rollback: Option<ExecutionLink>,
}

/// A hold on a stage.
pub(super) struct HoldGlance {
    pub(super) why: String,
    pub(super) since: Age,
    pub(super) rollback: Option<ExecutionLink>,
    pub(super) suspect: Option<ExecutionLink>,
}

/// Executions that pipelines' glances name: what is live in their stages.
pub(super) fn named_by<'a>(views: impl IntoIterator<Item = &'a PipelineView>) -> BTreeSet<(PipelineName, ExecutionId)> {
    let of_view = |view: &'a PipelineView| {
        let live = view.stages.values().filter_map(|stage| stage.live.as_ref());
        live.map(|live| (view.index.name.clone(), live.revision_of))
    };
    views.into_iter().flat_map(of_view).collect()
}

/// Loads executions by their pipelines and ids; what has expired is left out.
pub(super) async fn load_all<W: HasStore>(
    world: &W,
    wanted: BTreeSet<(PipelineName, ExecutionId)>,
) -> Result<BTreeMap<ExecutionId, Execution>, Failure> {
    let found = world.store().load_executions(&wanted).await?;
    Ok(found.into_iter().map(|execution| (execution.id, execution)).collect())
}

impl StageGlance {
    pub(super) fn of(
        view: &PipelineView,
        index: &StageIndex,
        executions: &BTreeMap<ExecutionId, Execution>,
        now: Timestamp,
    ) -> Self {
        let pipeline = &view.index.name;
        let stage = view.stage(&index.name);
        let link = |id| ExecutionLink::new(pipeline, id);
        let latest = stage.latest.as_ref();
        let waiting = view.waiting_for(&index.name).count();
        let watched_until = watched_until(&stage, index, now);
        let status = match latest {
            // Its stages have no latest execution (spec 2.3).
            _ if view.index.mode == ExecutionMode::Parallel => Badge::new("off", "Parallel"),
            Some(latest) if latest.execution_type == ExecutionType::Rollback && stage.occupant.is_some() => {
                Badge::new("run", "Rolling back")
            }
            Some(latest) => Badge::from(latest.status),
            None => Badge::never(),
        };
        Self {
            name: index.name.to_string(),
            execution: latest.map(|latest| link(latest.execution)),
            live: stage.live.as_ref().map(|live| LiveGlance {
                revision: executions.get(&live.revision_of).map_or_else(|| "a former release".to_owned(), revision),
                link: link(live.revision_of),
                since: Age::of(live.since, now),
                rollback: (live.deployed_by != live.revision_of).then(|| link(live.deployed_by)),
            }),
            hold: stage.inbound.hold.as_ref().map(|hold| HoldGlance::of(hold, pipeline, now)),
            closed: stage.inbound.closing().map(|closing| closing.reason.unwrap_or_default()),
            moves: stage.occupant.is_some() || waiting > 0 || watched_until.is_some(),
            watched_until: watched_until.map(Into::into),
            status,
            waiting,
        }
    }

    /// Whether what is live was brought back by a rollback.
    pub(super) fn went_back(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.rollback.is_some())
    }

    /// Whether there is more to say of it than its status and what is live.
    pub(super) fn has_flags(&self) -> bool {
        let is_shut = self.hold.is_some() || self.closed.is_some();
        is_shut || self.waiting > 0 || self.watched_until.is_some() || self.went_back()
    }
}

impl HoldGlance {
    pub(super) fn of(hold: &Hold, pipeline: &PipelineName, now: Timestamp) -> Self {
        let link = |id| ExecutionLink::new(pipeline, id);
        Self {
            why: cause_words(&hold.cause),
            since: Age::of(hold.since, now),
            rollback: hold.rollback.map(link),
            suspect: hold.suspect.map(link),
        }
    }
}

/// What led to a rollback or a hold, for people.
pub(super) fn cause_words(cause: &RollbackCause) -> String {
    match cause {
        RollbackCause::StageFailed { gate: None } => "the stage failed".to_owned(),
        RollbackCause::StageFailed { gate: Some(gate) } => {
            let (what, name) = domain::watched_as(&gate.alarm_arn);
            format!("the stage failed for {} {name}", what.to_lowercase())
        }
        RollbackCause::Alarm { alarm_arn, .. } => match domain::watched_as(alarm_arn) {
            ("Metrics", name) => format!("metrics {name} got worse"),
            (_, name) => format!("alarm {name} turned red"),
        },
        RollbackCause::Manual { by, reason: Some(reason), .. } => format!("{} said: {reason}", person(by)),
        RollbackCause::Manual { by, reason: None, .. } => format!("{} asked for it", person(by)),
    }
}

/// When the last watch of what is live ends; none where that is over, or where something is inside the stage.
fn watched_until(stage: &StageState, index: &StageIndex, now: Timestamp) -> Option<Timestamp> {
    let live = stage.live.as_ref()?;
    let observed = live.observed.iter().rev().find(|one| one.superseded_at.is_none())?;
    let minutes = index.watches.iter().map(|watch| watch.minutes).max()?;
    let until = observed.succeeded_at.checked_add(SignedDuration::from_mins(minutes.into())).ok()?;
    (until > now && observed.entered.execution == live.deployed_by).then_some(until)
}
