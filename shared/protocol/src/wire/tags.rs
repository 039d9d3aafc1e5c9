//! Tags of pipelines, webhooks and action types.

wire! {
    /// A tag.
    Tag { key: String, value: String; }

    /// TagResource.
    TagResourceInput { resource_arn: String, tags: Vec<Tag>; }

    /// UntagResource.
    UntagResourceInput { resource_arn: String, tag_keys: Vec<String>; }

    /// ListTagsForResource; 1 to 100 per page.
    ListTagsForResourceInput { resource_arn: String; next_token: String, max_results: u32 }

    /// ListTagsForResource's answer.
    ListTagsForResourceOutput { tags: Vec<Tag>; next_token: String }

    /// TagResource's answer, which is empty.
    #[derive(Default)]
    TagResourceOutput { ; }

    /// UntagResource's answer, which is empty.
    #[derive(Default)]
    UntagResourceOutput { ; }
}
