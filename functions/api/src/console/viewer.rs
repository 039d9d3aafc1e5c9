//! Who looks, and what they may do.

use domain::partition_of;
use engine::Settings;
use serde_json::Value;

use crate::event::{ApiEvent, Authorizer};

/// Most characters of a person's name that are kept: names go into triggers, which have 1024.
const NAME_CHARS_MAX: usize = 200;
/// The claim that lists a person's groups unless the stage says otherwise: Amazon Cognito's.
const GROUPS_CLAIM: &str = "cognito:groups";

/// A person in front of the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Viewer {
    /// Their name, for people; absent on a laptop.
    pub(super) name: Option<String>,
    /// Who they are in triggers, transitions and decisions.
    pub(super) caller: String,
    /// Whether they may do more than look.
    pub(super) may_act: bool,
}

impl Viewer {
    /// Whom the authoriser let in; nobody where none did.
    ///
    /// A token's claims come from API Gateway, which has verified it. Who may act is whoever's groups have the one that
    /// the stage's variable `consoleOperators` names; where it names none, nobody.
    pub(super) fn of(event: &ApiEvent, settings: &Settings) -> Option<Self> {
        let authorizer = event.request_context.authorizer.as_ref()?;
        if authorizer.local_console {
            return Some(Self { name: None, caller: event.caller(settings), may_act: true });
        }
        let claims = &authorizer.jwt.as_ref()?.claims;
        let text = |claim: &str| claims.get(claim).and_then(Value::as_str).filter(|text| !text.is_empty());
        let name = ["email", "preferred_username", "username", "cognito:username", "sub"].into_iter().find_map(text)?;
        let name: String = name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect();
        let (partition, account) = (partition_of(&settings.region), &settings.account);
        let variable = |name: &str| event.stage_variables.get(name).map(String::as_str).unwrap_or_default();
        let operators = variable("consoleOperators");
        let claim = Some(variable("consoleGroupsClaim")).filter(|claim| !claim.is_empty()).unwrap_or(GROUPS_CLAIM);
        let may_act = !operators.is_empty() && groups(authorizer, claim).iter().any(|group| group == operators);
        Some(Self {
            caller: format!("arn:{partition}:sts::{account}:federated-user/{name}"),
            name: Some(name),
            may_act,
        })
    }
}

/// The groups that a claim lists. API Gateway writes an array as `[a b]`; some issuers send text with commas.
fn groups(authorizer: &Authorizer, claim: &str) -> Vec<String> {
    match authorizer.jwt.as_ref().and_then(|jwt| jwt.claims.get(claim)) {
        Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(text)) => {
            let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
            text.split([' ', ',']).filter(|group| !group.is_empty()).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn viewer(authorizer: Value, variables: Value) -> Option<Viewer> {
        let settings = Settings {
            account: "111122223333".into(),
            region: "eu-west-1".into(),
            bucket: "definitions".into(),
            dead_letters: None,
            console: None,
        };
        let event = json!({"requestContext": {"authorizer": authorizer}, "stageVariables": variables});
        Viewer::of(&serde_json::from_value(event).unwrap(), &settings)
    }

    #[test]
    fn nobody_is_let_in_without_an_authoriser_that_says_who() {
        let iam = json!({"iam": {"userArn": "arn:aws:iam::111122223333:user/ana"}});
        for authorizer in [Value::Null, json!({}), iam, json!({"jwt": {"claims": {}}})] {
            assert_eq!(viewer(authorizer.clone(), json!({})), None, "{authorizer}");
        }
    }

    #[test]
    fn who_is_in_the_group_of_operators_may_act() {
        let operators = json!({"consoleOperators": "release"});
        for (groups, expected) in [
            (json!("[dev release]"), true),
            (json!("release"), true),
            (json!("dev,release"), true),
            (json!(["release"]), true),
            (json!("[released]"), false),
            (json!(""), false),
            (Value::Null, false),
        ] {
            let ana = json!({"jwt": {"claims": {"sub": "1", "email": "ana@example.com", "cognito:groups": groups}}});
            let seen = viewer(ana.clone(), operators.clone()).unwrap();
            assert_eq!(seen.may_act, expected, "{groups}");
            assert_eq!(seen.caller, "arn:aws:sts::111122223333:federated-user/ana@example.com");
            assert!(!viewer(ana, json!({})).unwrap().may_act, "no group is named");
        }
        let other = json!({"jwt": {"claims": {"sub": "1", "roles": "[release]"}}});
        let variables = json!({"consoleOperators": "release", "consoleGroupsClaim": "roles"});
        assert!(viewer(other, variables).unwrap().may_act);
    }
}
