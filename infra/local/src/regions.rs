//! Regions besides the process's own, where it is told to serve any: their buckets and functions are told apart by the
//! region that requests are signed for. Everything else is in the one region.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::ensure;
use axum::Router;
use engine::ports::Entropy;
use local_lambda::{Functions, Owner};
use runtime::Timer;

use crate::{ACCOUNT, REGION, front::Service};

/// The other regions, each with its functions.
#[derive(Clone, Default)]
pub(crate) struct Regions(BTreeMap<String, (Functions, Router)>);

impl Regions {
    /// Opens `names`; what was queued for their functions is in directories of these names in `dir`.
    ///
    /// # Errors
    /// A name that is none, or a directory that cannot be used.
    pub(crate) fn open(
        names: &[String],
        dir: &Path,
        clock: &Arc<dyn Timer>,
        entropy: &Arc<dyn Entropy>,
    ) -> anyhow::Result<Self> {
        let mut regions = BTreeMap::new();
        for name in names.iter().filter(|name| *name != REGION) {
            let is_name = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
            // CodePipeline's limits for the name of a region (spec 1.3).
            ensure!(
                is_name && (4..=30).contains(&name.len()),
                "'{name}' is not the name of a region, such as eu-west-1"
            );
            let owner = Owner { account: ACCOUNT.to_owned(), region: name.clone() };
            let functions = Functions::open(&dir.join(name), owner, clock.clone(), entropy.clone())?;
            let router = functions.router();
            regions.insert(name.clone(), (functions, router));
        }
        Ok(Self(regions))
    }

    /// Whether there is more than one region.
    pub(crate) fn are_several(&self) -> bool {
        !self.0.is_empty()
    }

    /// The region that a request for `service` is for, which was `signed` for this one.
    pub(crate) fn of(&self, service: Service, signed: Option<&str>) -> &str {
        let known = signed.and_then(|signed| self.0.get_key_value(signed)).map(|(name, _)| name.as_str());
        known.filter(|_| matches!(service, Service::S3 | Service::Lambda)).unwrap_or(REGION)
    }

    /// Lambda's API in another region.
    pub(crate) fn lambda(&self, region: &str) -> Option<&Router> {
        self.0.get(region).map(|(_, router)| router)
    }

    /// The functions of another region.
    pub(crate) fn functions(&self, region: &str) -> anyhow::Result<&Functions> {
        let found = self.0.get(region).map(|(functions, _)| functions);
        found.ok_or_else(|| anyhow::anyhow!("region {region} is not served here. Add --region {region}"))
    }

    /// The functions of each.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Functions> {
        self.0.values().map(|(functions, _)| functions)
    }
}
