//! What generates the service model of Lastgood's own operations: types that tell their own shape.
//!
//! `extension!` declares structures as `wire!` does and describes them too, doc comments included. A member whose Rust
//! type says too little names its shape beside it: `max_results: u32 as MaxResults`. `codepipeline!` takes a shape over
//! from CodePipeline's table by name, with everything it is made of; `shapes!` declares a new one.

use std::collections::BTreeMap;

use crate::ErrorCode;

/// A shape by name, told by the Rust type that holds its values.
#[derive(Debug, Clone)]
pub struct Description {
    /// Name in the service model.
    pub name: String,
    /// Its doc comment; empty where it has none.
    pub doc: String,
    /// What values look like.
    pub form: Form,
}

/// A shape that is described when asked for, so that a description may hold itself.
pub type Describe = fn() -> Description;

/// What the values of a shape look like.
#[derive(Debug, Clone)]
pub enum Form {
    /// As CodePipeline's table says under the same name.
    CodePipeline,
    /// Without parts.
    Scalar(Scalar),
    /// Of named members, in this order.
    Structure(Vec<Member>),
    /// Of items of one shape.
    List {
        /// The items.
        item: Describe,
        /// Most of them.
        max: Option<i64>,
    },
    /// From text to values of one shape.
    Map {
        /// The keys.
        key: Describe,
        /// The values.
        value: Describe,
    },
}

/// A shape without parts, and its constraints.
#[derive(Debug, Clone, Copy)]
pub struct Scalar {
    /// `string`, `integer`, `boolean` or `timestamp`.
    pub kind: &'static str,
    /// Least length or value.
    pub min: Option<i64>,
    /// Greatest length or value.
    pub max: Option<i64>,
    /// What the whole text has to match.
    pub pattern: Option<&'static str>,
    /// Allowed texts; none means any.
    pub values: &'static [&'static str],
}

impl Scalar {
    /// Any text.
    pub const TEXT: Self = Self { kind: "string", min: None, max: None, pattern: None, values: &[] };
    /// Any whole number.
    pub const NUMBER: Self = Self { kind: "integer", ..Self::TEXT };

    /// One of `values`.
    pub const fn one_of(values: &'static [&'static str]) -> Self {
        Self { values, ..Self::TEXT }
    }

    /// Text of `min` to `max` characters.
    pub const fn text(min: i64, max: i64) -> Self {
        Self { min: Some(min), max: Some(max), ..Self::TEXT }
    }
}

/// A member of a structure.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its Rust name; camelCase on the wire.
    pub name: &'static str,
    /// Its doc comment; empty where it has none.
    pub doc: String,
    /// Whether it must be there.
    pub required: bool,
    /// Its shape.
    pub shape: Describe,
}

/// An operation of Lastgood's own.
#[derive(Debug, Clone)]
pub struct OperationDescription {
    /// Its name.
    pub name: &'static str,
    /// Its doc comment.
    pub doc: String,
    /// Its input.
    pub input: Describe,
    /// Its output.
    pub output: Describe,
    /// What it may refuse with.
    pub errors: &'static [ErrorCode],
    /// The member of its output that it gives page by page.
    pub pages: Option<&'static str>,
}

/// A type whose values travel, and that knows its shape.
pub trait Described {
    /// The shape.
    fn describe() -> Description;
}

/// Joins the lines of a doc comment.
pub(crate) fn doc(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join("\n")
}

impl<T: Described> Described for Vec<T> {
    fn describe() -> Description {
        let form = Form::List { item: T::describe, max: None };
        Description { name: format!("{}List", T::describe().name), doc: String::new(), form }
    }
}

impl<K: Described, V: Described> Described for BTreeMap<K, V> {
    fn describe() -> Description {
        let form = Form::Map { key: K::describe, value: V::describe };
        Description { name: format!("{}Map", V::describe().name), doc: String::new(), form }
    }
}

