//! A document of which parts are made by a program: each between two comments that name it.

use crate::error::Result;

/// The document with another content of a named part.
pub(super) fn replaced(text: &str, name: &str, content: &str) -> Result<String> {
    let (begin, end) = (
        format!("<!-- begin: {name} -->"),
        format!("<!-- end: {name} -->"),
    );
    let missing = || format!("the document has no part from `{begin}` to `{end}`; put it there");
    let (before, rest) = text.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    Ok(format!("{before}{begin}\n\n{content}\n\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_replaced_again_and_again() {
        let text = "a\n<!-- begin: x -->old<!-- end: x -->\nb";
        let once = replaced(text, "x", "new").unwrap();
        assert_eq!(once, "a\n<!-- begin: x -->\n\nnew\n\n<!-- end: x -->\nb");
        assert_eq!(replaced(&once, "x", "new").unwrap(), once);
    }

    #[test]
    fn a_part_that_is_not_there_is_an_error() {
        replaced("<!-- begin: x -->", "x", "new").unwrap_err();
        replaced("<!-- begin: y --><!-- end: y -->", "x", "new").unwrap_err();
    }
}
