//! What a change of a schema means for JSON that is stored and for those who read it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::{Map, Value};

use super::{
    branch::{Branch, Document, Kind, list},
    change::{Effect, SchemaChange, Side},
    number::{self, Range},
};

/// Keywords that are compared by meaning. All others count as equal or changed.
const UNDERSTOOD: &[&str] = &[
    "additionalProperties",
    "items",
    "patternProperties",
    "prefixItems",
    "properties",
    "required",
    "unevaluatedProperties",
];

/// Keywords of numbers that [`Range`] knows.
const RANGE: &[&str] = &["format", "maximum", "minimum"];

/// All differences between two schemas of one side of a task.
pub(super) fn compare(side: Side, old: &Value, new: &Value) -> Vec<SchemaChange> {
    let mut comparison = Comparison {
        side,
        old: Document(old),
        new: Document(new),
        changes: Vec::new(),
        seen: BTreeSet::new(),
    };
    let path = match side {
        Side::Params => "params",
        Side::Output => "output",
    };
    comparison.schemas(path, old, new);
    comparison.changes
}

struct Comparison<'a> {
    side: Side,
    old: Document<'a>,
    new: Document<'a>,
    changes: Vec<SchemaChange>,
    /// Referenced types that were compared already: types may hold themselves, and a change
    /// of a shared one is told once, where it is met first.
    seen: BTreeSet<(String, String)>,
}

