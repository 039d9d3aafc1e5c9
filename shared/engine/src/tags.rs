//! Tags of pipelines, webhooks and action types.
//!
//! Whatever can carry tags has one row for them, made and removed in the same transaction as itself. So the row tells
//! that the resource exists, whatever kind it is, and a resource made anew has none of its predecessor's tags.

use std::ops::Bound;

use domain::{TagError, TaggedResource, Tags, check_key, merge_tags};

use crate::{
    EngineError, HasBasics, HasStore,
    commit::until_stored,
    ports::{Page, PageRequest, Precondition, ResourceTags, Row, Store, Write},
};

/// The write that belongs into the transaction that makes `resource`, also where it has no tags yet.
///
/// # Errors
/// Refusal `TooManyTagsException`.
pub(crate) fn tag_new<W: HasBasics>(world: &W, resource: TaggedResource, tags: Tags) -> Result<Write, EngineError> {
    let tags = merge_tags(Tags::new(), tags, &arn(world, &resource))?;
    // Versions begin with the time, so that who read the tags of a predecessor does not take this row for them.
    let version = u64::try_from(world.now().as_millisecond()).unwrap_or(0);
    Ok(Write::Put(Row::Tags(ResourceTags { resource, tags, version }), Precondition::Absent))
}

/// Tags of `resource`, which exists, with those of `more`, and the write that belongs into the transaction that changes
/// the resource; none where that adds nothing.
///
/// # Errors
/// Refusal `TooManyTagsException`.
pub(crate) async fn tag_changed<W: HasStore>(
    world: &W,
    resource: &TaggedResource,
    more: Tags,
) -> Result<(Tags, Option<Write>), EngineError> {
    let Some(before) = world.store().load_tags(resource).await? else {
        return Ok((more.clone(), Some(tag_new(world, resource.clone(), more)?)));
    };
    let tags = merge_tags(before.tags.clone(), more, &arn(world, resource))?;
    if tags == before.tags {
        return Ok((tags, None));
    }
    let precondition = Precondition::Version(before.version);
    let row = Row::Tags(ResourceTags { tags: tags.clone(), ..before });
    Ok((tags, Some(Write::Put(row, precondition))))
}

/// The write that belongs into the transaction that removes `resource`.
pub(crate) fn untag_removed(resource: TaggedResource) -> Write {
    Write::Delete(Row::Tags(ResourceTags { resource, tags: Tags::new(), version: 0 }))
}

/// Adds tags, replacing the values of keys that are there.
///
/// # Errors
/// Refusals `InvalidArnException`, `ResourceNotFoundException`, `TooManyTagsException`.
pub async fn tag_resource<W: HasStore>(world: &W, arn: &str, tags: &Tags) -> Result<(), EngineError> {
    change(world, arn, |before| merge_tags(before, tags.clone(), arn)).await
}

/// Removes tags; keys that are not there are none to remove.
///
/// # Errors
/// Refusals `InvalidArnException`, `InvalidTagsException`, `ResourceNotFoundException`.
pub async fn untag_resource<W: HasStore>(world: &W, arn: &str, keys: &[String]) -> Result<(), EngineError> {
    keys.iter().try_for_each(|key| check_key(key))?;
    change(world, arn, |mut tags| {
        tags.retain(|key, _| !keys.contains(key));
        Ok(tags)
    })
    .await
}

/// Tags by key. A page begins after the key before it, so changes meanwhile move nothing.
///
/// # Errors
/// Refusals `InvalidArnException`, `ResourceNotFoundException`.
pub async fn list_tags<W: HasStore>(
    world: &W,
    arn: &str,
    page: PageRequest,
) -> Result<Page<(String, String)>, EngineError> {
    let tags = load(world, arn).await?.tags;
    let from = page.after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = tags.range::<String, _>((from, Bound::Unbounded));
    let items: Vec<(String, String)> =
        rest.by_ref().take(page.limit as usize).map(|(key, value)| (key.clone(), value.clone())).collect();
    let next = rest.next().and_then(|_| items.last()).map(|(key, _)| key.clone());
    Ok(Page { items, next })
}

async fn change<W: HasStore>(
    world: &W,
    arn: &str,
    decide: impl Fn(Tags) -> Result<Tags, TagError> + Send + Sync,
) -> Result<(), EngineError> {
    until_stored(async || {
        let before = load(world, arn).await?;
        let tags = decide(before.tags.clone())?;
        if tags == before.tags {
            return Ok(());
        }
        let precondition = Precondition::Version(before.version);
        let row = Row::Tags(ResourceTags { tags, ..before });
        Ok(world.store().commit(vec![Write::Put(row, precondition)]).await?)
    })
    .await
}

async fn load<W: HasStore>(world: &W, arn: &str) -> Result<ResourceTags, EngineError> {
    let settings = world.settings();
    let resource = TaggedResource::from_arn(arn, &settings.region, &settings.account)?;
    let tags = world.store().load_tags(&resource).await?;
    tags.ok_or_else(|| EngineError::refused("ResourceNotFoundException", resource.not_found(&settings.account)))
}

fn arn<W: HasBasics>(world: &W, resource: &TaggedResource) -> String {
    resource.arn(&world.settings().region, &world.settings().account)
}
