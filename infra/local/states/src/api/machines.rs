//! Operations on state machines and their tags.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answer,
    wire::{cut, page, present, seconds},
};
use crate::{
    arn,
    definition::Machine,
    names,
    refusal::Refusal,
    service::States,
    store::{MachineRow, Store},
};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateStateMachine {
    name: String,
    definition: String,
    role_arn: String,
    r#type: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Debug, Deserialize)]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UpdateStateMachine {
    state_machine_arn: String,
    definition: Option<String>,
    role_arn: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NamedMachine {
    state_machine_arn: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listing {
    max_results: Option<u32>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tagging {
    resource_arn: String,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    tag_keys: Vec<String>,
}

impl States {
    pub(super) fn create_state_machine(&self, request: CreateStateMachine) -> Answer {
        names::check(&request.name).map_err(|message| Refusal::new("InvalidName", message))?;
        if request.r#type.as_deref().is_some_and(|kind| kind != "STANDARD") {
            return Err(Refusal::new("StateMachineTypeNotSupported", "only type STANDARD is supported"));
        }
        check_definition(&request.definition)?;
        let arn = arn::machine_arn(&request.name);
        let now = self.now();
        let mut store = self.store();
        if let Some(existing) = store.machine(&arn)? {
            let same = store.definition(&arn, existing.revision)?.as_deref() == Some(&request.definition);
            if same && existing.role_arn == request.role_arn {
                return Ok(json!({"stateMachineArn": arn, "creationDate": seconds(existing.created)}));
            }
            return Err(Refusal::new("StateMachineAlreadyExists", format!("State Machine Already Exists: '{arn}'")));
        }
        let machine = MachineRow {
            arn: arn.clone(),
            name: request.name,
            role_arn: request.role_arn,
            revision: store.newest_revision(&arn)? + 1,
            created: now,
            updated: now,
        };
        store.put_machine(&machine, Some(&request.definition))?;
        store.put_tags(&arn, &pairs(request.tags))?;
        Ok(json!({"stateMachineArn": arn, "creationDate": seconds(now)}))
    }

    pub(super) fn update_state_machine(&self, request: UpdateStateMachine) -> Answer {
        if request.definition.is_none() && request.role_arn.is_none() {
            return Err(Refusal::new(
                "MissingRequiredParameter",
                "Either the definition or the roleArn must be specified",
            ));
        }
        request.definition.as_deref().map(check_definition).transpose()?;
        let now = self.now();
        let mut store = self.store();
        let mut machine = machine(&store, &request.state_machine_arn)?;
        machine.updated = now;
        if let Some(role_arn) = request.role_arn {
            machine.role_arn = role_arn;
        }
        if request.definition.is_some() {
            machine.revision = store.newest_revision(&machine.arn)? + 1;
        }
        store.put_machine(&machine, request.definition.as_deref())?;
        Ok(json!({"updateDate": seconds(now), "revisionId": revision_id(machine.revision)}))
    }

    pub(super) fn delete_state_machine(&self, request: &NamedMachine) -> Answer {
        self.store().delete_machine(&request.state_machine_arn)?;
        Ok(json!({}))
    }

    pub(super) fn describe_state_machine(&self, request: &NamedMachine) -> Answer {
        let store = self.store();
        let machine = machine(&store, &request.state_machine_arn)?;
        let mut described = describe(&store, &machine.arn, machine.revision)?;
        described["roleArn"] = json!(machine.role_arn);
        described["status"] = json!("ACTIVE");
        described["type"] = json!("STANDARD");
        described["creationDate"] = seconds(machine.created);
        Ok(described)
    }

    pub(super) fn list_state_machines(&self, request: &Listing) -> Answer {
        // Machines are few: the continuation counts them.
        let page = page(request.next_token.as_deref(), request.max_results, 0)?;
        let all = self.store().machines("", u32::MAX)?;
        let mut rows: Vec<_> = (0_i64..).zip(all).filter(|(place, _)| *place >= page.from).collect();
        let next = cut(&mut rows, page, |(place, _)| *place);
        let listed: Vec<Value> = rows.iter().map(|(_, machine)| summary(machine)).collect();
        Ok(present(json!({"stateMachines": listed, "nextToken": next})))
    }

    pub(super) fn list_tags(&self, request: &Tagging) -> Answer {
        let store = self.store();
        taggable(&store, &request.resource_arn)?;
        let tags = store.tags(&request.resource_arn)?;
        let tags: Vec<Value> = tags.into_iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
        Ok(json!({"tags": tags}))
    }

    pub(super) fn tag(&self, request: Tagging) -> Answer {
        let mut store = self.store();
        taggable(&store, &request.resource_arn)?;
        store.put_tags(&request.resource_arn, &pairs(request.tags))?;
        Ok(json!({}))
    }

    pub(super) fn untag(&self, request: &Tagging) -> Answer {
        let mut store = self.store();
        taggable(&store, &request.resource_arn)?;
        store.remove_tags(&request.resource_arn, &request.tag_keys)?;
        Ok(json!({}))
    }
}

/// The members that DescribeStateMachine and DescribeStateMachineForExecution share.
pub(super) fn describe(store: &Store, arn: &str, revision: i64) -> Answer {
    let definition = store.definition(arn, revision)?.unwrap_or_default();
    Ok(json!({
        "stateMachineArn": arn,
        "name": arn::machine_name(arn),
        "definition": definition,
        "revisionId": revision_id(revision),
        "loggingConfiguration": {"level": "OFF", "includeExecutionData": false},
        "tracingConfiguration": {"enabled": false},
    }))
}

pub(super) fn machine(store: &Store, arn: &str) -> Result<MachineRow, Refusal> {
    if !arn.starts_with("arn:") {
        return Err(Refusal::new("InvalidArn", format!("Invalid Arn: '{arn}'")));
    }
    let found = store.machine(arn)?;
    found.ok_or_else(|| Refusal::new("StateMachineDoesNotExist", format!("State Machine Does Not Exist: '{arn}'")))
}

fn check_definition(definition: &str) -> Result<(), Refusal> {
    let refused = |error| Refusal::new("InvalidDefinition", format!("Invalid State Machine Definition: '{error}'"));
    Machine::parse(definition).map(|_| ()).map_err(refused)
}

fn summary(machine: &MachineRow) -> Value {
    json!({
        "stateMachineArn": machine.arn, "name": machine.name, "type": "STANDARD", "creationDate": seconds(machine.created),
    })
}

fn taggable(store: &Store, arn: &str) -> Result<(), Refusal> {
    let refused = || Refusal::new("ResourceNotFound", format!("Resource not found: '{arn}'"));
    store.machine(arn)?.map(|_| ()).ok_or_else(refused)
}

fn pairs(tags: Vec<Tag>) -> Vec<(String, String)> {
    tags.into_iter().map(|tag| (tag.key, tag.value)).collect()
}

/// AWS gives revisions a UUID; ours counts in its last group.
fn revision_id(revision: i64) -> String {
    format!("00000000-0000-4000-8000-{revision:012}")
}
