//! A schema as a list of alternatives, each of one type: `enum`, `oneOf`, `anyOf`, `allOf`,
//! lists of types and references are only ways to write that list.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Keywords that say nothing about which JSON is valid. Those that begin with `x-` are too.
const ANNOTATIONS: &[&str] = &[
    "$anchor",
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "default",
    "definitions",
    "deprecated",
    "description",
    "examples",
    "readOnly",
    "title",
    "writeOnly",
];

/// Keywords that are parts of the list, not of one alternative.
const COMBINERS: &[&str] = &["$ref", "allOf", "anyOf", "oneOf"];

/// Keywords that bind values of one type only.
const BOUND: &[(&str, Kind)] = &[
    ("additionalProperties", Kind::Object),
    ("contentEncoding", Kind::String),
    ("contentMediaType", Kind::String),
    ("items", Kind::Array),
    ("maxItems", Kind::Array),
    ("maxLength", Kind::String),
    ("maxProperties", Kind::Object),
    ("minItems", Kind::Array),
    ("minLength", Kind::String),
    ("minProperties", Kind::Object),
    ("pattern", Kind::String),
    ("patternProperties", Kind::Object),
    ("prefixItems", Kind::Array),
    ("properties", Kind::Object),
    ("propertyNames", Kind::Object),
    ("required", Kind::Object),
    ("uniqueItems", Kind::Array),
];

/// Keywords that bind numbers.
const NUMERIC: &[&str] = &[
    "exclusiveMaximum",
    "exclusiveMinimum",
    "maximum",
    "minimum",
    "multipleOf",
];

/// What an alternative takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Any,
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
    /// One value.
    Constant,
}

/// One alternative.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Branch {
    pub(super) kind: Kind,
    /// The keywords that bind it; `const` for a constant.
    pub(super) body: Map<String, Value>,
    /// Where it came through a reference, it may hold itself.
    pub(super) by_reference: bool,
    /// It stands in a `oneOf`, where objects are told apart by a tag.
    in_one_of: bool,
}

/// A schema with its definitions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document<'a>(pub(super) &'a Value);

impl Document<'_> {
    /// All alternatives of a schema of this document.
    pub(super) fn branches(self, schema: &Value) -> Vec<Branch> {
        let mut branches: Vec<Branch> = Vec::new();
        for branch in self.raw(schema, &mut Vec::new()) {
            for branch in by_type(branch) {
                if !branches.contains(&branch) {
                    branches.push(branch);
                }
            }
        }
        branches
    }

    /// Alternatives that may still be of several types. `chain` holds the references that led
    /// here: a type that is only itself would have no end.
    fn raw(self, schema: &Value, chain: &mut Vec<String>) -> Vec<Branch> {
        let map = match schema {
            Value::Bool(false) => return Vec::new(),
            Value::Object(map) => map,
            _ => return vec![Branch::new(Map::new())],
        };
        let own = map.iter().filter(|(key, _)| {
            let key = key.as_str();
            !is_annotation(key) && !COMBINERS.contains(&key)
        });
        let own = own.map(|(key, value)| (key.clone(), value.clone()));
        let mut branches = vec![Branch::new(own.collect())];
        if let Some(Value::String(reference)) = map.get("$ref") {
            branches = product(&branches, &self.referred(reference, chain));
        }
        for part in list(map, "allOf") {
            branches = product(&branches, &self.raw(part, chain));
        }
        for key in ["anyOf", "oneOf"] {
            if !map.contains_key(key) {
                continue;
            }
            let parts = list(map, key).iter();
            let mut parts: Vec<Branch> = parts.flat_map(|part| self.raw(part, chain)).collect();
            for part in &mut parts {
                part.in_one_of |= key == "oneOf";
            }
            branches = product(&branches, &parts);
        }
        branches
    }

    fn referred(self, reference: &str, chain: &mut Vec<String>) -> Vec<Branch> {
        let target = reference
            .strip_prefix('#')
            .and_then(|pointer| self.0.pointer(&percent_decoded(pointer)));
        let known = chain.iter().any(|known| known == reference);
        let Some(target) = target.filter(|_| !known) else {
            // Nothing can be said about it, so it is compared by its name.
            let name = Value::from(reference);
            return vec![Branch::new(Map::from_iter([("$ref".to_owned(), name)]))];
        };
        chain.push(reference.to_owned());
        let mut branches = self.raw(target, chain);
        chain.pop();
        for branch in &mut branches {
            branch.by_reference = true;
        }
        branches
    }
}

