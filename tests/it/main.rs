//! The whole system over its real stores: stories, kills and bad input.

mod killed;
mod process;
