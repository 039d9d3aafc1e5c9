//! Declaring action types, and looking at one.

use domain::ActionTypeId;

use super::actions::{ActionConfigurationProperty, ActionType, ActionTypeSettings, ArtifactDetails};
use super::tags::Tag;

wire! {
    /// CreateCustomActionType.
    CreateCustomActionTypeInput {
        category: String,
        provider: String,
        version: String,
        input_artifact_details: ArtifactDetails,
        output_artifact_details: ArtifactDetails;
        settings: ActionTypeSettings,
        configuration_properties: Vec<ActionConfigurationProperty>,
        tags: Vec<Tag>,
    }

    /// CreateCustomActionType's answer.
    CreateCustomActionTypeOutput { action_type: ActionType; tags: Vec<Tag> }

    /// DeleteCustomActionType.
    DeleteCustomActionTypeInput { category: String, provider: String, version: String; }

    /// GetActionType; its owner is AWS or ThirdParty.
    GetActionTypeInput { category: String, owner: String, provider: String, version: String; }

    /// GetActionType's answer.
    GetActionTypeOutput { ; action_type: ActionTypeDeclaration }

    /// UpdateActionType.
    UpdateActionTypeInput { action_type: ActionTypeDeclaration; }

    /// An action type, and who does its actions.
    ActionTypeDeclaration {
        executor: ActionTypeExecutor,
        id: ActionTypeId,
        input_artifact_details: ArtifactDetails,
        output_artifact_details: ArtifactDetails;
        description: String,
        permissions: ActionTypePermissions,
        properties: Vec<ActionTypeProperty>,
        urls: ActionTypeUrls,
    }

    /// Who does the actions of a type.
    ActionTypeExecutor {
        configuration: ExecutorConfiguration,
        #[serde(rename = "type")]
        executor_type: ExecutorType;
        policy_statements_template: String,
        job_timeout: u32,
    }

    /// Exactly one of the two.
    #[derive(Default)]
    ExecutorConfiguration {
        ;
        lambda_executor_configuration: LambdaExecutorConfiguration,
        job_worker_executor_configuration: JobWorkerExecutorConfiguration,
    }

    /// A function does them.
    LambdaExecutorConfiguration { lambda_function_arn: String; }

    /// Job workers of these accounts and services do them.
    #[derive(Default)]
    JobWorkerExecutorConfiguration {
        ;
        polling_accounts: Vec<String>,
        polling_service_principals: Vec<String>,
    }

    /// Accounts that may use a type.
    ActionTypePermissions { allowed_accounts: Vec<String>; }

    /// One configuration key.
    ActionTypeProperty {
        name: String,
        optional: bool,
        key: bool,
        no_echo: bool;
        queryable: bool,
        description: String,
    }

    /// Links of an action type.
    #[derive(Default)]
    ActionTypeUrls {
        ;
        configuration_url: String,
        entity_url_template: String,
        execution_url_template: String,
        revision_url_template: String,
    }
}

/// What kind of executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum ExecutorType {
    JobWorker,
    Lambda,
}
