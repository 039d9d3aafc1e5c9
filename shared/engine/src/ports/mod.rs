//! What the use cases need from the outside world, one narrow trait per capability.

mod clock;
mod cloud;
mod decision_list;
pub mod objects;
mod repositories;
mod rows;
mod store;

pub use clock::{Clock, Entropy};
pub use cloud::{
    Alarms, CloudError, Credentials, Events, Functions, Machine, MachineStatus, Machines, Notifications, Roles,
};
pub use decision_list::DecisionList;
pub use objects::{
    Missing, ObjectAt, ObjectInfo, Objects, ObjectsError, PARTS_MAX, Part, PinnedObject, PutOptions, Upload, Written,
    copy_parts,
};
pub use repositories::{Commit, Repositories, RepositoryError, RepositoryName, Revision};
pub use rows::{
    Definition, Deletion, OpenExecution, PendingEffect, PipelineSummary, QueuedJob, Remains, ResourceTags,
    SourceBinding, StartMarker,
};
pub use store::{Page, PageRequest, Precondition, Row, Store, StoreError, WRITES_MAX, Write};
