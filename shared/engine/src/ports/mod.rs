//! What the use cases need from the outside world, one narrow trait per capability.

mod clock;
mod cloud;
mod decision_list;
pub mod objects;
mod repositories;
mod store;

pub use clock::{Clock, Entropy};
pub use cloud::{
    Alarms, CloudError, Credentials, Events, Functions, Machine, MachineStatus, Machines, Notifications, Roles,
};
pub use decision_list::DecisionList;
pub use objects::{
    Missing, ObjectAt, ObjectInfo, Objects, ObjectsError, PARTS_MAX, Part, PinnedObject, PutOptions, Upload, Written,
};
pub use repositories::{Commit, Repositories, RepositoryError, RepositoryName, Revision};
pub use store::{
    Definition, OpenExecution, Page, PageRequest, PendingEffect, PipelineSummary, Precondition, QueuedJob, Remains,
    ResourceTags, Row, SourceBinding, StartMarker, Store, StoreError, WRITES_MAX, Write,
};
