//! Where an operation differs from CodePipeline's, each with its reason: what the reference page says.

use protocol::Operation;

/// Of both answers to a job.
const ACKNOWLEDGED_FIRST: &str = "A worker has to acknowledge its job first, else the answer is an `InvalidJobStateException`: who lost a job cannot end it.";

/// Differences of `operation` from the same one of CodePipeline, in Markdown; none where it is meant to be the same.
///
/// Total on purpose: whoever adds an operation says here what is different about it.
pub fn differences(operation: Operation) -> &'static [&'static str] {
    use Operation as O;
    match operation {
        O::CreatePipeline => &[
            "An absent `pipelineType` is `V2`, not `V1`: rollback, conditions and variables need it.",
            "Where a variable has no default, the first execution is recorded as Failed: nobody could give the value.",
            "The pipeline's role is assumed once, as CodePipeline does: its trust policy has to name the function `api`.",
            "Of actions in another region than Lastgood's, Lambda and S3 deploy run there; those of providers with a state \
             machine are stored, and fail when they are reached.",
            "Actions of providers that Lastgood does not run are stored, and fail when they are reached; \
             `ReportCompatibility` names them beforehand.",
            "`onFailure` retries or rolls back when the actions of the same `runOrder` have ended, not while one of them still runs.",
        ],
        O::UpdatePipeline => &[
            "A running execution whose action fails after the update ends Cancelled and does not roll back.",
            "Targets of a rollback survive an update that leaves their stage's actions alone, and so does a rollback under way.",
            "A pipeline that is not there is `ResourceNotFoundException`, which the model does not declare for this \
             operation but the service is known to answer.",
        ],
        O::ListActionTypes => &[
            "Lists what a pipeline may hold, and not all of it is run: `ReportCompatibility` says what is not.",
            "Actions of CodePipeline start pipelines of this installation.",
            "Of a provider's optional configuration keys the common ones are listed; others are kept as well.",
        ],
        O::ListRuleTypes => &[
            "All of CodePipeline's are evaluated in all three conditions of a stage. A failure whose condition asks somebody is settled when \
             they have answered; until then the stage is in progress.",
            "Commands run in the CodeBuild project that the template makes, as the role of the rule or the pipeline.",
            "`Watch` of `CloudWatchAlarm` is Lastgood's own: the alarm is observed after the stage was left.",
            "`MetricDegradation` is Lastgood's own: metrics of a deploy are judged against what they were before, for `onSuccess`.",
            "A `DeploymentWindow` is open in every second its `Cron` matches, where `0` stands for the whole minute (seconds) and for the \
             whole hour (minutes beside them). With alarms beside it, they are looked at again when it opens.",
            "`MATCHES` of `VariableCheck` takes Java's patterns, in linear time: without look-around, back references, atomic \
             groups, possessive quantifiers, classes inside classes, and properties beyond ASCII (`\\p{Alpha}` is known, \
             `\\p{L}` is not). Who uses them is told so when the pipeline is stored.",
        ],
        O::RollbackStage => &[
            "A target of an older pipeline version is accepted while the stage still does the same.",
            "A stage that is in use is taken from whoever is inside, who is cancelled and fenced; CodePipeline refuses. On a \
             bad night nobody wants to wait for a deploy that hangs.",
            "The inbound transition is held until a person opens it, or the queue would bring the bad revision back.",
        ],
        O::GetPipelineState => &[
            "PARALLEL pipelines show no executions of conditions.",
            "A rule that watches shows how its watch stands, though its condition was evaluated by nobody: `InProgress` until its time is over, `Failed` where its alarm turned red.",
            "`created` of a revision is when the action took it: one request answers the whole state.",
        ],
        O::ListPipelineExecutions => &[
            "`succeededInStage` means that the stage succeeded and still does the same, whatever the pipeline's version.",
        ],
        O::StartPipelineExecution => &[
            "A client token stands for its execution for 7 days, also with other parameters: a client that retries must get the same answer.",
            "Texts about variables, revisions and the limit are ours, since CodePipeline's are not public.",
            "An execution that an action of another pipeline started has JSON in its `triggerDetail`: `PipelineName`, \
             `PipelineExecutionId`, `ActionName` and `RoleArn` of the action. Pipelines that would wait for each other are refused.",
        ],
        O::PutActionRevision => &[
            "`revisionId` of an S3 source is the object version to take, so that the run takes exactly what was told.",
            "`newRevision` is false for 7 days after a put or an upload started that revision. `revisionChangeId` and `created` are not kept.",
            "An action that is no Source action is a `ValidationException`, since it exists.",
        ],
        O::StopPipelineExecution => &[
            "Abandoning is complete when the call returns, so a second stop finds `Stopped` and is refused as not stoppable; \
             `DuplicatedStopRequestException` is for waiting twice.",
            "An unknown execution is not stoppable: the operation declares no not-found error for it.",
            "A stage whose last action and checks all succeeded while stopping counts as live: that revision is deployed.",
        ],
        O::RetryStageExecution => &[
            "A stage that is in progress is a `ConflictException`; it fails only when its whole group of actions has ended.",
            "An unknown execution is not retryable: the operation declares no not-found error for it.",
            "`FAILED_ACTIONS` runs everything after the first group that did not wholly succeed, since later actions may depend on it.",
        ],
        O::PutWebhook => &[
            "The URL is under the host that the caller reached, and lasts until DeleteWebhook.",
            "Filters are RFC 9535 JSONPath with one `..` at most and no functions: a stranger's payload must not make a path expensive.",
            "A target action outside the Source stage is a `ValidationException`.",
            "For a source of type CodeStarSourceConnection the payload also has to pass the pipeline's trigger for it, or without one be a \
             push to its branch; the execution is started as `WebhookV2`.",
        ],
        O::ListWebhooks => {
            &["`errorCode` is the HTTP status that the sender got; it is gone after the next delivery that is fine."]
        }
        O::TagResource | O::UntagResource | O::ListTagsForResource => &[
            "An ARN of another account or region, or of a stage or an action, is an `InvalidArnException`: nothing there has tags here.",
        ],
        O::ListActionExecutions => &[
            "Runs come by execution, the newest execution first, and of each the newest run first: a retry of an older execution is \
             not at the top.",
            "`Latest` shows the runs as they were at the first page, so that a retry moves no item.",
            "A page ends before `maxResults` where its answer would be longer than 4 MB, since a function answers with 6 MB at \
             most; `nextToken` goes on there.",
        ],
        O::DeletePipeline => {
            &["Webhooks stay; their deliveries are refused until there is a pipeline of that name again."]
        }
        O::CreateCustomActionType => &[
            "A type of that name that is in use is a `ValidationException`, also when identical: the model declares no other error.",
            "URL templates may name only properties that are declared, required and not secret.",
        ],
        O::DeleteCustomActionType => &[
            "Actions of a deleted type fail when they begin; jobs that are queued wait until the type is there again or they time out.",
        ],
        O::GetActionType => &[
            "Describes the types that run here, with a job worker as executor. Custom types are in ListActionTypes: the model's pattern of `owner` does not allow them here.",
        ],
        O::UpdateActionType => &[
            "Nothing can be updated: the model lets it name types of AWS and partners only, and those of Lastgood do not change.",
        ],
        O::PollForJobs => &[
            "One job unless asked for more, 50 at most. A job that is not acknowledged is offered again after 30 seconds.",
        ],
        O::GetJobDetails => &[
            "Knows the jobs of Lambda actions and of `LambdaInvoke` rules too, the latter as Invoke actions called like the rule. \
               Ended jobs come without credentials: whoever is done needs none.",
        ],
        O::PutJobSuccessResult => &[
            ACKNOWLEDGED_FIRST,
            "Output variables of a `LambdaInvoke` rule's job are not kept: nobody could refer to them.",
        ],
        O::PutJobFailureResult => &[ACKNOWLEDGED_FIRST],
        O::OverrideStageCondition => &[
            "An unknown execution is a `NotLatestPipelineExecutionException`: the operation declares no not-found error for it.",
            "A second override is a `ConditionNotOverridableException`, since nothing is left to override.",
            "A stage that an `onSuccess` condition failed with ROLLBACK shows `Failed`, and once that rollback has begun the answer is a \
             `NotLatestPipelineExecutionException`.",
        ],
        O::PutApprovalResult => &[
            "After a rejection nothing follows by itself, neither the rollback nor the retry of `onFailure`: nothing was deployed.",
        ],
        O::ListRuleExecutions => &[
            "`externalExecutionId` is the build of a `CodeBuild` or `Commands` rule and the job of a `LambdaInvoke` rule; alarms, windows \
             and variables have no run of their own.",
            "Evaluations come in the order of `ListActionExecutions`.",
            "Pages end as those of `ListActionExecutions`.",
        ],
        O::ListDeployActionExecutionTargets => &[
            "Targets are always empty: no provider here has any. An id is looked for among the pipeline's newest 1000 runs; \
             without `pipelineName`, among the newest 20 of each pipeline.",
        ],
        O::GetPipelineExecution => &[
            "`triggerDetail` of an upload has the form of a rule's ARN and is a label: the event does not say which rule brought it.",
        ],
        O::GetPipeline => {
            &["`metadata` is always that of the current version. The text about a version that is not there is ours."]
        }
        O::EnableStageTransition => {
            &["Lifts a rollback's hold as well, and records it as a decision, so today's tools suffice."]
        }
        O::PreviewRollback => &[
            "CodePipeline has none. `#{codepipeline.PipelineExecutionId}` stays a reference: the rollback has no id yet.",
        ],
        O::ReleaseHold => &[
            "CodePipeline has none: its queue brings the bad revision back. A transition that a person has disabled besides stays disabled. \
             Where nothing is held the answer is a `ResourceNotFoundException`.",
        ],
        O::DescribeHealth => &[
            "CodePipeline has none: AWS looks after it. Events that no function could handle are in the queue `DeadLetters`; CloudWatch \
             counts them, some minutes late.",
        ],
        O::GetShadowScorecard => &[
            "CodePipeline has none. Releases that nobody complained about and that shadow mode would have let be are in no entry.",
        ],
        O::ListKeptArtifacts => &[
            "CodePipeline has none: whether an artifact is still there shows when it is needed. Executions of versions without \
             checksums have none: of their artifacts only the absence is noticed.",
        ],
        O::ListRevokedRevisions => &[
            "CodePipeline has none: the same revision passes as often as it is uploaded. What executions of older versions carried is not recognised.",
        ],
        O::ReinstateRevision => &["CodePipeline has none. What is not revoked is a `ResourceNotFoundException`."],
        O::ListIncidents => &["CodePipeline has none: its rollbacks are not checked against what they were for."],
        O::ReplayDecision => &["CodePipeline has none. The newest 1000 decisions of a stage can be taken again."],
        O::StartRollback => &[
            "CodePipeline has none: `RollbackStage` takes no reason, and its targets are lost with every edit of the pipeline.",
        ],
        O::ListRollbackDecisions => {
            &["CodePipeline has none. Rollbacks that were due and had nothing to go back to are listed too."]
        }
        O::AcknowledgeThirdPartyJob
        | O::GetThirdPartyJobDetails
        | O::PollForThirdPartyJobs
        | O::PutThirdPartyJobFailureResult
        | O::PutThirdPartyJobSuccessResult => &["Partners' actions are not served; use a custom action type."],
        O::RegisterWebhookWithThirdParty | O::DeregisterWebhookWithThirdParty => {
            &["Nobody is called: enter the URL of PutWebhook at the provider by hand."]
        }
        O::AcknowledgeJob
        | O::DeleteWebhook
        | O::DisableStageTransition
        | O::ListPipelines
        | O::ListHolds
        | O::ListRollbackCandidates
        | O::ReportCompatibility => &[],
    }
}
