//! What a pipeline of CodePipeline's does otherwise in Lastgood.

use domain::PipelineDeclaration;
use serde::{Deserialize, Serialize};

use super::described::Scalar;

extension! {
    /// The pipeline to look at.
    ReportCompatibilityInput {
        /// As `GetPipeline` answers it and `CreatePipeline` takes it. It need not exist, and is not created.
        pipeline: PipelineDeclaration;
    }

    /// What would be different.
    ReportCompatibilityOutput {
        /// Every difference, in the order of the declaration; empty where there is none.
        findings: Vec<CompatibilityFinding>;
    }

    /// One difference.
    CompatibilityFinding {
        /// How much it matters.
        severity: FindingSeverity,
        /// Where in the declaration, as validation errors spell it.
        path: String as FindingPath,
        /// What is different, and what can be done about it.
        message: String as FindingMessage;
    }
}

/// How much a difference matters, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum FindingSeverity {
    Refused,
    Unsupported,
    Different,
    Ignored,
}

shapes! {
    /// Where in the declaration, such as `pipeline.stages.1.member.name`.
    FindingPath: Scalar::TEXT;

    /// For people.
    FindingMessage: Scalar::TEXT;

    /// REFUSED: the pipeline cannot be created. UNSUPPORTED: this part fails or starts nothing. DIFFERENT: it works in
    /// another way. IGNORED: it is kept and has no effect.
    FindingSeverity for FindingSeverity: Scalar::one_of(&["REFUSED", "UNSUPPORTED", "DIFFERENT", "IGNORED"]);
}
