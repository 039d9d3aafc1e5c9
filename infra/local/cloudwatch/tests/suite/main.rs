//! The service as its clients and its event handler see it.

mod lifecycle;
mod metric_data;
mod protocols;
mod refusals;
mod world;
