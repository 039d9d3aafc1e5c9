//! Pipelines themselves.

use engine::{HasAlarms, HasMachines, HasObjects, HasRoles, HasStore, ports::Store};
use protocol::wire::pipelines::{
    CreatePipelineInput, CreatePipelineOutput, DeletePipelineInput, GetPipelineInput, GetPipelineOutput,
    ListPipelinesOutput, PipelineMetadata, PipelineSummary, UpdatePipelineInput, UpdatePipelineOutput,
};

use crate::{failure::Failure, paging::Listing, tags};

/// CreatePipeline.
pub(crate) async fn create<W: HasStore + HasObjects + HasMachines + HasRoles>(
    world: &W,
    input: CreatePipelineInput,
    caller: &str,
) -> Result<CreatePipelineOutput, Failure> {
    let tags = tags::given(input.tags.as_ref())?;
    let pipeline = engine::create_pipeline(world, input.pipeline, tags, caller).await?;
    Ok(CreatePipelineOutput { pipeline, tags: input.tags })
}

/// GetPipeline.
pub(crate) async fn get<W: HasStore + HasObjects>(
    world: &W,
    input: GetPipelineInput,
) -> Result<GetPipelineOutput, Failure> {
    let (pipeline, index) = engine::get_pipeline(world, &input.name, input.version).await?;
    let metadata = PipelineMetadata {
        pipeline_arn: world.settings().pipeline_arn(input.name.as_str()),
        created: index.created_at.into(),
        updated: index.updated_at.into(),
        polling_disabled_at: None,
    };
    Ok(GetPipelineOutput { pipeline, metadata })
}

/// UpdatePipeline.
pub(crate) async fn update<W: HasStore + HasObjects + HasMachines + HasAlarms + HasRoles>(
    world: &W,
    input: UpdatePipelineInput,
) -> Result<UpdatePipelineOutput, Failure> {
    let pipeline = engine::update_pipeline(world, input.pipeline).await?;
    Ok(UpdatePipelineOutput { pipeline })
}

/// DeletePipeline.
pub(crate) async fn delete<W: HasStore + HasObjects + HasMachines>(
    world: &W,
    input: DeletePipelineInput,
) -> Result<(), Failure> {
    Ok(engine::delete_pipeline(world, &input.name).await?)
}

/// ListPipelines.
pub(crate) async fn list<W: HasStore>(world: &W, listing: &Listing) -> Result<ListPipelinesOutput, Failure> {
    let page = world.store().list_pipelines(listing.page()).await?;
    let pipelines = page.items.into_iter().map(|pipeline| PipelineSummary {
        name: pipeline.name,
        version: pipeline.pipeline_version,
        pipeline_type: pipeline.pipeline_type,
        execution_mode: pipeline.mode,
        created: pipeline.created_at.into(),
        updated: pipeline.updated_at.into(),
    });
    Ok(ListPipelinesOutput { pipelines: pipelines.collect(), next_token: listing.token(page.next)? })
}
