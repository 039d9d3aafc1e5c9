//! Access control lists: stored and returned, never enforced.

use s3s::{
    S3ErrorCode,
    dto::{AccessControlPolicy, Grant, Grantee, Owner, Permission, Type},
};

use crate::{
    events::ACCOUNT,
    fault::Fault,
    store::buckets::{from_xml, to_xml},
};

const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
const AUTHENTICATED_USERS: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";

/// The ways a request can state an ACL: a canned one, single grants in headers, or a document.
#[derive(Default)]
pub(crate) struct Stated {
    pub(crate) canned: Option<String>,
    pub(crate) full_control: Option<String>,
    pub(crate) read: Option<String>,
    pub(crate) read_acp: Option<String>,
    pub(crate) write: Option<String>,
    pub(crate) write_acp: Option<String>,
    pub(crate) document: Option<AccessControlPolicy>,
}

impl Stated {
    /// The document to store; `None` if nothing was stated.
    ///
    /// # Errors
    /// `InvalidArgument` for an unknown canned ACL or a malformed grant header.
    pub(crate) fn to_document(&self) -> Result<Option<String>, Fault> {
        let mut grants = Vec::new();
        for (header, permission) in [
            (&self.full_control, Permission::FULL_CONTROL),
            (&self.read, Permission::READ),
            (&self.read_acp, Permission::READ_ACP),
            (&self.write, Permission::WRITE),
            (&self.write_acp, Permission::WRITE_ACP),
        ] {
            for grantee in header.iter().flat_map(|header| header.split(',')) {
                grants.push(grant(parse_grantee(grantee)?, permission));
            }
        }
        let policy = if let Some(document) = &self.document {
            document.clone()
        } else if !grants.is_empty() {
            policy(grants)
        } else if let Some(name) = &self.canned {
            canned(name)?
        } else {
            return Ok(None);
        };
        to_xml(&policy).map(Some)
    }
}

/// A stored document, or the ACL of what never got one.
pub(crate) fn read(document: Option<&str>) -> Result<AccessControlPolicy, Fault> {
    document.map_or_else(|| canned("private"), from_xml)
}

/// The owner of everything.
pub(crate) fn owner() -> Owner {
    Owner { display_name: None, id: Some(ACCOUNT.to_owned()) }
}

fn canned(name: &str) -> Result<AccessControlPolicy, Fault> {
    let groups: &[(&str, &'static str)] = match name {
        // The owner is everybody here, so what concerns owners and AWS's own readers adds nothing.
        "private" | "bucket-owner-read" | "bucket-owner-full-control" | "aws-exec-read" | "log-delivery-write" => &[],
        "public-read" => &[(ALL_USERS, Permission::READ)],
        "public-read-write" => &[(ALL_USERS, Permission::READ), (ALL_USERS, Permission::WRITE)],
        "authenticated-read" => &[(AUTHENTICATED_USERS, Permission::READ)],
        _ => {
            return Err(Fault::refused(S3ErrorCode::InvalidArgument, format!("there is no canned ACL called {name}")));
        }
    };
    let mut grants = vec![grant(user(ACCOUNT), Permission::FULL_CONTROL)];
    grants.extend(groups.iter().map(|(uri, permission)| grant(group(uri), permission)));
    Ok(policy(grants))
}

fn policy(grants: Vec<Grant>) -> AccessControlPolicy {
    AccessControlPolicy { grants: Some(grants), owner: Some(owner()) }
}

fn grant(grantee: Grantee, permission: &'static str) -> Grant {
    Grant { grantee: Some(grantee), permission: Some(Permission::from_static(permission)) }
}

fn parse_grantee(text: &str) -> Result<Grantee, Fault> {
    let (kind, value) = text.trim().split_once('=').unwrap_or_default();
    let value = value.trim_matches('"');
    match kind {
        "id" => Ok(user(value)),
        "uri" => Ok(group(value)),
        "emailAddress" => Ok(Grantee {
            display_name: None,
            email_address: Some(value.to_owned()),
            id: None,
            type_: Type::from_static(Type::AMAZON_CUSTOMER_BY_EMAIL),
            uri: None,
        }),
        _ => Err(Fault::refused(
            S3ErrorCode::InvalidArgument,
            "a grant header has the form id=\"...\", uri=\"...\" or emailAddress=\"...\"",
        )),
    }
}

fn user(id: &str) -> Grantee {
    Grantee {
        display_name: None,
        email_address: None,
        id: Some(id.to_owned()),
        type_: Type::from_static(Type::CANONICAL_USER),
        uri: None,
    }
}

fn group(uri: &str) -> Grantee {
    Grantee {
        display_name: None,
        email_address: None,
        id: None,
        type_: Type::from_static(Type::GROUP),
        uri: Some(uri.to_owned()),
    }
}
