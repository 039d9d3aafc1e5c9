//! The whole service with a manual clock and fake functions.

mod actions;
mod api;
mod recovery;
mod states;
mod tokens;
mod world;
