//! Cells of the subtables.

use std::{ffi::c_char, path::Path, ptr};

use super::{Handle, Message, Set, check, take, text};
use crate::{Direction, MsError};

unsafe extern "C" {
    fn ms_string(
        set: *mut Handle,
        subtable: *const c_char,
        column: *const c_char,
        row: u64,
        out: *mut *mut c_char,
        message: Message,
    ) -> i32;
    fn ms_numbers(
        set: *mut Handle,
        subtable: *const c_char,
        column: *const c_char,
        row: u64,
        out: *mut f64,
        capacity: usize,
        count: *mut usize,
        message: Message,
    ) -> i32;
    fn ms_phase_centre(
        set: *mut Handle,
        field: u64,
        ra_dec: *mut f64,
        frame: *mut *mut c_char,
        message: Message,
    ) -> i32;
}

impl Set {
    pub(crate) fn string(
        &self,
        path: &Path,
        (subtable, column, row): (&str, &str, u64),
    ) -> Result<String, MsError> {
        let (subtable, column) = (text(subtable)?, text(column)?);
        let mut found = ptr::null_mut();
        // SAFETY: the handle is valid as long as `self`, the rest lives in this function.
        check(path, |message| unsafe {
            let (subtable, column) = (subtable.as_ptr(), column.as_ptr());
            ms_string(
                self.0.as_ptr(),
                subtable,
                column,
                row,
                &raw mut found,
                message,
            )
        })?;
        Ok(take(found))
    }

    pub(crate) fn numbers(
        &self,
        path: &Path,
        (subtable, column, row): (&str, &str, u64),
    ) -> Result<Vec<f64>, MsError> {
        let (subtable, column) = (text(subtable)?, text(column)?);
        let mut numbers = Vec::new();
        let mut count = 0;
        // Asks once for the count, then for the numbers.
        for _ in 0..2 {
            numbers.resize(count, 0.0);
            // SAFETY: as above; `numbers` has the capacity that is told.
            check(path, |message| unsafe {
                ms_numbers(
                    self.0.as_ptr(),
                    subtable.as_ptr(),
                    column.as_ptr(),
                    row,
                    numbers.as_mut_ptr(),
                    numbers.len(),
                    &raw mut count,
                    message,
                )
            })?;
        }
        Ok(numbers)
    }

    pub(crate) fn phase_centre(&self, path: &Path, field: u64) -> Result<Direction, MsError> {
        let mut angles = [0.0; 2];
        let mut frame = ptr::null_mut();
        // SAFETY: as above; `angles` has room for the two numbers that are written.
        check(path, |message| unsafe {
            let (handle, angles) = (self.0.as_ptr(), angles.as_mut_ptr());
            ms_phase_centre(handle, field, angles, &raw mut frame, message)
        })?;
        let [longitude, latitude] = angles;
        Ok(Direction {
            longitude,
            latitude,
            frame: take(frame),
        })
    }
}
