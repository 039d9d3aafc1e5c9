//! What waits for a person: alarms that are red, stages that are held, revisions that stay away.

use askama::Template;
use domain::{Incident, IncidentStatus, OpenHold, RevokedContent};
use engine::{
    HasStore,
    ports::{PageRequest, Store},
};

use super::{
    frame::{Frame, Visit, render},
    parts::{Age, Badge, ExecutionLink, alarm_name, cut, words},
    route::pipeline_path,
    stage::{HoldGlance, cause_words},
};
use crate::failure::Failure;

/// Lines of each kind.
const LINES_MAX: u32 = 50;

#[derive(Template)]
#[template(path = "attention.html")]
struct AttentionPage {
    frame: Frame,
    incidents: Vec<IncidentCard>,
    holds: Vec<HoldCard>,
    revoked: Vec<RevokedCard>,
}

struct IncidentCard {
    alarm: String,
    status: Badge,
    onset: Age,
    rollbacks: Vec<(String, ExecutionLink)>,
}

struct HoldCard {
    pipeline: String,
    stage: String,
    path: String,
    glance: HoldGlance,
}

struct RevokedCard {
    content: String,
    pipeline: String,
    stage: String,
    path: String,
    revisions: String,
    cause: String,
    since: Age,
    rollback: ExecutionLink,
}

/// The page: one request for each list, whatever the number of pipelines.
pub(super) async fn show<W: HasStore>(world: &W, visit: &Visit) -> Result<String, Failure> {
    let first = || PageRequest { limit: LINES_MAX, after: None };
    let store = world.store();
    let (incidents, holds, revoked) = futures::try_join!(
        store.open_incidents(first()),
        store.list_holds(None, first()),
        store.list_revoked(first())
    )?;
    let (incidents, holds, revoked) = (incidents.items, holds.items, revoked.items);
    render(&AttentionPage {
        frame: visit.frame("Attention").moving(!incidents.is_empty()),
        incidents: incidents.into_iter().map(|one| incident(one, visit)).collect(),
        holds: holds.into_iter().map(|one| hold(&one, visit)).collect(),
        revoked: revoked.into_iter().map(|one| revision(&one, visit)).collect(),
    })
}

fn incident(incident: Incident, visit: &Visit) -> IncidentCard {
    let look = match incident.status {
        IncidentStatus::RollingBack => "run",
        IncidentStatus::Asking => "hold",
        IncidentStatus::NotHelped => "bad",
        IncidentStatus::Recovered => "good",
    };
    let rollbacks = incident
        .rollbacks
        .iter()
        .map(|one| (format!("{} / {}", one.pipeline, one.stage), ExecutionLink::new(&one.pipeline, one.rollback)));
    IncidentCard {
        alarm: alarm_name(&incident.alarm_arn).to_owned(),
        status: Badge::new(look, words(incident.status.as_str())),
        onset: Age::of(incident.onset, visit.now),
        rollbacks: rollbacks.collect(),
    }
}

fn hold(held: &OpenHold, visit: &Visit) -> HoldCard {
    HoldCard {
        pipeline: held.pipeline.to_string(),
        stage: held.stage.to_string(),
        path: pipeline_path(&held.pipeline),
        glance: HoldGlance::of(&held.hold, &held.pipeline, visit.now),
    }
}

fn revision(revoked: &RevokedContent, visit: &Visit) -> RevokedCard {
    let named = revoked.revisions.iter().map(|one| match &one.revision_summary {
        Some(summary) if !summary.trim().is_empty() => cut(summary.trim(), 60),
        _ => cut(&one.revision_id, 14),
    });
    RevokedCard {
        content: revoked.content.to_string(),
        pipeline: revoked.pipeline.to_string(),
        stage: revoked.stage.to_string(),
        path: pipeline_path(&revoked.pipeline),
        revisions: named.collect::<Vec<_>>().join(", "),
        cause: cause_words(&revoked.cause),
        since: Age::of(revoked.since, visit.now),
        rollback: ExecutionLink::new(&revoked.pipeline, revoked.rollback),
    }
}
