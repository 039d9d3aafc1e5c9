//! What a pipeline of CodePipeline's does otherwise in Lastgood.

use domain::{Deviation, Severity};
use engine::HasStore;
use protocol::wire::compatibility::{
    CompatibilityFinding, FindingSeverity, ReportCompatibilityInput, ReportCompatibilityOutput,
};

use crate::failure::Failure;

/// ReportCompatibility.
pub(crate) async fn report<W: HasStore>(
    world: &W,
    input: ReportCompatibilityInput,
) -> Result<ReportCompatibilityOutput, Failure> {
    let settings = world.settings();
    let catalogue = engine::catalogue(world).await?;
    let findings = domain::differences(&input.pipeline, &catalogue, &settings.region, &settings.account);
    Ok(ReportCompatibilityOutput { findings: findings.into_iter().map(finding).collect() })
}

fn finding(finding: Deviation) -> CompatibilityFinding {
    let severity = match finding.severity {
        Severity::Refused => FindingSeverity::Refused,
        Severity::Unsupported => FindingSeverity::Unsupported,
        Severity::Different => FindingSeverity::Different,
        Severity::Ignored => FindingSeverity::Ignored,
    };
    CompatibilityFinding { severity, path: finding.path, message: finding.message }
}
