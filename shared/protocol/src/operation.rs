//! Every operation the protocol speaks, as one closed set.

use crate::model::{CODEPIPELINE, LASTGOOD, Model, OperationShapes};

/// Whose operation it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// AWS's API, version 2015-07-09.
    CodePipeline,
    /// What Lastgood adds, version 2026-12-01.
    Lastgood,
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 2] = [Self::CodePipeline, Self::Lastgood];

    pub(crate) fn model(self) -> &'static Model {
        match self {
            Self::CodePipeline => &CODEPIPELINE,
            Self::Lastgood => &LASTGOOD,
        }
    }

    /// Prefix of `X-Amz-Target` and service name in RPC v2 paths, such as `CodePipeline_20150709`.
    pub fn target(self) -> &'static str {
        &self.model().target
    }
}

macro_rules! operations {
    ($($service:ident { $($name:ident),+ $(,)? })+) => {
        /// An operation, named as on the wire. `match` on it without a wildcard: a new one must find its handler.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the names are CodePipeline's; spec section 7 tells what each does")]
        pub enum Operation { $($($name),+),+ }

        impl Operation {
            /// Every operation, by service and name.
            pub const ALL: &[Self] = &[$($(Self::$name),+),+];

            /// Name on the wire.
            pub fn name(self) -> &'static str {
                match self { $($(Self::$name => stringify!($name)),+),+ }
            }

            /// Whose it is.
            pub fn service(self) -> Service {
                match self { $($(Self::$name)|+ => Service::$service),+ }
            }
        }
    };
}

operations! {
    CodePipeline {
        AcknowledgeJob, AcknowledgeThirdPartyJob, CreateCustomActionType, CreatePipeline, DeleteCustomActionType,
        DeletePipeline, DeleteWebhook, DeregisterWebhookWithThirdParty, DisableStageTransition, EnableStageTransition,
        GetActionType, GetJobDetails, GetPipeline, GetPipelineExecution, GetPipelineState, GetThirdPartyJobDetails,
        ListActionExecutions, ListActionTypes, ListDeployActionExecutionTargets, ListPipelineExecutions, ListPipelines,
        ListRuleExecutions, ListRuleTypes, ListTagsForResource, ListWebhooks, OverrideStageCondition, PollForJobs,
        PollForThirdPartyJobs, PutActionRevision, PutApprovalResult, PutJobFailureResult, PutJobSuccessResult,
        PutThirdPartyJobFailureResult, PutThirdPartyJobSuccessResult, PutWebhook, RegisterWebhookWithThirdParty,
        RetryStageExecution, RollbackStage, StartPipelineExecution, StopPipelineExecution, TagResource, UntagResource,
        UpdateActionType, UpdatePipeline,
    }
    Lastgood {
    DescribeHealth, GetShadowScorecard, ListHolds, ListIncidents, ListKeptArtifacts, ListRollbackCandidates, ListRollbackDecisions, PreviewRollback, ReleaseHold, ReplayDecision, ReportCompatibility, StartRollback, ListRevokedRevisions, ReinstateRevision,
    }
}

impl Operation {
    /// The operation of `service` called `name`, exactly as spelled.
    pub fn find(service: Service, name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|operation| operation.service() == service && operation.name() == name)
    }

    /// Names of the errors its model declares; a typed client knows these.
    pub fn declared_errors(self) -> &'static [String] {
        &self.shapes().errors
    }

    pub(crate) fn shapes(self) -> &'static OperationShapes {
        self.service()
            .model()
            .operations
            .get(self.name())
            .expect("a test checks that the model has every operation of the enum")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_enum_and_the_models_name_the_same_operations() {
        for service in Service::ALL {
            let modelled: BTreeSet<&str> = service.model().operations.keys().map(String::as_str).collect();
            let ours = Operation::ALL.iter().filter(|operation| operation.service() == service);
            assert_eq!(modelled, ours.map(|operation| operation.name()).collect(), "{service:?}");
        }
    }

    #[test]
    fn an_operation_is_found_in_its_own_service_only() {
        let found = Operation::find(Service::Lastgood, "ListRollbackCandidates");
        assert_eq!(found, Some(Operation::ListRollbackCandidates));
        assert_eq!(Operation::find(Service::CodePipeline, "ListRollbackCandidates"), None);
        assert_eq!(Operation::find(Service::CodePipeline, "getPipeline"), None);
    }
}
