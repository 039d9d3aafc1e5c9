//! The style sheet, the script and the icon that pages link to, each at an address that changes with its content.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use super::route::ROOT;

/// Bytes of a digest that tell contents apart.
const DIGEST_BYTES: usize = 8;

/// A file that pages link to.
pub(super) struct Asset {
    name: &'static str,
    /// Its media type.
    pub(super) media: &'static str,
    /// What it holds.
    pub(super) body: &'static str,
}

const STYLE: Asset =
    Asset { name: "console.css", media: "text/css; charset=utf-8", body: include_str!("../../assets/console.css") };
const SCRIPT: Asset = Asset {
    name: "console.js",
    media: "text/javascript; charset=utf-8",
    body: include_str!("../../assets/console.js"),
};
const ICON: Asset = Asset { name: "icon.svg", media: "image/svg+xml", body: include_str!("../../assets/icon.svg") };

/// Where they are.
#[derive(Debug, Clone)]
pub(super) struct Addresses {
    pub(super) style: String,
    pub(super) script: String,
    pub(super) icon: String,
}

static ADDRESSES: LazyLock<Addresses> =
    LazyLock::new(|| Addresses { style: address(&STYLE), script: address(&SCRIPT), icon: address(&ICON) });

/// Where they are.
pub(super) fn addresses() -> &'static Addresses {
    &ADDRESSES
}

/// The file at that address. One of another version is not there: what is cached for ever must not change.
pub(super) fn find(digest: &str, name: &str) -> Option<Asset> {
    let found = [STYLE, SCRIPT, ICON].into_iter().find(|asset| asset.name == name)?;
    (digest_of(&found) == digest).then_some(found)
}

fn address(asset: &Asset) -> String {
    format!("{ROOT}/assets/{}/{}", digest_of(asset), asset.name)
}

fn digest_of(asset: &Asset) -> String {
    let digest = Sha256::digest(asset.body);
    digest[..DIGEST_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
}
