//! Adapters: the engine's ports over the AWS SDK, one module per service, each behind the feature of its SDK.
//!
//! **May touch**: AWS, through SDK clients that the caller built.
//!
//! **Architecture invariants**: no decisions and no state, only translation between a port and a service; every SDK
//! error leaves as the port's error, named by what the caller can do; no environment, no credentials, no clock; the
//! same code talks to AWS and to a local endpoint, told apart by the client's configuration alone.

#[cfg(any(
    feature = "cloudwatch",
    feature = "eventbridge",
    feature = "lambda",
    feature = "sfn",
    feature = "sns",
    feature = "sts"
))]
mod cloud_error;
#[cfg(feature = "cloudwatch")]
mod cloudwatch;
#[cfg(feature = "cloudwatch")]
mod data_points;
#[cfg(feature = "eventbridge")]
mod eventbridge;
#[cfg(feature = "lambda")]
mod lambda;
#[cfg(any(feature = "sfn", feature = "sts"))]
mod machine_arn;
#[cfg(feature = "cloudwatch")]
mod metric_data;
#[cfg(all(
    test,
    any(
        feature = "cloudwatch",
        feature = "eventbridge",
        feature = "lambda",
        feature = "sfn",
        feature = "sns",
        feature = "sts"
    )
))]
mod replies;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(feature = "sfn")]
mod sfn;
#[cfg(feature = "sns")]
mod sns;
#[cfg(feature = "sts")]
mod sts;

#[cfg(feature = "cloudwatch")]
pub use cloudwatch::CloudWatchAlarms;
#[cfg(feature = "eventbridge")]
pub use eventbridge::EventBus;
#[cfg(feature = "lambda")]
pub use lambda::LambdaFunctions;
#[cfg(feature = "sfn")]
pub use sfn::StepFunctions;
#[cfg(feature = "sns")]
pub use sns::SnsTopics;
#[cfg(feature = "sts")]
pub use sts::StsRoles;
