//! The file of access keys: AWS's own format of credentials, one profile per person.

use std::{collections::BTreeMap, fmt, fs, io, path::Path};

use crate::ACCOUNT;

/// Largest file: thousands of keys.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Most characters of an access key id (IAM's limit).
const KEY_ID_CHARS_MAX: usize = 128;

/// Known access keys, by their ids.
#[derive(Clone, Default)]
pub struct Keys(BTreeMap<String, Key>);

/// One access key, and whose it is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) profile: String,
    pub(crate) secret: String,
    pub(crate) session_token: Option<String>,
    pub(crate) arn: String,
}

/// The file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file system refuses.
    #[error("the keys in {path} cannot be read: {source}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others than its owner may look at it.
    #[error("{0} may be read by everybody, or changed by others than its owner. Take that away: chmod 600 {0}")]
    Exposed(String),
    /// It does not say what it should.
    #[error("{path}: {problem}")]
    Content {
        /// The file.
        path: String,
        /// What is wrong, where, and what to write.
        problem: String,
    },
}

impl Keys {
    /// Reads a file such as
    ///
    /// ```text
    /// [ana]
    /// aws_access_key_id = AKIAEXAMPLEANA000001
    /// aws_secret_access_key = ...
    /// arn = arn:aws:iam::000000000000:user/ana
    /// ```
    ///
    /// Without `arn` it is made from the profile's name. Other settings of AWS's format are passed over.
    ///
    /// # Errors
    /// [`KeysError`], with what to do.
    pub fn read(path: &Path) -> Result<Self, KeysError> {
        let name = path.display().to_string();
        let io = |source| KeysError::Io { path: name.clone(), source };
        let content = |problem| KeysError::Content { path: name.clone(), problem };
        let file = fs::metadata(path).map_err(io)?;
        if is_exposed(&file) {
            return Err(KeysError::Exposed(name));
        }
        if file.len() > FILE_BYTES_MAX {
            return Err(content(format!("it has {} bytes; at most {FILE_BYTES_MAX} are read", file.len())));
        }
        Self::parse(&fs::read_to_string(path).map_err(io)?).map_err(content)
    }

    /// Ids and profiles, for telling a person which keys there are.
    pub fn profiles(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(id, key)| (id.as_str(), key.profile.as_str()))
    }

    pub(crate) fn find(&self, id: &str) -> Option<&Key> {
        self.0.get(id)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Self::default();
        for (profile, settings) in sections(text)? {
            let get = |name: &str| settings.get(name).cloned().filter(|value| !value.is_empty());
            let (id, secret) = match (get("aws_access_key_id"), get("aws_secret_access_key")) {
                (None, None) => continue,
                (Some(id), Some(secret)) => (id, secret),
                (Some(_), None) => return Err(format!("profile '{profile}' has no aws_secret_access_key")),
                (None, Some(_)) => return Err(format!("profile '{profile}' has no aws_access_key_id")),
            };
            let is_id = (1..=KEY_ID_CHARS_MAX).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !is_id {
                return Err(format!(
                    "the aws_access_key_id of profile '{profile}' is not 1 to {KEY_ID_CHARS_MAX} letters, digits and underscores"
                ));
            }
            if id == super::INTERNAL_KEY_ID {
                return Err(format!(
                    "{id} is the process's own key; give profile '{profile}' another aws_access_key_id"
                ));
            }
            let arn = get("arn").unwrap_or_else(|| format!("arn:aws:iam::{ACCOUNT}:user/{profile}"));
            if arn.splitn(6, ':').count() < 6 || !arn.starts_with("arn:") || arn.contains(char::is_whitespace) {
                return Err(format!(
                    "the arn of profile '{profile}' is none; write one like arn:aws:iam::{ACCOUNT}:user/ana"
                ));
            }
            let key = Key { profile: profile.clone(), secret, session_token: get("aws_session_token"), arn };
            if let Some(other) = keys.0.insert(id.clone(), key) {
                return Err(format!(
                    "profiles '{}' and '{profile}' have the same aws_access_key_id, {id}",
                    other.profile
                ));
            }
        }
        if keys.0.is_empty() {
            return Err("it has no keys. Write a line [name], then aws_access_key_id = ... and \
                        aws_secret_access_key = ..."
                .to_owned());
        }
        Ok(keys)
    }
}

/// Secrets never reach a log.
impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// A profile's name and its settings.
type Section = (String, BTreeMap<String, String>);

