//! Where settings stand: the environment, and below it the file.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt, fs, io,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use toml::{Table, Value};

use super::{
    error::ConfigError,
    keys::{CONFIG, ELSEWHERE, KEYS, Key, WITHOUT_EFFECT, in_file, names, nearest},
};

/// The file that is read where nothing else is said and it is there.
pub(super) const FILE: &str = "/etc/dsa110/pipeline.toml";

/// What is set, by the names of the environment.
#[derive(Default)]
pub(super) struct Layers {
    pub(super) environment: BTreeMap<String, String>,
    pub(super) file: BTreeMap<String, String>,
    pub(super) path: PathBuf,
}

/// A value and where it stands.
struct Setting<'l> {
    value: &'l str,
    place: String,
}

impl Layers {
    /// Reads variables, and the file that they name; else the one at `path` if it is there.
    pub(super) fn read(
        variables: impl Iterator<Item = (OsString, OsString)>,
        path: &Path,
    ) -> Result<Self, ConfigError> {
        let mut layers = Self::default();
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| is_ours(name)) else {
                continue;
            };
            let value = value.into_string().map_err(|_| ConfigError::Place {
                place: name.to_owned(),
                problem: "its value is no UTF-8 text; write it anew".to_owned(),
            })?;
            layers.environment.insert(name.to_owned(), value);
        }
        let named = layers
            .environment
            .get(CONFIG)
            .filter(|path| !path.trim().is_empty());
        let must_exist = named.is_some();
        layers.path = named.map_or(path.to_owned(), |path| path.trim().into());
        match fs::read_to_string(&layers.path) {
            Ok(text) => layers.file = parse(&layers.path, &text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => {}
            Err(source) => {
                return Err(ConfigError::File {
                    path: layers.path,
                    source,
                });
            }
        }
        Ok(layers)
    }

    /// What to tell of variables that change nothing.
    pub(super) fn warnings(&self) -> Vec<String> {
        let set = self.environment.keys().map(String::as_str);
        let warning = |name: &str| {
            if let Some((_, why)) = WITHOUT_EFFECT.iter().find(|(known, _)| *known == name) {
                return Some(format!("{name} changes nothing: {why}"));
            }
            if names().any(|known| known == name) {
                return None;
            }
            let nearest = nearest(name, names()).unwrap_or_default();
            Some(format!(
                "nobody knows {name}, it changes nothing; is {nearest} meant?"
            ))
        };
        set.filter_map(warning).collect()
    }

    /// What is set, if it is. The environment wins; nothing but blanks counts as unset. Of two
    /// names in one place either will do, both only if they agree.
    fn setting(&self, key: Key) -> Result<Option<Setting<'_>>, ConfigError> {
        for (layer, is_file) in [(&self.environment, false), (&self.file, true)] {
            let place = |name: &str| {
                if is_file {
                    in_place(&self.path, &in_file(name))
                } else {
                    name.to_owned()
                }
            };
            let given = |name: &&str| {
                let value = layer.get(*name)?.trim();
                (!value.is_empty()).then(|| (value, place(name)))
            };
            let mut given = key.names.iter().filter_map(given);
            let Some((value, place)) = given.next() else {
                continue;
            };
            return match given.next() {
                Some((other, second)) if other != value => Err(ConfigError::Value {
                    place,
                    value: value.to_owned(),
                    problem: format!("{second} says `{other}`; keep one of the two"),
                }),
                _ => Ok(Some(Setting { value, place })),
            };
        }
        Ok(None)
    }

    pub(super) fn text(&self, key: Key) -> Result<Option<String>, ConfigError> {
        let setting = self.setting(key)?;
        Ok(setting.map(|setting| setting.value.to_owned()))
    }

    /// A text, or the default that the documents give.
    pub(super) fn text_or_default(&self, key: Key) -> Result<String, ConfigError> {
        Ok(self.text(key)?.unwrap_or_else(|| default(key).to_owned()))
    }

    /// A switch: true unless it is off.
    pub(super) fn is_on(&self, key: Key) -> Result<bool, ConfigError> {
        let off = ["0", "false", "no", "off"];
        let setting = self.setting(key)?;
        let is_off = |set: Setting<'_>| off.contains(&set.value.to_ascii_lowercase().as_str());
        Ok(!setting.is_some_and(is_off))
    }

    /// A whole number from 1 on.
    pub(super) fn number<T>(&self, key: Key) -> Result<T, ConfigError>
    where
        T: FromStr + Default + PartialOrd,
    {
        self.parsed(key, "give a whole number from 1 on", |value| {
            value.parse().ok().filter(|number| *number > T::default())
        })
    }

    /// A time in seconds.
    pub(super) fn seconds(&self, key: Key) -> Result<Duration, ConfigError> {
        self.parsed(key, "give a number above 0", |value| {
            let seconds = value.parse::<f64>().ok().filter(|seconds| *seconds > 0.0)?;
            Duration::try_from_secs_f64(seconds).ok()
        })
    }

    /// A value that a function understands, or says why it doesn't.
    pub(super) fn understood<T>(
        &self,
        key: Key,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(Setting { value, place }) = self.setting(key)? else {
            return Ok(None);
        };
        let refused = |problem| ConfigError::Value {
            place,
            value: value.to_owned(),
            problem,
        };
        parse(value).map(Some).map_err(refused)
    }

    fn parsed<T>(
        &self,
        key: Key,
        problem: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let Setting { value, place } = self.setting(key)?.unwrap_or_else(|| Setting {
            value: default(key),
            place: format!("the default of {}", key.names.join(" and ")),
        });
        parse(value).ok_or_else(|| ConfigError::Value {
            place,
            value: value.to_owned(),
            problem: format!("{problem} ({})", key.meaning),
        })
    }
}

