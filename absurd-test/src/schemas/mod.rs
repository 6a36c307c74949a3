//! The schemas of a worker's tasks, held against those that were recorded: what is queued,
//! asleep or stored outlives the code that wrote it.

mod branch;
mod change;
mod compare;
mod error;
mod number;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs, io,
    path::{Path, PathBuf},
};

use absurd_sdk::{TaskSchema, Worker};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use self::{change::Side, compare::compare, error::VARIABLE};
pub use self::{
    change::{Effect, SchemaChange},
    error::{SchemaError, TaskChanges},
};

/// What is done about differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Check,
    Accept,
}

/// Holds the JSON Schemas of all tasks of a worker against those recorded in a folder, one
/// file a task.
///
/// Differences are an error that names each with its path, and says whether it is breaking.
/// With `ABSURD_SCHEMAS=accept` in the environment the files are written instead, and those of
/// tasks that are gone are deleted. Files that hold something else are left alone. Each worker
/// needs a folder of its own.
///
/// Descriptions, titles and the order of things do not matter.
///
/// ```no_run
/// # use absurd_sdk::prelude::*;
/// # use absurd_test::{Database, check_schemas};
/// #[task]
/// async fn greet(ctx: &mut Context, name: String) -> TaskResult<String> {
///     Ok(format!("Hello, {name}"))
/// }
///
/// # async fn test() -> Result<(), Box<dyn std::error::Error>> {
/// let database = Database::start().await?;
/// let worker = Worker::builder(database.client()).task(greet).build()?;
/// check_schemas(&worker, "tests/schemas")?;
/// # Ok(())
/// # }
/// ```
pub fn check_schemas(worker: &Worker, folder: impl AsRef<Path>) -> Result<(), SchemaError> {
    SchemaCheck::of(worker).run(folder)
}

/// The same check with the types that steps return, which the compiler doesn't tell: name those
/// that matter.
///
/// ```no_run
/// # use absurd_sdk::prelude::*;
/// # use absurd_test::SchemaCheck;
/// # #[derive(JsonSchema)] struct CalTables;
/// # fn test(worker: &Worker) -> Result<(), absurd_test::SchemaError> {
/// SchemaCheck::of(worker)
///     .step::<CalTables>("process-group", "calibrate")
///     .run("tests/schemas")
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is checked until `run`"]
pub struct SchemaCheck {
    records: BTreeMap<String, Value>,
}

impl SchemaCheck {
    /// The params and outputs of all tasks of a worker.
    pub fn of(worker: &Worker) -> Self {
        let schemas = worker.schemas();
        let records = schemas
            .iter()
            .map(|(name, schema)| ((*name).to_owned(), recorded(schema)));
        Self {
            records: records.collect(),
        }
    }

    /// Adds what a step of a task returns. A task that the worker doesn't have is left out.
    pub fn step<T: JsonSchema>(mut self, task: &str, step: &str) -> Self {
        if let Some(Value::Object(record)) = self.records.get_mut(task) {
            let steps = record.entry("steps").or_insert_with(|| json!({}));
            steps[step] = schemars::schema_for!(T).to_value();
            steps.sort_all_objects();
        }
        self
    }

    /// Checks, or with `ABSURD_SCHEMAS=accept` records.
    pub fn run(self, folder: impl AsRef<Path>) -> Result<(), SchemaError> {
        let tasks = Tasks::of(self.records, folder.as_ref())?;
        match mode()? {
            Mode::Check => tasks.check(),
            Mode::Accept => tasks.accept(),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the variable is the test kit's own setting"
)]
fn mode() -> Result<Mode, SchemaError> {
    match env::var(VARIABLE).as_deref() {
        Err(env::VarError::NotPresent) | Ok("") => Ok(Mode::Check),
        Ok("accept") => Ok(Mode::Accept),
        Ok(value) => Err(SchemaError::Variable {
            value: value.to_owned(),
        }),
        Err(env::VarError::NotUnicode(value)) => Err(SchemaError::Variable {
            value: value.to_string_lossy().into_owned(),
        }),
    }
}

/// All tasks of a worker, and the folder of their records.
struct Tasks {
    folder: PathBuf,
    tasks: Vec<Task>,
}

struct Task {
    name: String,
    file: PathBuf,
    schema: Value,
}

impl Tasks {
    fn of(records: BTreeMap<String, Value>, folder: &Path) -> Result<Self, SchemaError> {
        // Some file systems take upper and lower case for the same.
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        let mut tasks = Vec::new();
        for (name, schema) in records {
            let file_name = file_name(&name);
            let file = folder.join(&file_name);
            if let Some(one) = names.insert(file_name.to_lowercase(), name.clone()) {
                return Err(SchemaError::SameFile {
                    path: file,
                    one,
                    other: name,
                });
            }
            tasks.push(Task { name, file, schema });
        }
        Ok(Self {
            folder: folder.to_owned(),
            tasks,
        })
    }

