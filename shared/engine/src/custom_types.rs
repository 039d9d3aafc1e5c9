//! Declaring action types of one's own, and finding them (spec 6.3).

use domain::{
    ActionTypeId, ActionTypeInfo, Catalogue, CustomType, CustomTypeCount, PipelineDeclaration, TaggedResource, Tags,
    declare_custom_type,
};

use crate::{
    EngineError, HasStore,
    commit::until_stored,
    ports::{Precondition, Row, Store, Write},
    tags::{tag_new, untag_removed},
};

/// Owner of the types that an account declares itself.
pub(crate) const CUSTOM: &str = "Custom";

/// CreateCustomActionType.
///
/// # Errors
/// Refusals `ValidationException`, `LimitExceededException`, `TooManyTagsException`.
pub async fn create_custom_type<W: HasStore>(world: &W, info: ActionTypeInfo, tags: &Tags) -> Result<(), EngineError> {
    until_stored(async || {
        let before = world.store().load_custom_type(&info.id).await?;
        let declared = declare_custom_type(before.as_ref(), info.clone(), world.now())?;
        let count = world.store().load_custom_type_count().await?.one_more()?;
        let tags = tag_new(world, TaggedResource::action_type(&info.id), tags.clone())?;
        let mut writes = both(declared, count);
        writes.push(tags);
        Ok(world.store().commit(writes).await?)
    })
    .await
}

/// DeleteCustomActionType. One that is not there is success. Pipelines that use it stay, and their actions of this type
/// fail; nobody gets jobs of it any more.
///
/// # Errors
/// [`EngineError::Unavailable`] is worth a retry.
pub async fn delete_custom_type<W: HasStore>(world: &W, id: &ActionTypeId) -> Result<(), EngineError> {
    until_stored(async || {
        let Some(known) = world.store().load_custom_type(id).await?.filter(|known| known.deleted_at.is_none()) else {
            return Ok(());
        };
        let count = world.store().load_custom_type_count().await?.one_less();
        let mut writes = both(CustomType { deleted_at: Some(world.now()), ..known }, count);
        writes.push(untag_removed(TaggedResource::action_type(id)));
        Ok(world.store().commit(writes).await?)
    })
    .await
}

fn both(custom: CustomType, count: CustomTypeCount) -> Vec<Write> {
    let (version, counted) = (custom.version, count.version);
    vec![
        Write::Put(Row::CustomType(custom), Precondition::Version(version)),
        Write::Put(Row::CustomTypeCount(count), Precondition::Version(counted)),
    ]
}

/// The action types there are: those built in and those declared.
///
/// # Errors
/// [`EngineError::Unavailable`] is worth a retry.
pub async fn catalogue<W: HasStore>(world: &W) -> Result<Catalogue, EngineError> {
    let declared = world.store().custom_types().await?;
    let in_use = declared.into_iter().filter(|custom| custom.deleted_at.is_none());
    Ok(Catalogue::new(in_use.map(|custom| custom.info).collect()))
}

/// The action types that `declaration` can be made of. Most pipelines have no custom actions: then nothing is read.
pub(crate) async fn catalogue_for<W: HasStore>(
    world: &W,
    declaration: &PipelineDeclaration,
) -> Result<Catalogue, EngineError> {
    let mut actions = declaration.stages.iter().flat_map(|stage| &stage.actions);
    if actions.any(|action| action.action_type_id.owner == CUSTOM) {
        catalogue(world).await
    } else {
        Ok(Catalogue::default())
    }
}

/// A custom type that is in use.
///
/// # Errors
/// Refusal `ActionTypeNotFoundException`.
pub(crate) async fn load_live<W: HasStore>(world: &W, id: &ActionTypeId) -> Result<CustomType, EngineError> {
    let known = world.store().load_custom_type(id).await?;
    known.filter(|known| known.deleted_at.is_none()).ok_or_else(|| {
        EngineError::refused("ActionTypeNotFoundException", format!("{} does not exist.", id.describe()))
    })
}