/// What the documents give, without their quotes.
fn default(key: Key) -> &'static str {
    key.default.trim_matches('`')
}

impl fmt::Debug for Layers {
    /// Values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layers")
            .field("environment", &self.environment.keys())
            .field("file", &self.file.keys())
            .field("path", &self.path)
            .finish()
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with("ABSURD_") || name.starts_with("PIPELINE_")
}

fn in_place(path: &Path, key: &str) -> String {
    format!("{key} in {}", path.display())
}

/// The file's settings by the names of the environment. A key that nobody knows is an error: in
/// a file of our own it is nobody else's.
fn parse(path: &Path, text: &str) -> Result<BTreeMap<String, String>, ConfigError> {
    let table = text.parse::<Table>().map_err(|error| {
        // The library's own text quotes the line, and there may be a password in it.
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.lines().count().max(1));
        ConfigError::Place {
            place: format!("{}, about line {line}", path.display()),
            problem: error.message().to_owned(),
        }
    })?;
    let mut settings = BTreeMap::new();
    for (section, value) in table {
        let Value::Table(section_keys) = value else {
            return Err(unknown(path, &section));
        };
        for (key, value) in section_keys {
            let key = format!("{section}.{key}");
            let own = KEYS.iter().flat_map(|key| key.names);
            let name = own.copied().find(|name| in_file(name) == key);
            let name = name.ok_or_else(|| unknown(path, &key))?;
            settings.insert(name.to_owned(), plain(path, &key, &value)?);
        }
    }
    Ok(settings)
}

fn unknown(path: &Path, key: &str) -> ConfigError {
    let is_key = |name: &&str| in_file(name) == key;
    let problem = if let Some(name) = ELSEWHERE.iter().find(|name| is_key(name)) {
        format!("this is read from the environment only; set {name} there")
    } else if let Some((_, why)) = WITHOUT_EFFECT.iter().find(|(name, _)| is_key(name)) {
        format!("this changes nothing: {why}; remove it")
    } else {
        let known = KEYS
            .iter()
            .flat_map(|key| key.names)
            .map(|name| in_file(name));
        let nearest = nearest(key, known).unwrap_or_default();
        format!("there is no such setting; is `{nearest}` meant?")
    };
    ConfigError::Place {
        place: in_place(path, key),
        problem,
    }
}

