//! Whole columns of the main table: read where rows are told apart by them, added and written.

use std::{ffi::c_char, path::Path};

use super::{Handle, Message, Set, cells, check, text};
use crate::MsError;

unsafe extern "C" {
    fn ms_read_doubles(
        set: *mut Handle,
        column: *const c_char,
        start: u64,
        rows: u64,
        out: *mut f64,
        message: Message,
    ) -> i32;
    fn ms_read_integers(
        set: *mut Handle,
        column: *const c_char,
        start: u64,
        rows: u64,
        out: *mut i32,
        message: Message,
    ) -> i32;
    fn ms_has_column(
        set: *mut Handle,
        column: *const c_char,
        out: *mut bool,
        message: Message,
    ) -> i32;
    fn ms_add_complex(set: *mut Handle, column: *const c_char, message: Message) -> i32;
    fn ms_write_complex(
        set: *mut Handle,
        column: *const c_char,
        start: u64,
        rows: u64,
        shape: *const u64,
        values: *const f32,
        message: Message,
    ) -> i32;
    fn ms_write_flags(
        set: *mut Handle,
        start: u64,
        rows: u64,
        shape: *const u64,
        flags: *const bool,
        message: Message,
    ) -> i32;
}

impl Set {
    pub(crate) fn doubles(
        &self,
        path: &Path,
        column: &str,
        (start, rows): (u64, u64),
    ) -> Result<Vec<f64>, MsError> {
        let column = text(column)?;
        let mut out = vec![0.0; cells(rows, [1, 1])];
        // SAFETY: the handle is valid as long as `self`; `out` holds `rows` values.
        check(path, |message| unsafe {
            let handle = self.0.as_ptr();
            ms_read_doubles(
                handle,
                column.as_ptr(),
                start,
                rows,
                out.as_mut_ptr(),
                message,
            )
        })?;
        Ok(out)
    }

    pub(crate) fn integers(
        &self,
        path: &Path,
        column: &str,
        (start, rows): (u64, u64),
    ) -> Result<Vec<i32>, MsError> {
        let column = text(column)?;
        let mut out = vec![0; cells(rows, [1, 1])];
        // SAFETY: as above.
        check(path, |message| unsafe {
            let handle = self.0.as_ptr();
            ms_read_integers(
                handle,
                column.as_ptr(),
                start,
                rows,
                out.as_mut_ptr(),
                message,
            )
        })?;
        Ok(out)
    }

    pub(crate) fn has_column(&self, path: &Path, column: &str) -> Result<bool, MsError> {
        let column = text(column)?;
        let mut has = false;
        // SAFETY: as above.
        check(path, |message| unsafe {
            ms_has_column(self.0.as_ptr(), column.as_ptr(), &raw mut has, message)
        })?;
        Ok(has)
    }

    pub(crate) fn add_complex(&mut self, path: &Path, column: &str) -> Result<(), MsError> {
        let column = text(column)?;
        // SAFETY: as above.
        check(path, |message| unsafe {
            ms_add_complex(self.0.as_ptr(), column.as_ptr(), message)
        })
    }

    /// `values` holds pairs of real and imaginary parts, as many as rows and shape say.
    pub(crate) fn write_complex(
        &mut self,
        path: &Path,
        column: &str,
        (start, rows): (u64, u64),
        shape: [u64; 2],
        values: &[f32],
    ) -> Result<(), MsError> {
        let column = text(column)?;
        // SAFETY: as above; the caller has checked the length of `values`.
        check(path, |message| unsafe {
            ms_write_complex(
                self.0.as_ptr(),
                column.as_ptr(),
                start,
                rows,
                shape.as_ptr(),
                values.as_ptr(),
                message,
            )
        })
    }

    /// `flags` holds as many values as rows and shape say.
    pub(crate) fn write_flags(
        &mut self,
        path: &Path,
        (start, rows): (u64, u64),
        shape: [u64; 2],
        flags: &[bool],
    ) -> Result<(), MsError> {
        // SAFETY: as above.
        check(path, |message| unsafe {
            let handle = self.0.as_ptr();
            ms_write_flags(handle, start, rows, shape.as_ptr(), flags.as_ptr(), message)
        })
    }
}