/// Takes shapes over from CodePipeline's table: `Shape for Type` for a type whose values have that shape, `Shape` alone
/// for one that members name beside a plain type.
macro_rules! codepipeline {
    ($($shape:ident $(for $type:ty)?),+ $(,)?) => { $( codepipeline!(@one $shape $($type)?); )+ };
    (@one $shape:ident $type:ty) => {
        impl $crate::wire::described::Described for $type {
            fn describe() -> $crate::wire::described::Description {
                $crate::wire::described::Description {
                    name: stringify!($shape).to_owned(),
                    doc: String::new(),
                    form: $crate::wire::described::Form::CodePipeline,
                }
            }
        }
    };
    (@one $shape:ident) => {
        #[doc = concat!("CodePipeline's shape `", stringify!($shape), "`.")]
        #[derive(Debug)]
        pub enum $shape {}
        codepipeline!(@one $shape $shape);
    };
}

/// Declares shapes: `Shape for Type: form` for a type whose values have that form, `Shape: form` for one that members
/// name beside a plain type. The form is a [`Form`] or a [`Scalar`].
macro_rules! shapes {
    ($($(#[doc = $doc:literal])* $shape:ident $(for $type:ty)?: $form:expr;)+) => { $(
        shapes!(@type $(#[doc = $doc])* $shape $($type)?);
        impl $crate::wire::described::Described for shapes!(@name $shape $($type)?) {
            fn describe() -> $crate::wire::described::Description {
                $crate::wire::described::Description {
                    name: stringify!($shape).to_owned(),
                    doc: $crate::wire::described::doc(&[$($doc),*]),
                    form: $form.into(),
                }
            }
        }
    )+ };
    (@type $(#[doc = $doc:literal])* $shape:ident $type:ty) => {};
    (@type $(#[doc = $doc:literal])* $shape:ident) => {
        $(#[doc = $doc])*
        #[derive(Debug)]
        pub enum $shape {}
    };
    (@name $shape:ident $type:ty) => { $type };
    (@name $shape:ident) => { $shape };
}

/// Declares wire structures as `wire!` does, and describes them for the service model of Lastgood's own operations.
macro_rules! extension {
    ($(
        $(#[doc = $doc:literal])*
        $name:ident {
            $($(#[doc = $required_doc:literal])* $required:ident: $required_type:ty $(as $required_shape:ty)?),* ;
            $($(#[doc = $optional_doc:literal])* $optional:ident: $optional_type:ty $(as $optional_shape:ty)?),* $(,)?
        }
    )+) => { $(
        wire! {
            $(#[doc = $doc])*
            $name {
                $($(#[doc = $required_doc])* $required: $required_type),* ;
                $($(#[doc = $optional_doc])* $optional: $optional_type),*
            }
        }

        impl $crate::wire::described::Described for $name {
            fn describe() -> $crate::wire::described::Description {
                #[allow(unused_imports, reason = "an input may have no members")]
                use $crate::wire::described::{Described, Description, Form, Member, doc};
                let members = vec![
                    $(Member {
                        name: stringify!($required),
                        doc: doc(&[$($required_doc),*]),
                        required: true,
                        shape: <extension!(@shape $required_type $(, $required_shape)?) as Described>::describe,
                    },)*
                    $(Member {
                        name: stringify!($optional),
                        doc: doc(&[$($optional_doc),*]),
                        required: false,
                        shape: <extension!(@shape $optional_type $(, $optional_shape)?) as Described>::describe,
                    },)*
                ];
                Description {
                    name: stringify!($name).to_owned(),
                    doc: doc(&[$($doc),*]),
                    form: Form::Structure(members),
                }
            }
        }
    )+ };
    (@shape $type:ty) => { $type };
    (@shape $type:ty, $shape:ty) => { $shape };
}

impl From<Scalar> for Form {
    fn from(scalar: Scalar) -> Self {
        Self::Scalar(scalar)
    }
}
