//! Where revisions come from.

use super::{ActionKind, ActionTypeInfo, aws};

pub(super) fn types() -> Vec<ActionTypeInfo> {
    vec![
        aws("Source", "S3", 0..=0, 1..=1)
            .run_as(ActionKind::Native)
            .required(&["S3Bucket", "S3ObjectKey"])
            .optional(&["AllowOverrideForS3ObjectKey", "PollForSourceChanges"])
            .seen_at("https://console.aws.amazon.com/s3/buckets/{Config:S3Bucket}"),
        aws("Source", "CodeCommit", 0..=0, 1..=1)
            .required(&["RepositoryName", "BranchName"])
            .optional(&["OutputArtifactFormat", "PollForSourceChanges"])
            .seen_at("https://console.aws.amazon.com/codecommit/home#/repository/{Config:RepositoryName}/browse"),
        aws("Source", "ECR", 0..=0, 1..=1).required(&["RepositoryName"]).optional(&["ImageTag"]),
        aws("Source", "CodeStarSourceConnection", 0..=0, 1..=1)
            .run_as(ActionKind::Native)
            .required(&["ConnectionArn", "FullRepositoryId", "BranchName"])
            .optional(&["DetectChanges", "OutputArtifactFormat"]),
        // GitHub version 1, which authenticates with a token of a person's.
        aws("Source", "GitHub", 0..=0, 1..=1)
            .of_third_party()
            .required(&["Owner", "Repo", "Branch"])
            .secret(&["OAuthToken"])
            .optional(&["PollForSourceChanges"])
            .seen_at("https://github.com/{Config:Owner}/{Config:Repo}/tree/{Config:Branch}"),
    ]
}