impl Comparison<'_> {
    fn push(&mut self, effect: Effect, path: &str, what: impl Into<String>) {
        self.changes.push(SchemaChange {
            effect,
            path: path.to_owned(),
            what: what.into(),
        });
    }

    /// A difference that refuses some old JSON, or takes more. For outputs both harm: stored
    /// ones are read by new code, and new ones by readers who know the old schema.
    fn bound(&mut self, narrowed: bool, path: &str, what: impl Into<String>) {
        let effect = Effect::of(narrowed || self.side == Side::Output);
        self.push(effect, path, what);
    }

    fn schemas(&mut self, path: &str, old: &Value, new: &Value) {
        let old = self.old.branches(old);
        let new = self.new.branches(new);
        let Matched { pairs, gone, added } = Matched::of(old, new);
        if let ([old], [new]) = (gone.as_slice(), added.as_slice())
            && [old, new].iter().all(|branch| is_whole_type(branch))
        {
            let what = format!("was {}, is {}", old.describe(), new.describe());
            self.bound(!takes(new, old), path, what);
        } else {
            for old in &gone {
                let mut all = pairs.iter().map(|(_, new)| new).chain(&added);
                if self.side == Side::Output || !all.any(|new| takes(new, old)) {
                    self.push(
                        Effect::Breaking,
                        path,
                        format!("{} is gone", old.describe()),
                    );
                }
            }
            for new in &added {
                self.bound(false, path, format!("{} is new", new.describe()));
            }
        }
        for (old, new) in pairs {
            let path = match old.label().filter(|_| old.is_tagged_inside()) {
                Some(label) => format!("{path}({label})"),
                None => path.to_owned(),
            };
            self.branches(&path, &old, &new);
        }
    }

    fn branches(&mut self, path: &str, old: &Branch, new: &Branch) {
        let holds_others = matches!(old.kind, Kind::Object | Kind::Array);
        if holds_others {
            let text = |branch: &Branch| Value::from(branch.body.clone()).to_string();
            let is_first = self.seen.insert((text(old), text(new)));
            if !is_first && (old.by_reference || new.by_reference) {
                return;
            }
        }
        match old.kind {
            Kind::Object => self.objects(path, old, new),
            Kind::Array => self.arrays(path, &old.body, &new.body),
            Kind::Integer | Kind::Number => self.numbers(path, old, new),
            _ => {}
        }
        self.keywords(path, old, new);
    }

    fn objects(&mut self, path: &str, old: &Branch, new: &Branch) {
        let further = (old.further_properties(), new.further_properties());
        for name in old.named().union(&new.named()) {
            let path = format!("{path}.{}", quoted(name));
            match (old.property(name), new.property(name)) {
                (Some(old_schema), Some(new_schema)) => {
                    self.schemas(&path, old_schema, new_schema);
                    self.requirement(&path, old.requires(name), new.requires(name));
                }
                (Some(schema), None) => self.removed(&path, schema, &further.1),
                (None, Some(schema)) => {
                    self.added(&path, schema, &further.0, new.requires(name));
                }
                (None, None) => {
                    self.requirement(&path, old.requires(name), new.requires(name));
                }
            }
        }
        self.patterns(path, &old.body, &new.body);
        self.further_properties(path, &further.0, &further.1);
    }

    fn requirement(&mut self, path: &str, was: bool, is: bool) {
        match (was, is) {
            (false, true) => self.bound(true, path, "was optional, is required"),
            (true, false) => self.bound(false, path, "was required, is optional"),
            _ => {}
        }
    }

    fn removed(&mut self, path: &str, schema: &Value, further: &Value) {
        match (self.side, further) {
            (Side::Output, _) => self.push(Effect::Breaking, path, "removed"),
            (Side::Params, Value::Bool(false)) => {
                let what = "removed, and unknown properties are refused";
                self.push(Effect::Breaking, path, what);
            }
            (Side::Params, further) => {
                self.push(Effect::Compatible, path, "removed");
                if !further.is_boolean() {
                    self.schemas(path, schema, further);
                }
            }
        }
    }

    fn added(&mut self, path: &str, schema: &Value, further: &Value, required: bool) {
        if required {
            let what = "new, required and without a default";
            self.push(Effect::Breaking, path, what);
            return;
        }
        match (self.side, further) {
            (Side::Output, Value::Bool(false)) => {
                let what = "new, and readers of the old schema refuse unknown properties";
                self.push(Effect::Breaking, path, what);
            }
            (_, further) => {
                self.push(Effect::Compatible, path, "new and optional");
                if !further.is_boolean() {
                    self.schemas(path, further, schema);
                }
            }
        }
    }

    /// Properties that are known by a pattern of their names: maps whose keys are numbers.
    fn patterns(&mut self, path: &str, old: &Map<String, Value>, new: &Map<String, Value>) {
        let (old, new) = (patterns(old), patterns(new));
        for (pattern, old) in &old {
            match new.get(pattern) {
                Some(new) => self.schemas(&format!("{path}.*"), old, new),
                None => self.bound(true, path, format!("names like `{pattern}` are gone")),
            }
        }
        for pattern in new.keys().filter(|pattern| !old.contains_key(*pattern)) {
            let what = format!("names like `{pattern}` are new, and bind their values");
            self.bound(true, path, what);
        }
    }

    fn further_properties(&mut self, path: &str, old: &Value, new: &Value) {
        match (old, new) {
            (Value::Bool(true), Value::Bool(true)) | (Value::Bool(false), Value::Bool(false)) => {}
            (_, Value::Bool(false)) => self.bound(true, path, "unknown properties are refused"),
            (Value::Bool(false), _) => self.bound(false, path, "unknown properties are taken"),
            (old, new) => self.schemas(&format!("{path}.*"), old, new),
        }
    }

    fn arrays(&mut self, path: &str, old: &Map<String, Value>, new: &Map<String, Value>) {
        let places = |body: &Map<String, Value>| list(body, "prefixItems").len();
        let most = |body: &Map<String, Value>| body.get("maxItems").and_then(Value::as_u64);
        let fixed = places(old).max(places(new));
        // What can't exist on one side is told by `maxItems`.
        let limit = [most(old), most(new)].into_iter().flatten().min();
        let limit = limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        for place in 0..fixed.min(limit.unwrap_or(usize::MAX)) {
            let path = format!("{path}[{place}]");
            self.schemas(&path, item(old, place), item(new, place));
        }
        if limit.is_none_or(|limit| limit > fixed) {
            let path = format!("{path}[]");
            self.schemas(&path, item(old, fixed), item(new, fixed));
        }
    }

    fn numbers(&mut self, path: &str, old: &Branch, new: &Branch) {
        let (was, is) = (Range::of(&old.body), Range::of(&new.body));
        let precision = (number::precision(&old.body), number::precision(&new.body));
        if was == is && precision.0 == precision.1 {
            return;
        }
        let narrowed = !is.holds(was) || precision.1 < precision.0;
        let was = number::describe(&old.describe(), &old.body);
        let is = number::describe(&new.describe(), &new.body);
        self.bound(narrowed, path, format!("was {was}, is {is}"));
    }

    /// Every other keyword only ever takes values away.
    fn keywords(&mut self, path: &str, old: &Branch, new: &Branch) {
        let is_number = matches!(old.kind, Kind::Integer | Kind::Number);
        let keys: BTreeSet<&String> = old.body.keys().chain(new.body.keys()).collect();
        for key in keys {
            let known = UNDERSTOOD.contains(&key.as_str());
            if known || (is_number && RANGE.contains(&key.as_str())) {
                continue;
            }
            match (old.body.get(key), new.body.get(key)) {
                (Some(was), Some(is)) if was != is => {
                    let what = format!("`{key}` was {was}, is {is}");
                    self.bound(is_narrower(key, was, is), path, what);
                }
                (None, Some(is)) => self.bound(true, path, format!("`{key}` is new: {is}")),
                (Some(was), None) => self.bound(false, path, format!("`{key}` is gone: {was}")),
                _ => {}
            }
        }
    }
}

