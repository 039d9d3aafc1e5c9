//! Shapes that Lastgood's own operations take over from CodePipeline's table by name, constraints and all.

use super::{Epoch, executions};

codepipeline! {
    ActionConfigurationMap,
    ActionName for domain::ActionName,
    ActionRunOrder,
    ActionTypeId for domain::ActionTypeId,
    ArtifactName,
    ArtifactRevision for executions::ArtifactRevision,
    Boolean for bool,
    ExecutionType for domain::ExecutionType,
    MaxResults,
    NextToken,
    PipelineDeclaration for domain::PipelineDeclaration,
    PipelineExecutionId for domain::ExecutionId,
    PipelineExecutionStatus for domain::ExecutionStatus,
    PipelineName for domain::PipelineName,
    PipelineVersion,
    ResolvedActionConfigurationMap,
    ResolvedPipelineVariable for executions::ResolvedPipelineVariable,
    S3BucketName,
    S3ObjectKey,
    SourceRevision for executions::SourceRevision,
    StageName for domain::StageName,
    Timestamp for Epoch,
}
