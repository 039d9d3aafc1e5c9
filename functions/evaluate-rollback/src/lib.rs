//! evaluate-rollback
