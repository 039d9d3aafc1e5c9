//! An alarm changed: does it speak against a deploy, is that deploy taken back, and did taking back help?

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use domain::{
    Act, AlarmChange, AlarmSeries, AlarmState, Case, Changes, Evidence, ExecutionId, ExecutionStatus, Incident,
    IncidentRollback, IncidentStatus, PipelineName, PipelineView, Proof, Proven, Record, RollbackCause,
    RollbackDecision, RollbackOutcome, StageName, Watch, WatchedDeploy, hold_for_question, prove, rule_on,
    settle_proof, time_around, watched_as,
};
use jiff::SignedDuration;

use crate::{
    EngineError, HasAlarms, HasMachines, HasObjects, HasStore, commit,
    commit::until_stored,
    loading::load_of,
    metrics::{SeenMetrics, Sights},
    ports::{Alarms, Store},
    rollback::{choose_target, prepare},
};

/// For so long after a rollback an alarm that turns red again without having been seen to clear is the same incident.
const QUIET: SignedDuration = SignedDuration::from_hours(1);
/// Most deploys that one alarm is judged for, the newest: each is a request, and all are kept as evidence.
const SUSPECTS_MAX: usize = 25;
/// The same where metrics are judged, which are all kept as evidence.
const SUSPECTS_BY_METRICS_MAX: usize = 6;
/// Values of all their series together, at some seven bytes each: a row of the table holds 400 KB.
const VALUES_MAX: usize = 20_000;

/// What an alarm led to for one watched execution.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The stage.
    pub stage: StageName,
    /// The verdict and what it rests on.
    pub evidence: Evidence,
    /// The rollback it started.
    pub rollback: Option<ExecutionId>,
    /// Why it started none, where the verdict is `Degraded`.
    pub no_rollback: Option<String>,
}

/// Judges an alarm for every execution that is watched with it, and does what follows: starts a rollback, or holds the
/// stages and asks. Notes as well whether an earlier rollback helped.
///
/// Delivered twice, late or out of order it changes nothing more: the watch is gone, or something else is live. What it
/// led to is added to `judged`, also where this ends with an error.
///
/// # Errors
/// [`EngineError::Contended`] and [`EngineError::Unavailable`]: deliver the alarm again. Who is to blame is one decision
/// about all that are watched, so it is taken with all of them or not at all.
pub async fn alarm_changed<W: HasStore + HasMachines + HasObjects + HasAlarms>(
    world: &W,
    alarm: &AlarmChange,
    judged: &mut Vec<Judged>,
) -> Result<(), EngineError> {
    judge_anew(world, alarm, &Sights::new(), judged).await
}

/// As [`alarm_changed`], for metrics that are judged.
pub(crate) async fn metrics_changed<W: HasStore + HasMachines + HasObjects + HasAlarms>(
    world: &W,
    seen: &SeenMetrics,
    judged: &mut Vec<Judged>,
) -> Result<(), EngineError> {
    judge_anew(world, &seen.alarm, &seen.sights, judged).await
}

async fn judge_anew<W: HasStore + HasMachines + HasObjects + HasAlarms>(
    world: &W,
    alarm: &AlarmChange,
    sights: &Sights,
    judged: &mut Vec<Judged>,
) -> Result<(), EngineError> {
    // Where another writer was faster, all are judged anew; what was done by then stays done.
    let done = Mutex::new(Vec::new());
    let looked = until_stored(async || Box::pin(look_at(world, alarm, sights, &done)).await).await;
    judged.extend(done.into_inner().unwrap_or_else(PoisonError::into_inner));
    judged.extend(looked?);
    Ok(())
}

