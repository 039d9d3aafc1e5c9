//! The action over objects in memory, with good archives and evil ones.

mod evil;
mod good;

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::executor::block_on;
use jiff::Timestamp;
use uuid::Uuid;

use super::*;
use crate::ports::objects::memory::MemoryObjects;

fn buckets() -> MemoryObjects {
    let objects = MemoryObjects::default();
    objects.create_bucket("artifacts", true);
    objects.create_bucket("site", false);
    objects
}

fn request(settings: &[(&str, &str)]) -> DeployRequest {
    let mut configuration: BTreeMap<String, String> =
        [("BucketName", "site"), ("Extract", "true")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    configuration.extend(settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    DeployRequest {
        artifact_digest: None,
        artifact: ObjectAt::new("artifacts", "a.zip"),
        region: None,
        artifact_version: None,
        configuration: S3DeployConfiguration::parse(&configuration).unwrap(),
        started_at: Timestamp::from_second(1_767_225_600).unwrap(),
        uuid: Uuid::from_u128(7),
        progress: Progress::default(),
    }
}

fn store(objects: &MemoryObjects, archive: Vec<u8>) {
    objects.store("artifacts", "a.zip", Bytes::from(archive), BTreeMap::new());
}

fn run(objects: &MemoryObjects, request: &DeployRequest) -> Result<Outcome, DeployFailed> {
    block_on(deploy(objects, request, || false))
}

/// A zip of stored or deflated files, by the `zip` crate.
fn zip_of(files: &[(&str, &[u8])], method: zip::CompressionMethod) -> Vec<u8> {
    use std::io::Write;
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for (name, body) in files {
        if name.ends_with('/') {
            writer.add_directory(*name, options).unwrap();
        } else {
            writer.start_file(*name, options).unwrap();
            writer.write_all(body).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}