/// Alternatives that belong together, and those that nobody belongs to.
struct Matched {
    pairs: Vec<(Branch, Branch)>,
    gone: Vec<Branch>,
    added: Vec<Branch>,
}

impl Matched {
    /// The most alike first; where several are, in their order.
    fn of(old: Vec<Branch>, new: Vec<Branch>) -> Self {
        let mut alike = Vec::new();
        for (i, one) in old.iter().enumerate() {
            for (j, other) in new.iter().enumerate() {
                if let Some(likeness) = likeness(one, other) {
                    alike.push((likeness, i, j));
                }
            }
        }
        alike.sort_by_key(|(likeness, i, j)| (Reverse(*likeness), *i, *j));
        let mut old: Vec<Option<Branch>> = old.into_iter().map(Some).collect();
        let mut new: Vec<Option<Branch>> = new.into_iter().map(Some).collect();
        let mut pairs = BTreeMap::new();
        for (_, i, j) in alike {
            if old[i].is_none() || new[j].is_none() {
                continue;
            }
            if let (Some(one), Some(other)) = (old[i].take(), new[j].take()) {
                pairs.insert(i, (one, other));
            }
        }
        Self {
            pairs: pairs.into_values().collect(),
            gone: old.into_iter().flatten().collect(),
            added: new.into_iter().flatten().collect(),
        }
    }
}

/// How alike two alternatives are; nothing where they can't be the same one.
fn likeness(old: &Branch, new: &Branch) -> Option<usize> {
    if old.kind != new.kind {
        return None;
    }
    if old.body == new.body {
        return Some(usize::MAX);
    }
    match old.kind {
        Kind::Constant => None,
        Kind::Object => match (old.label(), new.label()) {
            (Some(old), Some(new)) => (old == new).then_some(usize::MAX - 1),
            _ => Some(
                old.property_names()
                    .intersection(&new.property_names())
                    .count(),
            ),
        },
        _ => Some(0),
    }
}

/// Whether it is neither one value nor one variant of many.
fn is_whole_type(branch: &Branch) -> bool {
    branch.kind != Kind::Constant && branch.label().is_none()
}

