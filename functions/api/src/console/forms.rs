//! What browsers send: queries and forms.

/// Most fields that are read; the largest form, a start with variables and revisions, has about 250.
const FIELDS_MAX: usize = 500;

/// Named values in the order they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, String)>);

/// A form's fields.
pub(super) type Form = Fields;

impl Fields {
    /// Reads `application/x-www-form-urlencoded`; what is not UTF-8 is replaced.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(bytes).take(FIELDS_MAX);
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// The first value called `name`, without the space around it; empty where there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.trim()).unwrap_or_default()
    }

    /// The same, absent where it is empty.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|value| !value.is_empty())
    }

    /// Whether a box called `name` is ticked.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.text(name) == "yes"
    }

    /// Values whose name begins with `prefix`, by the rest of their name.
    pub(super) fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }
}

/// A query of those fields that have a value.
pub(super) fn query(fields: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    match query.finish() {
        query if query.is_empty() => query,
        query => format!("?{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_as_browsers_write_them() {
        let form = Form::read(b"reason=+all+of+it%21+&force=yes&var.Color=&var.Size=1&reason=2&x=%ff");
        assert_eq!(form.text("reason"), "all of it!");
        assert_eq!((form.given("var.Color"), form.is_on("force"), form.text("none")), (None, true, ""));
        assert_eq!(form.under("var.").collect::<Vec<_>>(), [("Color", ""), ("Size", "1")]);
        assert_eq!(form.text("x"), "\u{fffd}");
        assert_eq!(query(&[("q", "a&b"), ("after", "")]), "?q=a%26b");
        assert_eq!(query(&[("q", "")]), "");
    }
}
