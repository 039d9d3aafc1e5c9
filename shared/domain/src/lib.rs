//! Every decision of the release pipeline, as pure functions over plain values.
//!
//! **May touch**: its arguments.
//!
//! **Architecture invariants**: no async, no AWS types, no environment, no clock, no randomness, no logging. A decision
//! returns what to store and what to do next ([`Changes`]); reasons are part of its result.

mod action_type;
mod admission;
mod approval;
mod artifact;
mod changes;
mod compatibility;
mod condition;
mod custom_type;
mod decision;
mod declaration;
mod degradation;
mod eligibility;
mod event;
mod execution;
mod failure;
mod fingerprint;
mod gate;
mod health;
mod ids;
mod incident;
mod index_size;
mod inherited;
mod item_size;
mod java_pattern;
mod job;
mod judge;
mod kept;
mod links;
mod outputs;
mod pages;
mod partition;
mod phase;
mod pipeline;
mod plan;
mod preview;
mod provider_error;
mod records;
mod retry;
mod revision;
mod revoked;
mod rollback;
mod rule;
mod rule_type;
mod script;
mod secrets;
mod series;
mod shadow;
mod slot;
mod stage;
mod status;
mod stop;
mod structure;
mod tags;
#[cfg(test)]
mod tests;
mod tokens;
mod transition;
mod trigger;
mod turns;
mod variable_check;
mod variables;
mod watch;
mod webhook;
mod window;

