//! Declaring custom action types, and looking at one type.

use std::ops::RangeInclusive;

use domain::{ActionKind, ActionProperty, ActionTypeId, ActionTypeInfo, ActionTypeUrls, Catalogue};
use engine::{HasBasics, HasStore};
use protocol::{
    ErrorCode,
    wire::{
        action_types::{
            ActionTypeDeclaration, ActionTypeExecutor, ActionTypePermissions, ActionTypeProperty,
            ActionTypeUrls as DeclaredUrls, CreateCustomActionTypeInput, CreateCustomActionTypeOutput,
            DeleteCustomActionTypeInput, ExecutorConfiguration, ExecutorType, GetActionTypeInput, GetActionTypeOutput,
            JobWorkerExecutorConfiguration, UpdateActionTypeInput,
        },
        actions::{ActionConfigurationProperty, ActionTypeSettings, ArtifactDetails},
    },
};

use crate::{catalogue, failure::Failure, tags};

/// Longest time an action of a custom type may take: 24 hours (spec 1.10).
const TIMEOUT_S: u32 = 24 * 60 * 60;

/// CreateCustomActionType.
pub(crate) async fn create<W: HasStore>(
    world: &W,
    input: CreateCustomActionTypeInput,
) -> Result<CreateCustomActionTypeOutput, Failure> {
    let properties = input.configuration_properties.unwrap_or_default();
    let info = ActionTypeInfo {
        id: custom(input.category, input.provider, input.version),
        kind: Some(ActionKind::Job),
        inputs: range(&input.input_artifact_details),
        outputs: range(&input.output_artifact_details),
        properties: properties.into_iter().map(property).collect(),
        urls: urls(input.settings.unwrap_or_default()),
        v2_only: false,
        timeout_s: TIMEOUT_S,
        heartbeat_s: None,
    };
    let given = tags::given(input.tags.as_ref())?;
    engine::create_custom_type(world, info.clone(), &given).await?;
    Ok(CreateCustomActionTypeOutput { action_type: catalogue::action_type(&info), tags: input.tags })
}

/// DeleteCustomActionType.
pub(crate) async fn delete<W: HasStore>(world: &W, input: DeleteCustomActionTypeInput) -> Result<(), Failure> {
    let id = custom(input.category, input.provider, input.version);
    Ok(engine::delete_custom_type(world, &id).await?)
}

fn custom(category: String, provider: String, version: String) -> ActionTypeId {
    ActionTypeId { category, owner: "Custom".to_owned(), provider, version }
}

fn range(details: &ArtifactDetails) -> RangeInclusive<usize> {
    usize::from(details.minimum_count)..=usize::from(details.maximum_count)
}

fn urls(settings: ActionTypeSettings) -> ActionTypeUrls {
    ActionTypeUrls {
        third_party_configuration_url: settings.third_party_configuration_url,
        entity_url_template: settings.entity_url_template,
        execution_url_template: settings.execution_url_template,
        revision_url_template: settings.revision_url_template,
    }
}

fn property(property: ActionConfigurationProperty) -> ActionProperty {
    ActionProperty {
        name: property.name,
        required: property.required,
        key: property.key,
        secret: property.secret,
        queryable: property.queryable.unwrap_or_default(),
        description: property.description,
        value_type: property.property_type,
    }
}

/// GetActionType, for types that are built in and run. Custom types are listed by ListActionTypes; the model has no
/// owner Custom here.
pub(crate) fn get<W: HasBasics>(world: &W, input: GetActionTypeInput) -> Result<GetActionTypeOutput, Failure> {
    let GetActionTypeInput { category, owner, provider, version } = input;
    let id = ActionTypeId { category, owner, provider, version };
    let catalogue = Catalogue::default();
    let info = catalogue.find(&id).filter(|info| info.kind.is_some()).ok_or_else(|| unknown(&id))?;
    Ok(GetActionTypeOutput { action_type: Some(declaration(info, &world.settings().account)) })
}

/// UpdateActionType. What is built in cannot be changed, and there are no others that it could name.
pub(crate) fn update(input: &UpdateActionTypeInput) -> Result<(), Failure> {
    let id = &input.action_type.id;
    if Catalogue::default().find(id).is_none() {
        return Err(unknown(id));
    }
    let message = format!(
        "{} is built in and cannot be changed. Declare an action type of your own with CreateCustomActionType.",
        id.describe()
    );
    Err(Failure::refused(ErrorCode::RequestFailedException, message))
}

fn unknown(id: &ActionTypeId) -> Failure {
    let message = format!("{} is not run by Lastgood. ListActionTypes shows what there is.", id.describe());
    Failure::refused(ErrorCode::ActionTypeNotFoundException, message)
}

/// Lastgood itself is the worker of what is built in.
fn declaration(info: &ActionTypeInfo, account: &str) -> ActionTypeDeclaration {
    let worker =
        JobWorkerExecutorConfiguration { polling_accounts: Some(vec![account.to_owned()]), ..Default::default() };
    let configuration =
        ExecutorConfiguration { job_worker_executor_configuration: Some(worker), ..ExecutorConfiguration::default() };
    let urls = info.urls.clone();
    ActionTypeDeclaration {
        description: Some("Built in: Lastgood runs it, and no other worker can poll for it.".to_owned()),
        executor: ActionTypeExecutor {
            configuration,
            executor_type: ExecutorType::JobWorker,
            policy_statements_template: None,
            job_timeout: None,
        },
        id: info.id.clone(),
        input_artifact_details: catalogue::artifact_details(&info.inputs),
        output_artifact_details: catalogue::artifact_details(&info.outputs),
        permissions: Some(ActionTypePermissions { allowed_accounts: vec![account.to_owned()] }),
        properties: Some(info.properties.iter().cloned().map(declared_property).collect()),
        urls: Some(DeclaredUrls {
            configuration_url: urls.third_party_configuration_url,
            entity_url_template: urls.entity_url_template,
            execution_url_template: urls.execution_url_template,
            revision_url_template: urls.revision_url_template,
        }),
    }
}

fn declared_property(property: ActionProperty) -> ActionTypeProperty {
    ActionTypeProperty {
        name: property.name,
        optional: !property.required,
        key: property.key,
        no_echo: property.secret,
        queryable: property.queryable.then_some(true),
        description: property.description,
    }
}
