//! The whole system over its real stores: stories, kills and bad input.

mod access;
mod artifacts;
mod bad_input;
mod conditions;
mod connection;
mod events;
mod expiry;
mod fenced;
mod gates;
mod incidents;
mod interventions;
mod killed;
mod look;
mod overlap;
mod process;
mod providers;
mod regions;
mod revoked;
mod scenario;
mod secrets;
mod starts;
mod webhooks;
mod workers;
mod world;