/// Whether all that the old alternative takes is taken by a new one of another kind.
fn takes(new: &Branch, old: &Branch) -> bool {
    let kind = match (old.kind, old.body.get("const")) {
        (Kind::Constant, Some(Value::String(_))) => Kind::String,
        (Kind::Constant, Some(Value::Bool(_))) => Kind::Boolean,
        (Kind::Constant, Some(Value::Number(number))) if number.is_f64() => Kind::Number,
        (Kind::Constant, Some(Value::Number(_))) => Kind::Integer,
        (kind, _) => kind,
    };
    let is_wider = match (kind, new.kind) {
        (_, Kind::Any) => true,
        (Kind::Integer, Kind::Number) => Range::of(&new.body).holds(Range::of(&old.body)),
        (kind, new) => kind == new,
    };
    let is_judged = match (old.kind, new.kind) {
        (Kind::Integer, Kind::Number) => RANGE,
        (_, Kind::Number) => &["format"],
        _ => &[],
    };
    let mut keys = new.body.keys();
    is_wider && keys.all(|key| is_judged.contains(&key.as_str()))
}

/// Whether a keyword with another value takes less; so does what can't be judged.
fn is_narrower(key: &str, was: &Value, is: &Value) -> bool {
    match (was.as_f64(), is.as_f64()) {
        (Some(was), Some(is)) if key.starts_with("min") || key == "exclusiveMinimum" => is > was,
        (Some(was), Some(is)) if key.starts_with("max") || key == "exclusiveMaximum" => is < was,
        _ => true,
    }
}

/// The schema of an array's item.
fn item(body: &Map<String, Value>, place: usize) -> &Value {
    list(body, "prefixItems")
        .get(place)
        .or_else(|| body.get("items"))
        .unwrap_or(&Value::Bool(true))
}

fn patterns(body: &Map<String, Value>) -> BTreeMap<&String, &Value> {
    let patterns = body.get("patternProperties").and_then(Value::as_object);
    patterns.into_iter().flatten().collect()
}

