//! stage-gate