impl Branch {
    fn new(body: Map<String, Value>) -> Self {
        Self {
            kind: Kind::Any,
            body,
            by_reference: false,
            in_one_of: false,
        }
    }

    /// Schemas of the properties by name.
    pub(super) fn property(&self, name: &str) -> Option<&Value> {
        self.body.get("properties")?.get(name)
    }

    /// The names of the properties, in their order.
    pub(super) fn property_names(&self) -> BTreeSet<&str> {
        let properties = self.body.get("properties").and_then(Value::as_object);
        properties
            .into_iter()
            .flat_map(Map::keys)
            .map(String::as_str)
            .collect()
    }

    /// The names of properties that have a schema or are required.
    pub(super) fn named(&self) -> BTreeSet<&str> {
        let required = list(&self.body, "required").iter();
        let mut names = self.property_names();
        names.extend(required.filter_map(Value::as_str));
        names
    }

    /// Whether JSON without this property is refused.
    pub(super) fn requires(&self, name: &str) -> bool {
        let listed = list(&self.body, "required")
            .iter()
            .any(|listed| listed == name);
        let has_default = |schema: &Value| schema.get("default").is_some();
        listed && !self.property(name).is_some_and(has_default)
    }

    /// The schema of properties that have no schema of their own.
    pub(super) fn further_properties(&self) -> Value {
        ["additionalProperties", "unevaluatedProperties"]
            .iter()
            .find_map(|key| self.body.get(*key))
            .cloned()
            .unwrap_or(Value::Bool(true))
    }

    /// What tells an object of a `oneOf` from the others: constants that it must hold, or its
    /// only property.
    pub(super) fn label(&self) -> Option<String> {
        if self.kind != Kind::Object || !self.in_one_of {
            return None;
        }
        let names = self.property_names();
        let required: Vec<&str> = list(&self.body, "required")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let tags: Vec<&str> = names
            .iter()
            .filter(|name| required.contains(name))
            .filter_map(|name| self.property(name)?.get("const")?.as_str())
            .collect();
        if !tags.is_empty() {
            return Some(tags.join("+"));
        }
        match (required.as_slice(), names.len()) {
            ([only], 1) => Some((*only).to_owned()),
            _ => None,
        }
    }

    /// Whether the label is a value inside of the object, not the name of its property.
    pub(super) fn is_tagged_inside(&self) -> bool {
        self.label()
            .is_some_and(|label| self.property(&label).is_none())
    }

    /// For messages.
    pub(super) fn describe(&self) -> String {
        let name = match self.kind {
            Kind::Any => "any JSON",
            Kind::Null => "null",
            Kind::Boolean => "boolean",
            Kind::Integer => "integer",
            Kind::Number => "number",
            Kind::String => "string",
            Kind::Array => "array",
            Kind::Constant => {
                let value = self.body.get("const").unwrap_or(&Value::Null);
                return format!("`{value}`");
            }
            Kind::Object => {
                let names: Vec<&str> = self.property_names().into_iter().collect();
                let label = self.label().map(|label| format!("variant `{label}`"));
                return label.unwrap_or_else(|| match names.as_slice() {
                    [] => "object".to_owned(),
                    names => format!("object {{{}}}", names.join(", ")),
                });
            }
        };
        name.to_owned()
    }
}

/// The list under a keyword.
pub(super) fn list<'a>(map: &'a Map<String, Value>, key: &str) -> &'a [Value] {
    match map.get(key) {
        Some(Value::Array(values)) => values,
        _ => &[],
    }
}

fn is_annotation(key: &str) -> bool {
    ANNOTATIONS.contains(&key) || key.starts_with("x-")
}

/// One branch for each type or value.
fn by_type(branch: Branch) -> Vec<Branch> {
    let constant = branch.body.get("const").map(std::slice::from_ref);
    let listed = branch.body.get("enum").and_then(Value::as_array);
    if let Some(values) = constant.or(listed.map(Vec::as_slice)) {
        return values
            .iter()
            .map(|value| of_value(&branch, value))
            .collect();
    }
    let names: Vec<&str> = match branch.body.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => return vec![of_kind(&branch, implied(&branch.body))],
    };
    let kinds = names.into_iter().map(kind_named);
    kinds.map(|kind| of_kind(&branch, kind)).collect()
}

fn of_value(branch: &Branch, value: &Value) -> Branch {
    if value.is_null() {
        return of_kind(branch, Kind::Null);
    }
    Branch {
        kind: Kind::Constant,
        body: Map::from_iter([("const".to_owned(), value.clone())]),
        ..branch.clone()
    }
}

