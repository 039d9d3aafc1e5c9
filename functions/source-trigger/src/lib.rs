//! source-trigger