/// Adds those to `done` about whom something was stored, and returns the others.
async fn look_at<W: HasStore + HasMachines + HasObjects + HasAlarms>(
    world: &W,
    alarm: &AlarmChange,
    sights: &Sights,
    done: &Mutex<Vec<Judged>>,
) -> Result<Vec<Judged>, EngineError> {
    let watches = world.store().watches_of(&alarm.arn).await?;
    // An alarm that nobody watches may still clear the incident it was part of.
    if watches.is_empty() && alarm.state != AlarmState::Ok {
        return Ok(Vec::new());
    }
    let (proofs, deploys): (Vec<Watch>, Vec<Watch>) = watches.into_iter().partition(Watch::proves);
    let incident = settle(world, alarm, &proofs).await?;
    let incident = match incident {
        Some(incident) if alarm.state == AlarmState::Ok => close(world, alarm, incident).await?,
        Some(incident) => Some(without_lost_proof(world, incident, &proofs).await?),
        None => None,
    };
    let (suspects, views) = suspects(world, deploys, sights).await?;
    let case = Case::new(alarm, suspects, incident.as_ref(), world.now());
    let ruling = rule_on(&case);
    let judged = case.suspects.iter().zip(ruling.evidence).map(|(one, evidence)| Judged {
        pipeline: one.watch.pipeline.clone(),
        stage: one.watch.stage.clone(),
        evidence,
        rollback: None,
        no_rollback: None,
    });
    let (judged, series) = (judged.collect(), Vec::new());
    let mut deciding = Deciding { world, alarm, case: &case, views: &views, series, judged, done };
    match ruling.act {
        Act::Nothing => {}
        Act::RollBack(at) => Box::pin(deciding.roll_back(at, incident.as_ref())).await?,
        Act::Ask(all) => Box::pin(deciding.ask(&all, incident.as_ref())).await?,
    }
    deciding.judged.retain(|one| one.rollback.is_none() && one.no_rollback.is_none());
    Ok(deciding.judged)
}

/// Notes of every rollback that `proofs` observe whether it helped, where that is to be seen by now. Returns the incident
/// as it stands then.
async fn settle<W: HasStore + HasMachines>(
    world: &W,
    alarm: &AlarmChange,
    proofs: &[Watch],
) -> Result<Option<Incident>, EngineError> {
    let mut incident = world.store().load_incident(&alarm.arn).await?;
    for watch in proofs {
        let Some(proof) = prove(watch, alarm.state, world.now()) else { continue };
        let of = Seen { pipeline: &watch.pipeline, stage: &watch.stage, rollback: watch.execution, watch: Some(watch) };
        incident = note(world, alarm, &of, proof, incident.as_ref()).await?;
    }
    Ok(incident)
}

/// A rollback whose alarm was seen.
struct Seen<'a> {
    pipeline: &'a PipelineName,
    stage: &'a StageName,
    rollback: ExecutionId,
    watch: Option<&'a Watch>,
}

/// Stores whether a rollback helped; the incident as it stands then.
async fn note<W: HasStore + HasMachines>(
    world: &W,
    alarm: &AlarmChange,
    of: &Seen<'_>,
    proof: Proof,
    incident: Option<&Incident>,
) -> Result<Option<Incident>, EngineError> {
    let Seen { pipeline, stage, rollback, watch } = *of;
    let execution = world.store().load_execution(pipeline, rollback).await?;
    let proven = Proven { pipeline, stage, rollback, execution: execution.as_ref(), watch, proof };
    commit(world, pipeline, settle_proof(&proven, alarm, incident, world.now())).await?;
    Ok(world.store().load_incident(&alarm.arn).await?)
}

/// The alarm has cleared: so has the incident, and what was still to be seen of its last rollback.
async fn close<W: HasStore + HasMachines>(
    world: &W,
    alarm: &AlarmChange,
    mut incident: Incident,
) -> Result<Option<Incident>, EngineError> {
    if !incident.is_open() {
        return Ok(Some(incident));
    }
    if let Some(last) = incident.rollbacks.last().filter(|last| last.proof.is_none()) {
        let of = Seen { pipeline: &last.pipeline, stage: &last.stage, rollback: last.rollback, watch: None };
        return note(world, alarm, &of, Proof::Helped, Some(&incident)).await;
    }
    incident.status = IncidentStatus::Recovered;
    incident.changed_at = world.now();
    store_alone(world, incident).await.map(Some)
}

