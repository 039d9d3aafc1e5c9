//! A pipeline's index fits into one item, however large its declaration is, or the pipeline is refused.

use std::collections::BTreeMap;

use crate::{
    Condition, FailureConditions, PipelineIndex, RuleDeclaration, StageIndex,
    item_size::{ITEM_BYTES_MAX, item_bytes},
};

/// Most bytes of an index. The rest of its item is for keys, and for what is filled in as it is stored.
const INDEX_BYTES_MAX: usize = ITEM_BYTES_MAX - 10 * 1024;

/// An index that fits into no item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "What has to be at hand of the pipeline takes {bytes} bytes, at most {INDEX_BYTES_MAX} are allowed. Most of it, \
     {of_largest} bytes, are {largest}. {advice}."
)]
pub struct IndexTooLarge {
    bytes: usize,
    largest: &'static str,
    of_largest: usize,
    advice: &'static str,
}

impl PipelineIndex {
    /// Demands that it fits into its item.
    ///
    /// # Errors
    /// [`IndexTooLarge`], which says what to make smaller.
    pub fn check_size(&self) -> Result<(), IndexTooLarge> {
        let bytes = item_bytes(self);
        if bytes <= INDEX_BYTES_MAX {
            return Ok(());
        }
        let of = |part: fn(&StageIndex) -> usize| self.stages.iter().map(part).sum::<usize>();
        let parts = [
            (of(|stage| item_bytes(&stage.actions)), "actions", "Use shorter names of actions and input artifacts"),
            (item_bytes(&self.variables), "variables", "Use shorter default values and descriptions"),
            (of(|stage| item_bytes(&stage.watches)), "metrics of watches", "Declare fewer metrics, or presets"),
            (
                of(|stage| item_bytes(&stage.conditions) + item_bytes(&stage.on_failure)),
                "conditions",
                "Use shorter names of rules",
            ),
        ];
        let (of_largest, largest, advice) = parts.into_iter().max().unwrap_or_default();
        Err(IndexTooLarge { bytes, largest, of_largest, advice })
    }
}

impl FailureConditions {
    /// The same with rules of which no more is told than which they are: their settings, which may take megabytes, are
    /// read in the declaration.
    pub(crate) fn outline(&self) -> Self {
        let rule = |rule: &RuleDeclaration| RuleDeclaration {
            name: rule.name.clone(),
            rule_type_id: rule.rule_type_id.clone(),
            configuration: BTreeMap::new(),
            commands: Vec::new(),
            input_artifacts: Vec::new(),
            role_arn: None,
            region: None,
            timeout_in_minutes: None,
        };
        let condition = |condition: &Condition| Condition {
            result: condition.result.clone(),
            rules: condition.rules.iter().map(rule).collect(),
        };
        Self {
            result: self.result.clone(),
            retry_configuration: self.retry_configuration.clone(),
            conditions: self.conditions.iter().map(condition).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;
    use crate::Catalogue;

    fn index(stages: Vec<Value>) -> PipelineIndex {
        let declared = json!({"name": "shop", "roleArn": "role", "stages": stages});
        let declaration = serde_json::from_value(declared).unwrap();
        PipelineIndex::new(&declaration, &Catalogue::default(), 1, String::new(), String::new(), Timestamp::UNIX_EPOCH)
    }

    fn build(name: &str, inputs: &[String], outputs: &[String]) -> Value {
        let artifacts = |names: &[String]| names.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>();
        json!({
            "name": name, "inputArtifacts": artifacts(inputs), "outputArtifacts": artifacts(outputs),
            "actionTypeId": {"category": "Build", "owner": "AWS", "provider": "CodeBuild", "version": "1"},
        })
    }

    /// As many characters as a name may have.
    fn long(what: &str, number: usize) -> String {
        format!("{what}{number:0>width$}", width = 100 - what.len())
    }

    #[test]
    fn settings_of_rules_stay_in_the_declaration() {
        let rule = |number: usize| {
            json!({
                "name": format!("rule-{number}"), "ruleTypeId": {"category": "Rule", "provider": "LambdaInvoke"},
                "configuration": {"FunctionName": "ask", "UserParameters": "x".repeat(10_000)},
                "inputArtifacts": [{"name": "App"}], "roleArn": "role", "region": "eu-west-1", "timeoutInMinutes": 5,
            })
        };
        let condition = json!({"result": "ROLLBACK", "rules": (0..5).map(rule).collect::<Vec<_>>()});
        let retry = json!({"retryMode": "ALL_ACTIONS"});
        let stage = |number: usize| {
            json!({
                "name": format!("stage-{number}"), "actions": [build("Make", &[], &[])],
                "onFailure": {"retryConfiguration": retry, "conditions": [condition]},
            })
        };
        let index = index((0..50).map(stage).collect());
        index.check_size().unwrap();
        assert!(item_bytes(&index) < 100_000);
        let kept = index.stages[49].on_failure.clone().unwrap();
        assert!(kept.is_asked() && kept.retry_configuration.is_some());
        assert_eq!(kept.conditions[0].result.as_deref(), Some("ROLLBACK"));
        assert_eq!(kept.conditions[0].rules[4].name, "rule-4");
    }

    #[test]
    fn as_many_actions_as_there_may_be_fit() {
        let action = |number: usize| {
            let outputs: Vec<String> = (0..3).map(|output| long("Out", number * 3 + output)).collect();
            build(&long("action", number), &["App".to_owned()], &outputs)
        };
        let stage = |at: usize| {
            let actions: Vec<Value> = (at * 100..(at + 1) * 100).map(action).collect();
            json!({"name": format!("stage-{at}"), "actions": actions})
        };
        let index = index((0..10).map(stage).collect());
        index.check_size().unwrap();
        assert!(index.stages.iter().all(|stage| stage.inputs() == BTreeSet::from(["App"])));
    }

    #[test]
    fn what_is_too_large_says_what_to_make_smaller() {
        let action = |number: usize| {
            let inputs: Vec<String> = (0..5).map(|input| long("In", number * 5 + input)).collect();
            build(&long("action", number), &inputs, &[])
        };
        let stage = json!({"name": "Build", "actions": (0..1_000).map(action).collect::<Vec<_>>()});
        let why = index(vec![stage]).check_size().unwrap_err().to_string();
        assert!(why.contains("at most 399360 are allowed") && why.contains("bytes, are actions. Use shorter"), "{why}");
    }
}
