//! Shapes that Lastgood's own operations take over from CodePipeline's table by name, constraints and all.

use super::{Epoch, executions};

codepipeline! {
    ActionName for domain::ActionName,
    Boolean for bool,
    MaxResults,
    NextToken,
    PipelineDeclaration for domain::PipelineDeclaration,
    PipelineExecutionId for domain::ExecutionId,
    PipelineExecutionStatus for domain::ExecutionStatus,
    PipelineName for domain::PipelineName,
    PipelineVersion,
    SourceRevision for executions::SourceRevision,
    StageName for domain::StageName,
    Timestamp for Epoch,
}