    fn check(&self) -> Result<(), SchemaError> {
        let mut tasks = Vec::new();
        for task in &self.tasks {
            tasks.push(TaskChanges {
                task: task.name.clone(),
                file: task.file.clone(),
                changes: task.changes()?,
            });
        }
        for file in self.gone()? {
            let stem = file.file_stem().unwrap_or_default();
            tasks.push(TaskChanges {
                task: stem.to_string_lossy().into_owned(),
                changes: vec![SchemaChange {
                    effect: Effect::Breaking,
                    path: String::new(),
                    what: "the worker has no such task: tasks of this name that are still \
                           queued will find nobody"
                        .to_owned(),
                }],
                file,
            });
        }
        tasks.retain(|task| !task.changes.is_empty());
        if tasks.is_empty() {
            return Ok(());
        }
        let folder = self.folder.clone();
        Err(SchemaError::Changed { folder, tasks })
    }

    fn accept(&self) -> Result<(), SchemaError> {
        fs::create_dir_all(&self.folder).map_err(SchemaError::file(&self.folder))?;
        for task in &self.tasks {
            let text = format!("{:#}\n", task.schema);
            fs::write(&task.file, text).map_err(SchemaError::file(&task.file))?;
        }
        for file in self.gone()? {
            fs::remove_file(&file).map_err(SchemaError::file(&file))?;
        }
        Ok(())
    }

    /// Records of tasks that the worker does not have.
    fn gone(&self) -> Result<BTreeSet<PathBuf>, SchemaError> {
        let mut gone = BTreeSet::new();
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(gone),
            entries => entries.map_err(SchemaError::file(&self.folder))?,
        };
        for entry in entries {
            let file = entry.map_err(SchemaError::file(&self.folder))?.path();
            let is_known = self.tasks.iter().any(|task| task.file == file);
            let is_json = file
                .extension()
                .is_some_and(|extension| extension == "json");
            // What a user keeps beside the records is not ours to judge or to delete.
            if is_json && !is_known && matches!(read(&file), Ok(Some(value)) if is_record(&value)) {
                gone.insert(file);
            }
        }
        Ok(gone)
    }
}

impl Task {
    fn changes(&self) -> Result<Vec<SchemaChange>, SchemaError> {
        let Some(old) = read(&self.file)? else {
            return Ok(vec![SchemaChange {
                effect: Effect::Compatible,
                path: String::new(),
                what: "the task is not recorded yet".to_owned(),
            }]);
        };
        let mut changes = Vec::new();
        for (side, key) in [(Side::Params, "params"), (Side::Output, "output")] {
            let schema = |record: &Value| record.get(key).cloned().unwrap_or(Value::Bool(true));
            changes.extend(compare(side, &schema(&old), &schema(&self.schema)));
        }
        changes.extend(self.step_changes(&old));
        Ok(changes)
    }

    /// What steps returned is read by the code of today, as params are.
    fn step_changes(&self, old: &Value) -> Vec<SchemaChange> {
        let steps = |record: &Value| record.get("steps").and_then(Value::as_object).cloned();
        let (old, new) = (steps(old).unwrap_or_default(), steps(&self.schema));
        let new = new.unwrap_or_default();
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let mut changes = Vec::new();
        for name in names {
            let root = format!("steps.{name}");
            let told = |what: &str| SchemaChange {
                effect: Effect::Compatible,
                path: root.clone(),
                what: what.to_owned(),
            };
            match (old.get(name), new.get(name)) {
                (Some(old), Some(new)) => {
                    let found = compare(Side::Params, old, new).into_iter();
                    changes.extend(found.map(|change| SchemaChange {
                        path: change.path.replacen("params", &root, 1),
                        ..change
                    }));
                }
                (None, Some(_)) => changes.push(told("not recorded yet")),
                _ => changes.push(told("no longer named by the test")),
            }
        }
        changes
    }
}

/// What a file holds; nothing where there is none.
fn read(file: &Path) -> Result<Option<Value>, SchemaError> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(SchemaError::file(file))?,
    };
    let record = |source| SchemaError::Record {
        path: file.to_owned(),
        source,
    };
    serde_json::from_str(&text).map(Some).map_err(record)
}

fn is_record(value: &Value) -> bool {
    let keys = |map: &Map<String, Value>| {
        let parts = 2 + usize::from(map.contains_key("steps"));
        map.len() == parts && map.contains_key("params") && map.contains_key("output")
    };
    value.as_object().is_some_and(keys)
}

/// A task's schemas as they are written, with sorted keys whatever features
/// `serde_json` has.
fn recorded(schema: &TaskSchema) -> Value {
    let mut record = Value::Object(Map::from_iter([
        ("output".to_owned(), schema.output.as_value().clone()),
        ("params".to_owned(), schema.params.as_value().clone()),
    ]));
    record.sort_all_objects();
    record
}

