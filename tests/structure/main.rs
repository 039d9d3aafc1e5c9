//! The repository tests itself: who may depend on whom, that state machines, functions and template agree with each
//! other, and that the tree is tidy.
//!
//! **May touch**: the files of this workspace (to read; `UPDATE=1` lets it rewrite generated parts of documents).
//!
//! **Architecture invariants**: needs nothing but cargo; what is demanded is a table at the top of each module, and a
//! failure says what to do.

mod contracts;
mod directions;
mod events;
mod machine;
mod machines;
mod permissions;
mod phases;
mod sight;
mod template;
mod threats;
mod tidy;
mod workspace;