/// A value as the environment would have it.
fn plain(path: &Path, key: &str, value: &Value) -> Result<String, ConfigError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(is_so) => Ok(is_so.to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => Err(ConfigError::Place {
            place: in_place(path, key),
            problem: "give one text, number, true or false".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::keys, *};

    fn read(text: &str) -> Result<Layers, ConfigError> {
        let path = PathBuf::from("/etc/a.toml");
        Ok(Layers {
            file: parse(&path, text)?,
            path,
            ..Layers::default()
        })
    }

    fn problem(text: &str) -> String {
        read(text)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn all_settings_can_stand_in_the_file() -> Result<(), ConfigError> {
        for name in KEYS.iter().flat_map(|key| key.names) {
            let (section, key) = name.split_once('_').unwrap();
            let text = format!("[{}]\n{} = 7", section.to_lowercase(), key.to_lowercase());
            assert_eq!(read(&text)?.file[*name], "7", "{name}");
        }
        let layers = read("absurd.enabled = false\nabsurd.task_timeout_sec = 0.5")?;
        assert!(!layers.is_on(keys::ENABLED)?);
        let limit = layers.seconds(keys::TASK_TIMEOUT)?;
        assert_eq!(limit, Duration::from_millis(500));
        Ok(())
    }

    #[test]
    fn unknown_keys_name_the_nearest_one() {
        for (text, said) in [
            ("[absurd]\nqueue = 'a'", "`absurd.queue_name`"),
            (
                "[absurd]\nwoker_concurrency = 1",
                "`absurd.worker_concurrency`",
            ),
            ("[pipelin]\noutput_dir = 'a'", "`pipeline.output_dir`"),
            ("[absurd]\npool_max_size = 1", "ABSURD_POOL_MAX_SIZE"),
            ("[absurd]\ndlq_enabled = true", "dead letters"),
            ("[absurd]\nqueue_name = ['a']", "one text"),
            ("absurd = 1", "no such setting"),
        ] {
            let problem = problem(text);
            assert!(
                problem.contains(said) && problem.contains("/etc/a.toml"),
                "{problem}"
            );
        }
    }

    #[test]
    fn a_slip_in_the_file_shows_its_line_and_no_secret() {
        let problem = problem("[absurd]\n\ndatabase_url = 'postgresql://u:hidden@h/d\n");
        assert!(problem.contains("line 3"), "{problem}");
        assert!(!problem.contains("hidden"), "{problem}");
        let layers = read("absurd.database_url = 'postgresql://u:hidden@h/d'");
        let shown = format!("{layers:?}");
        assert!(
            shown.contains("DATABASE_URL") && !shown.contains("hidden"),
            "{shown}"
        );
    }

    #[test]
    fn the_environment_wins_as_a_whole() -> Result<(), ConfigError> {
        let mut layers = read("absurd.task_timeout_sec = 1\nabsurd.max_retries = 0")?;
        let set = |layers: &mut Layers, name: &str, value: &str| {
            layers.environment.insert(name.into(), value.into());
        };
        set(&mut layers, "ABSURD_TASK_TIMEOUT", "2");
        set(&mut layers, "ABSURD_MAX_RETRIES", " ");
        let limit = layers.seconds(keys::TASK_TIMEOUT)?;
        assert_eq!(
            limit.as_secs(),
            2,
            "the other name of the file doesn't matter"
        );
        let refused = layers
            .number::<u32>(keys::MAX_RETRIES)
            .err()
            .unwrap()
            .to_string();
        assert!(
            refused.contains("absurd.max_retries in /etc/a.toml is `0`"),
            "{refused}"
        );
        Ok(())
    }

    #[test]
    fn the_file_that_is_named_must_be_there() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("pipeline.toml");
        let named = || [(OsString::from(CONFIG), path.clone().into_os_string())].into_iter();
        let refused = Layers::read(named(), Path::new("/none"))
            .err()
            .ok_or("it was read")?;
        assert!(refused.to_string().contains("pipeline.toml"), "{refused}");
        assert!(Layers::read(std::iter::empty(), &path)?.file.is_empty());
        fs::write(&path, "[absurd]\nqueue_name = 'from the file'")?;
        for layers in [
            Layers::read(named(), Path::new("/none"))?,
            Layers::read(std::iter::empty(), &path)?,
        ] {
            let queue = layers.text(keys::QUEUE_NAME)?;
            assert_eq!(queue.as_deref(), Some("from the file"));
        }
        Ok(())
    }

    #[test]
    fn variables_that_change_nothing_are_told_of() {
        let names = [
            "ABSURD_QUEUE",
            "ABSURD_QUEUE_NAME",
            "PIPELINE_PRODUCTS_DB",
            "PATH",
        ];
        let variables = names.map(|name| (name.into(), OsString::new()));
        let layers = Layers::read(variables.into_iter(), Path::new("/none")).unwrap();
        let warnings = layers.warnings().join("\n");
        assert!(
            warnings.contains("is ABSURD_QUEUE_NAME meant?"),
            "{warnings}"
        );
        assert!(warnings.contains("schema `pipeline`"), "{warnings}");
        assert_eq!(warnings.lines().count(), 2, "{warnings}");
    }
}
