//! Everything that is wrong, gathered to be shown at once.

use proc_macro2::TokenStream;
use quote::ToTokens;

/// The errors found so far, each on the tokens it is about.
#[derive(Default)]
pub(crate) struct Diagnostics(Option<syn::Error>);

impl Diagnostics {
    /// Notes an error on `tokens`: what happened, then what to do.
    pub(crate) fn error(&mut self, tokens: impl ToTokens, message: impl std::fmt::Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// The value, or nothing and a note of the error.
    pub(crate) fn keep<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    /// The value, or the errors if there are any.
    pub(crate) fn finish<T>(self, value: T) -> syn::Result<T> {
        self.0.map_or(Ok(value), Err)
    }

    /// The errors as items for the compiler; no tokens if there are none.
    pub(crate) fn into_tokens(self) -> TokenStream {
        self.0
            .map_or_else(TokenStream::new, syn::Error::into_compile_error)
    }
}

/// Refuses a word that is not among `accepted`: names the likely one, and lists all.
pub(crate) fn unknown(kind: &str, word: &syn::Ident, accepted: &[&str]) -> syn::Error {
    let nearest = nearest(&word.to_string(), accepted)
        .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    let separator = if nearest.is_empty() { ";" } else { "" };
    let listed = list(accepted);
    let message = format!("unknown {kind} `{word}`{nearest}{separator} accepted: {listed}");
    syn::Error::new_spanned(word, message)
}

/// Words as people list them.
pub(crate) fn list(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The accepted word that `word` is most likely a slip of.
fn nearest<'a>(word: &str, accepted: &[&'a str]) -> Option<&'a str> {
    let likely = accepted.iter().map(|near| (distance(word, near), *near));
    // A third of the letters may be wrong; more is another word.
    let close = likely.filter(|(edits, near)| *edits * 3 <= near.len().max(word.len()));
    close.min_by_key(|(edits, _)| *edits).map(|(_, near)| near)
}

/// How many letters to insert, drop or change to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, left) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in to.bytes().enumerate() {
            let changed = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}
