//! Which revisions an execution shall take, where the caller names them (spec 2.4).

use std::collections::{BTreeMap, btree_map::Entry};

use domain::{ActionDeclaration, ActionName, PipelineName, SourcePin};
use engine::{HasObjects, HasStore};
use protocol::{
    ErrorCode,
    wire::executions::{SourceRevisionOverride, SourceRevisionType},
};

use crate::failure::Failure;

/// Setting of an S3 source action without which its key cannot be replaced; `false` when absent.
const ALLOW_KEY: &str = "AllowOverrideForS3ObjectKey";

/// The object versions and keys that `overrides` name, by Source action. Reads the definition only if there are any.
pub(crate) async fn pins<W: HasStore + HasObjects>(
    world: &W,
    pipeline: &PipelineName,
    overrides: Vec<SourceRevisionOverride>,
) -> Result<BTreeMap<ActionName, SourcePin>, Failure> {
    let mut pins = BTreeMap::new();
    if overrides.is_empty() {
        return Ok(pins);
    }
    let (declaration, _) = engine::get_pipeline(world, pipeline, None).await?;
    let sources = declaration.stages.first().map_or(&[][..], |stage| &stage.actions);
    for order in overrides {
        let Some(action) = sources.iter().find(|action| action.name == order.action_name) else {
            return Err(invalid(format!("The pipeline has no Source action '{}'.", order.action_name)));
        };
        add(&mut pins, action, order)?;
    }
    Ok(pins)
}

fn add(
    pins: &mut BTreeMap<ActionName, SourcePin>,
    action: &ActionDeclaration,
    order: SourceRevisionOverride,
) -> Result<(), Failure> {
    let name = &action.name;
    let is_s3 = action.action_type_id.provider == "S3";
    let pin = match pins.entry(name.clone()) {
        Entry::Occupied(pin) => pin.into_mut(),
        Entry::Vacant(place) => place.insert(SourcePin { key: None, version_id: None }),
    };
    let place = match order.revision_type {
        SourceRevisionType::S3ObjectVersionId if is_s3 => &mut pin.version_id,
        SourceRevisionType::S3ObjectKey if is_s3 => {
            if action.configuration.get(ALLOW_KEY).is_none_or(|allow| !allow.eq_ignore_ascii_case("true")) {
                let message = format!("The key of Source action '{name}' is fixed. Set its {ALLOW_KEY} to true first.");
                return Err(invalid(message));
            }
            &mut pin.key
        }
        _ => {
            let takes = if is_s3 { "S3_OBJECT_VERSION_ID and S3_OBJECT_KEY" } else { "no revision by name" };
            return Err(invalid(format!("Source action '{name}' takes {takes}.")));
        }
    };
    match place.replace(order.revision_value) {
        None => Ok(()),
        Some(_) => Err(invalid(format!("Source action '{name}' is given two revisions of one type."))),
    }
}

fn invalid(message: String) -> Failure {
    Failure::refused(ErrorCode::ValidationException, message)
}