fn of_kind(branch: &Branch, kind: Kind) -> Branch {
    let binds = |key: &str| !["type", "const", "enum"].contains(&key) && binds(key, kind);
    let body = branch.body.iter().filter(|(key, _)| binds(key));
    let body = body.map(|(key, value)| (key.clone(), value.clone()));
    Branch {
        kind,
        body: body.collect(),
        ..branch.clone()
    }
}

fn binds(key: &str, kind: Kind) -> bool {
    let is_number = matches!(kind, Kind::Integer | Kind::Number);
    if kind == Kind::Any {
        return true;
    }
    if key == "format" {
        return is_number || kind == Kind::String;
    }
    if NUMERIC.contains(&key) {
        return is_number;
    }
    let bound = BOUND.iter().find(|(bound, _)| *bound == key);
    bound.is_none_or(|(_, bound)| *bound == kind)
}

fn kind_named(name: &str) -> Kind {
    match name {
        "null" => Kind::Null,
        "boolean" => Kind::Boolean,
        "integer" => Kind::Integer,
        "number" => Kind::Number,
        "string" => Kind::String,
        "array" => Kind::Array,
        "object" => Kind::Object,
        _ => Kind::Any,
    }
}

/// Schemas written by hand leave the type of objects and arrays out.
fn implied(body: &Map<String, Value>) -> Kind {
    let of_body = |kind: Kind| {
        let mut bound = BOUND.iter().filter(|(_, bound)| *bound == kind);
        bound.any(|(key, _)| body.contains_key(*key))
    };
    let kinds = [Kind::Object, Kind::Array];
    kinds
        .into_iter()
        .find(|kind| of_body(*kind))
        .unwrap_or(Kind::Any)
}

/// What satisfies one of the first and one of the second alternatives.
fn product(first: &[Branch], second: &[Branch]) -> Vec<Branch> {
    let with = |one: &Branch| {
        let one = one.clone();
        second.iter().filter_map(move |other| both(&one, other))
    };
    first.iter().flat_map(with).collect()
}

/// Both at once; nothing where their types exclude each other.
fn both(one: &Branch, other: &Branch) -> Option<Branch> {
    let mut body = one.body.clone();
    for (key, value) in &other.body {
        let Some(present) = body.get_mut(key) else {
            body.insert(key.clone(), value.clone());
            continue;
        };
        if present == value {
            continue;
        }
        match (key.as_str(), present, value) {
            ("properties", Value::Object(present), Value::Object(value)) => {
                for (name, schema) in value {
                    let slot = present.entry(name.clone()).or_insert(Value::Bool(true));
                    *slot = all_of(slot, schema);
                }
            }
            ("required", Value::Array(present), Value::Array(value)) => {
                let missing = value.iter().filter(|name| !present.contains(name));
                let missing: Vec<Value> = missing.cloned().collect();
                present.extend(missing);
            }
            ("type", present, value) => {
                let common = common_types(present, value);
                if common.is_empty() {
                    return None;
                }
                *present = Value::Array(common);
            }
            // Kept as it is, so that a change of it is seen.
            (key, _, value) => {
                let rest = body.entry("allOf").or_insert(Value::Array(Vec::new()));
                if let Value::Array(rest) = rest {
                    rest.push(Map::from_iter([(key.to_owned(), value.clone())]).into());
                }
            }
        }
    }
    Some(Branch {
        kind: Kind::Any,
        body,
        by_reference: one.by_reference || other.by_reference,
        in_one_of: one.in_one_of || other.in_one_of,
    })
}

fn all_of(one: &Value, other: &Value) -> Value {
    if one == other || one == &Value::Bool(true) {
        return other.clone();
    }
    let parts = Value::Array(vec![one.clone(), other.clone()]);
    Map::from_iter([("allOf".to_owned(), parts)]).into()
}

fn common_types(one: &Value, other: &Value) -> Vec<Value> {
    let names = |value: &Value| match value {
        Value::Array(names) => names.clone(),
        name => vec![name.clone()],
    };
    let other = names(other);
    let mut common = names(one);
    common.retain(|name| other.contains(name));
    common
}

/// Pointers in references are parts of a URL.
fn percent_decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let code = part.get(..2).map(|code| u8::from_str_radix(code, 16));
        if let (Some(Ok(byte)), Some(rest)) = (code, part.get(2..)) {
            bytes.push(byte);
            bytes.extend(rest.as_bytes());
        } else {
            bytes.push(b'%');
            bytes.extend(part.as_bytes());
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
