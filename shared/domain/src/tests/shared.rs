//! A value that worlds share until one of them changes it: most events change little of a world.

use std::{
    ops::{Deref, DerefMut},
    rc::Rc,
};

/// A value that is copied when it is changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Shared<T>(Rc<T>);

impl<T> Shared<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Rc::new(value))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Rc::make_mut(&mut self.0)
    }
}
