//! Over random histories: a rollback does exactly what its preview says, or is refused for the reasons that it gives.

use std::collections::BTreeSet;

use domain::{
    ArtifactState, Execution, ExecutionId, ExecutionStatus, PipelineView, RollbackCause, StageName, StageReport,
    StageResult,
};
use engine::{
    EngineError, HasStore, RollbackPreview,
    ports::{ObjectAt, PageRequest, Store},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::world::{ANA, Bench, Driven, shop, shop_name};

const HISTORIES: u64 = 4;
const STEPS: u32 = 24;
/// Of all histories together, at least so many: else the test would look at nothing.
const STARTED_MIN: u32 = 8;
const REFUSED_MIN: u32 = 8;

/// A linear congruential generator: one seed, one history.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }
}

struct History {
    bench: Bench,
    chance: Chance,
    /// Everything that was ever started, rollbacks too.
    executions: Vec<ExecutionId>,
    /// Who is inside Prod, with the report for when it ends.
    inside: Option<(ExecutionId, StageReport)>,
    /// Whether the pipeline is in its other form, in which Prod does something else.
    is_edited: bool,
    started: u32,
    refused: u32,
}

impl History {
    async fn begin(seed: u64) -> Self {
        let (bench, first) = Bench::with_release().await;
        let chance = Chance(seed.wrapping_mul(2).wrapping_add(1));
        Self { bench, chance, executions: vec![first], inside: None, is_edited: false, started: 0, refused: 0 }
    }

    async fn step(&mut self) {
        match self.chance.below(14) {
            0..=3 => self.release().await,
            4 | 5 => self.end_inside().await,
            6 => self.edit().await,
            7 => self.open_or_close().await,
            8 => self.harm().await,
            _ => self.go_back().await,
        }
    }

    async fn release(&mut self) {
        let content = format!("release {}", self.executions.len());
        self.bench.objects.store("uploads", "app.zip", content);
        let id = self.bench.start().await;
        self.executions.push(id);
        self.drive(id).await;
        if self.chance.below(3) > 0 {
            self.end_inside().await;
        }
    }

    async fn drive(&mut self, id: ExecutionId) {
        if let Driven::Working(report) = self.bench.drive(id, None).await {
            self.inside = Some((id, report));
        }
    }

    /// Who is inside ends, mostly well, and the next that waits goes in.
    async fn end_inside(&mut self) {
        let Some((id, report)) = self.inside.take() else { return };
        let job = self.bench.job().await;
        let report = if self.chance.one_in(4) {
            let details = json!({"type": "JobFailed", "message": "The page is blank."});
            self.bench.ok("PutJobFailureResult", json!({"jobId": job, "failureDetails": details})).await;
            StageReport { status: StageResult::Failed, ..report }
        } else {
            self.bench.ok("PutJobSuccessResult", json!({"jobId": job})).await;
            report
        };
        self.bench.drive(id, Some(report)).await;
        self.let_in().await;
    }

    async fn let_in(&mut self) {
        let occupant = self.view().await.stage(&prod()).occupant;
        if let Some(occupant) = occupant.filter(|_| self.inside.is_none()) {
            self.drive(occupant.execution).await;
        }
    }

    async fn edit(&mut self) {
        self.is_edited = !self.is_edited;
        let mut pipeline = shop();
        if self.is_edited {
            pipeline["stages"][1]["actions"][0]["configuration"]["FunctionName"] = json!("check-2");
        }
        self.bench.ok("UpdatePipeline", json!({"pipeline": pipeline})).await;
    }

    async fn open_or_close(&mut self) {
        let mut input = json!({"pipelineName": "shop", "stageName": "Prod", "transitionType": "Inbound"});
        if self.chance.one_in(3) {
            input["reason"] = json!("Sale");
            self.bench.ok("DisableStageTransition", input).await;
        } else {
            self.bench.ok("EnableStageTransition", input).await;
            self.let_in().await;
        }
    }

    /// An artifact is lost, or written over.
    async fn harm(&mut self) {
        let row = self.some_execution().await;
        let Some(at) = row.artifacts.get("App").map(|at| ObjectAt::new(&at.bucket, &at.key)) else { return };
        if self.chance.one_in(3) {
            self.bench.objects.lose_one(&at);
        } else {
            self.bench.objects.store(&at.bucket, &at.key, "something else");
        }
    }

    async fn some_execution(&mut self) -> Execution {
        let id = self.executions[self.chance.below(self.executions.len())];
        self.bench.world.store().load_execution(&shop_name(), id).await.unwrap().unwrap()
    }

    /// Mostly one that succeeded lately.
    async fn some_target(&mut self) -> ExecutionId {
        let page = PageRequest { limit: 4, after: None };
        let successes = self.bench.world.store().list_successes(&shop_name(), &prod(), page).await.unwrap().items;
        if successes.is_empty() || self.chance.one_in(4) {
            return self.some_execution().await.id;
        }
        successes[self.chance.below(successes.len())].execution
    }