fn file_name(task: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' || c == '-' {
            c
        } else {
            '_'
        }
    };
    let name: String = task.chars().map(plain).collect();
    format!("{name}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    fn tasks(
        folder: &Path,
        tasks: impl IntoIterator<Item = (&'static str, TaskSchema)>,
    ) -> Result<Tasks, SchemaError> {
        let records = tasks.into_iter();
        let records = records.map(|(name, schema)| (name.to_owned(), recorded(&schema)));
        Tasks::of(records.collect(), folder)
    }

    #[test]
    fn what_was_accepted_passes_until_it_changes() -> TestResult {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("schemas");
        let old = [
            ("a/b", TaskSchema::of::<String, ()>()),
            ("gone", TaskSchema::of::<(), ()>()),
            ("same", TaskSchema::of::<(), ()>()),
        ];
        let old = tasks(&path, old)?;
        let Err(error) = old.check() else {
            return Err("nothing is recorded yet".into());
        };
        assert!(!error.is_breaking());
        assert!(error.to_string().contains("ABSURD_SCHEMAS=accept"));
        old.accept()?;
        old.check()?;

        let new = [
            ("a/b", TaskSchema::of::<Option<u8>, ()>()),
            ("new", TaskSchema::of::<(), ()>()),
            ("same", TaskSchema::of::<(), ()>()),
        ];
        let new = tasks(&path, new)?;
        let Err(error) = new.check() else {
            return Err("three tasks differ".into());
        };
        assert!(error.is_breaking());
        let expected = "\
the schemas of these tasks are not those recorded in schemas:

a/b (schemas/a_b.json)
  breaking    params: string is gone
  compatible  params: integer is new
  compatible  params: null is new

new (schemas/new.json)
  compatible  the task is not recorded yet

gone (schemas/gone.json)
  breaking    the worker has no such task: tasks of this name that are still queued will \
find nobody

Breaking changes harm tasks that are queued, asleep or read by others: give the new shape a \
task of another name, or be sure that none is left. Then accept: run this test with \
ABSURD_SCHEMAS=accept, and commit the files.";
        let parent = format!("{}/", folder.path().display());
        assert_eq!(format!("{error:?}").replace(&parent, ""), expected);
        new.accept()?;
        new.check()?;
        assert!(!path.join("gone.json").exists());
        Ok(())
    }

    #[test]
    fn records_are_easy_to_read_and_to_compare() -> TestResult {
        let folder = tempfile::tempdir()?;
        tasks(folder.path(), [("a", TaskSchema::of::<bool, ()>())])?.accept()?;
        let expected = r#"{
  "output": {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "null",
    "type": "null"
  },
  "params": {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "boolean",
    "type": "boolean"
  }
}
"#;
        let text = fs::read_to_string(folder.path().join("a.json"))?;
        assert_eq!(text, expected);
        Ok(())
    }

    #[test]
    fn what_steps_return_is_held_to_what_is_stored() -> TestResult {
        let folder = tempfile::tempdir()?;
        let with_step = |schema: Value| {
            let mut record = recorded(&TaskSchema::of::<(), ()>());
            record["steps"] = json!({ "calibrate": schema });
            Tasks::of(BTreeMap::from([("a".to_owned(), record)]), folder.path())
        };
        let number = || schemars::schema_for!(u32).to_value();
        let old = with_step(number())?;
        old.accept()?;
        old.check()?;
        let Err(error) = with_step(schemars::schema_for!(String).to_value())?.check() else {
            return Err("text is no number".into());
        };
        assert!(error.is_breaking());
        assert!(error.to_string().contains("steps.calibrate: "), "{error}");
        let Err(error) = tasks(folder.path(), [("a", TaskSchema::of::<(), ()>())])?.check() else {
            return Err("the step is not named".into());
        };
        assert!(!error.is_breaking());
        Ok(())
    }

    #[test]
    fn what_is_no_record_stays() -> TestResult {
        let folder = tempfile::tempdir()?;
        let others = [
            ("package.json", "{}"),
            ("broken.json", "{"),
            ("notes.txt", "{\"params\": 1, \"output\": 1}"),
        ];
        for (name, text) in others {
            fs::write(folder.path().join(name), text)?;
        }
        let tasks = tasks(folder.path(), [("a", TaskSchema::of::<(), ()>())])?;
        tasks.accept()?;
        tasks.check()?;
        for (name, text) in others {
            assert_eq!(fs::read_to_string(folder.path().join(name))?, text);
        }
        Ok(())
    }

    #[test]
    fn a_broken_record_names_its_file() -> TestResult {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("a.json"), "<<<<<<< ours")?;
        let tasks = tasks(folder.path(), [("a", TaskSchema::of::<(), ()>())])?;
        let error = tasks.check().err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains("a.json")));
        tasks.accept()?;
        tasks.check()?;
        Ok(())
    }

    #[test]
    fn two_tasks_never_share_a_file() {
        for (one, other) in [("a/b", "a_b"), ("Copy", "copy")] {
            let schema = TaskSchema::of::<(), ()>;
            let same = tasks(Path::new("."), [(one, schema()), (other, schema())]);
            assert!(matches!(same, Err(SchemaError::SameFile { .. })), "{one}");
        }
    }
}
