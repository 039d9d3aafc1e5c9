//! The model tables, as they are checked in.

use std::sync::LazyLock;

use protocol::Service;
use serde_json::Value;

static CODEPIPELINE: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../../shared/protocol/model/codepipeline-2015-07-09.json")).unwrap()
});
static LASTGOOD: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../../shared/protocol/model/lastgood-2026-12-01.json")).unwrap()
});

/// Operations and shapes of `service`.
pub(crate) fn table(service: Service) -> &'static Value {
    match service {
        Service::CodePipeline => &CODEPIPELINE,
        Service::Lastgood => &LASTGOOD,
    }
}
