//! Cells of the subtables.

use std::{ffi::c_char, path::Path, ptr};

use super::{Handle, Message, Set, check, take, text};
use crate::{Direction, MsError};

/// Room for most cells, as positions and codes: each call opens the subtable once more.
const USUAL: usize = 16;

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
        let mut numbers = vec![0.0; USUAL];
        loop {
            let mut count = 0;
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
            let had_room = count <= numbers.len();
            numbers.resize(count, 0.0);
            if had_room {
                return Ok(numbers);
            }
        }
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