    /// The step that this is about.
    async fn go_back(&mut self) {
        let target = self.some_target().await;
        let stage = if self.chance.one_in(12) { "Source".parse().unwrap() } else { prod() };
        let forced = self.chance.one_in(2);
        let cause = RollbackCause::Manual { by: ANA.to_owned(), reason: Some("To see.".to_owned()), forced };
        let before = self.view().await;
        let world = &self.bench.world;
        let shop = shop_name();
        let previewed = engine::preview_rollback(world, &shop, &stage, Some(target), cause.clone());
        let preview = Box::pin(previewed).await.unwrap();
        assert_eq!(format!("{:?}", self.view().await), format!("{before:?}"), "a preview changes nothing");
        let done = Box::pin(engine::rollback_stage(world, &shop_name(), &stage, target, cause)).await;
        match (preview.plan.is_some(), done) {
            (true, Ok(id)) => {
                self.started += 1;
                self.executions.push(id);
                assert_eq!(preview.reasons, Vec::<String>::new());
                self.check(&preview, &before, &stage, id).await;
            }
            (false, Err(EngineError::Refused(refusal))) => {
                self.refused += 1;
                let told = preview.reasons.iter().any(|reason| refusal.message.ends_with(reason.as_str()));
                assert!(told, "{} is not among {:?}", refusal.message, preview.reasons);
                assert_eq!(format!("{:?}", self.view().await), format!("{before:?}"), "a refusal changes nothing");
            }
            (_, done) => panic!("previewed {:?} {:?}, done {done:?}", preview.plan, preview.reasons),
        }
    }

    /// That rollback `id` is what was previewed.
    async fn check(&mut self, preview: &RollbackPreview, before: &PipelineView, stage: &StageName, id: ExecutionId) {
        let (plan, target) = (preview.plan.as_ref().unwrap(), preview.target.as_ref().unwrap());
        let store = self.bench.world.store();
        let stored = store.load_execution(&shop_name(), id).await.unwrap().unwrap();
        let planned = Execution { id, version: stored.version, ..plan.execution.clone() };
        assert_eq!(timeless(stored.clone()), timeless(planned));
        for artifact in &target.artifacts {
            assert_eq!(artifact.state(), ArtifactState::Present);
            assert_eq!(stored.artifacts.get(&artifact.name), artifact.at.as_ref());
            assert_eq!(stored.digests.get(&artifact.name), artifact.recorded.as_ref());
        }
        let after = self.view().await;
        let now = after.stage(stage);
        assert_eq!(now.occupant.map(|inside| inside.execution), Some(id), "first in line");
        assert_eq!(now.inbound.hold.is_some_and(|hold| hold.rollback == Some(id)), plan.holds);
        assert_eq!(after.waiting_for(stage).cloned().collect::<Vec<_>>(), preview.waiting);
        assert_eq!(stored.rollback.unwrap().undone, target.undone);

        let was_inside = before.stage(stage).occupant.map(|inside| inside.execution);
        assert_eq!(plan.fenced.as_ref().map(|inside| inside.execution), was_inside);
        if let Some(fenced) = was_inside {
            let fenced = store.load_execution(&shop_name(), fenced).await.unwrap().unwrap();
            assert_eq!(fenced.phase.status(), ExecutionStatus::Cancelled);
            self.inside = None;
        }
        let page = PageRequest { limit: 1000, after: None };
        let successes = store.list_successes(&shop_name(), stage, page).await.unwrap().items;
        let taken = successes.iter().filter(|one| one.revoked_by == Some(id)).map(|one| one.execution);
        let planned: BTreeSet<ExecutionId> = plan.revoked.iter().map(|one| one.execution).collect();
        assert_eq!(taken.collect::<BTreeSet<_>>(), planned);

        self.drive(id).await;
        assert!(self.inside.as_ref().is_some_and(|(inside, _)| *inside == id), "it runs");
        let run = self.bench.run_of(id).await;
        let expected = target.actions[0].resolved.clone().map(|resolved| json!(resolved));
        assert_eq!(Ok::<Value, String>(run["input"]["resolvedConfiguration"].clone()), expected);
        if self.chance.below(3) > 0 {
            self.end_inside().await;
        }
    }

    async fn view(&self) -> PipelineView {
        self.bench.world.store().load_pipeline(&shop_name()).await.unwrap().unwrap()
    }
}

fn prod() -> StageName {
    "Prod".parse().unwrap()
}

/// The preview was taken a little earlier.
fn timeless(execution: Execution) -> Execution {
    Execution { started_at: Timestamp::UNIX_EPOCH, updated_at: Timestamp::UNIX_EPOCH, ..execution }
}

#[tokio::test]
async fn rollbacks_do_exactly_what_their_previews_say() {
    let (mut started, mut refused) = (0, 0);
    for seed in 0..HISTORIES {
        let mut history = History::begin(seed).await;
        for _ in 0..STEPS {
            Box::pin(history.step()).await;
        }
        started += history.started;
        refused += history.refused;
    }
    assert!(started >= STARTED_MIN && refused >= REFUSED_MIN, "{started} were started, {refused} refused");
}
