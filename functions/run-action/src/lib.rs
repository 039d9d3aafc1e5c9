//! run-action