/// A name as it stands in a path.
fn quoted(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-$".contains(c);
    if name.chars().all(is_plain) {
        name.to_owned()
    } else {
        Value::from(name).to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap, HashSet};

    use schemars::{JsonSchema, schema_for};
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    /// A change, and what it means on both sides: `-` is breaking, `+` compatible.
    struct Case {
        name: &'static str,
        old: Value,
        new: Value,
        params: &'static [&'static str],
        output: &'static [&'static str],
    }

    fn lines(side: Side, old: &Value, new: &Value) -> Vec<String> {
        let line = |change: SchemaChange| {
            let mark = match change.effect {
                Effect::Breaking => '-',
                Effect::Compatible => '+',
            };
            // All paths begin with the side.
            let path = change.path.split_at("params".len()).1;
            format!("{mark}{path}: {}", change.what)
        };
        compare(side, old, new).into_iter().map(line).collect()
    }

    fn check(cases: &[Case]) {
        for Case {
            name,
            old,
            new,
            params,
            output,
        } in cases
        {
            assert_eq!(lines(Side::Params, old, new), *params, "params of: {name}");
            assert_eq!(lines(Side::Output, old, new), *output, "output of: {name}");
            for (side, same) in [(Side::Params, old), (Side::Output, new)] {
                assert!(lines(side, same, same).is_empty(), "equal: {name}");
            }
        }
    }

    /// An object that needs `a`.
    fn a() -> Value {
        object(json!({"a": {"type": "string"}}), &["a"])
    }

    fn a_and_b(required: &[&str]) -> Value {
        let properties = json!({"a": {"type": "string"}, "b": {"type": "string"}});
        object(properties, required)
    }

    fn closed(mut schema: Value) -> Value {
        schema["additionalProperties"] = false.into();
        schema
    }

    fn typed(name: &str) -> Value {
        json!({"type": name})
    }

    fn object(properties: Value, required: &[&str]) -> Value {
        json!({"type": "object", "properties": properties, "required": required})
    }

    #[test]
    fn new_properties() {
        check(&[
            Case {
                name: "nothing but words and order",
                old: json!({"type": "object", "title": "A", "description": "x", "$schema": "1",
                    "properties": {"a": {"type": ["string", "null"]}, "b": true},
                    "required": ["a", "b"]}),
                new: json!({"type": "object", "title": "B", "required": ["b", "a"], "properties":
                    {"b": {"description": "any"}, "a": {"type": ["null", "string"]}}}),
                params: &[],
                output: &[],
            },
            Case {
                name: "a new required property",
                old: a(),
                new: a_and_b(&["a", "b"]),
                params: &["-.b: new, required and without a default"],
                output: &["-.b: new, required and without a default"],
            },
            Case {
                name: "a new optional property",
                old: a(),
                new: a_and_b(&["a"]),
                params: &["+.b: new and optional"],
                output: &["+.b: new and optional"],
            },
            Case {
                name: "a new property with a default",
                old: a(),
                new: object(
                    json!({"a": {"type": "string"}, "b": {"default": 1}}),
                    &["a", "b"],
                ),
                params: &["+.b: new and optional"],
                output: &["+.b: new and optional"],
            },
            Case {
                name: "a new property where unknown ones are refused",
                old: closed(a()),
                new: closed(a_and_b(&["a"])),
                params: &["+.b: new and optional"],
                output: &["-.b: new, and readers of the old schema refuse unknown properties"],
            },
        ]);
    }

    #[test]
    fn removed_properties() {
        check(&[
            Case {
                name: "a removed property",
                old: a_and_b(&["a", "b"]),
                new: a(),
                params: &["+.b: removed"],
                output: &["-.b: removed"],
            },
            Case {
                name: "a removed property, now refused",
                old: a_and_b(&["a"]),
                new: closed(a()),
                params: &[
                    "-.b: removed, and unknown properties are refused",
                    "-: unknown properties are refused",
                ],
                output: &["-.b: removed", "-: unknown properties are refused"],
            },
        ]);
    }

    #[test]
    fn required_properties() {
        check(&[
            Case {
                name: "optional, then required",
                old: object(json!({"a": {"type": "string"}}), &[]),
                new: a(),
                params: &["-.a: was optional, is required"],
                output: &["-.a: was optional, is required"],
            },
            Case {
                name: "required, then optional",
                old: a(),
                new: object(json!({"a": {"type": "string"}}), &[]),
                params: &["+.a: was required, is optional"],
                output: &["-.a: was required, is optional"],
            },
            Case {
                name: "required without a schema",
                old: object(json!({}), &[]),
                new: object(json!({}), &["a"]),
                params: &["-.a: was optional, is required"],
                output: &["-.a: was optional, is required"],
            },
            Case {
                name: "a name that is no word",
                old: object(json!({"a.b": {"type": "string"}}), &[]),
                new: object(json!({"a.b": {"type": "null"}}), &[]),
                params: &["-.\"a.b\": was string, is null"],
                output: &["-.\"a.b\": was string, is null"],
            },
        ]);
    }

    #[test]
    fn types() {
        check(&[
            Case {
                name: "another type",
                old: typed("string"),
                new: typed("integer"),
                params: &["-: was string, is integer"],
                output: &["-: was string, is integer"],
            },
            Case {
                name: "integer to number",
                old: json!({"type": "integer", "format": "uint8", "minimum": 0, "maximum": 255}),
                new: json!({"type": "number", "format": "double"}),
                params: &["+: was integer, is number"],
                output: &["-: was integer, is number"],
            },
            Case {
                name: "number to integer",
                old: typed("number"),
                new: typed("integer"),
                params: &["-: was number, is integer"],
                output: &["-: was number, is integer"],
            },
            Case {
                name: "null is added",
                old: typed("string"),
                new: json!({"type": ["string", "null"]}),
                params: &["+: null is new"],
                output: &["-: null is new"],
            },
            Case {
                name: "null is removed from a reference",
                old: json!({"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}],
                    "$defs": {"A": {"type": "string"}}}),
                new: typed("string"),
                params: &["-: null is gone"],
                output: &["-: null is gone"],
            },
            Case {
                name: "anything is taken",
                old: typed("string"),
                new: json!({}),
                params: &["+: was string, is any JSON"],
                output: &["-: was string, is any JSON"],
            },
        ]);
    }

    #[test]
    fn values() {
        check(&[
            Case {
                name: "a value is added to an enum, another gets a description",
                old: json!({"type": "string", "enum": ["a", "b"]}),
                new: json!({"oneOf": [{"type": "string", "enum": ["b", "c"]},
                    {"type": "string", "const": "a", "description": "The first."}]}),
                params: &["+: `\"c\"` is new"],
                output: &["-: `\"c\"` is new"],
            },
            Case {
                name: "a value is removed from an enum",
                old: json!({"type": "string", "enum": ["a", "b"]}),
                new: json!({"type": "string", "enum": ["b"]}),
                params: &["-: `\"a\"` is gone"],
                output: &["-: `\"a\"` is gone"],
            },
            Case {
                name: "a value beside any text",
                old: json!({"anyOf": [{"const": "a"}, {"type": "string"}]}),
                new: typed("string"),
                params: &[],
                output: &["-: `\"a\"` is gone"],
            },
            Case {
                name: "an enum becomes any text",
                old: json!({"type": "string", "enum": ["a"]}),
                new: typed("string"),
                params: &["+: string is new"],
                output: &["-: `\"a\"` is gone", "-: string is new"],
            },
        ]);
    }

    #[test]
    fn integers() {
        let format = |name: &str| json!({"type": "integer", "format": name});
        check(&[
            Case {
                name: "more integers",
                old: json!({"type": "integer", "format": "uint8", "minimum": 0, "maximum": 255}),
                new: format("int64"),
                params: &["+: was uint8, is int64"],
                output: &["-: was uint8, is int64"],
            },
            Case {
                name: "other integers",
                old: format("int64"),
                new: json!({"type": "integer", "format": "uint64", "minimum": 0}),
                params: &["-: was int64, is uint64"],
                output: &["-: was int64, is uint64"],
            },
            Case {
                name: "the same integers",
                old: json!({"type": "integer", "format": "uint", "minimum": 0}),
                new: format("uint64"),
                params: &[],
                output: &[],
            },
        ]);
    }

    #[test]
    fn bounds() {
        check(&[
            Case {
                name: "a higher minimum",
                old: json!({"type": "integer", "format": "uint32", "minimum": 0}),
                new: json!({"type": "integer", "format": "uint32", "minimum": 1}),
                params: &["-: was uint32, is uint32 from 1"],
                output: &["-: was uint32, is uint32 from 1"],
            },
            Case {
                name: "a higher maximum",
                old: json!({"type": "number", "maximum": 1.5}),
                new: json!({"type": "number", "maximum": 2}),
                params: &["+: was number to 1.5, is number to 2"],
                output: &["-: was number to 1.5, is number to 2"],
            },
            Case {
                name: "fewer digits",
                old: json!({"type": "number", "format": "double"}),
                new: json!({"type": "number", "format": "float"}),
                params: &["-: was double, is float"],
                output: &["-: was double, is float"],
            },
            Case {
                name: "shorter text of another form",
                old: json!({"type": "string", "maxLength": 9, "minLength": 2, "pattern": "a"}),
                new: json!({"type": "string", "maxLength": 8, "minLength": 1, "format": "uuid"}),
                params: &[
                    "-: `format` is new: \"uuid\"",
                    "-: `maxLength` was 9, is 8",
                    "+: `minLength` was 2, is 1",
                    "+: `pattern` is gone: \"a\"",
                ],
                output: &[
                    "-: `format` is new: \"uuid\"",
                    "-: `maxLength` was 9, is 8",
                    "-: `minLength` was 2, is 1",
                    "-: `pattern` is gone: \"a\"",
                ],
            },
            Case {
                name: "a keyword that nobody knows",
                old: json!({"type": "string", "isProper": 1}),
                new: json!({"type": "string", "isProper": 2}),
                params: &["-: `isProper` was 1, is 2"],
                output: &["-: `isProper` was 1, is 2"],
            },
        ]);
    }

    macro_rules! types {
        ($module:ident { $($code:tt)* }) => {
            #[expect(dead_code, reason = "only the schemas of these types are used")]
            mod $module {
                use super::*;
                $($code)*
            }
        };
    }

    types!(old {
        #[derive(JsonSchema)]
        pub(super) struct Copy {
            pub(super) files: Vec<File>,
            pub(super) pair: (u8, String),
            pub(super) limits: HashMap<String, u32>,
            pub(super) names: HashSet<String>,
            pub(super) by_number: BTreeMap<u32, String>,
        }

        #[derive(JsonSchema)]
        pub(super) struct File {
            pub(super) name: String,
            pub(super) parent: Option<Box<File>>,
        }

        #[derive(Deserialize, JsonSchema)]
        #[serde(tag = "type")]
        pub(super) enum Shape {
            Circle { radius: f64 },
            Square(Box<Square>),
            Point,
        }

        #[derive(Deserialize, JsonSchema)]
        pub(super) struct Square {
            pub(super) side: f64,
            pub(super) inner: Option<Box<Shape>>,
        }

        #[derive(JsonSchema)]
        pub(super) enum Source {
            Nothing,
            File(String),
            Both { file: String, url: String },
        }

        #[derive(Deserialize, JsonSchema)]
        #[serde(untagged)]
        pub(super) enum Either {
            One { one: String },
            Other { other: String },
            Number(u8),
        }

        #[derive(Deserialize, JsonSchema)]
        pub(super) struct Flat {
            pub(super) name: String,
            #[serde(flatten)]
            pub(super) shape: Shape,
        }
    });

    types!(new {
        #[derive(JsonSchema)]
        pub(super) struct Copy {
            pub(super) files: Vec<Renamed>,
            pub(super) pair: (u8, bool, String),
            pub(super) limits: HashMap<String, i8>,
            pub(super) names: Vec<String>,
            pub(super) by_number: BTreeMap<u32, bool>,
        }

        #[derive(JsonSchema)]
        pub(super) struct Renamed {
            pub(super) name: u8,
            pub(super) parent: Option<Box<Renamed>>,
        }

        #[derive(Deserialize, JsonSchema)]
        #[serde(tag = "type")]
        pub(super) enum Shape {
            Circle { radius: String },
            Square(Box<Square>),
            Line,
        }

        #[derive(Deserialize, JsonSchema)]
        pub(super) struct Square {
            pub(super) side: f64,
            pub(super) inner: Option<Box<Shape>>,
            pub(super) turned: Option<bool>,
        }

        #[derive(JsonSchema)]
        pub(super) enum Source {
            Nothing,
            File(u8),
            Both { file: String },
            Url(String),
        }

        #[derive(Deserialize, JsonSchema)]
        #[serde(untagged)]
        pub(super) enum Either {
            More { more: String },
            One { one: String },
            Other { other: bool },
        }

        #[derive(Deserialize, JsonSchema)]
        pub(super) struct Flat {
            pub(super) name: String,
            #[serde(flatten)]
            pub(super) shape: Shape,
        }
    });

    fn case<Old: JsonSchema, New: JsonSchema>(
        name: &'static str,
        params: &'static [&'static str],
        output: &'static [&'static str],
    ) -> Case {
        Case {
            name,
            old: schema_for!(Old).to_value(),
            new: schema_for!(New).to_value(),
            params,
            output,
        }
    }

    #[test]
    fn containers_as_schemars_writes_them() {
        check(&[case::<old::Copy, new::Copy>(
            "files",
            &[
                "-.by_number.*: was string, is boolean",
                "-.files[].name: was string, is integer",
                "-.limits.*: was uint32, is int8",
                "+.names: `uniqueItems` is gone: true",
                "-.pair[1]: was string, is boolean",
                "+.pair: `maxItems` was 2, is 3",
                "-.pair: `minItems` was 2, is 3",
            ],
            &[
                "-.by_number.*: was string, is boolean",
                "-.files[].name: was string, is integer",
                "-.limits.*: was uint32, is int8",
                "-.names: `uniqueItems` is gone: true",
                "-.pair[1]: was string, is boolean",
                "-.pair: `maxItems` was 2, is 3",
                "-.pair: `minItems` was 2, is 3",
            ],
        )]);
    }

    #[test]
    fn enums_as_schemars_writes_them() {
        check(&[
            case::<old::Shape, new::Shape>(
                "tagged inside",
                &[
                    "-: variant `Point` is gone",
                    "+: variant `Line` is new",
                    "-(Circle).radius: was number, is string",
                    "-(Square).inner: variant `Point` is gone",
                    "+(Square).inner: variant `Line` is new",
                    "+(Square).turned: new and optional",
                ],
                &[
                    "-: variant `Point` is gone",
                    "-: variant `Line` is new",
                    "-(Circle).radius: was number, is string",
                    "-(Square).inner: variant `Point` is gone",
                    "-(Square).inner: variant `Line` is new",
                    "+(Square).turned: new and optional",
                ],
            ),
            case::<old::Source, new::Source>(
                "tagged outside",
                &[
                    "+: variant `Url` is new",
                    "-.File: was string, is integer",
                    "+.Both.url: removed",
                ],
                &[
                    "-: variant `Url` is new",
                    "-.File: was string, is integer",
                    "-.Both.url: removed",
                ],
            ),
            case::<old::Either, new::Either>(
                "untagged",
                &[
                    "-: was integer, is object {more}",
                    "-.other: was string, is boolean",
                ],
                &[
                    "-: was integer, is object {more}",
                    "-.other: was string, is boolean",
                ],
            ),
            case::<old::Flat, old::Flat>("flattened and the same", &[], &[]),
        ]);
    }

    #[test]
    fn references() {
        let defined = |name: &str, schema: Value| {
            let reference = format!("#/$defs/{}", name.replace(' ', "%20"));
            json!({"$ref": reference, "$defs": {name: schema}})
        };
        let node = |name: &str, kind: &str| {
            let reference = json!({"$ref": format!("#/$defs/{name}")});
            let next = json!({"anyOf": [reference, {"type": "null"}]});
            object(json!({"next": next, "value": {"type": kind}}), &["value"])
        };
        check(&[
            Case {
                name: "a definition gets another name",
                old: defined("A B", json!({"type": "string"})),
                new: defined("C", json!({"type": "string"})),
                params: &[],
                output: &[],
            },
            Case {
                name: "a type that holds itself",
                old: defined("A", node("A", "string")),
                new: defined("B", node("B", "integer")),
                params: &["-.value: was string, is integer"],
                output: &["-.value: was string, is integer"],
            },
            Case {
                name: "a type that holds itself from its root",
                old: object(json!({"next": {"$ref": "#"}, "a": {"type": "null"}}), &[]),
                new: object(json!({"next": {"$ref": "#"}}), &[]),
                params: &["+.a: removed"],
                output: &["-.a: removed"],
            },
            Case {
                name: "a type that is only itself",
                old: defined("A", json!({"anyOf": [{"$ref": "#/$defs/A"}]})),
                new: defined("A", json!({"allOf": [{"$ref": "#/$defs/A"}]})),
                params: &[],
                output: &[],
            },
            Case {
                name: "all of several",
                old: json!({"allOf": [{"$ref": "#/$defs/A"}, object(json!({"b": true}), &["b"])],
                    "$defs": {"A": object(json!({"a": true}), &["a"])}}),
                new: object(json!({"a": true}), &["a"]),
                params: &["+.b: removed"],
                output: &["-.b: removed"],
            },
        ]);
    }
}
