//! Pipelines themselves: create, read, change, delete, list.

use domain::{ExecutionMode, PipelineDeclaration, PipelineName, PipelineType};

use super::Epoch;
use super::tags::Tag;

wire! {
    /// CreatePipeline.
    CreatePipelineInput { pipeline: PipelineDeclaration; tags: Vec<Tag> }

    /// CreatePipeline's answer.
    CreatePipelineOutput { pipeline: PipelineDeclaration; tags: Vec<Tag> }

    /// UpdatePipeline.
    UpdatePipelineInput { pipeline: PipelineDeclaration; }

    /// UpdatePipeline's answer.
    UpdatePipelineOutput { pipeline: PipelineDeclaration; }

    /// GetPipeline; without a version, the current one.
    GetPipelineInput { name: PipelineName; version: u32 }

    /// GetPipeline's answer.
    GetPipelineOutput { pipeline: PipelineDeclaration, metadata: PipelineMetadata; }

    /// What the server knows about a pipeline beside its declaration.
    PipelineMetadata { pipeline_arn: String, created: Epoch, updated: Epoch; polling_disabled_at: Epoch }

    /// DeletePipeline; succeeds for a pipeline that does not exist.
    DeletePipelineInput { name: PipelineName; }

    /// ListPipelines; 1 to 1000 per page.
    #[derive(Default)]
    ListPipelinesInput { ; next_token: String, max_results: u32 }

    /// ListPipelines' answer.
    ListPipelinesOutput { pipelines: Vec<PipelineSummary>; next_token: String }

    /// A line of ListPipelines.
    PipelineSummary {
        name: PipelineName,
        version: u32,
        pipeline_type: PipelineType,
        execution_mode: ExecutionMode,
        created: Epoch,
        updated: Epoch;
    }
}
