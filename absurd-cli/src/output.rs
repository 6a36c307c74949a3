//! One answer, two forms: a table for people, JSON for programs.

use std::io::{self, Write as _};

use comfy_table::{Table, presets};
use serde::Serialize;
use serde_json::Value;

use super::CliError;

/// How to print.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
}

impl Output {
    /// Prints one fact: a sentence, or the value itself.
    pub(crate) fn say(self, sentence: &str, value: &impl Serialize) -> Result<(), CliError> {
        if self.json {
            return print_json(value);
        }
        Ok(writeln!(io::stdout(), "{sentence}")?)
    }

    /// Prints a list: a table of the named fields, or all of it.
    pub(crate) fn list(self, fields: &[&str], items: &impl Serialize) -> Result<(), CliError> {
        if self.json {
            return print_json(items);
        }
        let items = serde_json::to_value(items)?;
        let mut table = Table::new();
        table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(fields.iter().map(|field| field.replace('_', " ")));
        for item in items.as_array().into_iter().flatten() {
            table.add_row(fields.iter().map(|field| cell(&item[field])));
        }
        Ok(writeln!(io::stdout(), "{table}")?)
    }

    /// Prints one thing: a line for each field, or all of it.
    pub(crate) fn show(self, title: &str, item: &impl Serialize) -> Result<(), CliError> {
        if self.json {
            return print_json(item);
        }
        let mut out = io::stdout();
        writeln!(out, "{title}")?;
        let item = serde_json::to_value(item)?;
        for (field, value) in item.as_object().into_iter().flatten() {
            if !value.is_null() {
                writeln!(out, "  {:<20} {}", field.replace('_', " "), cell(value))?;
            }
        }
        Ok(())
    }
}

fn print_json(value: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value)?;
    Ok(writeln!(io::stdout(), "{text}")?)
}

/// Text without its quotes, nothing for null, JSON for the rest.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_read_like_text() {
        let cells = [json!(null), json!("a b"), json!(3), json!({"k": 1})].map(|v| cell(&v));
        assert_eq!(cells, ["", "a b", "3", "{\"k\":1}"]);
    }
}