/// Every profile, in the order of the file.
fn sections(text: &str) -> Result<Vec<Section>, String> {
    let mut sections: Vec<Section> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let (number, line) = (number + 1, line.trim());
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let name = name.trim();
            let name = name.strip_prefix("profile ").unwrap_or(name).trim();
            if name.is_empty() || sections.iter().any(|(profile, _)| profile == name) {
                return Err(format!("line {number} names no profile, or one that was there before"));
            }
            sections.push((name.to_owned(), BTreeMap::new()));
            continue;
        }
        // The line itself may hold a secret and is not repeated.
        let Some((name, value)) = line.split_once('=') else {
            return Err(format!("line {number} is neither [profile] nor setting = value"));
        };
        let Some((profile, settings)) = sections.last_mut() else {
            return Err(format!("line {number} comes before the first [profile]"));
        };
        let name = name.trim();
        if settings.insert(name.to_owned(), value.trim().to_owned()).is_some() {
            return Err(format!("line {number} sets {name} of profile '{profile}' again"));
        }
    }
    Ok(sections)
}

#[cfg(unix)]
fn is_exposed(file: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.permissions().mode() & 0o027 != 0
}

#[cfg(not(unix))]
fn is_exposed(_: &fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# who may\n[ana]\naws_access_key_id = AKIAANA\naws_secret_access_key=a=b/c+\nregion = us-east-1\n\n\
        [profile bot]\naws_access_key_id=AKIABOT\naws_secret_access_key=s\naws_session_token=t\n\
        arn=arn:aws:sts::000000000000:assumed-role/deploy/bot\n[elsewhere]\nrole_arn = x\n";

    #[test]
    fn a_credentials_file_of_aws_is_read() {
        let keys = Keys::parse(GOOD).unwrap();
        let ana = keys.find("AKIAANA").unwrap();
        assert_eq!((ana.secret.as_str(), ana.arn.as_str()), ("a=b/c+", "arn:aws:iam::000000000000:user/ana"));
        let bot = keys.find("AKIABOT").unwrap();
        assert_eq!((bot.session_token.as_deref(), bot.profile.as_str()), (Some("t"), "bot"));
        assert_eq!(bot.arn, "arn:aws:sts::000000000000:assumed-role/deploy/bot");
        assert!(keys.find("AKIANOBODY").is_none());
        assert_eq!(keys.profiles().collect::<Vec<_>>(), [("AKIAANA", "ana"), ("AKIABOT", "bot")]);
        assert_eq!(format!("{keys:?}"), r#"{"AKIAANA", "AKIABOT"}"#);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_without_repeating_it() {
        let key = "aws_access_key_id=A\naws_secret_access_key=hunter2";
        for (text, part) in [
            (String::new(), "it has no keys"),
            ("[ana]\nregion=x".to_owned(), "it has no keys"),
            ("hunter2=x".to_owned(), "line 1 comes before"),
            ("[ana]\nhunter2".to_owned(), "line 2 is neither"),
            ("[]".to_owned(), "line 1 names no profile"),
            ("[ana]\n[ana]".to_owned(), "line 2 names no profile"),
            ("[ana]\naws_access_key_id=A".to_owned(), "'ana' has no aws_secret_access_key"),
            ("[ana]\naws_secret_access_key=hunter2".to_owned(), "'ana' has no aws_access_key_id"),
            ("[ana]\naws_access_key_id=A B\naws_secret_access_key=hunter2".to_owned(), "letters, digits"),
            (format!("[ana]\n{key}\n[bo]\n{key}"), "'ana' and 'bo' have the same"),
            (format!("[ana]\n{key}\n{key}"), "line 4 sets aws_access_key_id"),
            (format!("[ana]\n{key}\narn=ana"), "the arn of profile 'ana'"),
            (format!("[ana]\n{}", key.replace("=A", "=AKIALASTGOODLOCAL000")), "the process's own key"),
        ] {
            let problem = Keys::parse(&text).unwrap_err();
            assert!(problem.contains(part) && !problem.contains("hunter2"), "{problem}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_or_change_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        fs::write(&path, GOOD).unwrap();
        for (mode, is_accepted) in
            [(0o600, true), (0o400, true), (0o640, true), (0o644, false), (0o660, false), (0o602, false)]
        {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            match Keys::read(&path) {
                Ok(_) => assert!(is_accepted, "{mode:o}"),
                Err(error) => assert!(!is_accepted && error.to_string().contains("chmod 600"), "{mode:o}: {error}"),
            }
        }
        assert!(Keys::read(&dir.path().join("none")).unwrap_err().to_string().contains("cannot be read"));
    }
}
