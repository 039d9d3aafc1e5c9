//! The releases of the story, and the pipeline they go through.

use std::io::{Cursor, Write};

use serde_json::{Value, json};
use zip::{ZipWriter, write::SimpleFileOptions};

use super::{
    SMOKE_CHECK, raw_metrics,
    story::{ALARM, ARTIFACTS, OBJECT, PIPELINE, RELEASES, SITE},
};

/// One release of the demonstration's shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// Its number.
    pub number: u32,
    /// Whether it holds the file that the smoke check looks for.
    pub with_appspec: bool,
}

impl Release {
    /// The page that the site serves with this release.
    pub fn page(&self) -> String {
        format!("<!doctype html><title>Shop</title><h1>Release {}</h1>\n", self.number)
    }

    /// The release as a zip archive.
    ///
    /// # Errors
    /// Never in practice: it is written to memory.
    pub fn archive(&self) -> anyhow::Result<Vec<u8>> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("index.html", SimpleFileOptions::default())?;
        zip.write_all(self.page().as_bytes())?;
        if self.with_appspec {
            zip.start_file("appspec.yml", SimpleFileOptions::default())?;
            writeln!(zip, "version: {}", self.number)?;
        }
        Ok(zip.finish()?.into_inner())
    }
}

/// What tells that a release does harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// An alarm of CloudWatch.
    Alarm,
    /// The judge, by metrics alone.
    Judge,
}

/// The pipeline: an upload to S3, then a deploy of its content and a smoke check, with automatic rollback when they
/// fail and a watch on an alarm, or on metrics, for ten minutes after they succeeded.
pub fn pipeline_declaration(guard: Guard) -> Value {
    let rule = match guard {
        Guard::Judge => raw_metrics::rule(),
        Guard::Alarm => json!({
            "name": "Errors",
            "ruleTypeId": { "category": "Rule", "owner": "AWS", "provider": "CloudWatchAlarm", "version": "1" },
            "configuration": { "AlarmName": ALARM, "WaitTime": "10", "Watch": "true" },
        }),
    };
    let aws = |category: &str, provider: &str| json!({ "category": category, "owner": "AWS", "provider": provider, "version": "1" });
    json!({
        "name": PIPELINE,
        "roleArn": "arn:aws:iam::000000000000:role/shop-pipeline",
        "pipelineType": "V2",
        "artifactStore": { "type": "S3", "location": ARTIFACTS },
        "stages": [
            { "name": "Source", "actions": [{
                "name": "Upload",
                "actionTypeId": aws("Source", "S3"),
                "configuration": { "S3Bucket": RELEASES, "S3ObjectKey": OBJECT, "PollForSourceChanges": "false" },
                "outputArtifacts": [{ "name": "Shop" }],
            }]},
            { "name": "Deploy",
              "actions": [{
                "name": "Publish",
                "runOrder": 1,
                "actionTypeId": aws("Deploy", "S3"),
                "configuration": { "BucketName": SITE, "Extract": "true", "CacheControl": "no-cache" },
                "inputArtifacts": [{ "name": "Shop" }],
              }, {
                "name": "SmokeCheck",
                "runOrder": 2,
                "actionTypeId": aws("Invoke", "Lambda"),
                "configuration": { "FunctionName": SMOKE_CHECK, "UserParameters": format!("{SITE}/index.html") },
                "inputArtifacts": [{ "name": "Shop" }],
              }],
              "onFailure": { "result": "ROLLBACK" },
              "onSuccess": { "conditions": [{ "result": "ROLLBACK", "rules": [rule] }] },
            },
        ],
    })
}
