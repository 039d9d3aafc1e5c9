//! Tags of pipelines, webhooks and action types.

use domain::{TagError, Tags, check_tags};
use engine::{EngineError, HasStore};
use protocol::wire::tags::{
    ListTagsForResourceInput, ListTagsForResourceOutput, Tag, TagResourceInput, TagResourceOutput, UntagResourceInput,
    UntagResourceOutput,
};

use crate::{failure::Failure, paging::Listing};

/// The tags that come with the creation of a resource.
///
/// # Errors
/// InvalidTagsException.
pub(crate) fn given(tags: Option<&Vec<Tag>>) -> Result<Tags, EngineError> {
    let pairs = tags.into_iter().flatten().map(|tag| (tag.key.clone(), tag.value.clone()));
    check_tags(pairs).map_err(|error: TagError| error.into())
}

/// TagResource.
pub(crate) async fn add<W: HasStore>(world: &W, input: TagResourceInput) -> Result<TagResourceOutput, Failure> {
    engine::tag_resource(world, &input.resource_arn, &given(Some(&input.tags))?).await?;
    Ok(TagResourceOutput {})
}

/// UntagResource.
pub(crate) async fn remove<W: HasStore>(world: &W, input: UntagResourceInput) -> Result<UntagResourceOutput, Failure> {
    engine::untag_resource(world, &input.resource_arn, &input.tag_keys).await?;
    Ok(UntagResourceOutput {})
}

/// ListTagsForResource, by key.
pub(crate) async fn list<W: HasStore>(
    world: &W,
    listing: &Listing,
    input: ListTagsForResourceInput,
) -> Result<ListTagsForResourceOutput, Failure> {
    let page = engine::list_tags(world, &input.resource_arn, listing.page()).await?;
    let tags = page.items.into_iter().map(|(key, value)| Tag { key, value });
    Ok(ListTagsForResourceOutput { tags: tags.collect(), next_token: listing.token(page.next)? })
}
