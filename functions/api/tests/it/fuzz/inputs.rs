//! Inputs that satisfy the model, with names that exist where the model says what a name is of.

use std::collections::BTreeMap;

use protocol::Operation;
use serde_json::{Map, Value, json};

use super::chance::Chance;
use crate::models;

/// Values that satisfy one pattern or another of the model.
const SAMPLES: [&str; 8] = [
    "a",
    "11111111-1111-1111-1111-111111111111",
    "111122223333",
    "AWS",
    "*",
    "arn:aws:iam::111122223333:role/r",
    "arn:aws:lambda:eu-west-1:111122223333:function:f",
    "arn:aws:codepipeline:eu-west-1:111122223333:p",
];

/// Where valid inputs come from.
pub(crate) struct Inputs {
    /// Names that exist, by shape.
    names: BTreeMap<&'static str, Vec<String>>,
    /// A pipeline that can be stored.
    pipeline: Value,
}

impl Inputs {
    pub(crate) fn new(names: BTreeMap<&'static str, Vec<String>>, pipeline: Value) -> Self {
        Self { names, pipeline }
    }

    /// A valid input of `operation`: any of its members, of any size.
    pub(crate) fn of(&self, operation: Operation, chance: &mut Chance) -> Value {
        let table = models::table(operation.service());
        let name = table["operations"][operation.name()]["input"].as_str().unwrap();
        self.value(&table["shapes"], name, chance)
    }

    fn value(&self, shapes: &Value, name: &str, chance: &mut Chance) -> Value {
        let shape = &shapes[name];
        if name == "PipelineDeclaration" && chance.percent(80) {
            return self.pipeline.clone();
        }
        match shape["type"].as_str().unwrap() {
            "structure" => self.structure(shapes, shape, chance),
            "list" => {
                let member = shape["member"].as_str().unwrap();
                (0..self.count(shape, chance)).map(|_| self.value(shapes, member, chance)).collect()
            }
            "map" => {
                let (key, value) = (shape["key"].as_str().unwrap(), shape["value"].as_str().unwrap());
                let mut map = Map::new();
                for _ in 0..self.count(shape, chance) {
                    let key = self.value(shapes, key, chance);
                    map.insert(key.as_str().unwrap().to_owned(), self.value(shapes, value, chance));
                }
                map.into()
            }
            "string" => self.text(name, shape, chance).into(),
            "boolean" => chance.percent(50).into(),
            "timestamp" => json!(1_780_000_042.725),
            _ => {
                let least = shape["min"].as_i64().unwrap_or(0);
                let most = shape["max"].as_i64().unwrap_or(i64::from(i32::MAX));
                (*chance.one_of(&[least, most, least.midpoint(most).min(most)])).into()
            }
        }
    }

    fn structure(&self, shapes: &Value, shape: &Value, chance: &mut Chance) -> Value {
        let required: Vec<&Value> = shape["required"].as_array().into_iter().flatten().collect();
        let mut value = Map::new();
        for member in shape["members"].as_array().unwrap() {
            if required.contains(&&member[0]) || chance.percent(40) {
                let inner = self.value(shapes, member[1].as_str().unwrap(), chance);
                value.insert(member[0].as_str().unwrap().to_owned(), inner);
            }
        }
        value.into()
    }

    fn count(&self, shape: &Value, chance: &mut Chance) -> usize {
        let least = usize::try_from(shape["min"].as_u64().unwrap_or(0)).unwrap();
        let most = usize::try_from(shape["max"].as_u64().unwrap_or(3)).unwrap();
        (least + chance.below(3)).min(most)
    }

    fn text(&self, name: &str, shape: &Value, chance: &mut Chance) -> String {
        if let Some(known) = self.names.get(name)
            && chance.percent(80)
        {
            return chance.one_of(known).clone();
        }
        if let Some(values) = shape["enum"].as_array() {
            return chance.one_of(values).as_str().unwrap().to_owned();
        }
        // Most are right at the first try; a wrong one is a mutation of its own.
        let sample: &str = match shape["pattern"].as_str() {
            Some(pattern) if pattern.contains("{8}") => SAMPLES[1],
            Some(pattern) if pattern.contains(":iam:") => SAMPLES[5],
            Some(pattern) if pattern.contains(":lambda:") => SAMPLES[6],
            Some(pattern) if pattern.contains(":codepipeline:") => SAMPLES[7],
            Some("[0-9]{12}") => SAMPLES[2],
            Some("AWS|ThirdParty") => SAMPLES[3],
            _ => SAMPLES[chance.below(SAMPLES.len())],
        };
        let least = usize::try_from(shape["min"].as_u64().unwrap_or(0)).unwrap();
        sample.to_owned() + &"a".repeat(least.saturating_sub(sample.len()))
    }
}