pub use action_type::{
    ActionKind, ActionProperty, ActionTypeInfo, ActionTypeUrls, Catalogue, action_kind, action_machine,
    action_machines, runs_in_any_region,
};
pub use admission::{admit_waiting, begin};
pub use approval::{ApprovalNotice, approval_notice};
pub use artifact::{ArtifactDigest, ArtifactState, artifact_state};
pub use changes::{Changes, Effect, Record, Waiting, WatchChange};
pub use compatibility::{Deviation, Severity, differences};
pub use condition::{
    ConditionAnswer, ConditionKind, ConditionOrder, ConditionRun, LOST, Override, RuleRun, RuleState,
    check_overridable, given_up,
};
pub use custom_type::{
    CUSTOM_TYPES_MAX, CustomType, CustomTypeCount, CustomTypeError, check_queryable_value, declare_custom_type,
};
pub use decision::{RollbackDecision, RollbackOutcome};
pub use declaration::{
    ActionDeclaration, ActionTypeId, ArtifactStore, BlockerDeclaration, Condition, EncryptionKey, EnvironmentVariable,
    FailureConditions, InputArtifact, OutputArtifact, PipelineDeclaration, PipelineVariable, RetryConfiguration,
    RuleDeclaration, RuleTypeId, StageConditions, StageDeclaration,
};
pub use degradation::{
    DeclaredMetrics, METRIC_DEGRADATION, METRICS_MAX, MetricAsked, MetricData, MetricQuery, MetricRule, MetricSight,
    MetricSource, MetricStatistic, MissingPoint, PRESETS, Points, Sighted, WatchedMetric, is_look_due, sight,
    sight_watch, watched_as,
};
pub use eligibility::{Choice, Ineligible, LookedUp, choose_automatic, ineligible_because, standing};
pub use event::{
    ActionChange, AnnouncedCause, ArtifactChange, EVENT_SOURCE, Event, EventArtifact, EventState, ExecutionResult,
    ExecutionTrigger, PipelineChange, RollbackChange, StageChange, StateChange, Unread, events_of,
};
pub use execution::{
    ActionRun, ArtifactLocation, Execution, RollbackOf, SourcePin, SourceRevision, StageOutcome, Starter, StopTrigger,
    Trigger,
};
pub use failure::{
    FailureAnswer, FailureDecision, StageFailure, close_dead, decide_failure, roll_back, run_again, settle_failure,
};
pub use fingerprint::{StageVersion, changed_fields, fingerprint};
pub use gate::{GateAnswer, GateEvent, StageReport, StageResult, cancel_outdated, pass_gate};
pub use health::{Backlog, Health, HealthConcern, LastLook, concerns};
pub use ids::{
    ActionExecutionId, ActionName, ExecutionId, Generation, InvalidName, PipelineName, RuleJobId, StageName,
    WebhookName, derived_uuid,
};
pub use incident::{
    Act, CLEARLY_AHEAD, Case, Incident, IncidentRollback, IncidentStatus, Proof, Proven, ROLLBACKS_MAX, RankedDeploy,
    Ruling, WatchedDeploy, prove, rule_on, settle_proof,
};
pub use index_size::IndexTooLarge;
pub use inherited::{Observed, Unclear};
pub use job::{Addressee, Job, JobEvent, JobQueue, JobStatus, RuleAnswer, RuleJob, job_table};
pub use judge::{
    AlarmChange, AlarmSnapshot, AlarmState, Attribution, Direction, Evidence, InvalidMetric, InvalidPolicy,
    JudgePolicy, Metric, MetricEvidence, MetricFinding, MetricKind, MetricScope, MetricSeries, Missing, RankedSuspect,
    RequestSeries, Standing, Suspect, Verdict, judge, judge_metrics, rank_suspects, watch_metrics,
};
pub use kept::{
    KEPT_LOOKED_AT_MAX, KEPT_TARGETS, Kept, KeptArtifact, KeptChange, KeptDue, KeptFunction, KeptTarget, keep,
    look_again, worth_keeping,
};
pub use outputs::{EXECUTION_BYTES_MAX, ReferredOutputs};
pub use pages::{CONSOLE, execution_page, named_by_segment, pipeline_page, stage_page};
pub use partition::{aws_console, partition_of};
pub use phase::{Phase, PhaseEvent, Rejected, phase_table};
pub use pipeline::{ActionIndex, ConditionIndex, PipelineIndex, PipelineView, StageIndex, WatchRule};
pub use plan::{ACTIONS_AT_ONCE_MAX, ActionStep, action_groups, actions_at_once, kept_actions, remaining_groups};
pub use preview::{
    ActionPreview, ConfigurationChange, ExpectedDuration, RollbackPlan, at_fault, expect_duration, preview_actions,
};
pub use provider_error::failure_type;
pub use records::{OpenHold, Success};
pub use retry::{NotRetryable, RetryCause, RetryOrder, done_by_last_attempt, retry_stage};
pub use revision::{RevisionError, SourceRevisionOverride, SourceRevisionType, pin_sources};
pub use revoked::{ContentId, RevokedContent, contents_of, culprit, find_revoked, reinstate};
pub use rollback::{FailedGate, RollbackCause, RollbackOrder, start_rollback};
pub use rule::{
    AlarmDemand, Consulted, Finding, RuleVerdict, check_alarm_states, is_current, judge_alarm, judge_answer,
    judge_unasked, judge_window, wait_minutes,
};
pub use rule_type::{RULE_TYPES, RuleTypeInfo, find_rule_type};
pub use script::Script;
pub use secrets::{MASK, mask};
pub use series::{ALARM_SERIES_MAX, AlarmSeries, Measure, time_around};
pub use shadow::{ShadowConfirmation, ShadowScore, ShadowVerdict, failed_after, score_shadow};
pub use slot::{CONCURRENT_EXECUTIONS_MAX, Slot, free_slot, needs_slot};
pub use stage::{Closing, Hold, LatestRun, Live, Occupant, StageState, TransitionState};
pub use status::{
    ActionStatus, ConditionStatus, ExecutionMode, ExecutionStatus, ExecutionType, PipelineType, RetryMode,
    RetryTrigger, StageStatus, TriggerType,
};
pub use stop::{NotStoppable, StopOrder, stop_execution};
pub use structure::{CANNED_ACLS, StructureError, StructureErrorKind, validate_structure};
pub use tags::{TAGS_MAX, TagError, TaggedResource, Tags, check_key, check_tags, merge_tags};
pub use tokens::Tokens;
pub use transition::{
    CLOSED_MAX, disable_transition, enable_transition, end_expired, expired_before, hold_for_question, release_hold,
};
pub use trigger::{GIT_CONNECTION, GitEvent, TriggerMiss, judge_git_event};
pub use turns::{LOOKS_MAX, is_turn_of};
pub use variable_check::check_variable;
pub use variables::{ResolveError, Scope, resolve_configuration};
pub use watch::{DataPoints, MetricWatch, Watch, WatchPurpose, WatchState, note_unjudged, saw_data, watch_state};
pub use webhook::{
    FilterMiss, InvalidWebhook, Secret, Sender, Unauthentic, Webhook, WebhookAuthConfiguration, WebhookAuthentication,
    WebhookDefinition, WebhookFilter, WebhookProblem, authenticate, has_placeholders, judge_filters, put_webhook,
};
pub use window::DeploymentWindow;