/// Stores an incident that no pipeline has changed with.
async fn store_alone<W: HasStore>(world: &W, incident: Incident) -> Result<Incident, EngineError> {
    let writes = crate::commit::incident_writes(&incident);
    world.store().commit(writes.to_vec()).await?;
    let stored = world.store().load_incident(&incident.alarm_arn).await?;
    Ok(stored.unwrap_or(incident))
}

/// The incident without a proof that nobody will give any more: its rollback failed, or is not observed.
async fn without_lost_proof<W: HasStore>(
    world: &W,
    mut incident: Incident,
    proofs: &[Watch],
) -> Result<Incident, EngineError> {
    let Some(last) = incident.rollbacks.last().filter(|last| last.proof.is_none()).cloned() else {
        return Ok(incident);
    };
    let execution = world.store().load_execution(&last.pipeline, last.rollback).await?;
    let is_lost = match execution.map(|execution| execution.phase.status()) {
        Some(ExecutionStatus::InProgress | ExecutionStatus::Stopping) => false,
        Some(ExecutionStatus::Succeeded) => proofs.iter().all(|watch| watch.execution != last.rollback),
        _ => true,
    };
    if !is_lost {
        return Ok(incident);
    }
    incident.note(last.rollback, Proof::DidNotHelp, world.now());
    store_alone(world, incident).await
}

/// The deploys that are watched, the newest of them, and the pipelines they belong to.
async fn suspects<W: HasStore>(
    world: &W,
    mut watches: Vec<Watch>,
    sights: &Sights,
) -> Result<(Vec<WatchedDeploy>, BTreeMap<PipelineName, PipelineView>), EngineError> {
    watches.sort_by_key(|watch| std::cmp::Reverse(watch.from));
    // Who is watched by metrics and was not looked at yet is looked at next time.
    let sight_of = |watch: &Watch| sights.get(&(watch.execution, watch.rule.clone()));
    watches.retain(|watch| watch.metrics.is_none() || sight_of(watch).is_some());
    watches.truncate(if sights.is_empty() { SUSPECTS_MAX } else { SUSPECTS_BY_METRICS_MAX });
    let mut views = BTreeMap::new();
    let (mut suspects, mut values) = (Vec::new(), 0);
    for watch in watches {
        if !views.contains_key(&watch.pipeline) {
            let Some(view) = world.store().load_pipeline(&watch.pipeline).await? else { continue };
            views.insert(watch.pipeline.clone(), view);
        }
        let Some(view) = views.get(&watch.pipeline).filter(|view| view.index.stage(&watch.stage).is_some()) else {
            continue;
        };
        let stage = view.stage(&watch.stage);
        let live = stage.live.map(|live| live.deployed_by);
        let inside = stage.occupant.map(|inside| inside.execution);
        let sighted = sight_of(&watch).cloned().map(Box::new);
        values += sighted.as_ref().map_or(0, |seen| seen.values());
        if values > VALUES_MAX && !suspects.is_empty() {
            break;
        }
        suspects.push(WatchedDeploy { watch, live, inside, sighted });
    }
    Ok((suspects, views))
}

/// The rollback that has taken a deploy back before. It is live all the same where that has failed, and another alarm may
/// blame it once more: to try again is for a person.
async fn taken_back_by<W: HasStore>(
    world: &W,
    view: &PipelineView,
    watch: &Watch,
) -> Result<Option<ExecutionId>, EngineError> {
    let execution = load_of(world, view, watch.execution).await?;
    Ok(execution.and_then(|execution| execution.stages.get(&watch.stage)?.revoked_by))
}

/// What the metrics of a case's alarm did. It is for people: where CloudWatch does not say, the decision is the same.
async fn series_of<W: HasAlarms>(world: &W, case: &Case) -> Vec<AlarmSeries> {
    if case.suspects.iter().any(|one| one.sighted.is_some()) {
        // They are in the evidence of each.
        return Vec::new();
    }
    let Some((since, until)) = time_around(case) else { return Vec::new() };
    world.alarms().series(&case.alarm.arn, since, until).await.unwrap_or_default()
}

/// A case that is being decided.
struct Deciding<'a, W> {
    world: &'a W,
    alarm: &'a AlarmChange,
    case: &'a Case,
    views: &'a BTreeMap<PipelineName, PipelineView>,
    /// What people are shown of the alarm's metrics.
    series: Vec<AlarmSeries>,
    judged: Vec<Judged>,
    done: &'a Mutex<Vec<Judged>>,
}

impl<W: HasStore + HasMachines + HasObjects + HasAlarms> Deciding<'_, W> {
    fn cause(&self) -> RollbackCause {
        RollbackCause::Alarm { alarm_arn: self.alarm.arn.clone(), reason: self.alarm.reason.clone() }
    }

    /// Takes back the deploy of the suspect at this place; in shadow mode tells that it would.
    async fn roll_back(&mut self, at: usize, incident: Option<&Incident>) -> Result<(), EngineError> {
        let watch = self.case.suspects[at].watch.clone();
        let Some(view) = self.views.get(&watch.pipeline) else { return Ok(()) };
        let Some((_, index)) = view.index.stage(&watch.stage) else { return Ok(()) };
        let now = self.world.now();
        // What the alarm spoke against may be a deploy that this one superseded: then the way back is past that one too.
        let (_, since) = self.case.suspects[at].own_alarm(self.alarm);
        let blamed = watch.inherited_at(since).map_or(watch.execution, |one| one.execution);
        if watch.shadow && watch.told {
            return self.tell_shadow(at, None).await;
        }
        let target = async {
            Ok::<_, EngineError>(match taken_back_by(self.world, view, &watch).await? {
                Some(rollback) => Err(format!("rollback {rollback} has taken it back already, and has failed.")),
                None => choose_target(self.world, view, index, blamed).await?,
            })
        };
        let (target, series) = futures::join!(target, series_of(self.world, self.case));
        let target = target?;
        self.series = series;
        if watch.shadow {
            return self.tell_shadow(at, target.ok().map(|target| target.id)).await;
        }
        let mut incident = Incident::of(self.alarm, incident, now);
        let (mut changes, outcome) = match target {
            Ok(target) => {
                let (undone, cause) = (Some(watch.execution), self.cause());
                let (id, changes) = prepare(self.world, view, &target, &watch.stage, undone, cause).await?;
                incident.status = IncidentStatus::RollingBack;
                incident.quiet_until = now + QUIET;
                incident.rollbacks.push(IncidentRollback {
                    pipeline: watch.pipeline.clone(),
                    stage: watch.stage.clone(),
                    rollback: id,
                    undone: watch.execution,
                    at: now,
                    proof: None,
                });
                self.judged[at].rollback = Some(id);
                (changes, format!("Rollback {id} starts."))
            }
            Err(why) => {
                // Who is clearly to blame cannot go back: nobody else is taken back in its place.
                incident.status = IncidentStatus::Asking;
                self.judged[at].no_rollback = Some(why.clone());
                let outcome = format!("No rollback: {why}");
                let mut changes = self.decided(&watch, RollbackOutcome::Declined { reason: why });
                // Its watch ends with this, and the stage has to show that.
                let mut stage = view.stage(&watch.stage);
                stage.blame(watch.execution, &watch.rule, now);
                changes.stages.insert(watch.stage.clone(), stage);
                (changes, outcome)
            }
        };
        changes.incidents.push(incident);
        self.store(at, changes, &outcome).await
    }

    /// Holds the stages of these suspects and asks a person. Each is stored alone; whoever is not reached is asked at the
    /// next look, since the incident, which is stored first, says that a person is asked.
    async fn ask(&mut self, all: &[usize], incident: Option<&Incident>) -> Result<(), EngineError> {
        let now = self.world.now();
        let mut asking = Incident::of(self.alarm, incident, now);
        if incident.is_none_or(|there| there.status != IncidentStatus::Asking || there.red_since != asking.red_since) {
            asking.status = IncidentStatus::Asking;
            store_alone(self.world, asking).await?;
        }
        let reason = self.question(all);
        if all.iter().any(|at| !self.case.suspects[*at].watch.told) {
            self.series = series_of(self.world, self.case).await;
        }
        for at in all {
            let watch = self.case.suspects[*at].watch.clone();
            if watch.shadow {
                self.tell_shadow(*at, None).await?;
                continue;
            }
            let Some(view) = self.views.get(&watch.pipeline) else { continue };
            let changes = hold_for_question(view, &watch.stage, watch.execution, &self.cause(), &reason, now);
            self.judged[*at].no_rollback = Some(reason.clone());
            self.store(*at, changes, "The stage is held, and a person is asked.").await?;
        }
        Ok(())
    }

    fn question(&self, all: &[usize]) -> String {
        let (what, name) = watched_as(&self.alarm.arn);
        let turned = format!("{what} {name} turned red at {}.", self.alarm.since);
        if let [only] = all {
            let otherwise = &self.judged[*only].evidence.otherwise;
            return format!("{turned} {otherwise}");
        }
        let suspects = self.judged.iter().map(|one| {
            format!("{} of {} ({}, {} of 1000)", one.stage, one.pipeline, one.evidence.execution, one.evidence.score)
        });
        let suspects: Vec<String> = suspects.collect();
        format!("{turned} Nobody is clearly ahead of {}.", suspects.join(", "))
    }

    /// Tells once of a deploy in shadow mode what would be done about it.
    async fn tell_shadow(&mut self, at: usize, target: Option<ExecutionId>) -> Result<(), EngineError> {
        let watch = self.case.suspects[at].watch.clone();
        self.judged[at].no_rollback = Some("the stage is in shadow mode".to_owned());
        if watch.told {
            return Ok(());
        }
        let mut changes = self.decided(&watch, RollbackOutcome::Shadowed { target });
        changes.watches.push(Watch { told: true, ..watch });
        self.store(at, changes, "Shadow mode: nothing is done.").await
    }

    fn decided(&self, watch: &Watch, outcome: RollbackOutcome) -> Changes {
        let decision = RollbackDecision {
            pipeline: watch.pipeline.clone(),
            stage: watch.stage.clone(),
            at: self.world.now(),
            execution: watch.execution,
            cause: self.cause(),
            undone: Some(watch.execution),
            outcome,
            evidence: None,
            series: Vec::new(),
        };
        Changes { decisions: vec![decision], ..Changes::default() }
    }

    /// Stores what was decided about a suspect with its evidence. Unless it is told of only, its watch has ended.
    async fn store(&self, at: usize, mut changes: Changes, outcome: &str) -> Result<(), EngineError> {
        let (watch, evidence) = (&self.case.suspects[at].watch, &self.judged[at].evidence);
        for decision in &mut changes.decisions {
            decision.evidence = Some(evidence.clone());
            decision.series = if self.series.is_empty() { evidence.series() } else { self.series.clone() };
        }
        changes.records.push(Record {
            execution: watch.execution,
            at: self.world.now(),
            event: "AlarmJudged".to_owned(),
            stage: Some(watch.stage.clone()),
            detail: format!("{} {}: {}. {outcome}", watched_as(&self.alarm.arn).0, self.alarm.arn, evidence.reason),
            evidence: Some(evidence.clone()),
        });
        // Deciding about what is live belongs to whoever holds this generation of the stage.
        let generation = self.views.get(&watch.pipeline).map(|view| view.stage(&watch.stage).generation);
        changes.fences.extend(generation.map(|generation| (watch.stage.clone(), generation)));
        if changes.watches.is_empty() {
            changes.watches_ended.push(watch.clone());
        }
        commit(self.world, &watch.pipeline, changes).await?;
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push(self.judged[at].clone());
        Ok(())
    }
}
